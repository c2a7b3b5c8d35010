//! Stores, and a reader of lines that goes by carbon's rules and shares no code with the adapter.
#![allow(dead_code, reason = "each test file uses a part")]

use graphite::Graphite;
use std::collections::BTreeMap;
use tidegate_adapter::testing::{BatchBuilder, Delivered, MetricBuilder, PushStore, TestBatch};

pub(crate) fn store(settings: &[(&'static str, &'static str)]) -> PushStore<Graphite> {
    PushStore::new([("host", "carbon.example")].into_iter().chain(settings.iter().copied()))
}

pub(crate) fn tagged() -> PushStore<Graphite> {
    store(&[])
}

pub(crate) fn path() -> PushStore<Graphite> {
    store(&[("style", "path")])
}

/// A batch with one metric and one dimension, one row for each label.
pub(crate) fn labelled<L: AsRef<str>>(labels: impl IntoIterator<Item = L>) -> TestBatch {
    let metric = MetricBuilder::new("m", ["d"]).measure("count", "x");
    let metric = labels.into_iter().fold(metric, |metric, label| metric.row([label], [1.0]));
    BatchBuilder::new("p", "s").metric(metric).build()
}

/// What all streams say, one after the other.
pub(crate) fn text(delivered: &Delivered) -> String {
    delivered.streams().map(tidegate_adapter::testing::SentStream::text).collect()
}

/// A point as carbon takes it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point {
    pub(crate) name: String,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) value: f64,
    pub(crate) time: u64,
}

impl Point {
    /// What carbon tells series apart by.
    pub(crate) fn identity(&self) -> (String, BTreeMap<String, String>) {
        (self.name.clone(), self.tags.clone())
    }
}

/// Reads a stream as carbon does: lines end at LF, fields at any Unicode blank, and what it would lose or log is an error.
pub(crate) fn read(stream: &str) -> Result<Vec<Point>, String> {
    let Some(lines) = stream.strip_suffix('\n') else {
        return if stream.is_empty() { Ok(vec![]) } else { Err("the last line has no end".to_owned()) };
    };
    lines.split('\n').map(|line| read_line(line).map_err(|why| format!("{why}: {line:?}"))).collect()
}

fn read_line(line: &str) -> Result<Point, String> {
    if line.len() > 16_384 {
        return Err(format!("{} bytes close the connection", line.len()));
    }
    if line.contains(|c: char| c.is_control()) {
        return Err("a control character".to_owned());
    }
    let fields: Vec<_> = line.split_whitespace().collect();
    let &[series, value, time] = fields.as_slice() else { return Err(format!("{} fields", fields.len())) };
    let mut parts = series.split(';');
    let name = parts.next().unwrap_or_default();
    for node in name.split('.') {
        let safe = node.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if node.is_empty() || node.len() > 255 || !safe {
            return Err(format!("the node {node:?}"));
        }
    }
    let mut tags = BTreeMap::new();
    for part in parts {
        let (key, value) = part.split_once('=').ok_or("a tag without =")?;
        if key.is_empty() || key.contains(['!', '^']) || key == "name" {
            return Err(format!("the tag key {key:?}"));
        }
        if value.is_empty() || value.starts_with('~') {
            return Err(format!("the tag value {value:?}"));
        }
        if [key, value, name].iter().any(|text| text.chars().count() > 191) {
            return Err("longer than the tag store takes".to_owned());
        }
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(format!("the tag {key:?} twice"));
        }
    }
    let value = value.parse::<f64>().ok().filter(|value| value.is_finite()).ok_or("no number")?;
    Ok(Point { name: name.to_owned(), tags, value, time: time.parse().map_err(|_| "no time")? })
}
