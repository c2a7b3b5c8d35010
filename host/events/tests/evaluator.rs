//! The evaluator against the plain one of `common/oracle.rs`, through the real store, over random events and queries.

mod common;

use common::generate::{Attributes, condition, event_attributes};
use common::oracle::{self, Row};
use common::{PROJECT, clock, event, metric, open, rows, submit, text, window};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::time::Duration;
use tidegate_events::{EvaluationLimits, EventStore, EventStoreOptions, MetricSpec, Source, SourceError};
use tidegate_model::{Aggregate, Instant, ManualClock, MetricBatch, MetricQuery, Name, Value, Window};

fn query() -> impl Strategy<Value = Json> {
    let names = || prop::sample::select(&["a", "b", "c", "d", "_tx", "missing"][..]);
    let item = prop::collection::vec((names(), condition()), 1..3).prop_map(|conditions| {
        let mut item = json!({});
        for (name, condition) in conditions {
            item.as_object_mut().unwrap().entry(name).or_insert(json!([])).as_array_mut().unwrap().push(condition);
        }
        item
    });
    let group_names =
        prop::sample::subsequence(vec!["a", "b", "c", "d", "timestamp", "_tx", "missing"], 0..3).prop_shuffle();
    let aggregates = Aggregate::ALL.map(Aggregate::as_str);
    let fold = prop::collection::vec(
        (
            prop::sample::select(vec!["a", "b", "c", "d", "_tx", "timestamp", "missing"]),
            prop::sample::select(aggregates.to_vec()),
        ),
        1..5,
    );
    (prop::collection::vec(item, 0..3), group_names, fold).prop_map(|(filter, group, fold)| {
        let mut folds = serde_json::Map::new();
        for (name, aggregate) in fold {
            folds.entry(name).or_insert(json!([])).as_array_mut().unwrap().push(json!([aggregate]));
        }
        json!({"filter": filter, "group": group, "fold": folds})
    })
}

/// The batch has the form that readers rely on: sorted dictionaries without unused entries, no infinite value.
fn check_form(batch: &MetricBatch) {
    for dimension in &batch.dimensions {
        let texts: Vec<_> = dimension.dictionary.iter().collect();
        assert!(texts.windows(2).all(|pair| pair[0] < pair[1]), "{texts:?} is not sorted");
        let used: std::collections::BTreeSet<u32> = dimension.codes.iter().copied().collect();
        assert_eq!(used.len(), texts.len());
        assert_eq!(dimension.codes.len(), batch.rows as usize);
    }
    for measure in &batch.measures {
        assert_eq!(measure.values.len(), batch.rows as usize);
        assert!(measure.values.iter().all(|value| !value.is_infinite()));
    }
}

/// Equal to the bit, but sums of floats, whose last bit may differ from that of a sum that is rounded once.
fn agree(query: &MetricQuery, found: &[(Vec<String>, Vec<f64>)], expected: &[(Vec<String>, Vec<f64>)]) -> bool {
    let same = |place: usize, a: f64, b: f64| match query.measures[place].aggregate {
        _ if a.is_nan() || b.is_nan() => a.is_nan() && b.is_nan(),
        Aggregate::Sum | Aggregate::Mean => (a - b).abs() <= 2.0 * f64::EPSILON * b.abs() + 1e-8,
        _ => a == b,
    };
    let same_row = |f: &[f64], e: &[f64]| f.iter().zip(e).enumerate().all(|(place, (a, b))| same(place, *a, *b));
    found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| f.0 == e.0 && same_row(&f.1, &e.1))
}

/// So little that the events of a window are evaluated in pieces, and enough for every query here.
const SMALL: usize = 24 << 10;

/// Stores events in groups, each some seconds after the one before.
fn store_groups(store: &EventStore, clock: &ManualClock, groups: &[(Vec<Attributes>, u64)]) -> Vec<Row> {
    let mut all = Vec::new();
    for (events, seconds) in groups {
        let given: Vec<_> = events.iter().map(|attributes| event(attributes)).collect();
        for (receipt, event) in submit(store, given.clone()).into_iter().zip(given) {
            all.push(Row { object: receipt.object.0, arrival: receipt.arrival, attributes: event.attributes });
        }
        clock.advance(*seconds);
    }
    all
}

