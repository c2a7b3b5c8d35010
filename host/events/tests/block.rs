//! A block of a bulk is stored as its events one by one would be.

mod common;

use common::{PROJECT, clock, evaluate, options, rows, run, window};
use proptest::prelude::*;
use tidegate_events::{Block, EventStore, EventStoreOptions, ndjson};
use tidegate_model::{Event, EventLimits, ObjectId};

fn line() -> impl Strategy<Value = String> {
    let uuid = prop_oneof![3 => Just(None), 1 => (0u8..6).prop_map(Some)];
    let value = prop::sample::select(vec!["1", "-2.5", "true", "\"a\"", "\"b\"", "\"longer text\"", "null"]);
    let field = (prop::sample::select(vec!["x", "y", "z", "timestamp", "_tx", "w"]), value);
    (uuid, prop::collection::btree_map(field.clone().prop_map(|f| f.0), field.prop_map(|f| f.1), 0..5)).prop_map(
        |(uuid, fields)| {
            let value = |name: &str, value: &str| if name == "timestamp" { "7".to_owned() } else { value.to_owned() };
            let mut fields: Vec<_> = fields.into_iter().map(|(n, v)| format!("\"{n}\":{}", value(n, v))).collect();
            fields.extend(uuid.map(|id| format!("\"uuid\":\"{}\"", uuid::Uuid::from_bytes([id; 16]))));
            format!("{{{}}}", fields.join(","))
        },
    )
}

fn open(dir: &std::path::Path, most: usize) -> EventStore {
    let limits = EventLimits { project_attributes: most, ..EventLimits::default() };
    EventStore::open(&dir.join("events.db"), EventStoreOptions { limits, ..options() }, clock(100)).unwrap()
}

fn stored(store: &EventStore) -> Vec<Event> {
    let event = |object| store.event(PROJECT, ObjectId(object)).unwrap();
    let sorted = |mut event: Event| {
        event.attributes.sort_by(|a, b| a.0.cmp(&b.0));
        event
    };
    (1..).map_while(event).map(sorted).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn blocks_and_single_events_give_the_same_receipts_refusals_events_and_metrics(
        submissions in prop::collection::vec(prop::collection::vec(line(), 0..12), 1..6), most in 2usize..8,
    ) {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [blocks, singles] = [0, 1].map(|i: usize| open(dirs[i].path(), most));
        let limits = EventLimits::default();
        for lines in &submissions {
            let mut block = Block::new(&limits);
            lines.iter().for_each(|line| block.push_line(line.as_bytes()).unwrap());
            let events = lines.iter().map(|line| ndjson::parse_line(line.as_bytes(), &limits).unwrap()).collect();
            let ours = run(blocks.submit_block(PROJECT, block)).unwrap();
            let theirs = run(singles.submit_each(PROJECT, events)).unwrap();
            // Which of several attributes is named as the one too many depends on their order, which a block does not keep.
            let receipts = |answers: &[Result<_, _>]| answers.iter().map(|a| a.as_ref().ok().copied()).collect::<Vec<_>>();
            prop_assert_eq!(receipts(&ours), receipts(&theirs));
        }
        prop_assert_eq!(stored(&blocks), stored(&singles));
        let attributes = |store: &EventStore| store.attributes(PROJECT).unwrap();
        prop_assert_eq!(attributes(&blocks), attributes(&singles));
        let query = serde_json::json!({"group": ["x", "y"], "fold": {"_tx": [["count"], ["sum"]], "z": [["unique"]]}});
        let metric = |store: &EventStore| rows(&evaluate(store, window(100, 10), &query));
        prop_assert_eq!(metric(&blocks), metric(&singles));
        prop_assert_eq!(blocks.stats().events, singles.stats().events);
        blocks.close();
        let again = open(dirs[0].path(), most);
        prop_assert_eq!(stored(&again), stored(&singles));
    }
}

#[test]
fn a_block_larger_than_the_queue_is_taken_event_by_event() {
    let dir = tempfile::tempdir().unwrap();
    let options = EventStoreOptions { queue_bytes: 1_000, ..options() };
    let store = EventStore::open(&dir.path().join("events.db"), options, clock(100)).unwrap();
    let mut block = Block::new(&EventLimits::default());
    for length in [100, 5_000, 700] {
        block.push_line(format!("{{\"a\":\"{}\"}}", "x".repeat(length)).as_bytes()).unwrap();
    }
    let answers = run(store.submit_block(PROJECT, block)).unwrap();
    let told = answers[1].as_ref().unwrap_err().to_string();
    assert!(told.starts_with("an event may have 1000 bytes"), "{told}");
    assert_eq!(answers[2].as_ref().unwrap().object, ObjectId(2));
}

#[test]
fn blocks_fill_segments_up_to_their_limit_and_begin_another() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), 10);
    let block = |rows: u64| {
        let mut block = Block::new(&EventLimits::default());
        (0..rows)
            .for_each(|n| block.push_line(format!("{{\"n\":{n},\"even\":\"{}\"}}", n % 2 == 0).as_bytes()).unwrap());
        block
    };
    run(async {
        let submit = |rows| {
            tokio::spawn({
                let store = store.clone();
                async move { store.submit_block(PROJECT, block(rows)).await.unwrap().len() }
            })
        };
        let waiting = [submit(40_000), submit(40_000), submit(40_000), submit(70_000)];
        for submission in waiting {
            submission.await.unwrap();
        }
    });
    let query = serde_json::json!({"group": ["even"], "fold": {"_tx": [["count"]], "n": [["sum"]]}});
    let found = rows(&evaluate(&store, window(100, 10), &query));
    let sum = |rows: f64| rows * (rows / 2.0 - 1.0) / 2.0;
    let even = vec![95_000.0, 3.0 * sum(40_000.0) + sum(70_000.0)];
    assert_eq!(found[1], (vec!["true".to_owned()], even.clone()));
    assert_eq!(found[0].1, [95_000.0, even[1] + 95_000.0]);
    assert!(store.stats().segments >= 3);
}
