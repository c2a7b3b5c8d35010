//! Explore against the plain answers of `common/explore_oracle.rs`, through the real store, over random events and queries.

mod common;

use common::explore_oracle::{self, Expected};
use common::generate::{condition, event_attributes};
use common::oracle::Row;
use common::{PROJECT, clock, event, open, submit, text};
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};
use std::ops::ControlFlow;
use tidegate_events::explore::{Answer, AnswerRows, Cell, ExploreLimits, Progress};
use tidegate_events::{EventStore, Source, SourceError};
use tidegate_model::query::Bound;
use tidegate_model::{Query, Value};

fn ask_within(store: &EventStore, query: &Json, limits: &ExploreLimits) -> Result<Answer, SourceError> {
    let query = Query::parse(query).unwrap();
    store.explore(PROJECT, &query, limits, &mut |_| ControlFlow::Continue(()))
}

fn ask(store: &EventStore, query: &Json) -> Answer {
    ask_within(store, query, &ExploreLimits::default()).unwrap()
}

const NAMES: [&str; 6] = ["a", "b", "c", "timestamp", "_tx", "missing"];

fn columns() -> impl Strategy<Value = Json> {
    let word = prop::sample::select(&["day", "month", "quarter", "year"][..]);
    let truncated = word.prop_map(|word| {
        json!({"name": "t", "type": "truncate_timestamp", "truncate_timestamp": {"backing_column": "timestamp", "granularity": word}})
    });
    let quantized = (prop::sample::select(&["c", "b", "_tx"][..]), 1u64..9, -5i64..5).prop_map(|(name, size, offset)| {
        json!({"name": "q", "type": "quantize_uint", "quantize_uint": {"backing_column": name, "size": size, "offset": offset}})
    });
    (truncated, quantized).prop_map(|(t, q)| json!([t, q]))
}

fn filter() -> impl Strategy<Value = Json> {
    let names = prop::sample::select(&["a", "b", "c", "timestamp", "_tx", "q", "missing"][..]);
    let item = prop::collection::vec((names, condition()), 0..3).prop_map(|conditions| {
        let mut item = Map::new();
        for (name, condition) in conditions {
            item.entry(name).or_insert(json!([])).as_array_mut().unwrap().push(condition);
        }
        Json::Object(item)
    });
    prop_oneof![2 => Just(json!([])), 3 => prop::collection::vec(item, 1..3).prop_map(Json::from)]
}

/// Bins are asked of whole numbers only, so that the plain answer has exact edges, too.
fn fold() -> impl Strategy<Value = (String, Json)> {
    let plain = prop::sample::select(
        &[
            "head",
            "tail",
            "unique",
            "count",
            "min",
            "max",
            "mean",
            "sum",
            "range",
            "histogram",
            "distribution",
            "object",
        ][..],
    );
    let name = prop::sample::select(&["a", "b", "c", "timestamp", "_tx", "missing", "q", "t"][..]);
    let bins = prop_oneof![
        Just(json!(["bin", 4, -8, 8])),
        Just(json!(["bin", 5, 0, 10])),
        Just(json!(["bin"])),
        Just(json!(["bin", 3])),
    ];
    prop_oneof![
        6 => (name.clone(), plain).prop_map(|(name, fold)| (name.to_owned(), json!([fold]))),
        1 => (name, 1u32..4).prop_map(|(name, n)| (name.to_owned(), json!(["distribution", n]))),
        1 => (prop::sample::select(&["timestamp", "_tx", "a", "t"][..]), bins).prop_map(|(name, bin)| (name.to_owned(), bin)),
    ]
}

fn paged(query: &mut Json, (limit, offset): (Option<u64>, u64)) {
    if let Some(limit) = limit {
        query["limit"] = json!(limit);
    }
    query["offset"] = json!(offset);
}

fn page() -> impl Strategy<Value = (Option<u64>, u64)> {
    (prop::option::of(0u64..6), prop_oneof![3 => Just(0u64), 1 => 0u64..4])
}

fn direction() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["ascending", "descending"][..])
}