/// Each batch must be what the plain evaluator gives.
fn check(
    all: &[Row],
    window: Window,
    metrics: &[MetricSpec],
    batches: &[MetricBatch],
    cap: u32,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(batches.len(), metrics.len());
    for (batch, metric) in batches.iter().zip(metrics) {
        check_form(batch);
        let (expected, folded) = oracle::evaluate(all, window, &metric.query, cap as usize);
        let found = rows(batch);
        let json = metric.query.to_json();
        prop_assert!(agree(&metric.query, &found, &expected), "{json}\n found {found:?}\n expected {expected:?}");
        prop_assert_eq!(batch.folded_groups, folded);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn every_query_gives_what_a_plain_evaluator_gives(
        groups in prop::collection::vec((prop::collection::vec(event_attributes(), 1..12), 0u64..40), 0..8),
        queries in prop::collection::vec(query(), 1..12),
        cap in prop_oneof![Just(10_000u32), 1u32..6],
    ) {
        let dir = tempfile::tempdir().unwrap();
        let clock = clock(60);
        let store = open(dir.path(), &clock);
        let all = store_groups(&store, &clock, &groups);
        let metrics: Vec<MetricSpec> = queries.iter().map(metric).collect();
        let limits = EvaluationLimits { groups: cap, ..EvaluationLimits::default() };
        let small = EvaluationLimits { memory: SMALL, ..limits };
        for start in [60, 120, 600] {
            let window = window(start, 60);
            let evaluate = |metrics: &[MetricSpec], limits| store.evaluate(PROJECT, window, metrics, limits).unwrap();
            // From disk; from memory; alone, each with the columns that those before have left in memory; in pieces.
            check(&all, window, &metrics, &evaluate(&metrics, &limits), cap)?;
            check(&all, window, &metrics, &evaluate(&metrics, &limits), cap)?;
            for metric in metrics.chunks(1) {
                check(&all, window, metric, &evaluate(metric, &limits), cap)?;
            }
            check(&all, window, &metrics, &evaluate(&metrics, &small), cap)?;
        }
    }

    #[test]
    fn distinct_values_are_the_same_whether_few_filters_want_them_or_many(
        groups in prop::collection::vec((prop::collection::vec(event_attributes(), 1..12), Just(0u64)), 1..8),
        by in prop::sample::subsequence(vec!["a", "b", "c", "_tx"], 1..3).prop_shuffle(),
        of in prop::sample::select(vec!["a", "b", "c", "d"]),
        cap in prop_oneof![Just(10_000u32), 2u32..6],
        memory in prop_oneof![Just(1 << 30), Just(SMALL)],
    ) {
        let dir = tempfile::tempdir().unwrap();
        let clock = clock(60);
        let store = open(dir.path(), &clock);
        let all = store_groups(&store, &clock, &groups);
        let filters = ["", "abc", "1", "other", "é"].map(|text| json!([{"a": [["not-equal", text]]}]));
        let filters = filters.into_iter().chain([json!([])]);
        let query = |filter| metric(&json!({"filter": filter, "group": by, "fold": {"_tx": [["count"]], of: [["unique"]]}}));
        let metrics: Vec<MetricSpec> = filters.map(query).collect();
        let limits = EvaluationLimits { groups: cap, memory, ..EvaluationLimits::default() };
        for some in [&metrics[..1], &metrics[..2], &metrics[..]] {
            let batches = store.evaluate(PROJECT, window(60, 60), some, &limits).unwrap();
            check(&all, window(60, 60), some, &batches, cap)?;
        }
    }
}

#[test]
fn a_window_in_memory_follows_events_that_arrive_later_new_texts_and_new_attributes() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock(60);
    let options = EventStoreOptions { merge: true, ..common::options() };
    let store = EventStore::open(&dir.path().join("events.db"), options, clock.clone()).unwrap();
    let window = window(60, 60);
    let mut all = Vec::new();
    // Merges go on meanwhile.
    for i in 0..200i64 {
        let mut attributes = vec![("a", text(&format!("text {}", i % 60))), ("b", Value::Int(i % 7))];
        if i > 100 {
            attributes.push(("late", if i % 2 == 0 { text("5") } else { Value::Int(5) }));
        }
        all.extend(store_groups(&store, &clock, &[(vec![attributes], 0)]));
        let filter = json!([{"a": [["equal", format!("text {}", (i + 3) % 60)]]}, {"b": [["less-than", 5]]}]);
        let queries = [
            json!({"fold": {"_tx": [["count"]], "a": [["unique"]], "late": [["unique"], ["count"]]}}),
            json!({"filter": filter, "group": ["a"], "fold": {"b": [["unique"], ["sum"]]}}),
            json!({"group": ["late", "b"], "fold": {"a": [["unique"]]}}),
        ];
        let metrics = queries.map(|query| metric(&query));
        for metric in metrics.chunks(1) {
            let batches = store.evaluate(PROJECT, window, metric, &EvaluationLimits::default()).unwrap();
            check(&all, window, metric, &batches, 10_000).unwrap();
        }
    }
    assert!(store.stats().merges > 0);
}

