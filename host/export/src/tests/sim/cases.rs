//! The cases of docs/faults.md that a simulation can show, by their numbers there.

use super::net::Mood;
use super::{DAWN, Sim, number, simulate};
use crate::offload::fate::Disk;
use crate::{PullAnswer, StoreState};
use serde_json::json;
use std::time::Duration;
use tidegate_events::SourceError;

const HOUR: u64 = 3600;

fn got(sim: &Sim, sink: &str) -> Vec<super::net::Got> {
    sim.net.with(sink, |s| s.got.clone())
}

/// Stamps of the windows as a sink got them, in the order of their arrival.
fn stamps(sim: &Sim, sink: &str) -> Vec<u64> {
    let stamp = |body: &str| body.lines().next().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    got(sim, sink).iter().map(|g| stamp(&g.body)).collect()
}

/// The reasons why windows of a store ended like this.
fn reasons(sim: &Sim, state: &str) -> Vec<String> {
    let sql = "SELECT problem FROM deliveries WHERE state = ?1 ORDER BY window_end";
    let read = |c: &rusqlite::Connection| {
        let mut statement = c.prepare(sql)?;
        let rows = statement.query_map([state], |r| r.get(0))?;
        rows.collect::<Result<Vec<String>, _>>()
    };
    sim.catalog.db().read(read).unwrap()
}

#[test]
fn cases_1_2_3_a_host_that_dies_at_any_place_of_a_windows_life_gives_it_one_result() {
    let mut places = 0;
    simulate(1, async |sim| {
        sim.push_store("central", 60);
        assert!(sim.start().await);
        sim.submit("a");
        let before = sim.fate.passed();
        sim.seconds(130).await;
        places = sim.fate.passed() - before;
        sim.settle().await;
        sim.check();
    });
    assert!(places > 40, "{places} places are too few for a window's life");
    for place in 0..places {
        simulate(place, async |sim| {
            sim.push_store("central", 60);
            sim.pull_store("page", 60);
            assert!(sim.start().await);
            sim.submit("a");
            sim.seconds(30).await;
            sim.submit("b");
            sim.fate.die_after(place);
            sim.seconds(100).await;
            sim.submit("a");
            sim.settle().await;
            sim.check();
            let bodies = got(sim, "central.example");
            for one in &bodies {
                let same = |g: &&super::net::Got| g.body.rsplit(' ').next() == one.body.rsplit(' ').next();
                assert!(bodies.iter().filter(same).all(|g| g.body == one.body), "a resend differs");
            }
        });
    }
}

#[test]
fn case_4_a_thousand_windows_under_one_kill_after_the_other_are_all_accounted_for() {
    simulate(4, async |sim| {
        sim.push_store("central", 60);
        sim.pull_store("page", 60);
        while !sim.start().await {}
        let mut deaths = 0;
        while sim.now() < DAWN + 1000 * 60 {
            sim.submit(["a", "b", "c"][usize::try_from(sim.now() % 3).unwrap()]);
            let places = sim.below(120);
            sim.fate.die_after(places);
            let before = sim.lives;
            let span = 20 + sim.below(100);
            sim.seconds(span).await;
            deaths += sim.lives - before;
        }
        sim.settle().await;
        sim.check();
        assert!(deaths > 500, "{deaths} deaths are too few");
    });
}

#[test]
fn case_8_a_full_disk_pauses_the_evaluation_says_so_and_it_goes_on_by_itself() {
    simulate(8, async |sim| {
        let store = sim.push_store("central", 60);
        assert!(sim.start().await);
        sim.seconds(70).await;
        sim.fate.set_disk(Disk::Full);
        sim.submit("a");
        sim.seconds(600).await;
        let problem = sim.export().problem().unwrap();
        assert!(problem.contains("disk is full"), "{problem}");
        let before = sim.facts(store).counts;
        sim.fate.set_disk(Disk::Well);
        sim.seconds(120).await;
        assert_eq!(sim.export().problem(), None);
        assert!(sim.facts(store).counts.confirmed >= before.confirmed + 10, "{:?}", sim.facts(store));
        sim.settle().await;
        sim.check();
        assert_eq!(sim.facts(store).counts.expired, 0);
    });
}

#[test]
fn case_9_a_full_queue_expires_its_own_oldest_windows_and_no_others() {
    simulate(9, async |sim| {
        sim.settings.queue_bytes = 4000;
        let (stuck, well) = (sim.push_store("stuck", 60), sim.push_store("well", 60));
        sim.net.set("stuck.example", Mood::Refuses);
        assert!(sim.start().await);
        for _ in 0..120 {
            sim.submit("a");
            sim.seconds(60).await;
        }
        let facts = sim.facts(stuck);
        assert!(facts.counts.expired > 20 && facts.counts.queued > 5, "{facts:?}");
        assert!(number(&sim.numbers, "tidegate_queue_bytes", "web/stuck") <= 4000.0 + 500.0);
        assert!(number(&sim.numbers, "tidegate_lost_windows_total", "reason=queue_full") > 20.0);
        assert_eq!(sim.facts(well).counts.expired, 0);
        let told = reasons(sim, "expired");
        assert!(told[0].starts_with("the store's queue held more than 4000 bytes"), "{told:?}");
        sim.settle().await;
        sim.check();
        let oldest_kept = stamps(sim, "stuck.example").last().copied().unwrap();
        assert!(oldest_kept > DAWN + HOUR, "the newest were kept");
    });
}

