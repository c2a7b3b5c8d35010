//! Each limit, met and exceeded.

mod common;

use grafana::{KEY_CHARS, MOST_PARTS, POINTS_PER_REQUEST, REQUEST_BYTES};
use tidegate_adapter::testing::{BatchBuilder, Delivered, MetricBuilder, SentRequest, large_batch};
use tidegate_adapter::{RejectedRows, Verdict};

fn counts(delivered: &Delivered) -> Vec<usize> {
    let count = |request: &SentRequest| request.text().matches("\"name\":").count();
    delivered.requests().map(count).collect()
}

#[test]
fn a_request_has_at_most_1000_points_and_keeps_those_of_a_row_together() {
    assert_eq!(counts(&common::shared().encode(&large_batch(1_000))), [1_000]);
    assert_eq!(counts(&common::shared().encode(&large_batch(1_001))), [1_000, 1]);
    assert_eq!(POINTS_PER_REQUEST, 1_000);
    let metric = MetricBuilder::new("m", ["d"]).measure("count", "x").measure("max", "x").measure("min", "x");
    let metric = (0..400).fold(metric, |metric, n| metric.row([n.to_string()], [1.0, 2.0, 3.0]));
    let delivered = common::shared().encode(&BatchBuilder::new("p", "s").metric(metric).build());
    assert_eq!(counts(&delivered), [999, 201]);
    assert_eq!(common::points(&delivered).len(), 1_200);
}

#[test]
fn a_request_of_long_tags_ends_before_its_points_are_full() {
    let labels: Vec<_> = (0..300).map(|n| format!("{n}{}", "x".repeat(10_000))).collect();
    let delivered = common::shared().encode(&common::labelled(&labels));
    assert_eq!(common::points(&delivered).len(), 300);
    let lengths: Vec<_> = delivered.requests().map(|request| request.body.len() as u64).collect();
    assert!(lengths.len() == 4 && lengths.iter().all(|length| *length < REQUEST_BYTES + 20_000), "{lengths:?}");
}

#[test]
fn more_than_one_delivery_may_carry_is_asked_for_in_halves() {
    let delivered = common::shared().encode(&large_batch(64_001));
    assert!(delivered.sent.is_empty());
    assert_eq!(delivered.verdict, Verdict::split("64001 points, and one delivery takes 64000"));
    let labels: Vec<_> = (0..1_000).map(|n| format!("{n}{}", "x".repeat(70_000))).collect();
    let told = format!("{:?}", common::shared().encode(&common::labelled(&labels)).verdict);
    assert!(told.contains("Split") && told.contains("bytes for one delivery"), "{told}");
}

#[test]
fn a_series_may_have_24_tags_and_one_with_more_is_rejected_by_name() {
    let names: Vec<_> = (0..=MOST_PARTS).map(|n| format!("d{n}")).collect();
    let metric = MetricBuilder::new("m", &names).measure("count", "x");
    let full = vec!["v"; MOST_PARTS + 1];
    let mut fits = full.clone();
    fits[3] = "";
    let batch = BatchBuilder::new("p", "s").metric(metric.row(&fits, [1.0]).row(&full, [2.0])).build();
    let delivered = common::shared().encode(&batch);
    let reason = "it has 25 tags, and hosted Graphite takes 24".to_owned();
    assert_eq!(delivered.verdict, Verdict::reject_rows(vec![RejectedRows { metric: 0, rows: vec![1], reason }]));
    assert_eq!(common::points(&delivered).len(), 1);
}

#[test]
fn a_name_without_tags_may_have_24_nodes_and_with_tags_more() {
    let with = |nodes: usize, label: &str| {
        let naming =
            format!("{}{{metric}}.{{aggregate}}.{{attribute}}.{{project}}.{{metric_set}}", "x.".repeat(nodes - 6));
        let settings = [("url", "https://h"), ("key", "k"), ("instance_id", "1"), ("naming", naming.as_str())];
        let store = tidegate_adapter::testing::PushStore::<grafana::Grafana>::new(settings);
        store.encode(&common::labelled([label])).verdict
    };
    assert_eq!(with(MOST_PARTS, ""), Verdict::accepted());
    assert_eq!(with(MOST_PARTS + 1, "v"), Verdict::accepted());
    let told = "its name has 25 nodes, and hosted Graphite takes 24 in a name without tags";
    assert_eq!(with(MOST_PARTS + 1, "").rejected()[0].reason, told);
}

#[test]
fn a_tag_key_of_1024_characters_is_sent_and_of_a_longer_one_only_the_rows_without_it() {
    let with = |length: usize| {
        let metric =
            MetricBuilder::new("m", ["k".repeat(length)]).measure("count", "x").row([""], [1.0]).row(["a"], [2.0]);
        common::shared().encode(&BatchBuilder::new("p", "s").metric(metric).build())
    };
    assert_eq!(with(KEY_CHARS).verdict, Verdict::accepted());
    let delivered = with(KEY_CHARS + 1);
    assert_eq!(delivered.verdict.rejected()[0].rows, [1]);
    assert!(delivered.verdict.rejected()[0].reason.ends_with("has 1025 characters, and Grafana takes 1024"));
    assert_eq!(common::points(&delivered).len(), 1);
}
