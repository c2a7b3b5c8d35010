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
        .row(["1.2.0", "Out of memory; again"], [3.0, 1.0, f64::NAN])
        .row(["", "TypeError"], [1.0, 1.0, 0.1 + 0.2])
        .row(["1.3.0-β=1", "C:\\temp\\"], [9_007_199_254_740_993.0, 1e300, -5e-324]);
    let total = MetricBuilder::new("all errors", [""; 0]).measure("count", "_tx").row([""; 0], [125.0]);
    let silent = MetricBuilder::new("silent", ["x"]).measure("max", "y").row(["a"], [f64::NAN]);
    BatchBuilder::new("web shop", "crashes").metric(errors).metric(total).metric(silent).build()
}

fn matches_golden(name: &str, settings: &[(&'static str, &'static str)]) {
    let delivered = common::store(settings).encode(&batch());
    assert_eq!(delivered.verdict, Verdict::accepted());
    assert_golden(format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR")), &transcript(&delivered));
    common::read(&common::text(&delivered)).unwrap();
}

#[test]
fn a_window_becomes_tagged_lines_as_the_golden_file_says() {
    matches_golden("tagged.txt", &[]);
}

#[test]
fn a_window_becomes_paths_as_the_golden_file_says() {
    matches_golden("path.txt", &[("style", "path")]);
}

#[test]
fn prefix_and_names_are_the_admins_as_the_golden_file_says() {
    matches_golden("naming.txt", &[("prefix", "."), ("naming", "crash stats/{metric}.{aggregate}.{attribute}")]);
}

#[test]
fn what_the_names_leave_out_follows_as_nodes_in_the_path_style() {
    let delivered =
        common::store(&[("style", "path"), ("naming", "{metric}.{aggregate}.{attribute}")]).encode(&batch());
    let text = common::text(&delivered);
    assert!(text.contains("tidegate.errors.count._tx.web_shop.crashes.1_2_0.TypeError 120 1700000040\n"), "{text}");
}