#[test]
fn an_evaluation_that_takes_more_memory_than_allowed_fails_with_both_figures() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &clock(60));
    let events = |i: u32| event(&[("id", text(&format!("{i:05}"))), ("n", Value::Int(i.into()))]);
    submit(&store, (0..30_000).map(events).collect());
    let metrics =
        [json!({"fold": {"_tx": [["count"]]}}), json!({"group": ["id", "n"], "fold": {"n": [["sum"], ["first"]]}})];
    let metrics = metrics.map(|query| metric(&query));
    let limits = EvaluationLimits { memory: 2 << 20, ..EvaluationLimits::default() };
    let evaluate = |metrics: &[MetricSpec]| store.evaluate(PROJECT, window(60, 60), metrics, &limits);
    let error = evaluate(&metrics).unwrap_err();
    let SourceError::Memory { budget, needed, .. } = error else { panic!("{error}") };
    assert_eq!(budget, 2 << 20);
    assert!(needed > budget && needed < 20 << 20, "{needed}");
    let told = format!("metric \"m\": evaluating it takes {needed} bytes of memory or more, and 2097152 are allowed");
    assert!(error.to_string().starts_with(&told), "{error}");
    assert_eq!(evaluate(&metrics[..1]).unwrap()[0].measures[0].values, [30_000.0]);
}

#[test]
fn an_evaluation_that_takes_longer_than_allowed_is_stopped_with_the_name_of_the_metric_and_the_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &clock(60));
    submit(&store, (0..1000).map(|i| event(&[("n", Value::Int(i))])).collect());
    let named =
        |name: &str| MetricSpec { name: Name::new(name).unwrap(), ..metric(&json!({"fold": {"n": [["sum"]]}})) };
    let evaluate = |metrics: &[MetricSpec], time: Duration| {
        let limits = EvaluationLimits { time, ..EvaluationLimits::default() };
        store.evaluate(PROJECT, window(60, 60), metrics, &limits)
    };
    let error = evaluate(&[named("slow")], Duration::ZERO).unwrap_err();
    assert_eq!(error, SourceError::Time { metric: "slow".to_owned(), limit: Duration::ZERO });
    let told = "metric \"slow\": evaluating it takes longer than 0 s, which is all the time that it may take";
    assert!(error.to_string().starts_with(told), "{error}");
    // Of several, one is named; none is a zero.
    assert!(matches!(evaluate(&[named("a"), named("b")], Duration::ZERO), Err(SourceError::Time { .. })));
    assert_eq!(evaluate(&[named("a"), named("b")], Duration::from_secs(3600)).unwrap().len(), 2);
}

#[test]
fn metrics_that_take_too_much_memory_together_are_evaluated_apart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &clock(60));
    let events = |i: u32| event(&[("id", text(&format!("{i:05}"))), ("n", Value::Int((i % 9).into()))]);
    submit(&store, (0..20_000).map(events).collect());
    let query = |n: i64| {
        metric(&json!({"filter": [{"n": [["not-equal", n]]}], "group": ["id"], "fold": {"n": [["sum"], ["last"]]}}))
    };
    let metrics: Vec<MetricSpec> = (0..9).map(query).collect();
    let evaluate = |memory: usize| {
        let limits = EvaluationLimits { memory, ..EvaluationLimits::default() };
        store.evaluate(PROJECT, window(60, 60), &metrics, &limits)
    };
    // One takes 2 MB for its groups.
    assert!(matches!(evaluate(1 << 20), Err(SourceError::Memory { .. })));
    assert_eq!(evaluate(6 << 20).unwrap(), evaluate(1 << 30).unwrap());
}

