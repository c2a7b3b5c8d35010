//! Each limit, met and exceeded.

mod common;

use datadog::{REQUEST_BYTES, TAG_CHARS, TAGS};
use std::io::Write;
use tidegate_adapter::testing::{BatchBuilder, MetricBuilder, TestBatch};
use tidegate_adapter::{RejectedRows, Verdict};

/// The limits of Datadog's documentation for v2.
const COMPRESSED: usize = 512_000;
const UNPACKED: usize = 5_242_880;

#[test]
fn no_request_is_too_large_and_no_series_is_lost_between_requests() {
    let delivered = common::v2().deliver(&common::rows(100_000), |_| common::accepted());
    assert_eq!(delivered.verdict, Verdict::accepted());
    let lengths: Vec<u64> = delivered.requests().map(|request| request.body.len() as u64).collect();
    assert!(lengths.iter().all(|len| *len <= REQUEST_BYTES), "{lengths:?}");
    let (_, full) = lengths.split_last().unwrap();
    assert!(full.iter().all(|len| *len > REQUEST_BYTES - 500), "{lengths:?}");
    assert_eq!(common::stored(&delivered).len(), 100_000);
}

#[test]
fn a_body_that_gzip_cannot_shorten_is_still_within_both_limits() {
    // Letters in an order that no compressor can guess, from a generator with known constants.
    let mut state = 1_u64;
    let mut noise = || -> String {
        let letters = b"abcdefghijklmnopqrstuvwxyz0123456789.-/";
        let mut letter = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            letters[(state >> 33) as usize % letters.len()] as char
        };
        (0..190).map(|_| letter()).collect()
    };
    let metric = MetricBuilder::new("m", ["a", "b", "c"]).measure("count", "_tx");
    let metric = (0..3_000).fold(metric, |metric, _| metric.row([noise(), noise(), noise()], [1.0]));
    let delivered = common::v2().deliver(&BatchBuilder::new("p", "s").metric(metric).build(), |_| common::accepted());
    assert!(delivered.sent.len() > 3);
    for request in delivered.requests() {
        // Stored blocks are the most that gzip ever makes of a body.
        let mut stored = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        stored.write_all(&request.body).unwrap();
        let stored = stored.finish().unwrap().len();
        assert!(stored <= COMPRESSED && request.body.len() <= UNPACKED, "{stored}");
    }
}

#[test]
fn more_than_one_delivery_may_carry_is_asked_for_in_halves() {
    let metric = MetricBuilder::new("errors", ["n"]).measure("count", "_tx").measure("sum", "x");
    let long = "x".repeat(180);
    let metric = (0..60_000).fold(metric, |metric, n| metric.row([format!("{n}{long}")], [1.0, 2.0]));
    let delivered = common::v2().encode(&BatchBuilder::new("p", "s").metric(metric).build());
    assert!(delivered.sent.is_empty());
    let told = "more than 64 requests of 500000 bytes, and one delivery takes that many";
    assert_eq!(delivered.verdict, Verdict::split(told));
}

/// A batch of two rows; the first has `tags` tags in all, the second two fewer.
fn with_tags(tags: usize) -> TestBatch {
    let dimensions: Vec<String> = (0..tags - 2).map(|n| format!("d{n}")).collect();
    let metric = MetricBuilder::new("m", &dimensions).measure("count", "_tx");
    let mut fewer = vec!["x"; tags - 2];
    fewer[0] = "";
    fewer[1] = "";
    BatchBuilder::new("p", "s").metric(metric.row(vec!["x"; tags - 2], [1.0]).row(fewer, [2.0])).build()
}

#[test]
fn a_series_with_as_many_tags_as_are_taken_is_sent() {
    let delivered = common::v2().deliver(&with_tags(TAGS), |_| common::accepted());
    assert_eq!(delivered.verdict, Verdict::accepted());
    let counts: Vec<usize> = common::series(&delivered).iter().map(|series| series.tags.len()).collect();
    assert_eq!(counts, [100, 98]);
}

#[test]
fn a_series_with_more_tags_is_rejected_by_name_and_the_others_are_sent() {
    let delivered = common::v2().deliver(&with_tags(TAGS + 1), |_| common::accepted());
    let reason = "101 tags, and a series may have 100".to_owned();
    assert_eq!(delivered.verdict, Verdict::reject_rows(vec![RejectedRows { metric: 0, rows: vec![0], reason }]));
    assert_eq!(common::series(&delivered).len(), 1);
}

#[test]
fn a_tag_of_the_longest_length_stays_and_a_longer_one_is_cut_and_stays_apart() {
    let fits = "x".repeat(TAG_CHARS - "d:".len());
    let (one, two) = (format!("{fits}1"), format!("{fits}2"));
    let metric = MetricBuilder::new("m", ["d"]).measure("count", "_tx");
    let metric = [&fits, &one, &two].into_iter().fold(metric, |metric, value| metric.row([value], [1.0]));
    let delivered = common::v2().deliver(&BatchBuilder::new("p", "s").metric(metric).build(), |_| common::accepted());
    let series = common::series(&delivered);
    let values: Vec<_> = series.iter().map(|series| series.tag("d").unwrap()).collect();
    assert_eq!(values[0], fits);
    assert!(values[1] != values[2] && values[1].len() < values[0].len(), "{values:?}");
    assert!(series.iter().flat_map(|s| &s.tags).all(|tag| tag.chars().count() <= TAG_CHARS));
    // Alone in a later window it is the same.
    let later = MetricBuilder::new("m", ["d"]).measure("count", "_tx").row([&two], [1.0]);
    let later = common::v2().deliver(&BatchBuilder::new("p", "s").metric(later).build(), |_| common::accepted());
    assert_eq!(common::series(&later)[0].tag("d"), Some(values[2]));
}
