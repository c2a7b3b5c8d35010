//! Tests that look behind the public face: merges one at a time, damage on disk, what the cache saves.

use super::*;
use crate::source::MetricSpec;
use proptest::prelude::*;
use serde_json::json;
use std::time::Duration;
use tidegate_model::{ManualClock, MetricQuery, Name, Period, Value};

const PROJECT: ProjectId = ProjectId(1);

fn open(dir: &Path, clock: &Arc<ManualClock>) -> EventStore {
    let options = EventStoreOptions { gather: Duration::ZERO, merge: false, ..EventStoreOptions::default() };
    EventStore::open(&dir.join("events.db"), options, clock.clone()).unwrap()
}

fn submit(store: &EventStore, events: Vec<Event>) -> Vec<Receipt> {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(store.submit(PROJECT, events)).unwrap()
}

fn metrics() -> Vec<MetricSpec> {
    let fold = json!({"_tx": [["count"], ["first"], ["last"], ["sum"]], "x": [["unique"], ["sum"], ["first"], ["last"], ["count"]]});
    let queries = [
        json!({"fold": fold}),
        json!({"group": ["x"], "fold": fold}),
        json!({"group": ["y", "x"], "fold": fold}),
        json!({"filter": [{"x": [["not-equal", "a"]]}], "group": ["y"], "fold": fold}),
    ];
    let metric = |query| MetricSpec { name: Name::new("m").unwrap(), query: MetricQuery::parse(query).unwrap().query };
    queries.iter().map(metric).collect()
}

fn evaluate(store: &EventStore, start: u64) -> Result<Vec<MetricBatch>, SourceError> {
    let window = Window::starting_at(start, Period::new(10).unwrap()).unwrap();
    store.evaluate(PROJECT, window, &metrics(), &EvaluationLimits::default())
}

fn event(attributes: Vec<(&str, Value)>) -> Event {
    let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Event { attributes, uuid: Some(uuid::Uuid::new_v4().into_bytes()), ..Event::default() }
}

fn merge_all(store: &EventStore) -> usize {
    let mut merges = 0;
    while merge::merge_once(&store.handle.shared, PROJECT).unwrap() {
        merges += 1;
    }
    merges
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(vec!["", "a", "b", "1"]).prop_map(|t| Value::Str(t.to_owned())),
        (-2i64..300).prop_map(Value::Int),
        Just(Value::Float(1.0)),
        any::<bool>().prop_map(Value::Bool),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn merging_changes_no_result_and_no_event(
        groups in prop::collection::vec((prop::collection::vec((value(), prop::option::of(value())), 1..5), 0u64..4), 1..40),
        warm in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Instant::from_seconds(100)));
        let store = open(dir.path(), &clock);
        if warm {
            // From here on the columns are kept in memory as they are committed, and merged there too.
            evaluate(&store, 100).unwrap();
        }
        let mut objects = 0;
        for (events, seconds) in &groups {
            let events = events.iter().map(|(x, y)| {
                let y = y.clone().map(|y| ("y", y));
                event([Some(("x", x.clone())), y].into_iter().flatten().collect())
            });
            objects += submit(&store, events.collect()).len() as u64;
            clock.advance(*seconds);
        }
        let look = |store: &EventStore| {
            let batches: Vec<_> = (100..260).step_by(10).map(|start| evaluate(store, start).unwrap()).collect();
            let events: Vec<_> = (1..=objects).map(|object| store.event(PROJECT, ObjectId(object)).unwrap().unwrap()).collect();
            (batches, events)
        };
        let before = look(&store);
        let merges = merge_all(&store);
        prop_assert_eq!(merges > 0, groups.len() >= 8);
        prop_assert_eq!(&look(&store), &before);
        prop_assert!(store.stats().segments < 8 + groups.len() as u64 / 8);
        drop(store);
        let reopened = open(dir.path(), &clock);
        prop_assert_eq!(&look(&reopened), &before);
        prop_assert_eq!(reopened.stats().events, objects);
    }
}

#[test]
fn the_window_that_just_ended_is_evaluated_from_memory() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(Instant::from_seconds(100)));
    let store = open(dir.path(), &clock);
    submit(&store, vec![event(vec![("x", Value::Int(1)), ("unused", Value::Int(1))])]);
    evaluate(&store, 100).unwrap();
    let warm = store.stats();
    assert_eq!(warm.cache_misses, 1);
    clock.set(Instant::from_seconds(110));
    for _ in 0..20 {
        submit(&store, vec![event(vec![("x", Value::Int(1)), ("unused", Value::Int(1))])]);
    }
    merge_all(&store);
    let batches = evaluate(&store, 110).unwrap();
    assert_eq!(batches[0].measures[0].values, [20.0]);
    let after = store.stats();
    assert_eq!(after.cache_misses, warm.cache_misses);
    assert!(after.cache_hits > warm.cache_hits);
}

