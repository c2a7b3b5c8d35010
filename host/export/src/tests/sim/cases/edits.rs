//! Edits while everything runs, and what the numbers tell of it.

use super::*;
use crate::catalog::AuditFilter;

#[test]
fn case_31_an_edit_begins_with_the_next_window_and_the_queue_stays() {
    simulate(31, async |sim| {
        sim.push_store("central", 60);
        sim.net.set("central.example", Mood::Refuses);
        assert!(sim.start().await);
        sim.submit("a");
        sim.seconds(90).await;
        // In the middle of the second window.
        sim.catalog.edit(|e| e.delete_metric(sim.set, "errors")).unwrap();
        sim.submit("a");
        sim.seconds(30).await;
        sim.submit("a");
        sim.seconds(60).await;
        sim.net.set("central.example", Mood::Well);
        sim.seconds(120).await;
        let has_errors = |end: u64| {
            let key = ("errors,d=a,metric_set=crashes,project=web count__tx".to_owned(), end);
            sim.net.with("central.example", |s| s.held.contains_key(&key))
        };
        assert_eq!([60, 120, 180].map(|n| has_errors(DAWN + n)), [true, true, false]);
        let sql = "SELECT count(DISTINCT revision) FROM windows";
        let revisions: i64 = sim.catalog.db().read(|c| c.query_row(sql, [], |r| r.get(0))).unwrap();
        assert_eq!(revisions, 2);
    });
}

#[test]
fn case_32_a_store_deleted_with_a_backlog_drains_or_expires_it_by_choice() {
    simulate(32, async |sim| {
        let (drained, dropped) = (sim.push_store("drained", 60), sim.push_store("dropped", 60));
        for sink in ["drained.example", "dropped.example"] {
            sim.net.set(sink, Mood::Refuses);
        }
        assert!(sim.start().await);
        sim.submit("a");
        sim.seconds(310).await;
        let queued = sim.catalog.edit(|e| e.drain_store(drained)).unwrap();
        assert_eq!(queued, 5);
        sim.catalog.edit(|e| e.delete_store(dropped)).unwrap();
        assert_eq!(sim.export().store_status(drained).await.unwrap().state, StoreState::Draining);
        sim.net.heal();
        sim.seconds(600).await;
        let mut arrived: Vec<u64> = sim.net.with("drained.example", |s| s.held.keys().map(|(_, at)| *at).collect());
        arrived.sort_unstable();
        arrived.dedup();
        assert_eq!(arrived, (1..=5).map(|n| DAWN + 60 * n).collect::<Vec<_>>(), "the backlog and nothing after it");
        assert!(sim.catalog.read(|v| v.store(drained)).is_err(), "it is gone");
        let lines = sim.catalog.read(|v| v.audit(&AuditFilter { limit: 9, ..AuditFilter::default() })).unwrap();
        let [line] = lines.as_slice() else { panic!("the host notes what it did by itself: {lines:?}") };
        assert_eq!((&*line.actor, &*line.action, &*line.object), ("host", "delete", "metric-store web/drained"));
        assert!(
            line.before.as_ref().is_some_and(|before| before["draining"] == true) && line.after.is_none(),
            "{line:?}"
        );
        assert!(sim.net.with("dropped.example", |s| s.held.is_empty()));
        assert_eq!(reasons(sim, "expired"), ["the store was deleted"; 5]);
    });
}

#[test]
fn case_32_a_deleted_set_leaves_a_pull_page_at_once() {
    simulate(320, async |sim| {
        let page = sim.pull_store("page", 60);
        assert!(sim.start().await);
        sim.submit("a");
        sim.seconds(70).await;
        let token = sim.catalog.read(|v| v.store(page)).unwrap().pull_token.unwrap();
        assert!(matches!(sim.export().pull(&token, vec![], None).await, PullAnswer::Page { .. }));
        sim.catalog.edit(|e| e.disconnect(page, sim.set)).unwrap();
        assert!(matches!(sim.export().pull(&token, vec![], None).await, PullAnswer::NotReady(_)));
    });
}

#[test]
fn a_paused_store_keeps_its_windows_and_gets_the_live_one_first_and_then_the_oldest() {
    simulate(700, async |sim| {
        let store = sim.push_store("central", 60);
        assert!(sim.start().await);
        sim.seconds(65).await;
        sim.catalog.edit(|e| e.set_paused(store, true)).unwrap();
        sim.submit("a");
        sim.seconds(600).await;
        assert_eq!(sim.facts(store).counts.queued, 10);
        sim.catalog.edit(|e| e.set_paused(store, false)).unwrap();
        sim.seconds(5).await;
        let stamps = stamps(sim, "central.example");
        assert_eq!(stamps.len(), 11);
        assert_eq!(stamps[1], DAWN + 660, "{stamps:?}");
        assert!(stamps[2..].is_sorted(), "{stamps:?}");
        sim.settle().await;
        sim.check();
    });
}