fn aggregating() -> impl Strategy<Value = Json> {
    let group =
        prop::sample::subsequence(vec!["a", "b", "c", "timestamp", "_tx", "missing", "q", "t"], 0..3).prop_shuffle();
    let figures = prop::collection::vec((any::<prop::sample::Index>(), direction()), 0..3);
    let having = prop::collection::vec(
        (any::<prop::sample::Index>(), prop::sample::select(&["==", "!=", "<", ">", "<=", ">="][..]), -2i64..5),
        0..3,
    );
    let folds = prop::collection::vec(fold(), 0..5);
    (filter(), group, folds, columns(), figures, having, any::<bool>(), page()).prop_map(
        |(filter, group, folds, columns, figures, having, or, page)| {
            let mut fold = Map::new();
            for (name, one) in folds {
                fold.entry(name).or_insert(json!([])).as_array_mut().unwrap().push(one);
            }
            let mut query = json!({"filter": filter, "group": group, "fold": fold, "virtual_columns": columns});
            let mut names = vec![(";count".to_owned(), ";count".to_owned())];
            for (name, list) in &fold {
                for (i, one) in list.as_array().unwrap().iter().enumerate() {
                    match one[0].as_str().unwrap() {
                        "histogram" | "bin" => {}
                        // Floats among great whole numbers: the last bit of a sum may differ, and with it the order.
                        "sum" | "mean" if name == "b" => {}
                        "range" | "distribution" => {
                            names.push((format!("{name};{i};1"), format!("{name};{i};1")));
                            names.push((format!("{name};{i}"), format!("{name};{i};0")));
                        }
                        _ => names.push((format!("{name};{i}"), format!("{name};{i};0"))),
                    }
                }
            }
            let mut order: Vec<Json> = figures
                .iter()
                .map(|(index, direction)| json!({"name": index.get(&names).0, "ordering": direction}))
                .collect();
            if or {
                order.push(json!({"name": ";group", "ordering": "descending"}));
            }
            query["order"] = order.into();
            let mut postfix = Vec::new();
            for (i, (index, op, operand)) in having.iter().enumerate() {
                postfix.push(json!({"op": op, "params": [operand], "property": [index.get(&names).1]}));
                if i > 0 {
                    postfix.push(json!({"op": "boolean", "params": [if or { "or" } else { "and" }]}));
                }
            }
            query["having"] = postfix.into();
            paged(&mut query, page);
            query
        },
    )
}

fn selecting() -> impl Strategy<Value = Json> {
    let select =
        prop::sample::subsequence(vec!["a", "b", "c", "timestamp", "_tx", "missing", "q", "t"], 1..5).prop_shuffle();
    let order = prop::collection::vec((prop::sample::select(&NAMES[..]), direction()), 0..3);
    (filter(), select, columns(), order, any::<(bool, bool)>(), page()).prop_map(
        |(filter, select, columns, order, (physical, virtuals), page)| {
            let order: Vec<Json> = order.iter().map(|(name, way)| json!({"name": name, "ordering": way})).collect();
            let wildcard = json!({"physical": physical, "virtual": virtuals, "derived": true});
            let mut query = json!({
                "filter": filter, "select": select, "virtual_columns": columns, "order": order, "select_wildcard": wildcard,
            });
            paged(&mut query, page);
            query
        },
    )
}

/// Counts, with nothing or the events' own times to filter by: what is often answered without a look at the events.
fn counting() -> impl Strategy<Value = Json> {
    let bound = prop_oneof![(0i64..80).prop_map(|n| json!(n)), (0i64..160).prop_map(|n| json!(n as f64 / 2.0))];
    let compare = prop::sample::select(
        &["at-least", "greater-than", "at-most", "less-than", "equal", "not-equal", "is-set", "is-not-set"][..],
    );
    let bound = prop_oneof![3 => bound.clone(), 1 => bound.prop_map(|n| json!(n.to_string()))];
    let condition =
        (compare, bound).prop_map(|(op, bound)| if op.starts_with("is-") { json!([op]) } else { json!([op, bound]) });
    let range = prop::collection::vec(condition, 1..3).prop_map(|all| json!({"timestamp": all}));
    let filter = prop::collection::vec(range, 0..3);
    let names = prop::sample::subsequence(vec!["a", "b", "c", "timestamp", "_tx", "missing"], 0..4);
    (filter, names, prop::option::weighted(0.2, Just("c"))).prop_map(|(filter, names, group)| {
        let fold: Map<String, Json> = names.iter().map(|name| ((*name).to_owned(), json!([["count"]]))).collect();
        json!({"filter": filter, "fold": fold, "group": group.as_slice()})
    })
}

