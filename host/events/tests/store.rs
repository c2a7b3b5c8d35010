//! What the store keeps of an event, and what it refuses.

mod common;

use common::{PROJECT, clock, count, event, open, options, run, submit, text, window, with_uuid};
use tidegate_events::{EventStore, EventStoreError, EventStoreOptions, Refusal, SubmitError, ValueType};
use tidegate_model::{Attachment, Event, EventLimits, ObjectId, ProjectId, Value};

fn attachment(name: &str, bytes: &[u8]) -> Attachment {
    Attachment { name: name.to_owned(), content_type: Some("text/plain".to_owned()), bytes: bytes.to_vec() }
}

#[test]
fn an_event_is_given_back_whole_with_its_report_and_attachments() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &clock(100));
    let given = Event {
        uuid: Some([7; 16]),
        attributes: vec![
            ("text".to_owned(), text("日本 \u{0} end")),
            ("int".to_owned(), Value::Int(i64::MIN)),
            ("float".to_owned(), Value::Float(-0.1)),
            ("flag".to_owned(), Value::Bool(false)),
            ("timestamp".to_owned(), Value::Int(5)),
        ],
        report: Some(b"{\"a\": 1}".repeat(20_000)),
        attachments: vec![attachment("log", &b"line\n".repeat(50_000)), attachment("empty", b"")],
    };
    submit(&store, vec![event(&[("text", text("another"))])]);
    let object = submit(&store, vec![given.clone()])[0].object;
    let late = store.attach(PROJECT, object, attachment("late", b"more")).unwrap();
    let mut expected = given;
    expected.attachments.push(attachment("late", b"more"));
    let mut found = store.event(PROJECT, object).unwrap().unwrap();
    for event in [&mut expected, &mut found] {
        event.attributes.sort_by(|a, b| a.0.cmp(&b.0));
    }
    assert_eq!(found, expected);
    let listed = store.attachments(PROJECT, object).unwrap();
    assert_eq!((listed[0].size, listed[2].id, listed[2].name.as_str()), (250_000, late, "late"));
    assert_eq!(store.event(PROJECT, ObjectId(3)).unwrap(), None);
    assert_eq!(store.event(ProjectId(9), object).unwrap(), None);
    assert!(store.stats().file_bytes < 500_000);
}

#[test]
fn a_repeat_inside_one_submission_is_stored_once_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &clock(100));
    let receipts = submit(&store, vec![with_uuid(1, &[]), event(&[]), with_uuid(1, &[]), event(&[])]);
    let objects: Vec<_> = receipts.iter().map(|r| (r.object.0, r.duplicate)).collect();
    assert_eq!(objects, [(1, false), (2, false), (1, true), (3, false)]);
    assert_eq!(count(&store, window(100, 10)), 3);
    let other = run(store.submit(ProjectId(2), vec![with_uuid(1, &[])])).unwrap();
    assert!(!other[0].duplicate, "another project knows nothing of it");
    let stats = store.stats();
    assert_eq!((stats.events, stats.accepted, stats.duplicates, stats.queued_events), (4, 5, 1, 0));
}

#[test]
fn an_attribute_of_several_types_keeps_every_value_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &clock(100));
    let values = [text("a"), Value::Int(1), Value::Float(1.5), Value::Bool(true), text("b"), text("a")];
    let receipts = submit(&store, values.iter().map(|v| event(&[("x", v.clone())])).collect());
    for (value, receipt) in values.iter().zip(receipts) {
        let found = store.event(PROJECT, receipt.object).unwrap().unwrap();
        assert!(found.attributes.contains(&("x".to_owned(), value.clone())));
    }
    let attributes = store.attributes(PROJECT).unwrap();
    let x = attributes.iter().find(|a| a.name == "x").unwrap();
    assert_eq!((x.types.as_slice(), x.texts), (&ValueType::ALL[..], 2));
}

#[test]
fn an_event_with_too_many_new_attributes_is_refused_alone_and_known_attributes_still_fit() {
    let dir = tempfile::tempdir().unwrap();
    let limits = EventLimits { project_attributes: 3, ..EventLimits::default() };
    let options = EventStoreOptions { limits, ..options() };
    let store = EventStore::open(&dir.path().join("events.db"), options, clock(100)).unwrap();
    let one = Value::Int(1);
    let events = vec![
        event(&[("a", one.clone())]),
        event(&[("b", one.clone()), ("c", one.clone())]),
        event(&[("b", one.clone())]),
        event(&[("a", one.clone()), ("b", one.clone())]),
    ];
    let answers = run(store.submit_each(PROJECT, events.clone())).unwrap();
    let refusal = answers[1].clone().unwrap_err();
    let told = "attribute \"c\": a project may have 3 attributes in all, and this one would be number 4";
    assert_eq!(refusal.to_string(), told);
    let objects: Vec<_> = answers.iter().map(|a| a.as_ref().map(|r| r.object.0).ok()).collect();
    assert_eq!(objects, [Some(1), None, Some(2), Some(3)]);
    let error = run(store.submit(PROJECT, events)).unwrap_err();
    assert_eq!(error, SubmitError::Refused { index: 1, refusal });
    assert_eq!((count(&store, window(100, 10)), store.stats().refused), (6, 2));
}

