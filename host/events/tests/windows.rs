//! Every acknowledged event is in exactly one window, over clock jumps, seals, restarts and crashes.

mod common;

use common::{PROJECT, clock, count, event, open, run, submit, text, window, with_uuid};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use tidegate_events::{EventStore, Source, SourceError, SubmitError};
use tidegate_model::{Instant, Period, ProjectId};

#[derive(Clone, Debug)]
enum Step {
    Submit(Vec<u8>),
    Clock(u64),
    /// Close what has ended by the clock, as a schedule does, and evaluate it.
    EvaluateDue,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(0u8..40, 1..6).prop_map(Step::Submit),
        3 => (90u64..400).prop_map(Step::Clock),
        3 => Just(Step::EvaluateDue),
        1 => Just(Step::Reopen),
    ]
}

/// A schedule that evaluates each window of ten seconds once, and never again.
struct Schedule {
    next: u64,
    counts: BTreeMap<u64, u64>,
}

const SECONDS: u32 = 10;

impl Schedule {
    fn evaluate_until(&mut self, store: &EventStore, now: Instant) {
        while self.next + u64::from(SECONDS) <= now.seconds() {
            let window = window(self.next, SECONDS);
            store.seal(PROJECT, window.end()).unwrap();
            self.counts.insert(self.next, count(store, window));
            self.next += u64::from(SECONDS);
        }
    }
}

fn arrived_in(start: u64, arrival: Instant) -> bool {
    Period::new(SECONDS).unwrap().window_at(arrival).start().seconds() == start
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn windows_evaluated_once_hold_every_acknowledged_event_once(steps in prop::collection::vec(step(), 1..25)) {
        let dir = tempfile::tempdir().unwrap();
        let clock = clock(100);
        let mut store = open(dir.path(), &clock);
        let mut schedule = Schedule { next: 90, counts: BTreeMap::new() };
        let mut arrivals = BTreeMap::new();
        for step in steps {
            match step {
                Step::Submit(ids) => {
                    let receipts = submit(&store, ids.iter().map(|&id| with_uuid(id, &[("id", text(&id.to_string()))])).collect());
                    for (id, receipt) in ids.into_iter().zip(receipts) {
                        match arrivals.get(&id) {
                            Some(first) => {
                                prop_assert!(receipt.duplicate);
                                prop_assert_eq!(*first, (receipt.object, receipt.arrival));
                            }
                            None => {
                                prop_assert!(!receipt.duplicate);
                                prop_assert!(receipt.arrival.seconds() >= schedule.next, "arrived in a window that was evaluated");
                                arrivals.insert(id, (receipt.object, receipt.arrival));
                            }
                        }
                    }
                }
                Step::Clock(seconds) => clock.set(Instant::from_seconds(seconds)),
                Step::EvaluateDue => schedule.evaluate_until(&store, tidegate_model::Clock::now(&*clock)),
                Step::Reopen => {
                    store.close();
                    store = open(dir.path(), &clock);
                    // Seals do not outlive the process: whoever schedules gives the last one again.
                    store.seal(PROJECT, Instant::from_seconds(schedule.next)).unwrap();
                }
            }
        }
        schedule.evaluate_until(&store, Instant::from_seconds(1000));
        for (start, counted) in &schedule.counts {
            let expected = arrivals.values().filter(|(_, arrival)| arrived_in(*start, *arrival)).count() as u64;
            prop_assert_eq!(*counted, expected, "window at {}", start);
        }
        prop_assert_eq!(schedule.counts.values().sum::<u64>(), arrivals.len() as u64);
        let mut objects: Vec<u64> = arrivals.values().map(|(object, _)| object.0).collect();
        objects.sort_unstable();
        prop_assert_eq!(objects, (1..=arrivals.len() as u64).collect::<Vec<_>>());
    }
}