/// Equal but for sums, whose plain answer is always a float that is rounded once, and for edges that are not whole.
fn same_cell(found: &Cell, expected: &Cell) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() <= 2.0 * f64::EPSILON * b.abs() + 1e-8;
    let edge = |a: &Bound, b: &Bound| {
        if let (Bound::Int(a), Bound::Int(b)) = (a, b) { a == b } else { near(a.as_f64(), b.as_f64()) }
    };
    match (found, expected) {
        (Cell::Value(Some(a)), Cell::Value(Some(Value::Float(b)))) => a.number().is_some_and(|a| near(a, *b)),
        (Cell::Bins(a), Cell::Bins(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| edge(&a.0, &b.0) && edge(&a.1, &b.1) && a.2 == b.2)
        }
        (a, b) => a == b,
    }
}

fn check(found: &Answer, expected: &Expected, query: &Json) {
    let told = || format!("{query}\n found {:?}\n expected {:?}", found.rows, expected.rows);
    match (&found.rows, &expected.rows) {
        (AnswerRows::Groups(a), AnswerRows::Groups(b)) => {
            assert_eq!((found.groups, found.groups_having), (expected.groups, expected.groups_having), "{}", told());
            assert_eq!(a.len(), b.len(), "{}", told());
            for (a, b) in a.iter().zip(b) {
                assert_eq!((&a.key, a.events, a.cells.len()), (&b.key, b.events, b.cells.len()), "{}", told());
                assert!(a.cells.iter().zip(&b.cells).all(|(a, b)| same_cell(a, b)), "{}", told());
            }
        }
        (a, b) => assert_eq!(a, b, "{}", told()),
    }
    assert_eq!(found.events, expected.events, "{}", told());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn every_query_is_answered_as_a_plain_reading_of_the_events_answers_it(
        groups in prop::collection::vec((prop::collection::vec(event_attributes(), 1..12), 0u64..400_000), 0..8),
        queries in prop::collection::vec(prop_oneof![3 => aggregating(), 1 => selecting(), 1 => counting()], 1..10),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let clock = clock(60);
        let store = open(dir.path(), &clock);
        let mut all = Vec::new();
        for (events, seconds) in groups {
            let given: Vec<_> = events.iter().map(|attributes| event(attributes)).collect();
            for (receipt, event) in submit(&store, given.clone()).into_iter().zip(given) {
                all.push(Row { object: receipt.object.0, arrival: receipt.arrival, attributes: event.attributes });
            }
            clock.advance(seconds);
        }
        for query in &queries {
            let found = ask(&store, query);
            prop_assert_eq!(found.scanned, all.len() as u64);
            check(&found, &explore_oracle::answer(&all, &Query::parse(query).unwrap()), query);
        }
    }
}

fn three(store: &EventStore) {
    let crash = |time: i64, kind: &str, guid: &str, age: i64, version: &str, host: &str| {
        event(&[
            ("timestamp", Value::Int(time)),
            ("error.type", text(kind)),
            ("guid", text(guid)),
            ("process.age", Value::Int(age)),
            ("version", text(version)),
            ("hostname", text(host)),
        ])
    };
    submit(store, vec![crash(1_700_000_100, "Crash", "g1", 5, "1.0", "h1")]);
    submit(store, vec![crash(1_700_000_200, "Crash", "g1", 7, "1.0", "h2")]);
    submit(store, vec![crash(1_700_000_300, "Hang", "g2", 9, "1.1", "h1")]);
}

#[test]
fn segments_whose_times_lie_outside_are_passed_over_and_counted_as_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &clock(60));
    three(&store);
    let before = store.stats().cache_misses;
    let range = json!([{"timestamp": [["at-least", "1700000150."], ["less-than", 1_700_000_250]]}]);
    let found = ask(&store, &json!({"filter": range, "fold": {"hostname": [["head"]]}}));
    assert_eq!((found.events, found.scanned), (1, 3));
    let AnswerRows::Groups(rows) = &found.rows else { panic!("{found:?}") };
    assert_eq!(rows[0].cells, [Cell::Value(Some(text("h2")))]);
    assert_eq!(store.stats().cache_misses - before, 1, "one column of one segment is all that was read");
    // Where some events of a segment are outside, their times are read.
    submit(&store, [10, 20].map(|time| event(&[("timestamp", Value::Int(time)), ("hostname", text("h3"))])).to_vec());
    let before = store.stats().cache_misses;
    let range = json!([{"timestamp": [["less-than", 15]]}]);
    assert_eq!(ask(&store, &json!({"filter": range, "fold": {"hostname": [["head"]]}})).events, 1);
    assert_eq!(store.stats().cache_misses - before, 2);
}

