//! What goes when events are kept for a time or up to a size, and what never goes.

mod common;

use common::{PROJECT, clock, count, event, open, options, run, submit, text, window, with_uuid};
use std::sync::Arc;
use tidegate_events::{EventStore, EventStoreOptions, Horizon, Removed};
use tidegate_model::{Attachment, Event, Instant, ManualClock, ObjectId, ProjectId, Value};

const DAY: u64 = 86_400;

fn at(seconds: u64) -> Instant {
    Instant::from_seconds(seconds)
}

fn by_age(seconds: u64) -> Horizon {
    Horizon { age: Some(at(seconds)), ..Horizon::default() }
}

/// Bytes that do not compress, others for each seed.
fn noise(seed: u8, bytes: usize) -> Vec<u8> {
    let mut state = u64::from(seed);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

/// One event with a uuid, a report and an attachment at each of ten moments.
fn ten(store: &EventStore, clock: &ManualClock) {
    for i in 0..10u8 {
        clock.set(at(1_000 + 100 * u64::from(i)));
        let attachment = Attachment { name: "a".to_owned(), content_type: None, bytes: vec![i; 500] };
        let more = Event {
            report: Some(noise(i, 20_000)),
            attachments: vec![attachment],
            ..with_uuid(i, &[("n", text("x"))])
        };
        submit(store, vec![more]);
    }
}

fn objects(store: &EventStore) -> Vec<u64> {
    (1..20).filter(|object| store.event(PROJECT, ObjectId(*object)).unwrap().is_some()).collect()
}

fn rows(dir: &std::path::Path, table: &str) -> i64 {
    let db = rusqlite::Connection::open(dir.join("events.db")).unwrap();
    db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn events_beyond_the_age_go_with_all_that_belongs_to_them_and_the_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock(0);
    let store = open(dir.path(), &clock);
    ten(&store, &clock);
    let before = store.usage(PROJECT).unwrap().unwrap();
    assert_eq!((before.events, before.segments, before.oldest), (10, 10, at(1_000)));
    let removed = store.retain(PROJECT, &by_age(1_400)).unwrap();
    assert_eq!((removed.segments, removed.events), (4, 4));
    assert_eq!(objects(&store), [5, 6, 7, 8, 9, 10]);
    for table in ["segment", "segment_data", "seen", "report", "attachment"] {
        assert_eq!(rows(dir.path(), table), 6, "{table}");
    }
    let after = store.usage(PROJECT).unwrap().unwrap();
    assert_eq!((after.events, after.oldest, after.bytes), (6, at(1_400), before.bytes - removed.bytes));
    let stats = store.stats();
    assert_eq!((stats.events, stats.segments), (6, 6));
    assert_eq!((stats.removed_events, stats.removed_bytes), (4, removed.bytes));
    assert_eq!(store.retain(PROJECT, &by_age(1_400)).unwrap(), Removed::default());
    assert!(store.event(PROJECT, ObjectId(5)).unwrap().unwrap().report.is_some());
}

#[test]
fn a_uuid_is_known_as_long_as_its_event_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock(0);
    let store = open(dir.path(), &clock);
    ten(&store, &clock);
    store.retain(PROJECT, &by_age(1_200)).unwrap();
    let again = submit(&store, vec![with_uuid(0, &[]), with_uuid(5, &[])]);
    assert_eq!((again[0].duplicate, again[0].object.0), (false, 11));
    assert_eq!((again[1].duplicate, again[1].object.0), (true, 6));
}

#[test]
fn the_oldest_go_until_the_size_fits_and_the_newest_stay() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock(0);
    let store = open(dir.path(), &clock);
    ten(&store, &clock);
    let all = store.usage(PROJECT).unwrap().unwrap().bytes;
    let horizon = |bytes| Horizon { bytes: Some(bytes), ..Horizon::default() };
    assert_eq!(store.retain(PROJECT, &horizon(all)).unwrap().segments, 0);
    store.retain(PROJECT, &horizon(all / 2)).unwrap();
    let left = store.usage(PROJECT).unwrap().unwrap();
    assert!(left.bytes <= all / 2 && left.bytes > all / 3, "{left:?} of {all}");
    assert_eq!(objects(&store), (11 - left.events..=10).collect::<Vec<_>>());
    store.retain(PROJECT, &horizon(0)).unwrap();
    assert_eq!(objects(&store), [10], "the newest segment tells the next number");
}

