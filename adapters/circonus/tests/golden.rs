//! The two documents, whole, for batches that have a bit of everything.

mod common;

use circonus::Circonus;
use tidegate_adapter::Verdict;
use tidegate_adapter::testing::{self, BatchBuilder, MetricBuilder, PullStore, PushStore, TestBatch, assert_golden};

fn batch() -> TestBatch {
    let errors = MetricBuilder::new("errors", ["app.version", "error type"])
        .measure("count", "_tx")
        .measure("unique", "guid")
        .measure("mean", "uptime")
        .row_with_totals(["1.2.0", "TypeError"], [120.0, 41.0, 17.25], [1_204.0, 0.0, 0.0])
        .row_with_totals(["1.2.0", "Out of memory, again"], [3.0, 1.0, f64::NAN], [3.0, 0.0, 0.0])
        .row_with_totals(["", "typeerror"], [1.0, 1.0, 0.1 + 0.2], [2.0, 0.0, 0.0])
        .row_with_totals(["1.3.0-β=1", "C:\\temp\\"], [9_007_199_254_740_993.0, 1e300, -5e-324], [1e18, 0.0, 0.0])
        .past_row(["1.1.0", "a|ST[b:c]"], [77.0, 0.0, 0.0]);
    let total = MetricBuilder::new("all \"errors\"", [""; 0]).measure("count", "_tx").row([""; 0], [125.0]);
    let silent = MetricBuilder::new("silent", ["x"]).measure("max", "y").row(["a"], [f64::NAN]);
    BatchBuilder::new("web shop", "crashes").metric(errors).metric(total).metric(silent).build()
}

/// One member a line.
fn lines(document: &str) -> String {
    document.replace("},\"", "},\n\"")
}

#[test]
fn a_window_is_submitted_as_the_golden_file_says() {
    let delivered = common::delivered(&common::push(), &batch());
    assert_eq!(delivered.verdict, Verdict::accepted());
    assert_golden("tests/golden/push.txt", &(lines(&testing::transcript(&delivered)) + "\n"));
}

#[test]
fn a_broker_reads_what_the_golden_file_says() {
    let other = MetricBuilder::new("errors", ["country"]).measure("count", "_tx").row_with_totals(["NZ"], [2.0], [8.0]);
    let other = BatchBuilder::new("web shop", "by country").metric(other).window(1_700_000_100, 60).build();
    let page = common::pull().render(&[batch(), other.clone()], &[]).unwrap();
    assert_eq!(page.content_type, "application/json");
    assert_golden("tests/golden/pull.txt", &(lines(page.text()) + "\n"));
    let turned = common::pull().render(&[other, batch()], &[("X-Reconnoiter-Period", "60000")]).unwrap();
    assert_eq!(page, turned, "neither the order of the sets nor who asks changes the document");
}

#[test]
fn what_a_template_leaves_out_becomes_a_tag() {
    let settings = [common::URL, ("name", "{metric}`{aggregate}`{attribute}")];
    let found = common::all(&common::delivered(&PushStore::<Circonus>::new(settings), &common::rows(1)));
    assert_eq!(found[0].name, "errors`count`_tx");
    let tags: Vec<_> = found[0].tags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(tags, [("metric_set", "crashes"), ("n", "r0"), ("project", "web")]);
    let sets = ["a", "b"].map(|set| {
        let metric = MetricBuilder::new("m", [""; 0]).measure("max", "x").row([""; 0], [1.0]);
        BatchBuilder::new("p", set).metric(metric).build()
    });
    let page = PullStore::<Circonus>::new([("name", "{metric}`{aggregate}`{attribute}")]).render(&sets, &[]).unwrap();
    let found: Vec<_> = common::read(page.text()).into_iter().filter(|k| k.name == "m`max`x").collect();
    assert_eq!(found.iter().map(|k| k.tags["metric_set"].as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn a_document_has_no_times_and_totals_only_if_they_are_wanted() {
    let page = common::pull().render(&[batch()], &[]).unwrap();
    let found = common::read(page.text());
    assert!(found.iter().all(|kept| kept.stamp.is_none()));
    let totals = |found: &[common::Kept]| found.iter().filter(|k| k.name.ends_with("_total")).count();
    assert_eq!(totals(&found), 5);
    let without = PullStore::<Circonus>::new([("totals", "false")]).render(&[batch()], &[]).unwrap();
    let without = common::read(without.text());
    assert_eq!((totals(&without), without.len()), (0, found.len() - 5));
}

#[test]
fn a_window_without_events_is_still_a_document_with_metrics() {
    let empty = BatchBuilder::new("p", "s").metric(MetricBuilder::new("m", ["d"]).measure("count", "x")).build();
    for (batches, expected) in [(vec![], 0.0), (vec![empty], 1.0)] {
        let page = common::pull().render(&batches, &[]).unwrap();
        let found = common::read(page.text());
        let value = |name: &str| found.iter().find(|kept| kept.name == name).map(|kept| kept.value);
        assert_eq!((value("tidegate`metric_sets"), value("tidegate`left_out")), (Some(expected), Some(0.0)));
        assert_eq!(value("tidegate`window_end").is_some(), !batches.is_empty());
    }
}

#[test]
fn the_same_batch_gives_the_same_bytes() {
    let bytes = || common::delivered(&common::push(), &batch()).sent;
    assert_eq!(bytes(), bytes());
}

#[test]
fn a_batch_without_any_value_sends_nothing() {
    let silent = MetricBuilder::new("silent", ["x"]).measure("max", "y").row(["a"], [f64::NAN]);
    for batch in [BatchBuilder::new("p", "s").metric(silent).build(), BatchBuilder::new("p", "s").build()] {
        let delivered = common::delivered(&common::push(), &batch);
        assert!(delivered.sent.is_empty());
        assert_eq!(delivered.verdict, Verdict::accepted());
    }
}

#[test]
fn a_store_that_sends_without_a_url_stops_and_names_the_setting() {
    let delivered = PushStore::<Circonus>::new([]).encode(&common::rows(1));
    let told = "setting \"submission_url\" (Data Submission URL) is needed to send, and has no value";
    assert_eq!((delivered.sent.len(), delivered.verdict), (0, Verdict::stop(told)));
}
