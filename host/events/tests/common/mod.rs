//! What the tests of the store share.
#![allow(dead_code, unreachable_pub)] // each test binary uses a part of it

pub mod explore_oracle;
pub mod generate;
pub mod oracle;

use serde_json::Value as Json;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tidegate_events::{EvaluationLimits, EventStore, EventStoreOptions, MetricSpec, Receipt, Source};
use tidegate_model::{Event, Instant, ManualClock, MetricBatch, MetricQuery, Name, Period, ProjectId, Value, Window};

pub const PROJECT: ProjectId = ProjectId(1);

pub fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub fn options() -> EventStoreOptions {
    EventStoreOptions { gather: Duration::ZERO, merge: false, ..EventStoreOptions::default() }
}

pub fn clock(seconds: u64) -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Instant::from_seconds(seconds)))
}

pub fn open(dir: &Path, clock: &Arc<ManualClock>) -> EventStore {
    EventStore::open(&dir.join("events.db"), options(), clock.clone()).unwrap()
}

pub fn event(attributes: &[(&str, Value)]) -> Event {
    let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Event { attributes, ..Event::default() }
}

pub fn text(text: &str) -> Value {
    Value::Str(text.to_owned())
}

pub fn with_uuid(id: u8, attributes: &[(&str, Value)]) -> Event {
    Event { uuid: Some([id; 16]), ..event(attributes) }
}

pub fn submit(store: &EventStore, events: Vec<Event>) -> Vec<Receipt> {
    run(store.submit(PROJECT, events)).unwrap()
}

pub fn metric(query: &Json) -> MetricSpec {
    let parsed = MetricQuery::parse(query).unwrap();
    MetricSpec { name: Name::new("m").unwrap(), query: parsed.query }
}

pub fn window(start: u64, seconds: u32) -> Window {
    Window::starting_at(start, Period::new(seconds).unwrap()).unwrap()
}

pub fn evaluate(store: &EventStore, window: Window, query: &Json) -> MetricBatch {
    let metrics = [metric(query)];
    store.evaluate(PROJECT, window, &metrics, &EvaluationLimits::default()).unwrap().remove(0)
}

/// Rows as texts and values.
pub fn rows(batch: &MetricBatch) -> Vec<(Vec<String>, Vec<f64>)> {
    assert_eq!(batch.rows, batch.live_rows);
    let row = |row: u32| {
        let texts = (0..batch.dimensions.len()).map(|d| batch.dimension_text(d, row).unwrap().to_owned()).collect();
        (texts, batch.measures.iter().map(|m| m.values[row as usize]).collect())
    };
    (0..batch.rows).map(row).collect()
}

pub fn count(store: &EventStore, window: Window) -> u64 {
    let batch = evaluate(store, window, &serde_json::json!({"fold": {"_tx": [["count"]]}}));
    batch.measures[0].values[0] as u64
}
