//! Names and values made to void the page, read back by a strict reader of the format.

mod common;

use common::{Sample, read, read_openmetrics};
use prometheus::Prometheus;
use proptest::prelude::*;
use std::collections::BTreeSet;
use tidegate_adapter::testing::{BatchBuilder, MetricBuilder, PullStore, TestBatch, hostile_texts, large_batch};

fn samples(batches: &[TestBatch]) -> Vec<Sample> {
    let page = PullStore::<Prometheus>::new([]).render(batches, &[]).unwrap();
    let samples = read(page.text()).unwrap_or_else(|rule| panic!("{rule}\n{}", page.text()));
    samples.into_iter().filter(|s| s.name != "tidegate_window_end_timestamp_seconds").collect()
}

/// The same from a page of OpenMetrics.
fn open_samples(batches: &[TestBatch]) -> Vec<Sample> {
    let store = PullStore::<Prometheus>::new([("openmetrics", "true")]);
    let page = store.render(batches, &[("Accept", "application/openmetrics-text; version=1.0.0")]).unwrap();
    let samples = read_openmetrics(page.text()).unwrap_or_else(|rule| panic!("{rule}\n{}", page.text()));
    samples.into_iter().filter(|s| s.name != "tidegate_window_end_timestamp_seconds").collect()
}

fn names(batches: &[TestBatch]) -> Vec<String> {
    samples(batches).into_iter().map(|sample| sample.name).collect()
}

fn one(metric: &str, attribute: &str) -> MetricBuilder {
    MetricBuilder::new(metric, [""; 0]).measure("max", attribute).row([""; 0], [1.0])
}

#[test]
fn names_are_made_legal() {
    let table = [
        ("errors", "_tx", "errors_max_tx"),
        ("all errors", "app.version", "all_errors_max_app_version"),
        ("404s", "x", "_404s_max_x"),
        ("a::b", "x-y", "a_b_max_x_y"),
        ("größe", "x", "gr_e_max_x"),
        ("错误", "数", "_max_"),
        ("__name__", "", "_name_max_"),
    ];
    for (metric, attribute, expected) in table {
        let batch = BatchBuilder::new("p", "s").metric(one(metric, attribute)).build();
        assert_eq!(names(&[batch]), [expected], "{metric:?}");
    }
}

#[test]
fn metrics_whose_names_become_alike_get_numbers_and_the_legal_one_keeps_its_name() {
    let set = BatchBuilder::new("p", "s").metric(one("a.b", "x")).metric(one("a-b", "x")).metric(one("a_b", "x"));
    assert_eq!(names(&[set.build()]), ["a_b_max_x", "a_b_max_x_2", "a_b_max_x_3"]);
}

#[test]
fn in_openmetrics_a_gauge_is_called_otherwise_than_the_counter_beside_it_and_than_all_that_counters_may_have() {
    let counted = MetricBuilder::new("m", [""; 0]).measure("count", "x").measure("max", "x");
    let counted = counted.row_with_totals([""; 0], [1.0, 9.0], [5.0, 0.0]);
    let gauge = |attribute: &str| MetricBuilder::new("m.count", [""; 0]).measure("x", attribute).row([""; 0], [2.0]);
    let set = BatchBuilder::new("p", "s").metric(counted).metric(gauge("created")).metric(gauge("window"));
    let names: Vec<_> = open_samples(&[set.build()]).into_iter().map(|sample| sample.name).collect();
    assert_eq!(names, ["m_count_x_created_2", "m_count_x_total", "m_count_x_window", "m_count_x_window_2", "m_max_x"]);
}

#[test]
fn a_sum_below_zero_is_no_counter_in_openmetrics_and_keeps_its_name() {
    let metric = |set: &str, total: f64| {
        let metric = MetricBuilder::new("m", [""; 0]).measure("sum", "x").row_with_totals([""; 0], [1.0], [total]);
        BatchBuilder::new("p", set).metric(metric).build()
    };
    let totals: Vec<_> =
        open_samples(&[metric("a", 4.0), metric("b", -4.0)]).into_iter().map(|s| (s.name, s.value)).collect();
    let expected = [("m_sum_x_total", 4.0), ("m_sum_x_total", -4.0), ("m_sum_x_window", 1.0), ("m_sum_x_window", 1.0)];
    assert_eq!(totals, expected.map(|(name, value)| (name.to_owned(), value)));
}

#[test]
fn a_gauge_cannot_take_the_name_of_a_counter_or_of_the_window_end() {
    let counted = MetricBuilder::new("m", [""; 0]).measure("count", "x").row_with_totals([""; 0], [1.0], [5.0]);
    let gauge = MetricBuilder::new("m.count", [""; 0]).measure("x", "total").row([""; 0], [2.0]);
    let set = BatchBuilder::new("p", "s").metric(counted).metric(gauge).build();
    assert_eq!(names(&[set]), ["m_count_x", "m_count_x_total", "m_count_x_total_2"]);
    let end = MetricBuilder::new("tidegate", [""; 0]).measure("window", "end.timestamp.seconds").row([""; 0], [2.0]);
    let set = BatchBuilder::new("p", "s").metric(end).build();
    assert_eq!(names(&[set]), ["tidegate_window_end_timestamp_seconds_2"]);
}

#[test]
fn the_same_metric_in_two_sets_is_one_family_in_one_piece() {
    let sets = ["a", "b"].map(|set| BatchBuilder::new("p", set).metric(one("m", "x")).metric(one("n", "x")).build());
    assert_eq!(names(&sets), ["m_max_x", "m_max_x", "n_max_x", "n_max_x"]);
}