#[test]
fn sums_of_integers_are_exact_where_floats_would_round() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &clock(60));
    let values = [1i64 << 53, 1, 1, -(1 << 53), i64::MAX, -i64::MAX];
    submit(&store, values.map(|v| event(&[("n", Value::Int(v))])).to_vec());
    let batch = common::evaluate(&store, window(60, 60), &json!({"fold": {"n": [["sum"], ["mean"]]}}));
    assert_eq!(rows(&batch), [(vec![], vec![2.0, 2.0 / 6.0])]);
}

#[test]
fn a_sum_that_is_too_great_for_a_number_has_no_value() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &clock(60));
    submit(&store, vec![event(&[("n", Value::Float(f64::MAX))]); 3]);
    let batch = common::evaluate(&store, window(60, 60), &json!({"fold": {"n": [["sum"], ["max"]]}}));
    assert!(batch.measures[0].values[0].is_nan());
    assert_eq!(batch.measures[1].values[0], f64::MAX);
}

#[test]
fn an_empty_window_has_one_row_without_groups_and_none_with_groups() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &clock(60));
    submit(&store, vec![event(&[("a", text("x"))])]);
    let fold = json!({"_tx": [["count"]], "a": [["unique"], ["sum"], ["mean"], ["min"], ["last"]]});
    let batch = common::evaluate(&store, window(600, 60), &json!({"fold": fold}));
    let values: Vec<f64> = batch.measures.iter().map(|m| m.values[0]).collect();
    assert_eq!(values[..3], [0.0; 3]);
    assert!(values[3..].iter().all(|value| value.is_nan()));
    let batch = common::evaluate(&store, window(600, 60), &json!({"group": ["a"], "fold": fold}));
    assert_eq!((batch.rows, batch.measures[0].values.len()), (0, 0));
    assert_eq!(batch.dimensions[0].name, "a");
}

#[test]
fn ten_thousand_and_one_groups_give_ten_thousand_rows_and_the_last_counts_users_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &clock(60));
    let events = |i: u32| event(&[("id", text(&format!("{i:05}"))), ("user", text("the same"))]);
    submit(&store, (0..10_001).map(events).collect());
    let query = json!({"group": ["id"], "fold": {"_tx": [["count"]], "user": [["unique"]]}});
    let batch = common::evaluate(&store, window(60, 60), &query);
    assert_eq!((batch.rows, batch.folded_groups), (10_000, 2));
    let all = rows(&batch);
    assert_eq!(all[9_998], (vec!["09998".to_owned()], vec![1.0, 1.0]));
    assert_eq!(all[9_999], (vec!["other".to_owned()], vec![2.0, 1.0]));
}

#[test]
fn events_are_counted_in_the_window_of_their_arrival_whatever_their_own_timestamp_says() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock(60);
    let store = open(dir.path(), &clock);
    submit(&store, vec![event(&[("timestamp", Value::Int(5))])]);
    clock.set(Instant::from_micros(119_999_999));
    submit(&store, vec![event(&[])]);
    clock.set(Instant::from_seconds(120));
    submit(&store, vec![event(&[])]);
    let query = json!({"fold": {"_tx": [["count"]], "timestamp": [["first"], ["last"]]}});
    assert_eq!(rows(&common::evaluate(&store, window(60, 60), &query)), [(vec![], vec![2.0, 5.0, 119.0])]);
    assert_eq!(rows(&common::evaluate(&store, window(120, 60), &query)), [(vec![], vec![1.0, 120.0, 120.0])]);
}

#[test]
fn what_a_client_calls_tx_does_not_replace_the_number_of_the_event() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &clock(60));
    submit(&store, vec![event(&[("_tx", Value::Int(99))]), event(&[("_tx", text("x"))])]);
    let query = json!({"fold": {"_tx": [["unique"], ["max"], ["sum"]]}});
    assert_eq!(rows(&common::evaluate(&store, window(60, 60), &query)), [(vec![], vec![2.0, 2.0, 3.0])]);
    let names: Vec<_> = store.attributes(PROJECT).unwrap().into_iter().map(|a| a.name).collect();
    assert_eq!(names, ["timestamp"]);
}