#[test]
fn what_is_owed_to_a_store_stays_whatever_its_age_and_size() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock(0);
    let store = open(dir.path(), &clock);
    ten(&store, &clock);
    let all = Horizon { age: Some(at(9_999)), bytes: Some(0), owed: Some(at(1_300)) };
    assert_eq!(store.retain(PROJECT, &all).unwrap().events, 3);
    assert_eq!(objects(&store)[0], 4);
    assert_eq!(count(&store, window(1_300, 100)), 1);
    let nothing = Horizon { owed: Some(at(0)), ..all };
    assert_eq!(store.retain(PROJECT, &nothing).unwrap(), Removed::default());
}

#[test]
fn a_segment_that_reaches_into_what_is_owed_or_young_stays_whole() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock(1_000);
    let options = EventStoreOptions { merge: true, ..options() };
    let store = EventStore::open(&dir.path().join("events.db"), options, clock.clone()).unwrap();
    for i in 0..8 {
        clock.set(at(1_000 + i));
        submit(&store, vec![event(&[("n", Value::Int(1))])]);
    }
    while store.stats().segments > 1 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    clock.set(at(5_000));
    submit(&store, vec![event(&[])]);
    assert_eq!(store.retain(PROJECT, &by_age(1_007)).unwrap().events, 0);
    let owed = Horizon { owed: Some(at(1_007)), ..by_age(2_000) };
    assert_eq!(store.retain(PROJECT, &owed).unwrap().events, 0);
    let owed = Horizon { owed: Some(at(1_008)), ..by_age(2_000) };
    assert_eq!(store.retain(PROJECT, &owed).unwrap().events, 8);
}

#[test]
fn numbers_and_arrivals_go_on_after_a_restart_when_all_that_is_old_was_removed() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock(0);
    let store = open(dir.path(), &clock);
    ten(&store, &clock);
    store.retain(PROJECT, &by_age(100 * DAY)).unwrap();
    drop(store);
    let store = open(dir.path(), &clock);
    clock.set(at(500));
    let receipt = submit(&store, vec![event(&[])])[0];
    assert_eq!((receipt.object.0, receipt.arrival), (11, at(1_900)));
    assert_eq!(store.stats().events, 2);
}

#[test]
fn freed_space_is_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock(0);
    let store = open(dir.path(), &clock);
    ten(&store, &clock);
    store.close();
    let store = open(dir.path(), &clock);
    let size = store.stats().file_bytes;
    for round in 1..6 {
        store.retain(PROJECT, &by_age(2_000)).unwrap();
        let (_, free) = store.usages().unwrap();
        assert!(free > size / 2, "{free} of {size} in round {round}");
        for n in 0..9 {
            submit(&store, vec![Event { report: Some(noise(n, 20_000)), ..event(&[]) }]);
        }
        clock.advance(10);
    }
    store.close();
    let grown = std::fs::metadata(dir.path().join("events.db")).unwrap().len();
    assert!(grown < size + size / 4, "{size} bytes grew to {grown}");
}

#[test]
fn a_deleted_project_goes_as_a_whole_and_the_others_are_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock(0);
    let store = open(dir.path(), &clock);
    ten(&store, &clock);
    let other = ProjectId(2);
    run(store.submit(other, vec![with_uuid(1, &[("n", text("theirs"))])])).unwrap();
    assert_eq!(store.forget(PROJECT).unwrap().events, 10);
    for table in ["segment", "segment_data", "seen", "dictionary"] {
        assert_eq!(rows(dir.path(), table), 1, "{table}");
    }
    assert_eq!((rows(dir.path(), "report"), rows(dir.path(), "attachment")), (0, 0));
    let projects: Vec<_> = store.usages().unwrap().0.iter().map(|usage| usage.project).collect();
    assert_eq!((projects, store.attributes(PROJECT).unwrap().len()), (vec![other], 0));
    let theirs = store.event(other, ObjectId(1)).unwrap().unwrap();
    assert!(theirs.attributes.contains(&("n".to_owned(), text("theirs"))));
}

