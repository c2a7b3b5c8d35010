//! What goes over the wire, whole, for one batch that has a bit of everything.

mod common;

use tidegate_adapter::Verdict;
use tidegate_adapter::testing::{BatchBuilder, MetricBuilder, PushStore, TestBatch, assert_golden, transcript};

fn batch() -> TestBatch {
    let errors = MetricBuilder::new("errors", ["app.version", "error.type"])
        .measure("count", "_tx")
        .measure("unique", "guid")
        .measure("mean", "uptime")
        .row(["1.2.0", "TypeError"], [120.0, 41.0, 17.25])
        .row(["1.2.0", "Out of memory, again"], [3.0, 1.0, f64::NAN])
        .row(["", "TypeError"], [1.0, 1.0, 0.1 + 0.2])
        .row(["1.3.0-β=1", "C:\\temp\\"], [9_007_199_254_740_993.0, 1e300, -5e-324]);
    let total = MetricBuilder::new("all errors", [""; 0]).measure("count", "_tx").row([""; 0], [125.0]);
    let silent = MetricBuilder::new("silent", ["x"]).measure("max", "y").row(["a"], [f64::NAN]);
    BatchBuilder::new("web shop", "crashes").metric(errors).metric(total).metric(silent).build()
}

fn matches_golden(name: &str, found: &str) {
    assert_golden(format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR")), found);
}

#[test]
fn a_window_goes_to_a_database_of_1x_as_the_golden_file_says() {
    let delivered = common::one().encode(&batch());
    assert_eq!(delivered.verdict, Verdict::accepted());
    matches_golden("1x.txt", &transcript(&delivered));
}

#[test]
fn a_window_goes_to_a_bucket_of_2x_as_the_golden_file_says() {
    let delivered = common::two().encode(&batch());
    assert_eq!(delivered.verdict, Verdict::accepted());
    matches_golden("2x.txt", &transcript(&delivered));
}

#[test]
fn a_server_without_users_gets_no_credentials_and_gzip_can_be_turned_off() {
    let settings = [("version", "1"), ("url", "http://h"), ("database", "m"), ("gzip", "false")];
    let delivered = PushStore::<influxdb::Influxdb>::new(settings).encode(&common::rows(1));
    let request = delivered.requests().next().unwrap();
    assert_eq!((&request.basic_auth, request.gzip), (&None, false));
}

#[test]
fn a_user_without_a_password_stops_the_store_and_names_the_setting() {
    let settings = [("version", "1"), ("url", "http://h"), ("database", "m"), ("user", "w")];
    let delivered = PushStore::<influxdb::Influxdb>::new(settings).encode(&common::rows(1));
    assert!(delivered.sent.is_empty());
    let stop = Verdict::stop("setting \"password\" is needed with the others that are set, and has no value");
    assert_eq!(delivered.verdict, stop);
}

#[test]
fn a_batch_without_any_value_sends_nothing() {
    let silent = MetricBuilder::new("silent", ["x"]).measure("max", "y").row(["a"], [f64::NAN]);
    let delivered = common::one().encode(&BatchBuilder::new("p", "s").metric(silent).build());
    assert!(delivered.sent.is_empty());
    assert_eq!(delivered.verdict, Verdict::accepted());
}

#[test]
fn a_retention_policy_goes_into_the_query_of_1x_and_the_measurement_is_named_as_the_admin_wants() {
    let settings = [("version", "1"), ("url", "http://h"), ("database", "m"), ("retention_policy", "one week")];
    let naming = ("naming", "{project} {metric_set}/{metric}");
    let delivered = PushStore::<influxdb::Influxdb>::new(settings.into_iter().chain([naming])).encode(&common::rows(1));
    let request = delivered.requests().next().unwrap();
    let query: Vec<_> = request.query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(query, [("db", "m"), ("rp", "one week"), ("precision", "s")]);
    assert!(request.text().starts_with("web\\ crashes/errors,metric_set=crashes,n=r0,"), "{}", request.text());
}

#[test]
fn the_same_window_is_the_same_bytes() {
    let batch = tidegate_adapter::testing::large_batch(12_000);
    assert_eq!(common::two().encode(&batch).sent, common::two().encode(&batch).sent);
}
