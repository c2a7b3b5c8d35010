//! The host dies, and its disk is full or lies.

use super::*;

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
                let same = |g: &&Got| g.body.rsplit(' ').next() == one.body.rsplit(' ').next();
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
            let places = sim.below(70);
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
fn a_disk_that_cannot_be_read_is_left_alone_between_two_tries_though_an_edit_is_waiting_to_be_read() {
    simulate(8, async |sim| {
        let store = sim.push_store("central", 60);
        while !sim.start().await {}
        sim.seconds(5).await;
        sim.catalog.edit(|e| e.set_paused(store, true)).unwrap();
        sim.fate.set_disk(Disk::Dead);
        let before = sim.fate.passed();
        sim.seconds(100).await;
        let places = sim.fate.passed() - before;
        assert!((100..2000).contains(&places), "{places} places in 100 s");
        sim.settle().await;
        sim.check();
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