#[test]
fn dimensions_that_become_alike_get_numbers_in_their_order() {
    let dimensions = ["a.b", "a-b", "project", "metric_set", "9", "__name__", "国", "__"];
    let labels = ["1", "2", "3", "4", "5", "6", "7", "8"];
    let metric = MetricBuilder::new("m", dimensions).measure("max", "x").row(labels, [1.0]);
    let samples = samples(&[BatchBuilder::new("p", "s").metric(metric).build()]);
    let labels: Vec<_> = samples[0].labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let expected = [
        ("_9", "5"),
        ("_name_", "6"),
        ("a_b", "1"),
        ("a_b_2", "2"),
        ("dimension", "7"),
        ("dimension_2", "8"),
        ("metric_set", "s"),
        ("metric_set_2", "4"),
        ("project", "p"),
        ("project_2", "3"),
    ];
    assert_eq!(labels, expected);
}

#[test]
fn a_measure_that_is_asked_for_twice_is_two_families() {
    let metric = MetricBuilder::new("m", [""; 0]).measure("max", "x").measure("max", "x").row([""; 0], [1.0, 1.0]);
    assert_eq!(names(&[BatchBuilder::new("p", "s").metric(metric).build()]), ["m_max_x", "m_max_x_2"]);
}

#[test]
fn values_that_differ_in_a_zero_character_stay_different() {
    let metric = MetricBuilder::new("m", ["d"]).measure("max", "x").row(["a\0"], [1.0]).row(["a\u{fffd}"], [2.0]);
    let samples = samples(&[BatchBuilder::new("p", "s").metric(metric).build()]);
    let values: Vec<_> = samples.iter().map(|s| (s.labels["d"].as_str(), s.value)).collect();
    assert_eq!(values, [("a\u{fffd}_2", 1.0), ("a\u{fffd}", 2.0)]);
}

#[test]
fn series_of_earlier_windows_are_counters_only() {
    let metric = MetricBuilder::new("m", ["d"])
        .measure("count", "x")
        .row_with_totals(["now"], [1.0], [4.0])
        .past_row(["then"], [9.0]);
    let samples = samples(&[BatchBuilder::new("p", "s").metric(metric).build()]);
    let found: Vec<_> = samples.iter().map(|s| (s.name.as_str(), s.labels["d"].as_str(), s.value)).collect();
    assert_eq!(found, [("m_count_x", "now", 1.0), ("m_count_x_total", "now", 4.0), ("m_count_x_total", "then", 9.0)]);
}

#[test]
fn hostile_texts_in_every_place_stay_apart_and_within_the_rules() {
    let texts = hostile_texts();
    let named: Vec<&String> = texts.iter().filter(|text| !text.is_empty()).collect();
    let mut batch = BatchBuilder::new("p", "s");
    for name in &named {
        let metric = MetricBuilder::new(name, [name.as_str()]).measure("max", name);
        batch = batch.metric(texts.iter().fold(metric, |metric, text| metric.row([text], [1.0])));
    }
    let expected = named.len() * texts.len();
    let batch = [batch.build()];
    // Both readers refuse a series that is there twice.
    assert_eq!((samples(&batch).len(), open_samples(&batch).len()), (expected, expected));
}

#[test]
fn a_hundred_thousand_series_are_one_page_in_either_format() {
    let batch = [large_batch(100_000)];
    assert_eq!((samples(&batch).len(), open_samples(&batch).len()), (100_000, 100_000));
}

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-c.\\- ,={}\\\\\"#_\n]{0,6}",
        1 => "[ab_2\u{0}\u{fffd}\r]{0,4}",
        1 => "\\PC{0,8}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_value_is_on_the_page_once_and_labels_read_back_as_they_were(
        metrics in proptest::collection::btree_map(hostile(), (
            proptest::collection::vec(hostile(), 0..3),
            proptest::collection::vec((hostile(), any::<bool>()), 1..3),
            proptest::collection::btree_set(proptest::collection::vec(hostile(), 3), 1..4),
        ), 1..4),
        value in any::<f64>(),
    ) {
        let value = if value.is_finite() { value } else { 0.5 };
        let mut set = BatchBuilder::new("p\"\\", "s");
        let mut expected = 0;
        let mut texts = BTreeSet::new();
        for (name, (dimensions, measures, rows)) in &metrics {
            let mut metric = MetricBuilder::new(name, dimensions);
            for (attribute, counted) in measures {
                metric = metric.measure(if *counted { "count" } else { "min" }, attribute);
            }
            let rows: BTreeSet<_> = rows.iter().map(|row| row[..dimensions.len()].to_vec()).collect();
            for row in &rows {
                metric = metric.row_with_totals(row, measures.iter().map(|_| value), measures.iter().map(|_| value));
                expected += measures.iter().map(|(_, counted)| if *counted { 2 } else { 1 }).sum::<usize>();
                texts.extend(row.iter().filter(|text| !text.is_empty() && !text.contains('\0')).cloned());
            }
            set = set.metric(metric);
        }
        let set = [set.build()];
        let samples = samples(&set);
        prop_assert_eq!(open_samples(&set).len(), expected);
        prop_assert_eq!(samples.len(), expected);
        for sample in &samples {
            prop_assert_eq!(sample.value, value);
            prop_assert_eq!(sample.labels["project"].as_str(), "p\"\\");
        }
        let shown: BTreeSet<_> = samples.iter().flat_map(|s| s.labels.values().cloned()).collect();
        for text in texts {
            prop_assert!(shown.contains(&text), "{text:?} is not on the page");
        }
    }
}
