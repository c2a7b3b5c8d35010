//! Explore beside DuckDB: the same 5 million events, the same questions, CPU seconds of all threads on both sides. Ours is read from
//! disk each time: Explore leaves nothing behind in memory, so that it costs the next window nothing. DuckDB answers twice: from a
//! file that was just opened, which is the same work, and from a table in memory, which is the most that one could wish for.
//!
//! Every answer is compared row by row, in its order.

use crate::evaluate::rows::{self, EPOCH, PER_SECOND, PROJECT, SECONDS};
use crate::{cpu, peers, report};
use anyhow::{Context, ensure};
use serde_json::{Value as Json, json};
use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::sync::Arc;
use tidegate_events::explore::{AnswerRows, Cell};
use tidegate_events::{Answer, EventStore, EventStoreOptions, ExploreLimits, Source};
use tidegate_model::query::Bound;
use tidegate_model::{Instant, ManualClock, Query, Value};

pub(crate) fn run() -> anyhow::Result<()> {
    let numbers = [SECONDS * PER_SECOND, PER_SECOND, EPOCH].map(|n| n.to_string());
    let peer = peers::run("duckdb_explore.py", &numbers.iter().map(OsStr::new).collect::<Vec<_>>())?;
    let scratch = tempfile::tempdir()?;
    let clock = Arc::new(ManualClock::at(Instant::from_seconds(EPOCH)));
    let store = EventStore::open(&scratch.path().join("events.db"), EventStoreOptions::default(), clock.clone())?;
    rows::fill(&store, &clock)?;
    crate::evaluate::settle(&store);
    let limits = ExploreLimits { bytes: 1 << 30, ..ExploreLimits::default() };
    for (name, query) in questions() {
        let query = Query::parse(&query)?;
        let ask = || Ok(store.explore(PROJECT, &query, &limits, &mut |_| ControlFlow::Continue(()))?);
        let (ours, answer) = cpu::seconds(ask)?;
        let theirs = peer[name].as_object().with_context(|| format!("the peer's answer to {name}"))?;
        compare(name, &document(&answer), &theirs["rows"])?;
        for (who, field) in [("duckdb_file", "cpu_of_file"), ("duckdb_memory", "cpu")] {
            let seconds = theirs[field].as_f64().context("the peer's CPU time")?;
            report(&format!("explore_{name}"), ours, who, seconds, "s");
        }
    }
    store.close();
    Ok(())
}

/// What people ask while they look for a cause; `peers/duckdb_explore.py` has the same in SQL, by these names.
fn questions() -> Vec<(&'static str, Json)> {
    let minute = json!([{"name": "minute", "type": "quantize_uint",
        "quantize_uint": {"backing_column": "timestamp", "size": 60, "offset": 0}}]);
    let by_count = json!([{"name": ";count", "ordering": "descending"}]);
    vec![
        ("count_of_everything", json!({"fold": {"guid": [["count"]]}})),
        (
            "top_fingerprints_by_users",
            json!({"group": ["fingerprint"], "fold": {"guid": [["unique"]]}, "limit": 10,
                "order": [{"name": "guid;0", "ordering": "descending"}]}),
        ),
        (
            "errors_and_users_by_minute",
            json!({"group": ["minute"], "virtual_columns": minute, "fold": {"guid": [["unique"]]},
                "order": [{"name": ";group", "ordering": "ascending"}]}),
        ),
        (
            "one_version_in_the_last_five_minutes",
            json!({"filter": [{"timestamp": [["at-least", EPOCH + SECONDS - 300]], "app_version": [["equal", "app_version-000007"]]}],
                "group": ["error_type"], "fold": {"guid": [["unique"]], "age": [["max"], ["mean"]]}, "order": by_count}),
        ),
        (
            "part_of_a_text_and_frequent_versions",
            json!({"filter": [{"fingerprint": [["contains", "-0012"]], "age": [["at-least", 5000]]}],
                "group": ["project"], "fold": {"app_version": [["distribution", 3]]},
                "order": [{"name": ";group", "ordering": "ascending"}]}),
        ),
        (
            "newest_hundred_of_a_type",
            json!({"filter": [{"error_type": [["equal", "error_type-000003"]]}], "select": ["timestamp", "guid", "age"],
                "limit": 100, "order": [{"name": "_tx", "ordering": "descending"}]}),
        ),
    ]
}

/// An answer as a list of rows: the key, the number of events, the figures.
fn document(answer: &Answer) -> Json {
    let value = |value: &Option<Value>| match value {
        None => Json::Null,
        Some(Value::Str(text)) => json!(text),
        Some(Value::Int(number)) => json!(number),
        Some(Value::Float(number)) => json!(number),
        Some(Value::Bool(flag)) => json!(flag),
    };
    let counted = |list: &[(Value, u64)]| -> Json {
        list.iter().map(|(of, events)| json!([value(&Some(of.clone())), events])).collect()
    };
    let bound = |bound: &Bound| json!(format!("{bound:?}"));
    let cell = |cell: &Cell| match cell {
        Cell::Value(found) => value(found),
        Cell::Range(found) => json!(found.as_ref().map(|(a, b)| [value(&Some(a.clone())), value(&Some(b.clone()))])),
        Cell::Histogram(list) => counted(list),
        Cell::Distribution { keys, tail, listed } => json!([keys, tail, counted(listed)]),
        Cell::Bins(bins) => bins.iter().map(|(from, to, events)| json!([bound(from), bound(to), events])).collect(),
        Cell::Object(object) => json!(object.map(|object| object.0)),
    };
    match &answer.rows {
        AnswerRows::Groups(rows) => rows
            .iter()
            .map(|row| {
                let key = row.key.iter().map(value);
                key.chain([json!(row.events)]).chain(row.cells.iter().map(cell)).collect::<Json>()
            })
            .collect(),
        AnswerRows::Events { rows, .. } => {
            rows.iter().map(|row| row.values.iter().map(value).collect::<Json>()).collect()
        }
    }
}

/// Numbers are compared as numbers; a mean may differ in its last bit.
fn compare(name: &str, ours: &Json, theirs: &Json) -> anyhow::Result<()> {
    ensure!(same(ours, theirs), "{name}: ours {ours}, the peer's {theirs}");
    Ok(())
}

fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Json::Number(a), Json::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(f64::NAN));
            (a - b).abs() <= b.abs() * 1e-12
        }
        (a, b) => a == b,
    }
}
