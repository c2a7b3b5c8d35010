//! Names and values made to break JSON and Graphite's tags, read back by a strict reader of our own.

mod common;

use common::Point;
use proptest::prelude::*;
use std::collections::BTreeSet;
use tidegate_adapter::Verdict;
use tidegate_adapter::testing::{BatchBuilder, MetricBuilder, hostile_texts, large_batch};

#[test]
fn a_hostile_value_is_a_tag_and_stays_what_it_was_where_that_is_possible() {
    for text in hostile_texts() {
        let delivered = common::shared().encode(&common::labelled([&text]));
        let points = common::points(&delivered);
        assert_eq!((points.len(), &delivered.verdict), (1, &Verdict::accepted()), "{text:?}");
        let may_stay = !text.contains([';', '%']) && !text.starts_with('~') && !text.contains(char::is_control);
        if may_stay {
            assert_eq!(points[0].tag("d").unwrap_or_default(), text);
        }
        assert_eq!(points[0].tags.is_empty(), text.is_empty());
    }
}

#[test]
fn hostile_names_of_everything_are_points_that_are_taken() {
    for text in hostile_texts().iter().filter(|text| !text.is_empty() && text.len() < 200) {
        let metric = MetricBuilder::new(text, [text.as_str()]).measure("max", text).row(["v"], [7.0]);
        let batch = BatchBuilder::new(text, text).metric(metric).build();
        let points = common::points(&common::shared().encode(&batch));
        assert!(points.len() == 1 && points[0].value == 7.0, "{text:?}");
    }
}

#[test]
fn attributes_become_labels_and_two_that_would_be_one_get_numbers() {
    let names = ["app.version", "app_version", "1st", "name", "project", "__x"];
    let metric = MetricBuilder::new("m", names).measure("count", "x").row(["a", "b", "c", "d", "e", "f"], [1.0]);
    let points = common::points(&common::shared().encode(&BatchBuilder::new("p", "s").metric(metric).build()));
    let expected = ["app_version=a", "app_version_2=b", "_1st=c", "name_2=d", "project_2=e", "tag__x=f"];
    assert_eq!(points[0].tags, expected.into_iter().map(str::to_owned).collect());
}

#[test]
fn the_first_tag_has_no_comma_whichever_values_are_there() {
    let metric = MetricBuilder::new("m", ["a", "b", "c"]).measure("count", "x");
    let rows = [["", "", ""], ["", "", "3"], ["", "2", ""], ["1", "", "3"], ["1", "2", "3"]];
    let metric = rows.iter().fold(metric, |metric, labels| metric.row(labels, [1.0]));
    let batch = BatchBuilder::new("p", "s").metric(metric).build();
    let counts: Vec<_> =
        common::points(&common::shared().encode(&batch)).iter().map(|point| point.tags.len()).collect();
    assert_eq!(counts, [0, 1, 1, 2, 3]);
    let named = common::store(&[("instance_id", "1"), ("naming", "{metric}.{aggregate}.{attribute}")]);
    let counts: Vec<_> = common::points(&named.encode(&batch)).iter().map(|point| point.tags.len()).collect();
    assert_eq!(counts, [2, 3, 3, 4, 5]);
}

#[test]
fn numbers_read_back_as_they_were_and_what_is_none_is_left_out() {
    let values = [0.1 + 0.2, 9_007_199_254_740_993.0, -0.0, 5e-324, f64::MAX, -1.5, 1e21, f64::NAN];
    let metric = MetricBuilder::new("m", ["d"]).measure("last", "x");
    let metric = values.iter().enumerate().fold(metric, |metric, (n, value)| metric.row([n.to_string()], [*value]));
    let points = common::points(&common::shared().encode(&BatchBuilder::new("p", "s").metric(metric).build()));
    assert_eq!(points.iter().map(|point| point.value).collect::<Vec<_>>(), values[..7]);
}

#[test]
fn the_same_window_is_the_same_bytes_from_one_row_to_as_many_as_a_delivery_takes() {
    for rows in [0, 1, 64_000] {
        let batch = large_batch(rows);
        let (first, second) = (common::shared().encode(&batch), common::shared().encode(&batch));
        assert_eq!(first.sent, second.sent);
        assert_eq!((common::points(&first).len(), first.sent.is_empty()), (rows, rows == 0));
    }
}

/// Texts that lean towards what hurts.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[ab \"\\\\;=~!^%.0-3,_]{0,6}",
        1 => "[ab\n\r\t\u{0}\u{7f}\u{85}\u{a0}]{0,5}",
        1 => "\\PC{0,8}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_point_is_lost_and_no_two_series_become_one(
        names in proptest::collection::btree_set(hostile(), 1..4),
        dimensions in proptest::collection::vec(hostile(), 0..4),
        seeds in proptest::collection::vec((proptest::collection::vec(hostile(), 4), any::<f64>(), any::<f64>()), 0..8),
    ) {
        let mut batch = BatchBuilder::new("p\"x", "s;s");
        let mut expected = Vec::new();
        for name in &names {
            let mut metric = MetricBuilder::new(name, &dimensions).measure("count", "a.b").measure("max", "a b");
            let mut seen = BTreeSet::new();
            for (labels, one, two) in &seeds {
                let labels = &labels[..dimensions.len()];
                let value = |v: &f64| if v.is_infinite() { f64::NAN } else { *v };
                if seen.insert(labels.to_vec()) {
                    metric = metric.row(labels, [value(one), value(two)]);
                    expected.extend([value(one), value(two)].into_iter().filter(|value| !value.is_nan()));
                }
            }
            batch = batch.metric(metric);
        }
        let delivered = common::shared().encode(&batch.build());
        let points = common::points(&delivered);
        prop_assert_eq!(&delivered.verdict, &Verdict::accepted());
        prop_assert_eq!(points.iter().map(|point| point.value).collect::<Vec<_>>(), expected);
        let series: BTreeSet<_> = points.iter().map(|Point { name, tags, .. }| (name, tags)).collect();
        prop_assert_eq!(series.len(), points.len(), "two series became one");
    }
}
