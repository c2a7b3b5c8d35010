//! Each limit, met and exceeded.

mod common;

use circonus::{METRICS_PER_REQUEST, NAME_BYTES, REQUEST_BYTES, TAGS};
use tidegate_adapter::testing::{BatchBuilder, MetricBuilder, TestBatch};
use tidegate_adapter::{RejectedRows, Verdict};

#[test]
fn a_submission_has_no_more_metrics_than_its_limit_and_none_is_lost_between_submissions() {
    let delivered = common::delivered(&common::push(), &common::rows(12_001));
    let counts: Vec<_> = delivered.requests().map(|request| common::read(request.text()).len() as u64).collect();
    assert_eq!(counts, [METRICS_PER_REQUEST, METRICS_PER_REQUEST, 2_001]);
    let labels: std::collections::BTreeSet<_> =
        common::all(&delivered).into_iter().map(|k| k.tags["n"].clone()).collect();
    assert_eq!(labels.len(), 12_001);
    assert_eq!(common::delivered(&common::push(), &common::rows(5_000)).sent.len(), 1);
}

#[test]
fn a_submission_of_long_names_ends_before_its_metrics_are_full() {
    let labels = ["x".repeat(200), "y".repeat(200), "z".repeat(200)];
    let metric = MetricBuilder::new("m", ["n", "a", "b", "c"]).measure("count", "_tx");
    let row = |n: usize| [n.to_string(), labels[0].clone(), labels[1].clone(), labels[2].clone()];
    let metric = (0..4_000).fold(metric, |metric, n| metric.row(row(n), [1.0]));
    let delivered = common::delivered(&common::push(), &BatchBuilder::new("p", "s").metric(metric).build());
    let lengths: Vec<u64> = delivered.requests().map(|request| request.body.len() as u64).collect();
    assert!(lengths.len() == 3 && lengths.iter().all(|len| *len <= REQUEST_BYTES), "{lengths:?}");
    assert!(lengths[0] > REQUEST_BYTES - 2_000, "{lengths:?}");
    assert_eq!(common::all(&delivered).len(), 4_000);
}

#[test]
fn a_hundred_thousand_rows_are_one_delivery_and_more_than_that_may_carry_is_asked_for_in_halves() {
    let delivered = common::delivered(&common::push(), &common::rows(100_000));
    assert_eq!((delivered.sent.len(), delivered.verdict), (20, Verdict::accepted()));
    let delivered = common::push().encode(&common::rows(320_001));
    assert!(delivered.sent.is_empty());
    let told = format!("{:?}", delivered.verdict);
    assert!(told.contains("Split(\"more than 64 submissions of "), "{told}");
}

/// A batch of two rows; the first has a name with tags of `bytes` bytes as the broker reads it.
fn with_name_of(bytes: usize) -> TestBatch {
    let dimensions: Vec<String> = (0..20).map(|n| format!("d{n:02}")).collect();
    let fixed = "p`s`m`count__tx|ST[]".len();
    // Pairs are `d00:` and a value, with commas between them.
    let rest = bytes - fixed - 20 * "d00:".len() - 19;
    let mut labels: Vec<String> = (0..20).map(|_| "x".repeat(rest / 20)).collect();
    labels[0] += &"x".repeat(rest % 20);
    let metric = MetricBuilder::new("m", &dimensions).measure("count", "_tx").row(&labels, [1.0]);
    BatchBuilder::new("p", "s").metric(metric.row(vec!["y"; 20], [2.0])).build()
}

#[test]
fn a_name_of_the_longest_length_is_sent() {
    let delivered = common::delivered(&common::push(), &with_name_of(NAME_BYTES));
    assert_eq!(delivered.verdict, Verdict::accepted());
    assert!(delivered.requests().next().unwrap().text().split('"').any(|key| key.len() == NAME_BYTES));
    assert_eq!(common::all(&delivered).len(), 2);
}

#[test]
fn a_row_with_a_longer_name_is_rejected_by_name_and_the_others_are_sent() {
    let delivered = common::delivered(&common::push(), &with_name_of(NAME_BYTES + 1));
    let reason = "name with tags longer than the 4095 bytes that Circonus takes".to_owned();
    assert_eq!(delivered.verdict, Verdict::reject_rows(vec![RejectedRows { metric: 0, rows: vec![0], reason }]));
    assert_eq!(common::all(&delivered).len(), 1);
}

#[test]
fn a_broker_that_polls_is_told_how_many_series_are_left_out() {
    for (bytes, left_out) in [(NAME_BYTES, 0.0), (NAME_BYTES + 1, 1.0)] {
        let page = common::pull().render(&[with_name_of(bytes)], &[]).unwrap();
        let found = common::read(page.text());
        let value = |name: &str| found.iter().find(|kept| kept.name == name).unwrap().value;
        assert_eq!(value("tidegate`left_out"), left_out);
    }
}

/// A batch of two rows; the first has so many tags.
fn with_tags(tags: usize) -> TestBatch {
    let dimensions: Vec<String> = (0..tags).map(|n| format!("{n}")).collect();
    let metric = MetricBuilder::new("m", &dimensions).measure("count", "_tx").row(vec!["x"; tags], [1.0]);
    let mut fewer = vec![""; tags];
    fewer[0] = "x";
    BatchBuilder::new("p", "s").metric(metric.row(fewer, [2.0])).build()
}

#[test]
fn as_many_tags_as_the_broker_takes_are_sent_and_a_row_with_more_is_rejected_by_name() {
    let delivered = common::delivered(&common::push(), &with_tags(TAGS));
    assert_eq!(delivered.verdict, Verdict::accepted());
    assert_eq!(common::all(&delivered).iter().map(|kept| kept.tags.len()).max(), Some(TAGS));
    let delivered = common::delivered(&common::push(), &with_tags(TAGS + 1));
    let reason = "257 tags, and Circonus takes 256".to_owned();
    assert_eq!(delivered.verdict, Verdict::reject_rows(vec![RejectedRows { metric: 0, rows: vec![0], reason }]));
    assert_eq!(common::all(&delivered).len(), 1);
}

#[test]
fn a_long_tag_is_cut_stays_apart_and_is_the_same_in_another_window() {
    let (one, two) = (format!("{}1", "ü".repeat(5_000)), format!("{}2", "ü".repeat(5_000)));
    let found = |values: &[&String]| {
        let metric = MetricBuilder::new("m", ["d"]).measure("count", "_tx");
        let metric = values.iter().fold(metric, |metric, value| metric.row([value], [1.0]));
        let batch = BatchBuilder::new("p", "s").metric(metric).build();
        common::all(&common::delivered(&common::push(), &batch))
            .into_iter()
            .map(|k| k.tags["d"].clone())
            .collect::<Vec<_>>()
    };
    let both = found(&[&one, &two]);
    assert_ne!(both[0], both[1]);
    let alone = found(&[&two]);
    assert!(both.contains(&alone[0]), "{alone:?}");
}