/// Changes what is stored, as a failing disk would.
fn damage(dir: &Path, sql: &str) {
    let db = rusqlite::Connection::open(dir.join("events.db")).unwrap();
    assert!(db.execute(sql, []).unwrap() > 0);
}

#[test]
fn a_damaged_segment_fails_the_evaluation_with_a_word_and_is_never_a_zero() {
    for sql in [
        "UPDATE segment_data SET data = zeroblob(length(data))",
        "UPDATE segment_data SET data = substr(data, 1, length(data) - 1)",
        "UPDATE segment_data SET data = x''",
        "DELETE FROM segment_data",
        "UPDATE segment SET rows = rows + 1",
        "DELETE FROM dictionary",
        "UPDATE attribute SET next_code = 1 WHERE name = 'x'",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Instant::from_seconds(100)));
        let store = open(dir.path(), &clock);
        submit(
            &store,
            vec![event(vec![("x", Value::Str("a".to_owned()))]), event(vec![("x", Value::Str("b".to_owned()))])],
        );
        drop(store);
        damage(dir.path(), sql);
        let store = open(dir.path(), &clock);
        let error = evaluate(&store, 100).unwrap_err();
        assert!(matches!(error, SourceError::Corrupt(_)), "{sql}: {error}");
        assert!(error.to_string().contains("restore the data directory from a backup"));
    }
}

#[test]
fn a_merge_that_finds_damage_leaves_everything_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(Instant::from_seconds(100)));
    let store = open(dir.path(), &clock);
    for _ in 0..10 {
        submit(&store, vec![event(vec![("x", Value::Int(1))])]);
    }
    damage(dir.path(), "UPDATE segment_data SET data = substr(data, 1, length(data) - 1) WHERE id = 5");
    assert!(merge::merge_once(&store.handle.shared, PROJECT).is_err());
    let db = rusqlite::Connection::open(dir.path().join("events.db")).unwrap();
    let segments: i64 = db.query_row("SELECT count(*) FROM segment", [], |row| row.get(0)).unwrap();
    assert_eq!(segments, 10);
}

#[test]
fn the_background_thread_merges_what_commits_leave_behind() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(Instant::from_seconds(100)));
    let options = EventStoreOptions { gather: Duration::ZERO, ..EventStoreOptions::default() };
    let store = EventStore::open(&dir.path().join("events.db"), options, clock).unwrap();
    for _ in 0..64 {
        submit(&store, vec![event(vec![("x", Value::Int(1))])]);
    }
    while store.stats().segments > 16 {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(store.stats().merges > 0);
    assert_eq!(evaluate(&store, 100).unwrap()[0].measures[0].values, [64.0]);
}

type Facts = (Option<i64>, Option<i64>, i64, i64);

/// Least and greatest event time, bytes of the data, bytes beside it, of each segment.
fn facts(dir: &Path) -> Vec<Facts> {
    let db = rusqlite::Connection::open(dir.join("events.db")).unwrap();
    let sql = "SELECT first_time, last_time, data_bytes, beside_bytes FROM segment ORDER BY first_object";
    let mut rows = db.prepare(sql).unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

fn sum(dir: &Path, sql: &str) -> i64 {
    rusqlite::Connection::open(dir.join("events.db")).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_segment_tells_the_span_of_its_event_times_and_its_bytes_and_a_merge_keeps_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &Arc::new(ManualClock::at(Instant::from_seconds(100))));
    let at = |time: Value| event(vec![("timestamp", time)]);
    submit(&store, vec![at(Value::Int(70)), at(Value::Float(7.5)), event(vec![])]);
    submit(&store, vec![at(Value::Int(-5))]);
    let found = facts(dir.path());
    assert_eq!((found[0].0, found[0].1), (Some(7), Some(100)), "what has no time of its own has that of its arrival");
    assert_eq!((found[1].0, found[1].1), (Some(-5), Some(-5)));
    let attachment = |bytes: &[u8]| Attachment { name: "a".to_owned(), content_type: None, bytes: bytes.to_vec() };
    let large = Event { report: Some(vec![1; 5000]), attachments: vec![attachment(&[2; 3000])], ..at(Value::Int(1)) };
    let object = submit(&store, vec![large])[0].object;
    store.attach(PROJECT, object, attachment(&[3; 100])).unwrap();
    for i in 0..8 {
        submit(&store, vec![at(Value::Int(200 + i))]);
    }
    assert!(merge_all(&store) > 0);
    let merged = facts(dir.path());
    assert_eq!((merged.len(), merged[0].0, merged[0].1), (1, Some(-5), Some(207)));
    assert_eq!(merged[0].2, sum(dir.path(), "SELECT length(data) FROM segment_data"));
    let beside = "SELECT (SELECT sum(length(data)) FROM report) + (SELECT sum(length(data)) FROM attachment)";
    assert_eq!(merged[0].3, sum(dir.path(), beside));
}

