//! Stores and batches that several tests use, and a reader that takes documents apart by the broker's rules.
#![allow(dead_code, reason = "each test file uses a part")]

use circonus::Circonus;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tidegate_adapter::testing::{
    Answer, BatchBuilder, Delivered, MetricBuilder, PullStore, PushStore, SentRequest, TestBatch,
};

pub(crate) const URL: (&str, &str) = ("submission_url", "https://broker.example/module/httptrap/uuid/secret");

pub(crate) fn push() -> PushStore<Circonus> {
    PushStore::new([URL])
}

pub(crate) fn pull() -> PullStore<Circonus> {
    PullStore::new([])
}

/// A batch with one metric of `rows` rows, each with one label and the value 1.
pub(crate) fn rows(rows: usize) -> TestBatch {
    let metric = MetricBuilder::new("errors", ["n"]).measure("count", "_tx");
    let metric = (0..rows).fold(metric, |metric, n| metric.row([format!("r{n}")], [1.0]));
    BatchBuilder::new("web", "crashes").metric(metric).build()
}

/// A broker that takes everything and counts.
pub(crate) fn broker(request: &SentRequest) -> Answer {
    let values = request.text().matches("\"_type\"").count();
    Answer::status(200).body(format!("{{\"stats\":{values},\"filtered\":0}}"))
}

/// Delivers to a broker that takes everything.
pub(crate) fn delivered(store: &PushStore<Circonus>, batch: &TestBatch) -> Delivered {
    store.deliver(batch, |action| match action {
        tidegate_adapter::testing::Action::Request(request) => broker(request),
        other => panic!("not a request: {other:?}"),
    })
}

/// One value as the broker keeps it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kept {
    pub(crate) name: String,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) value: f64,
    pub(crate) stamp: Option<u64>,
}

/// All values of a submission or a polled document.
pub(crate) fn read(document: &str) -> Vec<Kept> {
    let members: Map<String, Value> = serde_json::from_str(document).unwrap_or_else(|e| panic!("{e}: {document}"));
    assert_eq!(members.len(), document.matches("\"_type\"").count(), "a key is there twice: {document}");
    members.iter().map(|(key, member)| kept(key, member)).collect()
}

fn kept(key: &str, member: &Value) -> Kept {
    assert!(key.len() < 4_096, "{} bytes", key.len());
    assert!(!["_type", "_value", "_ts", "_fl", "_tags", "services", "duration"].contains(&key), "{key:?}");
    let (name, tags) = match key.split_once("|ST[") {
        Some((name, tags)) => (name, tags.strip_suffix(']').expect("the tags have an end")),
        None => (key, ""),
    };
    assert!(!name.is_empty() && name.trim() == name && name.bytes().all(|b| (b' '..=b'~').contains(&b)), "{name:?}");
    assert!(!name.contains('|'), "{name:?}");
    let mut read = BTreeMap::new();
    for pair in tags.split(',').filter(|_| !tags.is_empty()) {
        assert!(pair.len() < 256, "{pair:?}");
        let (category, value) = pair.split_once(':').expect("a category and a value");
        let (category, value) = (part(category, false), part(value, true));
        assert!(!category.is_empty() && !value.is_empty(), "{pair:?}");
        assert!(read.insert(category, value).is_none(), "a category twice: {key:?}");
    }
    assert!(read.len() <= 256);
    let member = member.as_object().expect("an object");
    assert!(member.keys().all(|key| ["_type", "_value", "_ts"].contains(&key.as_str())), "{member:?}");
    assert_eq!(member["_type"], "n");
    let value = member["_value"].as_str().expect("a text").parse().expect("a number");
    let stamp = member.get("_ts").map(|stamp| stamp.as_u64().expect("milliseconds"));
    Kept { name: name.to_owned(), tags: read, value, stamp }
}

/// A category or a value, by the two tables of the broker's source.
fn part(written: &str, is_value: bool) -> String {
    if let Some(inside) = written.strip_prefix("b\"") {
        return String::from_utf8(base64(inside.strip_suffix('"').expect("quotes on both sides"))).expect("UTF-8");
    }
    let plain = "`!@#$%^&\"'/?._-";
    let more = if is_value { ":=" } else { "+" };
    let known = |c: char| c.is_ascii_alphanumeric() || plain.contains(c) || more.contains(c);
    assert!(written.chars().all(known), "{written:?}");
    written.to_owned()
}

fn base64(text: &str) -> Vec<u8> {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    assert_eq!(text.len() % 4, 0, "{text:?}");
    let letters = text.trim_end_matches('=');
    let bits: String =
        letters.chars().map(|c| format!("{:06b}", alphabet.find(c).expect("a letter of the alphabet"))).collect();
    let whole = letters.len() * 6 / 8;
    (0..whole).map(|at| u8::from_str_radix(&bits[at * 8..at * 8 + 8], 2).unwrap()).collect()
}

/// All values of a delivery.
pub(crate) fn all(delivered: &Delivered) -> Vec<Kept> {
    delivered.requests().flat_map(|request| read(request.text())).collect()
}
