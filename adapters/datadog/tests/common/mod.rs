//! Stores and batches that several tests use, and a reader of what was sent.
#![allow(dead_code, reason = "each test file uses a part")]

use datadog::Datadog;
use serde_json::Value;
use std::collections::BTreeMap;
use tidegate_adapter::testing::{Answer, BatchBuilder, Delivered, MetricBuilder, PushStore, TestBatch};

pub(crate) fn v2() -> PushStore<Datadog> {
    PushStore::new([("api_key", "k")])
}

pub(crate) fn v1() -> PushStore<Datadog> {
    PushStore::new([("api_key", "k"), ("api", "v1"), ("site", "custom"), ("url", "http://h:8428/datadog")])
}

/// Datadog's answer when it took everything.
pub(crate) fn accepted() -> Answer {
    Answer::status(202).body(r#"{"errors":[]}"#)
}

/// A batch with one metric of `rows` rows, each with one label and the value 1.
pub(crate) fn rows(rows: usize) -> TestBatch {
    let metric = MetricBuilder::new("errors", ["n"]).measure("count", "_tx");
    let metric = (0..rows).fold(metric, |metric, n| metric.row([format!("r{n}")], [1.0]));
    BatchBuilder::new("web", "crashes").metric(metric).build()
}

/// One series as a reader of JSON finds it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    pub(crate) metric: String,
    pub(crate) kind: Value,
    pub(crate) interval: Option<u64>,
    pub(crate) stamp: u64,
    pub(crate) value: f64,
    pub(crate) tags: Vec<String>,
    pub(crate) host: Option<String>,
}

impl Series {
    /// The values of a tag, by its key.
    pub(crate) fn tag(&self, key: &str) -> Option<&str> {
        self.tags.iter().find_map(|tag| tag.split_once(':').filter(|(k, _)| *k == key).map(|(_, v)| v))
    }
}

/// All series that were sent, read by the rules of the version whose path the requests have.
pub(crate) fn series(delivered: &Delivered) -> Vec<Series> {
    let mut all = Vec::new();
    for request in delivered.requests() {
        let body: Value = serde_json::from_str(request.text()).unwrap_or_else(|e| panic!("{e}: {}", request.text()));
        let v2 = request.path == "/api/v2/series";
        assert_eq!(body.as_object().unwrap().len(), 1);
        all.extend(body["series"].as_array().unwrap().iter().map(|series| one(series, v2)));
    }
    all
}

fn one(series: &Value, v2: bool) -> Series {
    let known = ["metric", "type", "interval", "points", "tags", if v2 { "resources" } else { "host" }];
    let object: &serde_json::Map<String, Value> = series.as_object().unwrap();
    assert!(object.keys().all(|key| known.contains(&key.as_str())), "{series}");
    let points = series["points"].as_array().unwrap();
    assert_eq!(points.len(), 1, "{series}");
    let (stamp, value, host) = if v2 {
        assert_eq!(points[0].as_object().unwrap().len(), 2);
        let host = series.get("resources").map(|list| {
            assert_eq!((list.as_array().unwrap().len(), list[0]["type"].as_str()), (1, Some("host")));
            &list[0]["name"]
        });
        (&points[0]["timestamp"], &points[0]["value"], host)
    } else {
        assert_eq!(points[0].as_array().unwrap().len(), 2);
        (&points[0][0], &points[0][1], series.get("host"))
    };
    Series {
        metric: series["metric"].as_str().unwrap().to_owned(),
        kind: series["type"].clone(),
        interval: series.get("interval").map(|interval| interval.as_u64().unwrap()),
        stamp: stamp.as_u64().unwrap(),
        value: value.as_f64().unwrap(),
        tags: series["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned()).collect(),
        host: host.map(|host| host.as_str().unwrap().to_owned()),
    }
}

/// Rows that were rejected.
pub(crate) fn rejected(delivered: &Delivered) -> usize {
    delivered.verdict.rejected().iter().map(|group| group.rows.len()).sum()
}

/// Values by name and tags: what a receiver would keep.
pub(crate) fn stored(delivered: &Delivered) -> BTreeMap<(String, Vec<String>), f64> {
    let key = |series: Series| {
        let mut tags = series.tags;
        tags.sort();
        ((series.metric, tags), series.value)
    };
    series(delivered).into_iter().map(key).collect()
}