#[test]
fn counting_all_events_and_those_that_have_an_attribute_reads_no_column() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &clock(60));
    three(&store);
    submit(&store, vec![event(&[("timestamp", Value::Int(1_700_000_300))])]);
    let before = store.stats().cache_misses;
    let range = json!([{"timestamp": [["at-least", 1_700_000_200], ["at-most", 1_700_000_300]]}]);
    let counted = json!({"filter": range, "fold": {"hostname": [["count"]], "_tx": [["count"]], "none": [["count"]]}});
    let found = ask(&store, &counted);
    let AnswerRows::Groups(rows) = &found.rows else { panic!("{found:?}") };
    let counts = [2, 3, 0].map(|n| Cell::Value(Some(Value::Int(n))));
    assert_eq!((rows[0].cells.as_slice(), rows[0].events, found.events), (&counts[..], 3, 3));
    assert_eq!(store.stats().cache_misses, before);
}

#[test]
fn attributes_that_no_event_has_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &clock(60));
    three(&store);
    let query =
        json!({"filter": [{"hostnmae": [["equal", "h1"]]}], "group": ["version"], "fold": {"_tx": [["count"]]}});
    let found = ask(&store, &query);
    assert_eq!((found.unknown.as_slice(), found.rows.len()), (["hostnmae".to_owned()].as_slice(), 0));
}

#[test]
fn a_query_beyond_its_budget_ends_with_the_budget_and_the_need_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &clock(60));
    submit(&store, (0..2000).map(|i| event(&[("id", text(&format!("{i:05}"))), ("n", Value::Int(i))])).collect());
    let grouped = json!({"group": ["id"], "fold": {"n": [["sum"]]}});
    let told = |query: &Json, limits| ask_within(&store, query, &limits).unwrap_err();
    let error = told(&grouped, ExploreLimits { groups: 1000, ..ExploreLimits::default() });
    assert_eq!(
        error.to_string(),
        "the query needs 2001 groups or more, and 1000 are its budget; filter for fewer events or group by fewer or coarser attributes"
    );
    let SourceError::Budget { limit: 50_000, need, .. } = told(&grouped, ExploreLimits { bytes: 50_000, groups: 9999 })
    else {
        panic!("a budget was expected")
    };
    assert!(need > 50_000);
    let bins = json!({"group": ["id"], "fold": {"n": [["bin", 10_000, 0, 1]]}});
    let SourceError::Budget { need: 160_080_000.., .. } = told(&bins, ExploreLimits { bytes: 1 << 20, groups: 9999 })
    else {
        panic!("a budget was expected before the bins are made")
    };
    let everything = json!({"select": ["id"], "order": [{"name": "id", "ordering": "descending"}]});
    assert!(matches!(told(&everything, ExploreLimits { bytes: 20_000, groups: 1 }), SourceError::Budget { .. }));
    assert_eq!(ask_within(&store, &grouped, &ExploreLimits { bytes: 1 << 20, groups: 2001 }).unwrap().rows.len(), 2000);
}

#[test]
fn a_query_tells_how_far_it_is_and_ends_when_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &clock(60));
    three(&store);
    let query = Query::parse(&json!({"select": ["hostname"]})).unwrap();
    let mut seen = Vec::new();
    let watched = store.explore(PROJECT, &query, &ExploreLimits::default(), &mut |progress| {
        seen.push((progress.done, progress.total, progress.events));
        ControlFlow::Continue(())
    });
    assert_eq!(watched.unwrap().rows.len(), 3);
    assert_eq!(seen, [(0, 3, 0), (1, 3, 1), (2, 3, 2), (3, 6, 3), (4, 6, 3), (5, 6, 3), (6, 6, 3)]);
    let stop =
        &mut |progress: Progress| if progress.done < 2 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
    let ended = store.explore(PROJECT, &query, &ExploreLimits::default(), stop);
    assert_eq!(ended, Err(SourceError::Cancelled));
}

#[test]
fn the_attributes_are_described_with_their_types_and_formats() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &clock(60));
    three(&store);
    let found = store.describe(PROJECT).unwrap();
    let shown: Vec<_> = found.iter().map(|a| (a.name.as_str(), a.format, a.built_in)).collect();
    assert_eq!(shown[..3], [("_tx", "none", true), ("error.type", "none", false), ("guid", "uuid", false)]);
    assert_eq!(shown[5], ("timestamp", "unix_timestamp", true));
}
