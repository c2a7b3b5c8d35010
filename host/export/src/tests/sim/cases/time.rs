//! Clocks, absence, sources that lag, scrapers of other periods.

use super::*;
use crate::catalog::{Catalog, Quotas};

#[test]
fn case_11_a_clock_set_back_an_hour_repeats_no_window_and_stamps_nothing_ahead() {
    simulate(11, async |sim| {
        let store = sim.push_store("central", 60);
        assert!(sim.start().await);
        for _ in 0..10 {
            sim.submit("a");
            sim.seconds(60).await;
        }
        let before = stamps(sim, "central.example").len();
        sim.clock.jump(-3600);
        for _ in 0..10 {
            sim.submit("b");
            sim.seconds(60).await;
        }
        assert!(stamps(sim, "central.example").len() <= before + 1, "no window has ended since");
        sim.settle().await;
        sim.check();
        let mut stamps = stamps(sim, "central.example");
        let sent = stamps.len();
        stamps.dedup();
        assert_eq!(stamps.len(), sent, "a window was sent twice");
        assert_eq!(sim.facts(store).counts.expired, 0);
    });
}

#[test]
fn case_12_a_clock_an_hour_ahead_and_then_right_again_sends_nothing_before_its_time() {
    simulate(12, async |sim| {
        sim.push_store("central", 60);
        assert!(sim.start().await);
        sim.submit("a");
        sim.seconds(120).await;
        sim.clock.jump(3600);
        sim.submit("b");
        sim.seconds(300).await;
        sim.clock.jump(-3600);
        let before = got(sim, "central.example").len();
        sim.submit("c");
        sim.seconds(1800).await;
        let since = got(sim, "central.example").split_off(before);
        assert!(since.len() <= 1, "the windows of an hour that has not come yet are on record already: {since:?}");
        sim.settle().await;
        sim.check();
    });
}

#[test]
fn case_13_after_half_an_hour_of_suspend_the_live_window_goes_first_and_the_missed_ones_in_order() {
    simulate(13, async |sim| {
        sim.push_store("central", 60);
        assert!(sim.start().await);
        sim.seconds(130).await;
        let before = stamps(sim, "central.example").len();
        // What suspend looks like from inside: the monotonic clock stood still, the wall clock did not.
        sim.clock.jump(1800);
        sim.seconds(90).await;
        let after = stamps(sim, "central.example").split_off(before);
        assert!(after.len() >= 30, "{after:?}");
        assert!(after[0] >= DAWN + 1800, "the live window first: {after:?}");
        let missed: Vec<u64> = after[1..].iter().copied().filter(|s| *s < after[0]).collect();
        assert!(missed.len() >= 29, "{missed:?}");
        assert!(missed.is_sorted(), "then the missed ones, oldest first: {missed:?}");
        sim.settle().await;
        sim.check();
    });
}

#[test]
fn case_14_windows_are_cut_by_seconds_since_the_epoch_over_leap_seconds_and_summer_time() {
    simulate(14, async |sim| {
        sim.push_store("central", 3600);
        assert!(sim.start().await);
        // A clock that is smeared or stepped by a second, and one that an administrator set by an hour and back at once.
        for step in [1, -1, 3600, -3600] {
            sim.submit("a");
            sim.clock.jump(step);
            sim.seconds(1800).await;
        }
        sim.settle().await;
        sim.check();
        assert!(stamps(sim, "central.example").iter().all(|s| s % 3600 == 0));
    });
}

#[test]
fn case_15_after_six_hours_away_what_is_within_the_look_back_arrives_and_the_rest_is_expired() {
    simulate(15, async |sim| {
        sim.settings.look_back = Duration::from_secs(4 * HOUR);
        let store = sim.push_store("central", 60);
        assert!(sim.start().await);
        sim.seconds(120).await;
        sim.down().await;
        sim.seconds(6 * HOUR).await;
        sim.wanted = true;
        sim.seconds(60).await;
        sim.settle().await;
        sim.check();
        let counts = sim.facts(store).counts;
        assert!((115..=125).contains(&counts.expired), "two hours of windows: {counts:?}");
    });
}