#[test]
fn case_10_a_commit_that_fails_is_taken_for_not_written_whether_it_was_or_not() {
    for seed in 100..110 {
        simulate(seed, async |sim| {
            sim.push_store("central", 60);
            sim.pull_store("page", 60);
            assert!(sim.start().await);
            for _ in 0..10 {
                sim.submit("a");
                sim.fate.set_disk(Disk::SyncFails);
                sim.seconds(45).await;
                sim.fate.set_disk(Disk::Well);
                sim.seconds(45).await;
            }
            sim.settle().await;
            sim.check();
        });
    }
}

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
fn case_20_a_metric_that_cannot_be_evaluated_holds_up_its_own_set_only() {
    simulate(20, async |sim| {
        let store = sim.push_store("central", 60);
        let other = sim
            .catalog
            .edit(|e| {
                let other = e.put_metric_set(sim.project, "other")?.0.id;
                e.put_metric(other, "heavy", &json!({"group": ["d"], "fold": {"_tx": [["count"]]}}))?;
                e.connect(store, other)?;
                Ok(other)
            })
            .unwrap();
        sim.source.set_bad(Some("heavy"));
        assert!(sim.start().await);
        sim.submit("a");
        sim.seconds(300).await;
        assert_eq!(stamps(sim, "central.example").len(), 4, "the windows of the good set are on time");
        assert!(sim.facts(store).evaluation_problem.unwrap().contains("over its budget"));
        sim.source.set_bad(None);
        sim.seconds(300).await;
        assert_eq!(sim.facts(store).failed_windows, 0);
        let heavy = got(sim, "central.example").iter().any(|g| g.body.starts_with("heavy,d=a"));
        assert!(heavy, "it was made up");
        let _ = other;
    });
}

#[test]
fn case_21_a_sink_that_is_away_for_two_hours_gets_everything_in_order_and_delays_nobody() {
    simulate(21, async |sim| {
        let (away, well) = (sim.push_store("away", 60), sim.push_store("well", 60));
        sim.net.set("away.example", Mood::Refuses);
        assert!(sim.start().await);
        for _ in 0..120 {
            sim.submit("a");
            sim.seconds(60).await;
        }
        let late: Vec<u64> =
            got(sim, "well.example").iter().zip(stamps(sim, "well.example")).map(|(g, s)| g.at - s).collect();
        assert!(late.iter().all(|l| *l <= 1), "the healthy store was on time: {late:?}");
        let tried = got(sim, "away.example").len();
        assert!((100..400).contains(&tried), "{tried} tries in two hours: about one a minute");
        sim.net.set("away.example", Mood::Well);
        sim.seconds(180).await;
        let arrived = got(sim, "away.example").into_iter().filter(|g| g.kept);
        let arrived: Vec<(u64, u64)> = arrived
            .map(|g| (g.at, g.body.lines().next().unwrap().rsplit(' ').next().unwrap().parse().unwrap()))
            .collect();
        assert!(arrived.len() >= 120, "{}", arrived.len());
        // Live windows come first; behind them, from the oldest on.
        let made_up: Vec<u64> = arrived.iter().filter(|(at, stamp)| at - stamp > 60).map(|(_, stamp)| *stamp).collect();
        assert!(made_up[1..].is_sorted(), "{made_up:?}");
        sim.settle().await;
        sim.check();
        assert_eq!((sim.facts(away).counts.expired, sim.facts(well).counts.expired), (0, 0));
    });
}

#[test]
fn case_22_a_sink_that_never_answers_has_one_request_at_a_time_and_delays_nobody() {
    simulate(22, async |sim| {
        sim.push_store("stuck", 60);
        sim.push_store("well", 60);
        sim.net.set("stuck.example", Mood::Hangs { keeps: false });
        assert!(sim.start().await);
        for _ in 0..60 {
            sim.submit("a");
            sim.seconds(60).await;
        }
        assert_eq!(sim.net.with("stuck.example", |s| s.most_at_once), 1);
        let late: Vec<u64> =
            got(sim, "well.example").iter().zip(stamps(sim, "well.example")).map(|(g, s)| g.at - s).collect();
        assert!(late.len() >= 59 && late.iter().all(|l| *l <= 1), "{late:?}");
        sim.settle().await;
        sim.check();
    });
}

#[test]
fn case_23_a_sink_that_keeps_the_data_and_drops_the_answer_gets_the_same_bytes_again() {
    simulate(23, async |sim| {
        let store = sim.push_store("central", 60);
        sim.net.set("central.example", Mood::LosesReplies);
        assert!(sim.start().await);
        sim.submit("a");
        sim.seconds(100).await;
        sim.net.set("central.example", Mood::Well);
        sim.settle().await;
        sim.check();
        let got = got(sim, "central.example");
        let first = &got[0];
        assert!(got.len() > 2 && got[1].body == first.body, "{got:?}");
        assert_eq!(sim.facts(store).counts.rejected, 0);
    });
}

