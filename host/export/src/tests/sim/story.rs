//! Stories that chance writes: sinks that fail in every way, disks that are full or lie, clocks that jump, hosts that die at any
//! moment, stores that are paused and changed; and at the end everything must add up.

use super::net::Mood;
use super::{Sim, simulate};
use crate::offload::fate::Disk;
use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tidegate_events::SourceError;

/// Stories in `make test`.
const STORIES: u64 = 18;

fn mood(sim: &mut Sim, scale: u64) -> Mood {
    match sim.below(12) {
        0 => Mood::Refuses,
        1 => Mood::Hangs { keeps: true },
        2 => Mood::Hangs { keeps: false },
        3 => Mood::LosesReplies,
        4 => Mood::Says(429, Some(30 * scale)),
        5 => Mood::Says(503, None),
        6 => Mood::Slow(7),
        7 => Mood::Dislikes("d=c,", 400),
        8 => Mood::AtMost(2),
        9 => Mood::Says(401, None),
        _ => Mood::Well,
    }
}

async fn chapter(sim: &mut Sim, scale: u64) {
    for _ in 0..sim.below(6) {
        let series = ["a", "b", "c", "d"][usize::try_from(sim.below(4)).unwrap()];
        sim.submit(series);
    }
    match sim.below(16) {
        0..4 => {
            let which = usize::try_from(sim.below(sim.stores.len() as u64)).unwrap();
            let (sink, mood) = (sim.stores[which].sink.clone(), mood(sim, scale));
            sim.net.set(&sink, mood);
        }
        4 => {
            let disk = [Disk::Full, Disk::SyncFails, Disk::Dead][usize::try_from(sim.below(3)).unwrap()];
            sim.fate.set_disk(disk);
            let span = sim.below(900);
            sim.seconds(span).await;
            sim.fate.set_disk(Disk::Well);
        }
        5 => sim.source.set_trouble(Some(SourceError::Storage("told so".to_owned()))),
        6 => sim.source.set_trouble(None),
        7 | 8 => {
            let places = sim.below(400);
            sim.fate.die_after(places);
        }
        9 => {
            if sim.below(2) == 0 {
                sim.stop().await
            } else {
                sim.down().await
            }
            let away = [60, 900, 20_000][usize::try_from(sim.below(3)).unwrap()];
            let away = sim.below(away);
            sim.seconds(away * scale).await;
            sim.wanted = true;
        }
        10 => {
            let back = i64::try_from(sim.below(4000)).unwrap();
            sim.clock.jump(-back);
        }
        11 => {
            let on = i64::try_from(sim.below(4000)).unwrap();
            sim.clock.jump(on);
        }
        12 => {
            let which = usize::try_from(sim.below(sim.stores.len() as u64)).unwrap();
            let (store, paused) = (sim.stores[which].id, sim.below(2) == 0);
            // The disk may be dead at the moment, and the host too.
            let _ = sim.catalog.edit(|e| e.set_paused(store, paused));
        }
        13 => sim.source.set_bad(Some("errors")),
        14 => sim.source.set_bad(None),
        _ => {}
    }
    let span = match sim.below(3) {
        0 => sim.below(5_000),
        1 => sim.below(120_000),
        _ => sim.below(1_500_000),
    };
    sim.pass(Duration::from_millis(span * scale)).await;
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|n| n.parse().ok())
}

/// Tells the story of a seed to its end, and how many seconds passed in it.
fn tell(seed: u64) -> u64 {
    let mut seconds = 0;
    simulate(seed, async |sim| {
        // The same number of windows, over hours, days or weeks.
        let scale = [60, 1, 6][usize::try_from(seed % 3).unwrap()];
        sim.settings.tick *= u32::try_from(scale).unwrap();
        // As many tries for each window, too.
        sim.settings.longest_wait *= u32::try_from(scale).unwrap();
        let hours = [4, 24][usize::try_from(sim.below(2)).unwrap()];
        sim.settings.look_back = Duration::from_secs(hours * 3600 * scale);
        let period = |seconds: u64| u32::try_from(seconds * scale).unwrap();
        sim.push_store("central", period(60));
        sim.push_store("slow", period(300));
        sim.push_store("other", period(60));
        sim.pull_store("page", period(60));
        while !sim.start().await {}
        for _ in 0..80 {
            chapter(sim, scale).await;
        }
        sim.settle().await;
        sim.check();
        seconds = sim.clock.began.elapsed().as_secs();
    });
    seconds
}

/// Stories share nothing, so each processor tells its own.
#[test]
#[expect(clippy::print_stderr, reason = "the harness keeps it, unless it is asked for progress")]
fn whatever_happens_every_window_is_accounted_for_and_no_value_is_wrong() {
    let stories = number("TIDEGATE_SIM_STORIES").unwrap_or(STORIES);
    let seeds = match (number("TIDEGATE_SIM_SEED"), number("TIDEGATE_SIM_FROM").unwrap_or(1)) {
        (Some(seed), _) => seed..seed + 1,
        (None, first) => first..first + stories,
    };
    let (first, count) = (seeds.start, seeds.end - seeds.start);
    let (next, told, seconds) = (AtomicU64::new(first), AtomicU64::new(0), AtomicU64::new(0));
    let failed = Mutex::new(BTreeSet::new());
    let narrator = || {
        while let Some(seed) = Some(next.fetch_add(1, Ordering::SeqCst)).filter(|seed| seeds.contains(seed)) {
            match catch_unwind(|| tell(seed)) {
                Ok(passed) => drop(seconds.fetch_add(passed, Ordering::SeqCst)),
                Err(_) => drop(failed.lock().unwrap().insert(seed)),
            }
            let told = told.fetch_add(1, Ordering::SeqCst) + 1;
            if told.is_multiple_of(100) || told == count {
                eprintln!("{told} stories from seed {first} on, {} hours", seconds.load(Ordering::SeqCst) / 3600);
            }
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| (0..processors).for_each(|_| drop(scope.spawn(narrator))));
    assert_eq!(failed.into_inner().unwrap(), BTreeSet::new(), "seeds whose stories failed; why is said above");
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let told = |seed| {
        let mut heard = String::new();
        simulate(seed, async |sim| {
            sim.push_store("central", 60);
            sim.push_store("other", 60);
            while !sim.start().await {}
            for _ in 0..40 {
                chapter(sim, 1).await;
            }
            sim.settle().await;
            let got = |name: &str| sim.net.with(name, |s| format!("{:?}", s.got));
            heard = format!("{} {} {} {}", sim.fate.passed(), sim.now(), got("central.example"), got("other.example"));
        });
        heard
    };
    let first = told(7);
    assert!(first.len() > 1000, "{first}");
    assert_eq!(first, told(7));
    assert_ne!(first, told(8));
}