#[test]
fn attachments_beyond_the_limit_are_refused_with_both_figures() {
    let dir = tempfile::tempdir().unwrap();
    let limits = EventLimits { attachments: 1, ..EventLimits::default() };
    let store =
        EventStore::open(&dir.path().join("events.db"), EventStoreOptions { limits, ..options() }, clock(100)).unwrap();
    let two = Event { attachments: vec![attachment("a", b"1"), attachment("b", b"2")], ..Event::default() };
    let error = run(store.submit(PROJECT, vec![two])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "event 0 of the submission is refused: an event may have 1 attachments, this one has 2"
    );
    let object = submit(&store, vec![event(&[])])[0].object;
    store.attach(PROJECT, object, attachment("a", b"1")).unwrap();
    let error = store.attach(PROJECT, object, attachment("b", b"2")).unwrap_err();
    assert_eq!(error, EventStoreError::Refused(Refusal::Attachments { limit: 1, asked: 2 }));
    let error = store.attach(PROJECT, ObjectId(26), attachment("a", b"1")).unwrap_err();
    assert_eq!(error.to_string(), "project 1 has no event 1a");
}

#[test]
fn an_event_larger_than_the_queue_is_refused_and_smaller_ones_wait_for_room() {
    let dir = tempfile::tempdir().unwrap();
    let options = EventStoreOptions { queue_bytes: 10_000, ..options() };
    let store = EventStore::open(&dir.path().join("events.db"), options, clock(100)).unwrap();
    let large = Event { report: Some(vec![b'x'; 10_001]), ..Event::default() };
    let error = run(store.submit(PROJECT, vec![large])).unwrap_err();
    let told = "event 0 of the submission is refused: an event may have 10000 bytes with all that comes with it, this one has 10001";
    assert_eq!(error.to_string(), told);
    run(async {
        let submit = |store: EventStore| async move {
            store.submit(PROJECT, vec![Event { report: Some(vec![b'x'; 9_000]), ..Event::default() }]).await
        };
        let waiting: Vec<_> = (0..20).map(|_| tokio::spawn(submit(store.clone()))).collect();
        for submission in waiting {
            submission.await.unwrap().unwrap();
        }
    });
    assert_eq!(count(&store, window(100, 10)), 20);
}

#[test]
fn a_full_store_says_so_acknowledges_nothing_and_goes_on_reading() {
    let dir = tempfile::tempdir().unwrap();
    let options = EventStoreOptions { file_bytes: Some(400_000), ..options() };
    let store = EventStore::open(&dir.path().join("events.db"), options, clock(100)).unwrap();
    // Bytes that do not compress, each time others.
    let report = |seed: u64| {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..50_000).map(|_| next()).collect::<Vec<u8>>()
    };
    let submission = |id: u8| {
        vec![Event { report: Some(report(u64::from(id))), ..with_uuid(id, &[("fresh", text(&id.to_string()))]) }]
    };
    let mut stored = 0;
    let error = loop {
        match run(store.submit(PROJECT, submission(stored))) {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 100);
    };
    assert!(matches!(error, SubmitError::Full(_)), "{error}");
    assert!(error.to_string().contains("free some space and send the events again"));
    assert!(stored > 2);
    assert_eq!(count(&store, window(100, 10)), u64::from(stored));
    // What fits is still taken, with the number that comes next, and a repeat is still known.
    let small = submit(&store, vec![with_uuid(stored, &[("fresh", text("small"))]), with_uuid(0, &[])]);
    assert_eq!((small[0].object.0, small[0].duplicate), (u64::from(stored) + 1, false));
    assert_eq!((small[1].object.0, small[1].duplicate), (1, true));
    assert!(store.stats().failed_commits > 0);
}

#[test]
fn a_file_of_a_later_version_is_refused_with_both_versions() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), &clock(100)));
    let file = dir.path().join("events.db");
    rusqlite::Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let Err(error) = EventStore::open(&file, options(), clock(100)) else { panic!("it was opened") };
    assert!(matches!(error, EventStoreError::Newer { found: 99, .. }));
    assert!(error.to_string().contains("has the form of version 99, and this Tidegate knows versions up to 4"));
}

#[test]
fn a_file_that_is_no_database_and_a_folder_that_is_missing_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events.db");
    std::fs::write(&file, "this is no database".repeat(100)).unwrap();
    for file in [file, dir.path().join("missing/events.db")] {
        let Err(error) = EventStore::open(&file, options(), clock(100)) else { panic!("it was opened") };
        assert!(error.to_string().starts_with(&file.display().to_string()), "{error}");
    }
}

#[test]
fn a_damaged_file_is_told_from_one_that_cannot_be_opened_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &clock(100));
    (0..50).for_each(|n| drop(submit(&store, vec![with_uuid(n, &[("fresh", text(&"x".repeat(3000)))])])));
    store.close();
    drop(store);
    let file = dir.path().join("events.db");
    let mut damaged = std::fs::read(&file).unwrap();
    damaged[..4096].fill(0xa5);
    std::fs::write(&file, &damaged).unwrap();
    let Err(error) = EventStore::open(&file, options(), clock(100)) else { panic!("it was opened") };
    assert!(matches!(error, EventStoreError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("tidegate ledger restore"), "{error}");
    assert!(std::fs::read(&file).unwrap() == damaged, "it was written to");
}

#[test]
fn texts_that_memory_forgot_keep_their_codes() {
    let dir = tempfile::tempdir().unwrap();
    let options = EventStoreOptions { text_bytes: 2_000, ..options() };
    let store = EventStore::open(&dir.path().join("events.db"), options, clock(100)).unwrap();
    for _ in 0..2 {
        submit(&store, (0..500).map(|i| event(&[("id", text(&format!("text number {i}")))])).collect());
    }
    let query = serde_json::json!({"group": ["id"], "fold": {"_tx": [["count"]]}});
    let batch = common::evaluate(&store, window(100, 10), &query);
    assert_eq!(batch.rows, 500);
    assert!(batch.measures[0].values.iter().all(|&count| count == 2.0));
    assert_eq!(store.attributes(PROJECT).unwrap()[0].texts, 500);
    assert!(store.stats().text_bytes <= 2_000);
}