/// The process is cut off after each of the transactions that a removal takes, as by `kill -9`: the file as it is then is
/// copied and opened.
#[test]
fn a_removal_that_was_cut_off_is_taken_up_again_and_nothing_else_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock(1_000);
    let store = open(dir.path(), &clock);
    let old: Vec<Event> = (0..5_000u32)
        .map(|i| Event { uuid: Some(u128::from(i).to_be_bytes()), ..event(&[("i", Value::Int(i64::from(i)))]) })
        .collect();
    submit(&store, old);
    clock.set(at(2_000));
    submit(&store, vec![with_uuid(255, &[("n", text("new"))])]);
    let copies = tempfile::tempdir().unwrap();
    let (stop, stopped) = (Arc::new(std::sync::atomic::AtomicBool::new(false)), dir.path().to_owned());
    let (until, into) = (stop.clone(), copies.path().to_owned());
    let copier = std::thread::spawn(move || {
        let mut taken = 0;
        while !until.load(std::sync::atomic::Ordering::SeqCst) || taken == 0 {
            let source = rusqlite::Connection::open(stopped.join("events.db")).unwrap();
            let folder = into.join(taken.to_string());
            std::fs::create_dir(&folder).unwrap();
            source.backup("main", folder.join("events.db"), None::<fn(rusqlite::backup::Progress)>).unwrap();
            taken += 1;
        }
        taken
    });
    let removed = store.retain(PROJECT, &by_age(1_500)).unwrap();
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(removed.events, 5_000);
    for copy in 0..copier.join().unwrap() {
        let folder = copies.path().join(copy.to_string());
        let store = open(&folder, &clock);
        let there = store.stats().events;
        assert!(there == 1 || there == 5_001, "a segment goes as a whole, here are {there}");
        store.retain(PROJECT, &by_age(1_500)).unwrap();
        assert_eq!(store.stats().events, 1);
        assert_eq!(rows(&folder, "seen"), 1);
        assert!(store.event(PROJECT, ObjectId(5_001)).unwrap().is_some());
        assert!(submit(&store, vec![with_uuid(255, &[])])[0].duplicate);
    }
}

#[test]
fn a_large_segment_whose_columns_are_stored_apart_is_read_and_goes_with_all_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock(1_000);
    let store = open(dir.path(), &clock);
    let numbered = |n: i64| event(&[("n", Value::Int(n)), ("parity", text(if n % 2 == 0 { "even" } else { "odd" }))]);
    submit(&store, (0..5_000).map(numbered).collect());
    assert_eq!(rows(dir.path(), "segment_data"), 1);
    let pieces = rows(dir.path(), "segment_piece");
    assert_eq!(pieces, 4, "arrivals, n, parity, timestamp");
    let last = store.event(PROJECT, ObjectId(5_000)).unwrap().unwrap();
    assert!(last.attributes.contains(&("n".to_owned(), Value::Int(4_999))), "{last:?}");
    clock.set(at(2_000));
    submit(&store, vec![numbered(1), numbered(2)]);
    assert_eq!(rows(dir.path(), "segment_piece"), pieces);
    let usage = store.usage(PROJECT).unwrap().unwrap();
    let removed = store.retain(PROJECT, &by_age(1_500)).unwrap();
    assert_eq!((removed.segments, removed.events), (1, 5_000));
    assert_eq!(store.usage(PROJECT).unwrap().unwrap().bytes, usage.bytes - removed.bytes);
    assert_eq!((rows(dir.path(), "segment_data"), rows(dir.path(), "segment_piece")), (1, 0));
    assert_eq!(store.event(PROJECT, ObjectId(5_002)).unwrap().unwrap().attributes.len(), 3);
}