#[test]
fn event_times_that_are_no_numbers_leave_the_span_unknown_also_after_a_merge() {
    for odd in [Value::Str("soon".to_owned()), Value::Bool(true), Value::Float(1e300)] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), &Arc::new(ManualClock::at(Instant::from_seconds(100))));
        submit(&store, vec![event(vec![]), event(vec![("timestamp", odd)])]);
        for _ in 0..8 {
            submit(&store, vec![event(vec![])]);
        }
        let spans = |dir: &Path| facts(dir).iter().map(|f| f.0.zip(f.1)).collect::<Vec<_>>();
        assert_eq!(spans(dir.path())[..2], [None, Some((100, 100))]);
        assert!(merge_all(&store) > 0);
        assert_eq!(spans(dir.path()), [None]);
    }
}

/// Takes a file back to the form that an earlier version gave it.
fn take_back(db: &rusqlite::Connection, version: i64) {
    db.execute_batch("DROP TABLE segment_piece").unwrap();
    if version < 3 {
        // The hash of "one", as it was kept then.
        let hash = group::text_hash("one");
        let dictionary = format!(
            "DROP TABLE text_index; ALTER TABLE attribute DROP COLUMN indexed;
             ALTER TABLE dictionary ADD COLUMN hash INTEGER NOT NULL DEFAULT {hash};
             CREATE INDEX dictionary_by_hash ON dictionary (attribute, hash);"
        );
        db.execute_batch(&dictionary).unwrap();
    }
    if version < 2 {
        for column in ["first_time", "last_time", "data_bytes", "beside_bytes"] {
            db.execute_batch(&format!("ALTER TABLE segment DROP COLUMN {column}")).unwrap();
        }
    }
    db.pragma_update(None, "user_version", version).unwrap();
}

#[test]
fn a_file_of_each_earlier_version_is_brought_up_to_date_with_what_is_in_it() {
    for version in 1..=3 {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Instant::from_seconds(100)));
        let store = open(dir.path(), &clock);
        let first = Event {
            report: Some(vec![7; 999]),
            ..event(vec![("x", Value::Int(1)), ("y", Value::Str("one".to_owned())), ("timestamp", Value::Int(5))])
        };
        submit(&store, vec![first.clone()]);
        let mut before = facts(dir.path());
        drop(store);
        let db = rusqlite::Connection::open(dir.path().join("events.db")).unwrap();
        take_back(&db, version);
        drop(db);
        let store = open(dir.path(), &clock);
        if version == 1 {
            // The first version kept no times of segments.
            (before[0].0, before[0].1) = (None, None);
        }
        assert_eq!(facts(dir.path()), before, "from version {version}");
        assert_eq!(store.event(PROJECT, ObjectId(1)).unwrap().unwrap().attributes, first.attributes);
        submit(&store, vec![event(vec![("x", Value::Int(2)), ("y", Value::Str("one".to_owned()))])]);
        assert_eq!(sum(dir.path(), "SELECT count(*) FROM dictionary"), 1, "the text has the code that it had");
        assert_eq!((facts(dir.path())[1].0, store.stats().events), (Some(100), 2));
        assert_eq!(evaluate(&store, 100).unwrap()[0].measures[0].values, [2.0]);
    }
}

#[test]
fn a_text_keeps_its_code_over_restarts_whether_it_was_indexed_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(Instant::from_seconds(100)));
    let text = |n: usize| event(vec![("y", Value::Str(format!("text number {n}")))]);
    for round in 0..6 {
        // With little room every commit is indexed, with much none is.
        let text_bytes = if round % 2 == 0 { 1_000 } else { 1 << 20 };
        let options =
            EventStoreOptions { gather: Duration::ZERO, merge: false, text_bytes, ..EventStoreOptions::default() };
        let store = EventStore::open(&dir.path().join("events.db"), options, clock.clone()).unwrap();
        submit(&store, (0..100 * (round + 1)).map(text).collect());
        submit(&store, (0..100 * (round + 1)).map(text).collect());
        let known = 100 * (round + 1) as u64;
        assert_eq!(store.attributes(PROJECT).unwrap().iter().find(|a| a.name == "y").unwrap().texts, known);
        let filter =
            json!({"filter": [{"y": [["equal", format!("text number {}", known - 1)]]}], "fold": {"_tx": [["count"]]}});
        let spec = MetricSpec { name: Name::new("m").unwrap(), query: MetricQuery::parse(&filter).unwrap().query };
        let window = Window::starting_at(100, Period::new(10).unwrap()).unwrap();
        let found = store.evaluate(PROJECT, window, &[spec], &EvaluationLimits::default()).unwrap();
        assert_eq!(found[0].measures[0].values, [2.0]);
    }
    assert_eq!(sum(dir.path(), "SELECT count(*) FROM dictionary"), 600);
    let indexed = "SELECT count(*) FROM text_index i JOIN attribute a ON a.id = i.attribute AND i.code <= a.indexed";
    assert_eq!(sum(dir.path(), indexed), sum(dir.path(), "SELECT sum(indexed) FROM attribute"));
}
