//! Names and values made to break lines, read back by a reader of our own that goes by carbon's rules.

mod common;

use proptest::prelude::*;
use std::collections::BTreeSet;
use tidegate_adapter::testing::{BatchBuilder, MetricBuilder, TestBatch, hostile_texts, large_batch};
use tidegate_adapter::{RejectedRows, Verdict};

/// What a tag says, its codes undone.
fn undone(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let code = rest.strip_prefix('%').and_then(|after| u8::from_str_radix(after.get(..2)?, 16).ok());
        let width = if let Some(byte) = code {
            bytes.push(byte);
            3
        } else {
            bytes.extend_from_slice(&rest.as_bytes()[..first.len_utf8()]);
            first.len_utf8()
        };
        rest = &rest[width..];
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_hostile_value_is_a_tag_that_reads_back_or_a_row_that_is_rejected_by_name() {
    for text in hostile_texts() {
        let delivered = common::tagged().encode(&common::labelled([&text]));
        let points = common::read(&common::text(&delivered)).unwrap();
        if text.chars().count() > 191 {
            assert!(points.is_empty());
            let reason = &delivered.verdict.rejected()[0].reason;
            assert!(reason.contains("the tag d has ") && reason.contains("tag store takes 191"), "{reason}");
            continue;
        }
        assert_eq!(points.len(), 1, "{text:?}");
        let found = points[0].tags.get("d").map(|value| undone(value));
        assert_eq!(found, Some(text.clone()).filter(|text| !text.is_empty()));
    }
}

#[test]
fn hostile_names_of_everything_are_lines_that_carbon_takes() {
    for text in hostile_texts().iter().filter(|text| !text.is_empty() && text.len() < 200) {
        let metric = MetricBuilder::new(text, [text.as_str()]).measure("max", text).row(["v"], [7.0]);
        let batch = BatchBuilder::new(text, text).metric(metric).build();
        for store in [common::tagged(), common::path()] {
            let points = common::read(&common::text(&store.encode(&batch))).unwrap();
            assert!(points.len() == 1 && points[0].value == 7.0, "{text:?}");
        }
    }
}

#[test]
fn a_dimension_called_name_does_not_replace_the_name() {
    let metric = MetricBuilder::new("m", ["name", "project"]).measure("count", "x").row(["a", "b"], [1.0]);
    let text = common::text(&common::tagged().encode(&BatchBuilder::new("p", "s").metric(metric).build()));
    assert_eq!(text, "tidegate.p.s.m.count_x;name_2=a;project_2=b 1 1700000040\n");
}

#[test]
fn names_that_would_become_one_get_numbers_that_do_not_depend_on_the_window() {
    let metric = |name: &str, value: f64| MetricBuilder::new(name, [""; 0]).measure("count", "x").row([""; 0], [value]);
    let both = BatchBuilder::new("p", "s").metric(metric("a.b", 1.0)).metric(metric("a_b", 2.0)).build();
    let one = BatchBuilder::new("p", "s").metric(metric("a.b", f64::NAN)).metric(metric("a_b", 2.0)).build();
    let (both, one) = (common::text(&common::path().encode(&both)), common::text(&common::path().encode(&one)));
    assert_eq!(both, format!("tidegate.p.s.a_b.count_x 1 1700000040\n{one}"));
    assert_eq!(one, "tidegate.p.s.a_b.count_x_2 2 1700000040\n");
}

#[test]
fn values_that_would_have_one_path_are_rejected_from_the_second_on_with_both_named() {
    let delivered = common::path().encode(&common::labelled(["1.2", "1_2", "x", "1 2", "", "_none_"]));
    let text = common::text(&delivered);
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.starts_with("tidegate.p.s.m.count_x.1_2 1 "), "{text}");
    let reason = |other: &str| format!("d=\"1.2\" and d=\"{other}\" would have one path; tags keep them apart");
    let rejected = |row: u32, reason: String| RejectedRows { metric: 0, rows: vec![row], reason };
    let none = "d=\"\" and d=\"_none_\" would have one path; tags keep them apart".to_owned();
    let expected = vec![rejected(5, none), rejected(3, reason("1 2")), rejected(1, reason("1_2"))];
    assert_eq!(delivered.verdict, Verdict::reject_rows(expected));
    let tagged = common::tagged().encode(&common::labelled(["1.2", "1_2", "x", "1 2", "", "_none_"]));
    assert_eq!(tagged.verdict, Verdict::accepted());
}

