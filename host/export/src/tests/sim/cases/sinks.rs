//! Sinks that refuse, hang, throttle, dislike and drop answers.

use super::*;

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