#[test]
fn case_24_a_throttled_store_waits_as_long_as_it_is_asked_to() {
    simulate(24, async |sim| {
        sim.push_store("central", 60);
        sim.net.set("central.example", Mood::Says(429, Some(30)));
        assert!(sim.start().await);
        sim.submit("a");
        sim.seconds(300).await;
        let times: Vec<u64> = got(sim, "central.example").iter().map(|g| g.at).collect();
        assert!(times.len() >= 4, "{times:?}");
        for pair in times.windows(2) {
            assert!((30..=34 + 20).contains(&(pair[1] - pair[0])), "{times:?}");
        }
        sim.settle().await;
        sim.check();
    });
}

#[test]
fn case_24_a_window_that_is_throttled_for_ever_is_rejected_with_a_reason_and_frees_the_queue() {
    simulate(240, async |sim| {
        let store = sim.push_store("central", 60);
        // A limit on series that one window goes over: it does not go away.
        sim.net.set("central.example", Mood::Dislikes("d=poison,", 429));
        assert!(sim.start().await);
        sim.submit("poison");
        for _ in 0..90 {
            sim.seconds(60).await;
            sim.submit("a");
        }
        let counts = sim.facts(store).counts;
        assert_eq!(counts.rejected, 1, "{counts:?}");
        let told = reasons(sim, "rejected");
        assert!(told[0].starts_with("refused 10 times while the windows behind it were accepted"), "{told:?}");
        assert!(counts.confirmed >= 85 && counts.queued <= 2, "the others arrived: {counts:?}");
        sim.settle().await;
        sim.check();
    });
}

#[test]
fn case_25_one_bad_series_among_many_is_rejected_by_name_and_the_others_arrive() {
    simulate(25, async |sim| {
        let store = sim.push_store("central", 60);
        sim.net.set("central.example", Mood::Dislikes("d=s137,", 400));
        assert!(sim.start().await);
        for n in 0..500 {
            sim.submit(&format!("s{n}"));
        }
        sim.seconds(70).await;
        let counts = sim.facts(store).counts;
        assert_eq!((counts.confirmed, counts.rejected_rows, counts.accepted_rows), (1, 1, 500));
        let sql = "SELECT rejections FROM deliveries WHERE rejections IS NOT NULL";
        let named: String = sim.catalog.db().read(|c| c.query_row(sql, [], |r| r.get(0))).unwrap();
        assert!(named.contains("d=s137"), "{named}");
        sim.settle().await;
        sim.check();
    });
}

#[test]
fn case_26_what_is_too_large_goes_in_halves_and_the_size_that_fitted_is_remembered() {
    simulate(26, async |sim| {
        let store = sim.push_store("central", 60);
        sim.net.set("central.example", Mood::AtMost(10));
        assert!(sim.start().await);
        let many = |sim: &Sim| (0..30).for_each(|n| sim.submit(&format!("s{n}")));
        many(sim);
        sim.seconds(61).await;
        let first = got(sim, "central.example").len();
        many(sim);
        sim.seconds(60).await;
        let second = got(sim, "central.example").split_off(first);
        assert!(second.iter().all(|g| g.kept), "no part of the second window was too large");
        sim.net.set("central.example", Mood::Well);
        sim.settle().await;
        sim.check();
        assert_eq!(sim.facts(store).counts.rejected_rows, 0);
    });
}

#[test]
fn case_27_refused_credentials_open_the_breaker_at_once_and_new_ones_close_it() {
    simulate(27, async |sim| {
        let store = sim.push_store("central", 60);
        sim.net.set("central.example", Mood::Says(401, None));
        assert!(sim.start().await);
        sim.seconds(70).await;
        assert_eq!(sim.export().store_status(store).await.unwrap().state, StoreState::Credentials);
        sim.seconds(180).await;
        assert_eq!(got(sim, "central.example").len(), 1, "no knocking");
        sim.net.set("central.example", Mood::Well);
        let settings = json!({"version": "1", "url": "http://central.example:8086", "database": "m", "gzip": false,
                              "user": "w", "password": "rotated"});
        sim.put_settings("central", &settings);
        sim.seconds(30).await;
        assert_eq!(sim.facts(store).counts.queued, 0);
        sim.settle().await;
        sim.check();
    });
}

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
            let counted = sim.source.events().len();
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

#[test]
fn case_37_an_orderly_stop_with_a_backlog_ends_in_time_and_the_next_start_goes_on() {
    simulate(37, async |sim| {
        sim.push_store("central", 60);
        sim.net.set("central.example", Mood::Hangs { keeps: true });
        assert!(sim.start().await);
        sim.submit("a");
        sim.seconds(200).await;
        let before = tokio::time::Instant::now();
        sim.stop().await;
        assert!(before.elapsed() <= Duration::from_secs(21), "{:?}", before.elapsed());
        sim.net.heal();
        sim.settle().await;
        sim.check();
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
