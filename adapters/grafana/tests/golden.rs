//! What goes over the wire, whole, for one batch that has a bit of everything.

mod common;

use tidegate_adapter::Verdict;
use tidegate_adapter::testing::{BatchBuilder, MetricBuilder, TestBatch, assert_golden, transcript};

fn batch() -> TestBatch {
    let errors = MetricBuilder::new("errors", ["app.version", "error.type"])
        .measure("count", "_tx")
        .measure("unique", "guid")
        .measure("mean", "process.age")
        .row(["1.2.0", "TypeError"], [120.0, 41.0, 17.25])
        .row(["1.2.0", "Out of memory; \"again\""], [3.0, 1.0, f64::NAN])
        .row(["", "TypeError"], [1.0, 1.0, 0.1 + 0.2])
        .row(["1.3.0-β=1", "C:\\temp\\"], [9_007_199_254_740_993.0, 1e300, -5e-324]);
    let total = MetricBuilder::new("all errors", [""; 0]).measure("count", "_tx").row([""; 0], [125.0]);
    let silent = MetricBuilder::new("silent", ["x"]).measure("max", "y").row(["a"], [f64::NAN]);
    BatchBuilder::new("web", "crashes").metric(errors).metric(total).metric(silent).build()
}

fn matches_golden(name: &str, settings: &[(&'static str, &'static str)]) {
    let delivered = common::store(settings).encode(&batch());
    assert_eq!(delivered.verdict, Verdict::accepted());
    assert_eq!(common::points(&delivered).len(), 12);
    // One point on a line, to be read by people.
    let written = transcript(&delivered).replace("},{", "},\n{") + "\n";
    assert_golden(format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR")), &written);
}

#[test]
fn a_window_goes_to_a_shared_cluster_as_the_golden_file_says() {
    matches_golden("shared.txt", &[("instance_id", "4711")]);
}

#[test]
fn a_window_goes_to_a_dedicated_cluster_under_names_of_the_admin_as_the_golden_file_says() {
    let naming = ("naming", "crash stats/{metric}.{aggregate}.{attribute}");
    matches_golden("dedicated.txt", &[("cluster", "dedicated"), ("prefix", "."), naming]);
}