#[test]
fn many_senders_at_once_are_each_answered_and_counted_once_while_windows_close() {
    const SENDERS: u8 = 16;
    const EACH: u8 = 12;
    let dir = tempfile::tempdir().unwrap();
    let clock = clock(100);
    let options = tidegate_events::EventStoreOptions { merge: true, ..common::options() };
    let store = EventStore::open(&dir.path().join("events.db"), options, clock.clone()).unwrap();
    let mut schedule = Schedule { next: 90, counts: BTreeMap::new() };
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let store = store.clone();
            scope.spawn(move || {
                for i in 0..EACH {
                    let receipt = submit(&store, vec![event(&[("sender", text(&sender.to_string()))])])[0];
                    assert!(!receipt.duplicate, "{i}");
                }
            });
        }
        for _ in 0..40 {
            clock.advance(5);
            schedule.evaluate_until(&store, tidegate_model::Clock::now(&*clock));
        }
    });
    schedule.evaluate_until(&store, Instant::from_seconds(2000));
    assert_eq!(schedule.counts.values().sum::<u64>(), u64::from(SENDERS) * u64::from(EACH));
    assert_eq!(store.stats().events, u64::from(SENDERS) * u64::from(EACH));
}

#[test]
fn nothing_arrives_before_the_seal_and_other_projects_are_not_held_up() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock(100);
    let store = open(dir.path(), &clock);
    store.seal(PROJECT, Instant::from_seconds(120)).unwrap();
    store.seal(PROJECT, Instant::from_seconds(110)).unwrap();
    assert_eq!(submit(&store, vec![event(&[])])[0].arrival, Instant::from_seconds(120));
    let other = run(store.submit(ProjectId(2), vec![event(&[])])).unwrap();
    assert_eq!(other[0].arrival, Instant::from_seconds(100));
    clock.set(Instant::from_seconds(50));
    assert_eq!(submit(&store, vec![event(&[])])[0].arrival, Instant::from_seconds(120));
}

#[test]
fn the_clock_may_go_back_over_a_restart_and_arrivals_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock(100);
    let store = open(dir.path(), &clock);
    let first = submit(&store, vec![event(&[])])[0];
    drop(store);
    clock.set(Instant::from_seconds(10));
    let store = open(dir.path(), &clock);
    let second = submit(&store, vec![event(&[])])[0];
    assert_eq!((first.arrival, first.object.0), (Instant::from_seconds(100), 1));
    assert_eq!((second.arrival, second.object.0), (Instant::from_seconds(100), 2));
}

/// What a crash leaves behind: the files as they are, without anybody closing them.
fn crash(from: &Path, to: &Path) {
    for file in ["events.db", "events.db-wal"] {
        std::fs::copy(from.join(file), to.join(file)).unwrap();
    }
}

#[test]
fn what_was_acknowledged_is_there_after_a_crash() {
    let (dir, after) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clock = clock(100);
    let store = open(dir.path(), &clock);
    let mut receipts = Vec::new();
    for id in 0..20 {
        receipts.extend(submit(&store, vec![with_uuid(id, &[("v", text(&format!("é{id}")))])]));
    }
    crash(dir.path(), after.path());
    let store = open(after.path(), &clock);
    assert_eq!(count(&store, window(100, 10)), 20);
    for (id, receipt) in (0..20).zip(receipts) {
        let event = store.event(PROJECT, receipt.object).unwrap().unwrap();
        assert_eq!(event.uuid, Some([id; 16]));
        assert!(event.attributes.contains(&("v".to_owned(), text(&format!("é{id}")))));
        let again = submit(&store, vec![with_uuid(id, &[])])[0];
        assert!(again.duplicate);
        assert_eq!((again.object, again.arrival), (receipt.object, receipt.arrival));
    }
}

#[test]
fn a_closed_store_refuses_with_a_word_and_what_was_queued_before_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock(100);
    let store = open(dir.path(), &clock);
    submit(&store, vec![event(&[])]);
    store.close();
    store.close();
    assert_eq!(run(store.submit(PROJECT, vec![event(&[])])), Err(SubmitError::Closed));
    assert_eq!(store.seal(PROJECT, Instant::from_seconds(200)), Err(SourceError::Closed));
    let reopened = open(dir.path(), &clock);
    assert_eq!(count(&reopened, window(100, 10)), 1);
}