#[test]
fn cases_16_18_while_the_source_is_behind_windows_wait_and_are_never_zero() {
    simulate(16, async |sim| {
        sim.push_store("central", 60);
        assert!(sim.start().await);
        sim.submit("a");
        sim.source.set_trouble(Some(SourceError::Storage("it is behind".to_owned())));
        sim.seconds(180).await;
        assert_eq!(stamps(sim, "central.example"), Vec::<u64>::new(), "nothing is sent of what is not known");
        sim.source.set_trouble(None);
        sim.settle().await;
        sim.check();
        let first =
            &got(sim, "central.example").into_iter().find(|g| g.body.contains(&format!(" {}\n", DAWN + 60))).unwrap();
        assert!(first.body.contains("count__tx=1 "), "{}", first.body);
    });
}

#[test]
fn case_17_an_event_that_comes_after_its_window_was_closed_is_in_the_next_one() {
    simulate(17, async |sim| {
        sim.push_store("central", 60);
        assert!(sim.start().await);
        sim.seconds(65).await;
        // As if the writer had been slow: the clock says that the window is still open.
        sim.clock.jump(-30);
        sim.submit("late");
        sim.seconds(120).await;
        sim.settle().await;
        sim.check();
        assert_eq!(sim.oracle(DAWN, 60, false).into_values().sum::<f64>(), 0.0);
        assert_eq!(sim.oracle(DAWN + 60, 60, false).into_values().sum::<f64>(), 1.0);
    });
}

#[test]
fn case_20_a_metric_that_takes_too_long_is_stopped_by_name_and_the_others_of_its_set_are_on_time() {
    simulate(20, async |sim| {
        let store = sim.push_store("central", 60);
        let page = sim.pull_store("page", 60);
        sim.source.set_bad(Some("errors"));
        assert!(sim.start().await);
        for _ in 0..40 {
            sim.submit("a");
            sim.seconds(60).await;
        }
        let late: Vec<u64> =
            got(sim, "central.example").iter().zip(stamps(sim, "central.example")).map(|(g, s)| g.at - s).collect();
        assert!(late.len() >= 39 && late.iter().all(|l| *l <= 1), "{late:?}");
        let bodies = got(sim, "central.example");
        assert!(bodies.iter().all(|g| g.body.starts_with("all,") && !g.body.contains("errors,d=")), "{bodies:?}");
        let facts = sim.facts(store);
        let told = facts.evaluation_problem.clone().unwrap();
        assert!(told.contains("metric \"errors\": evaluating it takes longer than 10 s"), "{told}");
        // The first windows had their tries, each some seconds or minutes after the one before; no window waits for hours.
        assert!(facts.counts.expired > 5 && (5..30).contains(&facts.failed_windows), "{facts:?}");
        let given_up = reasons(sim, "expired");
        assert!(
            given_up.iter().all(|reason| reason.contains("metric \"errors\": evaluating it takes")),
            "{given_up:?}"
        );
        sim.source.set_bad(None);
        sim.submit("a");
        sim.seconds(900).await;
        assert_eq!(sim.facts(store).failed_windows, 0);
        let arrived = got(sim, "central.example").iter().filter(|g| g.body.starts_with("errors,d=a")).count();
        assert!(arrived >= 5, "{arrived} windows of it were made up, or on time again");
        let token = sim.catalog.read(|v| v.store(page)).unwrap().pull_token.unwrap();
        assert!(matches!(sim.export().pull(&token, vec![], None).await, PullAnswer::Page { .. }));
        sim.settle().await;
        sim.check();
    });
}

