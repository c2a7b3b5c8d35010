//! What goes over the wire, whole, for one batch that has a bit of everything.

mod common;

use datadog::Datadog;
use tidegate_adapter::Verdict;
use tidegate_adapter::testing::{self, BatchBuilder, Delivered, MetricBuilder, PushStore, TestBatch, assert_golden};

fn batch() -> TestBatch {
    let errors = MetricBuilder::new("errors", ["app.version", "error.type"])
        .measure("count", "_tx")
        .measure("unique", "guid")
        .measure("mean", "uptime")
        .row(["1.2.0", "TypeError"], [120.0, 41.0, 17.25])
        .row(["1.2.0", "Out of memory, again"], [3.0, 1.0, f64::NAN])
        .row(["", "typeerror"], [1.0, 1.0, 0.1 + 0.2])
        .row(["1.3.0-β=1", "C:\\temp\\"], [9_007_199_254_740_993.0, 1e300, -5e-324]);
    let total = MetricBuilder::new("all errors", [""; 0]).measure("count", "_tx").row([""; 0], [125.0]);
    let silent = MetricBuilder::new("silent", ["x"]).measure("max", "y").row(["a"], [f64::NAN]);
    BatchBuilder::new("web shop", "crashes").metric(errors).metric(total).metric(silent).build()
}

/// What was sent as one would read it: one series a line.
fn transcript(delivered: &Delivered) -> String {
    testing::transcript(delivered).replace(",{\"metric\"", ",\n{\"metric\"") + "\n"
}

#[test]
fn a_window_goes_to_datadog_as_the_golden_file_says() {
    let settings =
        [("api_key", "k"), ("site", "datadoghq.eu"), ("host", "tidegate-1"), ("tags", "env:prod, team:Mobile")];
    let delivered = PushStore::<Datadog>::new(settings).encode(&batch());
    assert_eq!(delivered.verdict, Verdict::stop("HTTP 204 (Datadog answers 202; is something in between?)"));
    let delivered = PushStore::<Datadog>::new(settings).deliver(&batch(), |_| common::accepted());
    assert_eq!(delivered.verdict, Verdict::accepted());
    assert_golden("tests/golden/v2.txt", &transcript(&delivered));
}

#[test]
fn a_window_goes_to_a_receiver_of_the_older_version_as_the_golden_file_says() {
    let settings = [
        ("api_key", "k"),
        ("api", "v1"),
        ("site", "custom"),
        ("url", "http://h"),
        ("host", "a \"b\"\\"),
        ("namespace", "backtrace"),
    ];
    let delivered = PushStore::<Datadog>::new(settings).deliver(&batch(), |_| common::accepted());
    assert_eq!(delivered.verdict, Verdict::accepted());
    assert_golden("tests/golden/v1.txt", &transcript(&delivered));
}

#[test]
fn a_template_shapes_names_below_the_namespace() {
    let settings =
        [("api_key", "k"), ("name", "{project}.{metric_set}.{aggregate}_of_{attribute}.{metric}"), ("namespace", "x")];
    let delivered = PushStore::<Datadog>::new(settings).deliver(&common::rows(1), |_| common::accepted());
    assert_eq!(common::series(&delivered)[0].metric, "x.web.crashes.count_of_tx.errors");
}

#[test]
fn both_versions_say_the_same() {
    let deliver = |store: PushStore<Datadog>| store.deliver(&batch(), |_| common::accepted());
    let (one, two) = (deliver(common::v1()), deliver(common::v2()));
    assert_eq!(common::stored(&one), common::stored(&two));
    assert_eq!(common::stored(&two).len(), 12);
}

#[test]
fn what_may_be_added_up_is_a_count_over_the_period_and_the_rest_a_gauge() {
    let delivered = common::v2().deliver(&batch(), |_| common::accepted());
    for series in common::series(&delivered) {
        let expected = if series.metric.contains(".count.") { (1, Some(60)) } else { (3, None) };
        assert_eq!((series.kind.as_i64().unwrap(), series.interval), expected, "{series:?}");
        assert_eq!((series.stamp, &series.host), (1_700_000_040, &None));
    }
}

#[test]
fn the_same_batch_gives_the_same_bytes() {
    let deliver = || common::v2().deliver(&batch(), |_| common::accepted()).sent;
    assert_eq!(deliver(), deliver());
}

#[test]
fn a_batch_without_any_value_sends_nothing() {
    let silent = MetricBuilder::new("silent", ["x"]).measure("max", "y").row(["a"], [f64::NAN]);
    for batch in [BatchBuilder::new("p", "s").metric(silent).build(), BatchBuilder::new("p", "s").build()] {
        let delivered = common::v2().deliver(&batch, |_| common::accepted());
        assert!(delivered.sent.is_empty());
        assert_eq!(delivered.verdict, Verdict::accepted());
    }
}

#[test]
fn one_row_is_one_series() {
    let delivered = common::v2().deliver(&common::rows(1), |_| common::accepted());
    let series = common::series(&delivered);
    assert_eq!(series.len(), 1);
    assert_eq!((series[0].metric.as_str(), series[0].value), ("tidegate.errors.count.tx", 1.0));
    assert_eq!(series[0].tags, ["metric_set:crashes", "project:web", "n:r0"]);
}