#[test]
fn rows_that_differ_elsewhere_keep_their_alike_values() {
    let metric = MetricBuilder::new("m", ["a", "b"]).measure("count", "x");
    let metric = metric.row(["1.2", "x"], [1.0]).row(["1_2", "y"], [2.0]).row(["1_2", "x"], [3.0]);
    let delivered = common::path().encode(&BatchBuilder::new("p", "s").metric(metric).build());
    assert_eq!(delivered.verdict.rejected()[0].rows, [2]);
    assert_eq!(common::text(&delivered).lines().count(), 2);
}

#[test]
fn numbers_read_back_as_they_were_and_what_is_none_is_left_out() {
    let values = [0.1 + 0.2, 9_007_199_254_740_993.0, -0.0, 5e-324, f64::MAX, -1.5, 1e21, f64::NAN];
    let metric = MetricBuilder::new("m", ["d"]).measure("last", "x");
    let metric = values.iter().enumerate().fold(metric, |metric, (n, value)| metric.row([n.to_string()], [*value]));
    let delivered = common::tagged().encode(&BatchBuilder::new("p", "s").metric(metric).build());
    let points = common::read(&common::text(&delivered)).unwrap();
    let found: Vec<_> = points.iter().map(|point| point.value).collect();
    assert_eq!(found, values[..7]);
}

#[test]
fn the_same_window_is_the_same_bytes_from_one_row_to_many() {
    for rows in [0, 1, 100_000] {
        let batch = large_batch(rows);
        let (first, second) = (common::tagged().encode(&batch), common::tagged().encode(&batch));
        assert_eq!(first.sent, second.sent);
        assert_eq!(first.verdict, Verdict::accepted());
        let points: usize = first.streams().map(|stream| common::read(stream.text()).unwrap().len()).sum();
        assert_eq!(points, rows);
        assert_eq!(first.sent.is_empty(), rows == 0);
    }
}

/// Texts that lean towards what hurts.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[ab ;=~!^%.0-3/_-]{0,6}",
        1 => "[ab\n\r\t\u{0}\u{7f}\u{85}\u{a0}\u{2003}]{0,5}",
        1 => "\\PC{0,8}",
        1 => "[xé]{180,260}",
    ]
}

/// Name, dimensions and rows.
type Metric = (String, Vec<String>, Vec<(Vec<String>, f64, f64)>);

/// The batch, and the values in it.
fn batch(metrics: &[Metric]) -> (TestBatch, usize) {
    let (mut builder, mut points) = (BatchBuilder::new("p;x", "s s"), 0);
    for (name, dimensions, rows) in metrics {
        let mut metric = MetricBuilder::new(name, dimensions).measure("count", "a.b").measure("max", "a b");
        let mut seen = BTreeSet::new();
        for (labels, one, two) in rows {
            let labels = &labels[..dimensions.len()];
            let value = |v: f64| if v.is_infinite() { f64::NAN } else { v };
            let (one, two) = (value(*one), value(*two));
            if seen.insert(labels.to_vec()) {
                metric = metric.row(labels, [one, two]);
                points += usize::from(!one.is_nan()) + usize::from(!two.is_nan());
            }
        }
        builder = builder.metric(metric);
    }
    (builder.build(), points)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_point_is_lost_unseen_and_no_two_series_become_one(
        metrics in proptest::collection::vec((
            hostile(),
            proptest::collection::vec(hostile(), 0..3),
            proptest::collection::vec((proptest::collection::vec(hostile(), 3), any::<f64>(), any::<f64>()), 0..8),
        ), 1..4),
        is_path in any::<bool>(),
    ) {
        let names: BTreeSet<_> = metrics.iter().map(|(name, ..)| name).collect();
        prop_assume!(names.len() == metrics.len());
        let (batch, points) = batch(&metrics);
        let store = if is_path { common::path() } else { common::tagged() };
        let delivered = store.encode(&batch);
        let found = common::read(&common::text(&delivered)).unwrap();
        let identities: BTreeSet<_> = found.iter().map(common::Point::identity).collect();
        prop_assert_eq!(identities.len(), found.len(), "two series became one");
        prop_assert!(found.iter().all(|point| point.time == 1_700_000_040));
        let rejected: usize = delivered.verdict.rejected().iter().map(|r| r.rows.len()).sum();
        prop_assert!(found.len() <= points && points <= found.len() + 2 * rejected);
        prop_assert!(rejected > 0 || found.len() == points);
    }
}
