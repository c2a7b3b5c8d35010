//! Stores, and a strict receiver that shares no code with the adapter.
#![allow(dead_code, reason = "each test file uses a part")]

use grafana::Grafana;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use tidegate_adapter::testing::{BatchBuilder, Delivered, MetricBuilder, PushStore, SentRequest, TestBatch};

pub(crate) fn store(settings: &[(&'static str, &'static str)]) -> PushStore<Grafana> {
    let shared = [("url", "https://graphite.example/metrics"), ("key", "k")];
    PushStore::new(shared.into_iter().chain(settings.iter().copied()))
}

pub(crate) fn shared() -> PushStore<Grafana> {
    store(&[("instance_id", "4711")])
}

/// A batch with one metric and one dimension, one row for each label.
pub(crate) fn labelled<L: AsRef<str>>(labels: impl IntoIterator<Item = L>) -> TestBatch {
    let metric = MetricBuilder::new("m", ["d"]).measure("count", "x");
    let metric = labels.into_iter().fold(metric, |metric, label| metric.row([label], [1.0]));
    BatchBuilder::new("p", "s").metric(metric).build()
}

/// A point as the receiver takes it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point {
    pub(crate) name: String,
    pub(crate) tags: BTreeSet<String>,
    pub(crate) value: f64,
}

impl Point {
    pub(crate) fn tag(&self, key: &str) -> Option<&str> {
        self.tags.iter().find_map(|tag| tag.strip_prefix(key)?.strip_prefix('='))
    }
}

/// All points of a delivery, each request checked as the receivers check it, and more strictly where they are silent.
pub(crate) fn points(delivered: &Delivered) -> Vec<Point> {
    delivered.requests().flat_map(read).collect()
}

fn read(request: &SentRequest) -> Vec<Point> {
    assert_eq!(request.headers, [("Content-Type".to_owned(), "application/json".to_owned())]);
    assert!(!request.gzip && request.method == "POST" && request.path.is_empty() && request.query.is_empty());
    let document: Value = serde_json::from_str(request.text()).unwrap_or_else(|e| panic!("{e}: {}", request.text()));
    let points = document.as_array().expect("an array");
    assert!(!points.is_empty() && points.len() <= 1_000, "{} points", points.len());
    points.iter().map(|point| read_point(point.as_object().expect("an object"))).collect()
}

fn read_point(point: &Map<String, Value>) -> Point {
    let keys: Vec<_> = point.keys().map(String::as_str).collect();
    assert_eq!(BTreeSet::from_iter(keys), BTreeSet::from(["name", "interval", "mtype", "time", "tags", "value"]));
    assert!(point["interval"].as_u64().is_some_and(|interval| interval > 0));
    assert_eq!((point["mtype"].as_str(), point["time"].as_u64()), (Some("gauge"), Some(1_700_000_040)));
    let name = point["name"].as_str().unwrap().to_owned();
    for node in name.split('.') {
        assert!(!node.is_empty() && node.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)), "{name:?}");
    }
    let tags: Vec<_> = point["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned()).collect();
    assert!(tags.len() < 25);
    let mut keys = BTreeSet::new();
    for tag in &tags {
        let (key, value) = tag.split_once('=').unwrap();
        let label = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let first = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && !key.starts_with("__");
        assert!(label && first && key != "name" && key.len() <= 1_024, "{tag:?}");
        assert!(!value.is_empty() && !value.contains(';') && !value.starts_with('~'), "{tag:?}");
        assert!(!value.contains(char::is_control), "{tag:?}");
        assert!(keys.insert(key.to_owned()), "{key:?} twice");
    }
    let value = point["value"].as_f64().filter(|value| value.is_finite()).expect("a number");
    Point { name, tags: tags.into_iter().collect(), value }
}
