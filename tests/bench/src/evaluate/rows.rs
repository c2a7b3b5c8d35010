//! Rows and queries of the evaluator's bench. They come from the same arithmetic here and in `peers/rows.py`, so no file is
//! shared between the two sides.

use anyhow::ensure;
use serde_json::{Value as Json, json};
use tidegate_events::{EventStore, MetricSpec};
use tidegate_model::{Event, Instant, ManualClock, MetricQuery, Name, ProjectId, Value};

/// 5 million events over 50 minutes.
pub(crate) const SECONDS: u64 = 3_000;
pub(crate) const PER_SECOND: u64 = 1_667;
pub(super) const WINDOW_SECONDS: u64 = 60;
/// Queries on the last window: all, and how many of them are run one after the other.
pub(super) const QUERIES: usize = 1_000;
pub(super) const BLOCK: usize = 200;
/// A multiple of all periods in use.
pub(crate) const EPOCH: u64 = 1_700_001_000;
pub(crate) const PROJECT: ProjectId = ProjectId(1);
pub(super) const TINY_PROJECTS: u64 = 10_000;
pub(super) const TINY_ROWS: u64 = 100;

const COLUMNS: [(&str, u64); 5] =
    [("project", 10), ("fingerprint", 5_000), ("guid", 500_000), ("error_type", 20), ("app_version", 50)];
const TINY_COLUMNS: [(&str, u64); 2] = [("fingerprint", 5), ("guid", 80)];

/// SplitMix64's finaliser.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

fn texts(row: u64, columns: &[(&str, u64)]) -> Vec<(String, Value)> {
    let text = |(i, (name, distinct)): (usize, &(&str, u64))| {
        let code = mix(row * 8 + i as u64) % distinct;
        ((*name).to_owned(), Value::Str(format!("{name}-{code:06}")))
    };
    columns.iter().enumerate().map(text).collect()
}

fn event(row: u64) -> Event {
    let mut attributes = texts(row, &COLUMNS);
    attributes.push(("age".to_owned(), Value::Float((mix(row * 8 + 7) % 100_000) as f64 / 4.0)));
    Event { attributes, ..Event::default() }
}

/// Stores all events, each second's at its time.
pub(crate) fn fill(store: &EventStore, clock: &ManualClock) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for second in 0..SECONDS {
        clock.set(Instant::from_seconds(EPOCH + second));
        let rows = second * PER_SECOND..(second + 1) * PER_SECOND;
        let receipts = runtime.block_on(store.submit(PROJECT, rows.map(event).collect()))?;
        ensure!(receipts.iter().all(|r| r.arrival.seconds() == EPOCH + second), "an event arrived in another second");
    }
    Ok(())
}

/// Stores the events of one window of every tiny project.
pub(super) fn fill_tiny(store: &EventStore) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut waiting = tokio::task::JoinSet::new();
        for project in 0..TINY_PROJECTS {
            let rows = project * TINY_ROWS..(project + 1) * TINY_ROWS;
            let event = |row| Event { attributes: texts(row, &TINY_COLUMNS), ..Event::default() };
            let (store, events) = (store.clone(), rows.map(event).collect());
            waiting.spawn(async move { store.submit(tiny_project(project), events).await });
            if waiting.len() == 200 {
                while let Some(done) = waiting.join_next().await {
                    done??;
                }
            }
        }
        while let Some(done) = waiting.join_next().await {
            done??;
        }
        Ok(())
    })
}

pub(super) fn tiny_project(number: u64) -> ProjectId {
    ProjectId(i64::try_from(number).unwrap_or(i64::MAX) + 2)
}

/// Query `i` on the last window.
pub(super) fn query(i: usize) -> anyhow::Result<MetricSpec> {
    let mut filter = json!({"app_version": [["not-equal", format!("app_version-{:06}", i % 50)]]});
    if i % 2 == 1 {
        filter["project"] = json!([["equal", format!("project-{:06}", i / 2 % 10)]]);
    } else {
        filter["error_type"] = json!([["not-equal", format!("error_type-{:06}", i / 2 % 20)]]);
    }
    if i >= BLOCK {
        filter["age"] = json!([["at-least", i / BLOCK * 2500]]);
    }
    let mut query = match i / 2 % 4 {
        0 => json!({"fold": {"_tx": [["count"]]}}),
        1 => json!({"fold": {"guid": [["unique"]]}}),
        2 => json!({"group": ["fingerprint"], "fold": {"guid": [["unique"]]}}),
        _ => json!({"group": ["app_version"], "fold": {"_tx": [["count"]], "guid": [["unique"]], "age": [["max"]]}}),
    };
    query["filter"] = json!([filter]);
    metric(&format!("q{i}"), &query)
}

/// Distinct guids of each fingerprint, over all events.
pub(super) fn unique() -> anyhow::Result<MetricSpec> {
    metric("unique", &json!({"group": ["fingerprint"], "fold": {"guid": [["unique"]]}}))
}

/// The metrics of a tiny project.
pub(super) fn tiny() -> anyhow::Result<Vec<MetricSpec>> {
    let queries = [
        json!({"fold": {"_tx": [["count"]]}}),
        json!({"fold": {"guid": [["unique"]]}}),
        json!({"group": ["fingerprint"], "fold": {"_tx": [["count"]], "guid": [["unique"]]}}),
    ];
    queries.iter().enumerate().map(|(i, query)| metric(&format!("tiny{i}"), query)).collect()
}

fn metric(name: &str, query: &Json) -> anyhow::Result<MetricSpec> {
    Ok(MetricSpec { name: Name::new(name)?, query: MetricQuery::parse(query)?.query })
}