#[test]
fn a_store_that_is_paused_and_let_go_on_before_anybody_has_looked_goes_on() {
    simulate(704, async |sim| {
        let store = sim.push_store("central", 60);
        sim.net.set("central.example", Mood::Says(429, Some(5)));
        assert!(sim.start().await);
        sim.submit("a");
        sim.seconds(64).await;
        assert_eq!(
            got(sim, "central.example").len(),
            1,
            "it is tried again after five seconds, and up to half a one more"
        );
        sim.pass(Duration::from_millis(600)).await;
        sim.catalog.edit(|e| e.set_paused(store, true)).unwrap();
        // Who looks at the catalog now sees nothing, and looks again in a second.
        sim.fate.set_disk(Disk::Dead);
        sim.pass(Duration::from_millis(100)).await;
        sim.fate.set_disk(Disk::Well);
        // The store's turn comes before.
        sim.pass(Duration::from_millis(850)).await;
        assert_eq!(got(sim, "central.example").len(), 1, "it is paused");
        sim.net.heal();
        sim.catalog.edit(|e| e.set_paused(store, false)).unwrap();
        sim.seconds(10).await;
        assert_eq!(sim.facts(store).counts.confirmed, 1);
    });
}

#[test]
fn a_renamed_store_keeps_its_queue_and_its_series() {
    simulate(701, async |sim| {
        let store = sim.push_store("central", 60);
        sim.net.set("central.example", Mood::Refuses);
        assert!(sim.start().await);
        sim.submit("a");
        sim.seconds(130).await;
        sim.catalog.edit(|e| e.rename_store(store, "renamed")).unwrap();
        sim.net.heal();
        sim.submit("a");
        sim.settle().await;
        sim.check();
        let series = sim.net.with("central.example", |s| {
            s.held.keys().map(|(series, _)| series.clone()).collect::<std::collections::BTreeSet<_>>()
        });
        assert_eq!(series.len(), 2, "{series:?}");
        assert_eq!(sim.facts(store).counts.expired, 0);
    });
}

#[test]
fn the_exports_own_numbers_tell_what_happened() {
    simulate(702, async |sim| {
        let store = sim.push_store("central", 60);
        sim.net.set("central.example", Mood::Says(503, None));
        assert!(sim.start().await);
        sim.submit("a");
        sim.seconds(600).await;
        assert!(number(&sim.numbers, "tidegate_retries_total", "cause=retry") >= 5.0);
        assert_eq!(number(&sim.numbers, "tidegate_breaker_state", "web/central"), 2.0);
        assert!(number(&sim.numbers, "tidegate_oldest_undelivered_seconds", "web/central") > 500.0);
        assert!(number(&sim.numbers, "tidegate_queue_windows", "web/central") >= 9.0);
        sim.net.set("central.example", Mood::Well);
        sim.seconds(120).await;
        assert_eq!(number(&sim.numbers, "tidegate_breaker_state", "web/central"), 0.0);
        assert_eq!(number(&sim.numbers, "tidegate_queue_windows", "web/central"), 0.0);
        sim.settle().await;
        let confirmed = number(&sim.numbers, "tidegate_deliveries_total", "outcome=confirmed");
        assert_eq!(confirmed, sim.facts(store).counts.confirmed as f64);
    });
}

#[test]
fn a_renamed_metric_keeps_its_series_until_asked_and_then_changes_them_with_the_next_window() {
    simulate(703, async |sim| {
        sim.push_store("central", 60);
        assert!(sim.start().await);
        sim.submit("a");
        sim.seconds(70).await;
        let rename = |from: &str, series| sim.catalog.edit(|e| e.move_metric(sim.set, from, sim.set, "faults", series));
        rename("errors", Series::Stay).unwrap();
        for _ in 0..3 {
            sim.submit("a");
            sim.seconds(60).await;
        }
        let is_old = |body: &str| body.contains("errors,d=a") && !body.contains("faults");
        assert!(got(sim, "central.example").iter().all(|g| is_old(&g.body)));
        let rename = |from: &str, series| sim.catalog.edit(|e| e.move_metric(sim.set, from, sim.set, "faults", series));
        rename("faults", Series::Follow).unwrap();
        let asked = sim.now();
        for _ in 0..3 {
            sim.submit("a");
            sim.seconds(60).await;
        }
        let (mut old, mut new) = (0, 0);
        for (one, stamp) in got(sim, "central.example").iter().zip(stamps(sim, "central.example")) {
            let is_new = stamp - 60 >= asked;
            assert_eq!(one.body.contains("faults,d=a"), is_new, "{stamp}: {}", one.body);
            assert_eq!(one.body.contains("errors,d=a"), !is_new, "{stamp}: {}", one.body);
            if is_new { new += 1 } else { old += 1 }
        }
        assert!(old >= 4 && new >= 1, "{old} and {new} windows");
    });
}
