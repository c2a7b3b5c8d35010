//! Stores and batches that several tests use.
#![allow(dead_code, reason = "each test file uses a part")]

use influxdb::Influxdb;
use tidegate_adapter::testing::{Action, BatchBuilder, Delivered, MetricBuilder, PushStore, SentRequest, TestBatch};

pub(crate) fn one() -> PushStore<Influxdb> {
    let settings = [("version", "1"), ("url", "http://h:8086"), ("database", "m"), ("user", "w"), ("password", "p")];
    PushStore::new(settings)
}

pub(crate) fn two() -> PushStore<Influxdb> {
    PushStore::new([("url", "https://h"), ("org", "acme & co"), ("bucket", "errors"), ("token", "t")])
}

/// A batch with one metric of `rows` rows, each with one label and the value 1.
pub(crate) fn rows(rows: usize) -> TestBatch {
    let metric = MetricBuilder::new("errors", ["n"]).measure("count", "_tx");
    let metric = (0..rows).fold(metric, |metric, n| metric.row([format!("r{n}")], [1.0]));
    BatchBuilder::new("web", "crashes").metric(metric).build()
}

/// The bodies of all requests in one piece.
pub(crate) fn body(delivered: &Delivered) -> String {
    delivered.requests().map(SentRequest::text).collect()
}

/// Points in a request.
pub(crate) fn points(action: &Action) -> usize {
    let Action::Request(request) = action else { return 0 };
    request.text().lines().count()
}
