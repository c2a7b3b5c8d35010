//! Each limit, met and exceeded.

mod common;

use graphite::{LINE_BYTES, NODE_BYTES, STREAM_BYTES, TAG_CHARS};
use tidegate_adapter::testing::{BatchBuilder, Delivered, MetricBuilder, TestBatch, large_batch};
use tidegate_adapter::{MAX_ACTIONS, Verdict};

/// The reason for which exactly `row` was rejected.
fn rejected(delivered: &Delivered, row: u32) -> &str {
    let [group] = delivered.verdict.rejected() else { panic!("{:?}", delivered.verdict) };
    assert_eq!((group.metric, group.rows.as_slice()), (0, [row].as_slice()));
    &group.reason
}

#[test]
fn a_tag_of_191_characters_is_sent_and_one_of_192_is_rejected_by_name() {
    let (fits, exceeds) = ("é".repeat(TAG_CHARS), "é".repeat(TAG_CHARS + 1));
    let delivered = common::tagged().encode(&common::labelled(["a", &fits, "b"]));
    assert_eq!(delivered.verdict, Verdict::accepted());
    let delivered = common::tagged().encode(&common::labelled(["a", &exceeds, "b"]));
    let told = format!("the tag d has 192 characters ({}…), and Graphite's tag store takes 191", "é".repeat(40));
    assert_eq!(rejected(&delivered, 1), told);
    assert_eq!(common::read(&common::text(&delivered)).unwrap().len(), 2);
}

#[test]
fn codes_count_towards_the_length_of_a_tag() {
    let delivered = common::tagged().encode(&common::labelled([" ".repeat(63), " ".repeat(64)]));
    assert!(rejected(&delivered, 1).contains("192 characters"));
}

#[test]
fn a_tag_key_of_191_characters_is_sent_and_of_a_longer_one_only_the_rows_without_it() {
    let with = |length: usize| {
        let metric =
            MetricBuilder::new("m", ["k".repeat(length)]).measure("count", "x").row([""], [1.0]).row(["a"], [2.0]);
        common::tagged().encode(&BatchBuilder::new("p", "s").metric(metric).build())
    };
    assert_eq!(with(TAG_CHARS).verdict, Verdict::accepted());
    let delivered = with(TAG_CHARS + 1);
    assert!(rejected(&delivered, 1).starts_with("the tag key has 192 characters (kkk"));
    assert_eq!(common::text(&delivered), "tidegate.p.s.m.count_x 1 1700000040\n");
}

/// One row of a metric whose series is called `tidegate.p.s.NAME.count_x`, `length` characters in all.
fn named(length: usize) -> TestBatch {
    let name = "n".repeat(length - "tidegate.p.s..count_x".len());
    let metric = MetricBuilder::new(&name, ["d"]).measure("count", "x").row(["v"], [1.0]);
    BatchBuilder::new("p", "s").metric(metric).build()
}

#[test]
fn a_name_beside_tags_may_have_191_characters_and_a_path_more() {
    assert_eq!(common::tagged().encode(&named(TAG_CHARS)).verdict, Verdict::accepted());
    let delivered = common::tagged().encode(&named(TAG_CHARS + 1));
    assert!(rejected(&delivered, 0).contains("its name has 192 characters (tidegate.p.s.nnn"));
    assert_eq!(common::path().encode(&named(TAG_CHARS + 1)).verdict, Verdict::accepted());
}

#[test]
fn a_node_of_255_bytes_is_sent_and_one_of_256_is_rejected_by_name() {
    let delivered = common::path().encode(&common::labelled(["x".repeat(NODE_BYTES), "x".repeat(NODE_BYTES + 1)]));
    let reason = rejected(&delivered, 1);
    assert!(reason.starts_with("the value of d is a node of 256 bytes (xxx"), "{reason}");
    assert_eq!(common::read(&common::text(&delivered)).unwrap().len(), 1);

    let name = |length: usize| {
        let metric = MetricBuilder::new("m", [""; 0]).measure("count", &"a".repeat(length - 6)).row([""; 0], [1.0]);
        common::path().encode(&BatchBuilder::new("p", "s").metric(metric).build())
    };
    assert_eq!(name(NODE_BYTES).verdict, Verdict::accepted());
    assert!(rejected(&name(NODE_BYTES + 1), 0).contains("its name has a node of 256 bytes (count_aaa"));
}

/// A row whose series has `length` bytes, in 90 dimensions.
fn of_length(length: usize) -> TestBatch {
    let dimensions: Vec<_> = (0..90).map(|n| format!("d{n:02}")).collect();
    let fixed = "tidegate.p.s.m.count_x".len() + 90 * ";d00=".len();
    let labels = (0..90).map(|n| "x".repeat((length - fixed) / 90 + usize::from(n < (length - fixed) % 90)));
    let metric =
        MetricBuilder::new("m", &dimensions).measure("count", "x").row(labels, [-2.225_073_858_507_201_4e-308]);
    BatchBuilder::new("p", "s").metric(metric).build()
}

#[test]
fn a_line_stays_within_16384_bytes_and_a_row_that_could_not_is_rejected_by_name() {
    let longest = LINE_BYTES - 46;
    let delivered = common::tagged().encode(&of_length(longest));
    assert_eq!(delivered.verdict, Verdict::accepted());
    let line = common::text(&delivered);
    assert!(line.trim_end().len() <= LINE_BYTES && line.len() > LINE_BYTES - 20, "{}", line.len());
    common::read(&line).unwrap();
    let delivered = common::tagged().encode(&of_length(longest + 1));
    assert_eq!(
        rejected(&delivered, 0),
        "name and labels have 16339 bytes, and with value and time a line of Graphite takes 16384, so 16338"
    );
    assert!(delivered.sent.is_empty());
}

#[test]
fn streams_end_when_they_are_full_and_each_with_a_whole_line() {
    let delivered = common::tagged().encode(&large_batch(40_000));
    let lengths: Vec<_> = delivered.streams().map(|stream| stream.body.len() as u64).collect();
    assert!(lengths.len() > 2, "{lengths:?}");
    assert!(lengths.iter().all(|length| *length < STREAM_BYTES + LINE_BYTES as u64), "{lengths:?}");
    assert!(lengths[..lengths.len() - 1].iter().all(|length| *length >= STREAM_BYTES), "{lengths:?}");
    let points: usize = delivered.streams().map(|stream| common::read(stream.text()).unwrap().len()).sum();
    assert_eq!(points, 40_000);
}

#[test]
fn more_than_one_delivery_may_carry_is_asked_for_in_halves() {
    let dimensions: Vec<_> = (0..80).map(|n| format!("d{n:02}")).collect();
    let metric = MetricBuilder::new("m", &dimensions).measure("count", "x");
    let label = "x".repeat(180);
    let rows = |rows: usize| {
        (0..rows).fold(metric.clone(), |metric, n| {
            metric.row((0..80).map(|d| if d == 0 { n.to_string() } else { label.clone() }), [1.0])
        })
    };
    let delivered = common::tagged().encode(&BatchBuilder::new("p", "s").metric(rows(5_000)).build());
    assert!(delivered.sent.is_empty());
    let told = format!("{:?}", delivered.verdict);
    assert!(told.contains("Split") && told.contains("bytes for one delivery"), "{told}");
    let delivered = common::tagged().encode(&BatchBuilder::new("p", "s").metric(rows(2_500)).build());
    assert_eq!(delivered.verdict, Verdict::accepted());
    assert!(delivered.sent.len() <= MAX_ACTIONS);
}
