//! 200 different metric queries over the window that just ended, beside DuckDB with the same rows and the same queries.

use crate::{cpu, report};
use anyhow::{Context, ensure};
use serde_json::{Value as Json, json};
use std::process::Command;
use std::sync::Arc;
use tidegate_events::{EvaluationLimits, EventStore, EventStoreOptions, MetricSpec, Source};
use tidegate_model::{Event, Instant, ManualClock, MetricBatch, MetricQuery, Name, Period, ProjectId, Value, Window};

/// 5 million events over 50 minutes.
const ROWS: u64 = 3_000 * PER_SECOND;
const PER_SECOND: u64 = 1_667;
const WINDOW_SECONDS: u64 = 60;
const QUERIES: usize = 200;
const COLUMNS: [(&str, u64); 5] =
    [("project", 10), ("fingerprint", 5_000), ("guid", 500_000), ("error_type", 20), ("app_version", 50)];
/// A multiple of the period, so that the last whole window ends where the rows do.
const EPOCH: u64 = 1_700_000_040;

pub(crate) fn run() -> anyhow::Result<()> {
    let peer = duckdb()?;
    let scratch = tempfile::tempdir()?;
    let clock = Arc::new(ManualClock::at(Instant::from_seconds(EPOCH)));
    let store = EventStore::open(&scratch.path().join("events.db"), EventStoreOptions::default(), clock.clone())?;
    fill(&store, &clock)?;
    let project = ProjectId(1);
    let seconds = ROWS / PER_SECOND;
    let end = EPOCH + seconds;
    // The window must be aligned: its start is the same second on both sides, counted from the first row.
    let period = Period::new(u32::try_from(WINDOW_SECONDS)?)?;
    let window = Window::starting_at(end - WINDOW_SECONDS, period).context("the rows must end on a whole window")?;
    store.seal(project, window.end())?;
    let metrics = (0..QUERIES).map(metric).collect::<anyhow::Result<Vec<_>>>()?;
    let limits = EvaluationLimits { groups: 1_000_000 };
    store.evaluate(project, window, &metrics[..1], &limits)?;
    let (ours, answers) = cpu::seconds(|| {
        let one = |m: &MetricSpec| store.evaluate(project, window, std::slice::from_ref(m), &limits);
        Ok(metrics.iter().map(one).collect::<Result<Vec<_>, _>>()?)
    })?;
    compare(&answers.concat(), &peer)?;
    let theirs = peer["cpu"].as_f64().context("the peer's CPU time")?;
    report("evaluate_200_window_queries", ours, "duckdb", theirs, "s");
    let (shared, together) = cpu::seconds(|| Ok(store.evaluate(project, window, &metrics, &limits)?))?;
    compare(&together, &peer)?;
    report("evaluate_200_metrics_on_one_pass", shared, "duckdb", theirs, "s");
    store.close();
    Ok(())
}

fn duckdb() -> anyhow::Result<Json> {
    let python = std::env::var("TIDEGATE_BENCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/duckdb_windows.py");
    let numbers = [ROWS, PER_SECOND, WINDOW_SECONDS, QUERIES as u64].map(|n| n.to_string());
    let output =
        Command::new(&python).arg(script).args(numbers).output().with_context(|| format!("starting {python}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{python} failed; `make setup` installs duckdb and numpy for it: {told}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// SplitMix64's finaliser, as in the peer's script.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

fn event(row: u64) -> Event {
    let text = |(i, (name, distinct)): (usize, &(&str, u64))| {
        let code = mix(row * 8 + i as u64) % distinct;
        ((*name).to_owned(), Value::Str(format!("{name}-{code:06}")))
    };
    let mut attributes: Vec<_> = COLUMNS.iter().enumerate().map(text).collect();
    attributes.push(("age".to_owned(), Value::Float((mix(row * 8 + 7) % 100_000) as f64 / 4.0)));
    Event { attributes, ..Event::default() }
}

fn fill(store: &EventStore, clock: &ManualClock) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for second in 0..ROWS / PER_SECOND {
        clock.set(Instant::from_seconds(EPOCH + second));
        let rows = second * PER_SECOND..(second + 1) * PER_SECOND;
        let receipts = runtime.block_on(store.submit(ProjectId(1), rows.map(event).collect()))?;
        ensure!(receipts.iter().all(|r| r.arrival.seconds() == EPOCH + second), "an event arrived in another second");
    }
    Ok(())
}

fn metric(i: usize) -> anyhow::Result<MetricSpec> {
    let version = json!([["not-equal", format!("app_version-{:06}", i % 50)]]);
    let filter = if i % 2 == 1 {
        json!({"project": [["equal", format!("project-{:06}", i / 2 % 10)]], "app_version": version})
    } else {
        json!({"error_type": [["not-equal", format!("error_type-{:06}", i / 2 % 20)]], "app_version": version})
    };
    let query = match i / 2 % 4 {
        0 => json!({"fold": {"_tx": [["count"]]}}),
        1 => json!({"fold": {"guid": [["unique"]]}}),
        2 => json!({"group": ["fingerprint"], "fold": {"guid": [["unique"]]}}),
        _ => json!({"group": ["app_version"], "fold": {"_tx": [["count"]], "guid": [["unique"]], "age": [["max"]]}}),
    };
    let mut query = query;
    query["filter"] = json!([filter]);
    Ok(MetricSpec { name: Name::new(format!("q{i}"))?, query: MetricQuery::parse(&query)?.query })
}

/// Rows and the sum of each column must be those of the peer.
fn compare(ours: &[MetricBatch], peer: &Json) -> anyhow::Result<()> {
    let theirs = peer["answers"].as_array().context("the peer's answers")?;
    ensure!(ours.len() == theirs.len(), "{} answers, the peer has {}", ours.len(), theirs.len());
    for (i, (batch, other)) in ours.iter().zip(theirs).enumerate() {
        let sums = batch.measures.iter().map(|m| m.values.iter().sum::<f64>());
        let mine: Vec<f64> = std::iter::once(f64::from(batch.live_rows)).chain(sums).collect();
        let other: Vec<f64> = other.as_array().into_iter().flatten().filter_map(Json::as_f64).collect();
        ensure!(mine == other, "query {i}: ours {mine:?}, the peer's {other:?}");
    }
    Ok(())
}