#[test]
fn case_20_a_set_with_nothing_but_a_metric_that_takes_too_long_holds_up_no_other_set() {
    simulate(200, async |sim| {
        let store = sim.push_store("central", 60);
        let heavy = |e: &crate::catalog::Edit<'_>| {
            let other = e.put_metric_set(sim.project, "other")?.0.id;
            e.put_metric(other, "heavy", &json!({"group": ["d"], "fold": {"_tx": [["count"]]}}))?;
            e.connect(store, other).map(drop)
        };
        sim.catalog.edit(heavy).unwrap();
        sim.source.set_bad(Some("heavy"));
        assert!(sim.start().await);
        sim.submit("a");
        sim.seconds(300).await;
        assert_eq!(stamps(sim, "central.example").len(), 4, "the windows of the good set are on time");
        let told = sim.facts(store).evaluation_problem.unwrap();
        assert!(told.contains("metric \"heavy\": evaluating it takes longer than 10 s"), "{told}");
        sim.source.set_bad(None);
        sim.seconds(900).await;
        assert_eq!(sim.facts(store).failed_windows, 0);
        let heavy = got(sim, "central.example").iter().any(|g| g.body.starts_with("heavy,d=a"));
        assert!(heavy, "it was made up");
    });
}

#[test]
fn a_tenant_whose_minute_of_evaluation_is_used_up_has_its_windows_wait_and_be_made_up() {
    simulate(21, async |sim| {
        let store = sim.push_store("central", 60);
        let project = sim.project;
        let allow = |catalog: &Catalog, millis: Option<u32>| {
            let quotas = Quotas { evaluation_cpu: millis, ..Quotas::default() };
            catalog.edit(|e| e.set_quotas(e.project(project)?.tenant, &quotas)).unwrap();
        };
        allow(&sim.catalog, Some(0));
        assert!(sim.start().await);
        sim.submit("a");
        sim.seconds(200).await;
        assert!(stamps(sim, "central.example").is_empty(), "nothing may be evaluated");
        let problem = sim.facts(store).evaluation_problem.unwrap();
        let told = "evaluating the tenant's metrics took 0 ms in the last minute; its limit is 0 ms";
        assert!(problem.contains(told), "{problem}");
        // A start opens the catalog anew.
        allow(&sim.catalog, None);
        sim.seconds(300).await;
        sim.settle().await;
        assert_eq!(sim.facts(store).failed_windows, 0);
        sim.check();
    });
}

#[test]
fn case_35_counters_lose_nothing_whatever_the_scrapers_period() {
    for every in [15, 60, 420] {
        simulate(35 + every, async |sim| {
            let page = sim.pull_store("page", 60);
            assert!(sim.start().await);
            let token = sim.catalog.read(|v| v.store(page)).unwrap().pull_token.unwrap();
            let mut last = 0.0;
            while sim.now() < DAWN + 3600 {
                sim.submit("a");
                sim.seconds(every).await;
                if let PullAnswer::Page { body, .. } = sim.export().pull(&token, vec![], None).await {
                    let text = String::from_utf8(body.concat()).unwrap();
                    let line = text.lines().find(|l| l.starts_with("all_count_tx_total{")).unwrap();
                    let total = line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
                    assert!(total >= last, "a counter went back from {last} to {total}");
                    last = total;
                }
            }
            sim.settle().await;
            sim.check();
            // An hour after the last event nothing is missing.
            let PullAnswer::Page { body, .. } = sim.export().pull(&token, vec![], None).await else {
                panic!("no page")
            };
            let text = String::from_utf8(body.concat()).unwrap();
            let counted = sim.source.inside(0..u64::MAX, <[_]>::len);
            assert!(
                text.lines().any(|l| l.starts_with("all_count_tx_total{") && l.ends_with(&format!(" {counted}"))),
                "{text}"
            );
            // A schedule that stands still is shown by no page rather than by an old one.
            sim.source.set_trouble(Some(SourceError::Storage("it is behind".to_owned())));
            sim.seconds(300).await;
            assert!(matches!(sim.export().pull(&token, vec![], None).await, PullAnswer::Stale(_)));
        });
    }
}
