//! Each limit, met and exceeded.

mod common;

use influxdb::{POINTS_PER_REQUEST, REQUEST_BYTES, SERIES_KEY_BYTES};
use tidegate_adapter::testing::{BatchBuilder, MetricBuilder};
use tidegate_adapter::{RejectedRows, Verdict};

#[test]
fn a_request_has_no_more_points_than_advised_and_none_is_lost_between_requests() {
    let delivered = common::two().encode(&common::rows(12_001));
    let counts: Vec<_> = delivered.sent.iter().map(common::points).collect();
    assert_eq!(counts, [5_000, 5_000, 2_001]);
    assert_eq!(counts[0] as u64, POINTS_PER_REQUEST);
    let body = common::body(&delivered);
    for n in [0, 4_999, 5_000, 9_999, 10_000, 12_000] {
        assert!(
            body.contains(&format!("errors,metric_set=crashes,n=r{n},project=web count__tx=1 1700000040\n")),
            "{n}"
        );
    }
}

#[test]
fn exactly_a_full_request_is_one_request() {
    assert_eq!(common::two().encode(&common::rows(5_000)).sent.len(), 1);
}

#[test]
fn a_request_of_long_lines_ends_before_its_points_are_full() {
    let long = "x".repeat(60_000);
    let metric = MetricBuilder::new("m", ["n"]).measure("count", "_tx");
    let metric = (0..400).fold(metric, |metric, n| metric.row([format!("{n}{long}")], [1.0]));
    let delivered = common::two().encode(&BatchBuilder::new("p", "s").metric(metric).build());
    assert_eq!(delivered.verdict, Verdict::accepted());
    assert_eq!(delivered.sent.iter().map(common::points).sum::<usize>(), 400);
    let lengths: Vec<_> = delivered.requests().map(|request| request.body.len() as u64).collect();
    assert_eq!(lengths.len(), 3);
    assert!(lengths.iter().all(|len| *len < REQUEST_BYTES + 70_000), "{lengths:?}");
}

#[test]
fn more_than_one_delivery_may_carry_is_asked_for_in_halves() {
    let delivered = common::two().encode(&common::rows(320_001));
    assert!(delivered.sent.is_empty());
    assert_eq!(delivered.verdict, Verdict::split("320001 points, and one delivery takes 320000"));

    let long = "x".repeat(60_000);
    let metric = MetricBuilder::new("m", ["n"]).measure("count", "_tx");
    let metric = (0..1_200).fold(metric, |metric, n| metric.row([format!("{n}{long}")], [1.0]));
    let delivered = common::two().encode(&BatchBuilder::new("p", "s").metric(metric).build());
    assert!(delivered.sent.is_empty());
    let told = format!("{:?}", delivered.verdict);
    assert!(told.contains("Split") && told.contains("bytes for one delivery"), "{told}");
}

/// A batch of three rows, the second with a series key and field key of `length` bytes together as the server counts.
fn with_key_of(length: usize) -> tidegate_adapter::testing::TestBatch {
    let rest = "m,d=".len() + ",metric_set=s,project=p".len() + 4 + "count__tx".len();
    let long = "x".repeat(length - rest);
    let metric = MetricBuilder::new("m", ["d"]).measure("count", "_tx");
    BatchBuilder::new("p", "s").metric(metric.row(["a"], [1.0]).row([long.as_str()], [2.0]).row(["b"], [3.0])).build()
}

#[test]
fn a_series_key_of_the_longest_length_is_sent() {
    let delivered = common::one().encode(&with_key_of(SERIES_KEY_BYTES));
    assert_eq!(delivered.verdict, Verdict::accepted());
    assert_eq!(common::points(&delivered.sent[0]), 3);
}

#[test]
fn a_row_with_a_longer_series_key_is_rejected_by_name_and_the_others_are_sent() {
    let delivered = common::one().encode(&with_key_of(SERIES_KEY_BYTES + 1));
    let reason = "series key longer than the 65535 bytes that InfluxDB takes".to_owned();
    assert_eq!(delivered.verdict, Verdict::reject_rows(vec![RejectedRows { metric: 0, rows: vec![1], reason }]));
    let sent = common::body(&delivered);
    assert!(sent.contains("d=a,") && sent.contains("d=b,") && sent.lines().count() == 2);
}

#[test]
fn escapes_count_towards_the_series_key() {
    let value = ",".repeat(40_000);
    let metric = MetricBuilder::new("m", ["d"]).measure("count", "_tx").row([value.as_str()], [1.0]);
    let delivered = common::one().encode(&BatchBuilder::new("p", "s").metric(metric).build());
    assert_eq!(delivered.verdict.rejected().len(), 1);
    assert!(delivered.sent.is_empty());
}
