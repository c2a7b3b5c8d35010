//! The evaluator beside DuckDB and Polars: the same rows, the same queries, CPU seconds of all threads on both sides. Their
//! tables are in memory. Ours are on disk, with a cache: what is measured "from disk" starts with an empty one.

mod rows;

use crate::{cpu, report};
use anyhow::{Context, ensure};
use rows::{BLOCK, EPOCH, PER_SECOND, PROJECT, QUERIES, SECONDS, TINY_PROJECTS, TINY_ROWS, WINDOW_SECONDS};
use serde_json::Value as Json;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tidegate_events::{EvaluationLimits, EventStore, EventStoreOptions, MetricSpec, Source};
use tidegate_model::{Instant, ManualClock, MetricBatch, Period, ProjectId, Window};

const LIMITS: fn() -> EvaluationLimits = || EvaluationLimits { groups: 1_000_000, ..EvaluationLimits::default() };

pub(crate) fn run() -> anyhow::Result<()> {
    let peers = [("duckdb", peer("duckdb")?), ("polars", peer("polars")?)];
    let scratch = tempfile::tempdir()?;
    let file = scratch.path().join("events.db");
    let clock = Arc::new(ManualClock::at(Instant::from_seconds(EPOCH)));
    let store = open(&file, &clock)?;
    rows::fill(&store, &clock)?;
    windows(&store, &peers)?;
    everything(&store, &peers, "evaluate_unique_by_fingerprint_of_5m")?;
    store.close();
    let store = open(&file, &clock)?;
    everything(&store, &peers, "evaluate_unique_by_fingerprint_of_5m_from_disk")?;
    store.close();
    tiny_projects(&peers[0].1)
}

fn open(file: &Path, clock: &Arc<ManualClock>) -> anyhow::Result<EventStore> {
    Ok(EventStore::open(file, EventStoreOptions::default(), clock.clone())?)
}

/// Many queries on the window that just ended: one after the other, and all that are due at once.
fn windows(store: &EventStore, peers: &[(&str, Json)]) -> anyhow::Result<()> {
    let window = window(EPOCH + SECONDS - WINDOW_SECONDS, WINDOW_SECONDS)?;
    store.seal(PROJECT, window.end())?;
    let metrics = (0..QUERIES).map(rows::query).collect::<anyhow::Result<Vec<_>>>()?;
    let evaluate = |metrics: &[MetricSpec]| Ok(store.evaluate(PROJECT, window, metrics, &LIMITS())?);
    settle(store);
    evaluate(&metrics[..1])?;
    let (block, answers) = cpu::seconds(|| {
        let one = |metric: &MetricSpec| evaluate(std::slice::from_ref(metric));
        Ok(metrics[..BLOCK].iter().map(one).collect::<anyhow::Result<Vec<_>>>()?.concat())
    })?;
    let (shared, together) = cpu::seconds(|| evaluate(&metrics[..BLOCK]))?;
    let (all, everything) = cpu::seconds(|| evaluate(&metrics))?;
    for (who, peer) in peers {
        let theirs = peer["answers"].as_array().context("the peer's answers")?;
        compare(&answers, &theirs[..BLOCK])?;
        compare(&together, &theirs[..BLOCK])?;
        compare(&everything, theirs)?;
        report("evaluate_200_window_queries", block, who, cpu_of(peer, "block")?, "s");
        report("evaluate_200_metrics_on_one_pass", shared, who, cpu_of(peer, "block")?, "s");
        report("evaluate_1000_metrics_on_one_pass", all, who, cpu_of(peer, "all")?, "s");
    }
    report("evaluate_1000_metrics_on_one_pass", all, "ours_200_on_one_pass", shared, "s");
    report("evaluate_1000_metrics_on_one_pass", all, "ours_200_queries", block, "s");
    Ok(())
}

/// One query over all events.
fn everything(store: &EventStore, peers: &[(&str, Json)], name: &str) -> anyhow::Result<()> {
    let window = window(EPOCH, SECONDS)?;
    settle(store);
    let (ours, answer) = cpu::seconds(|| Ok(store.evaluate(PROJECT, window, &[rows::unique()?], &LIMITS())?))?;
    for (who, peer) in peers {
        compare(&answer, std::slice::from_ref(&peer["unique_answer"]))?;
        report(name, ours, who, cpu_of(peer, "unique")?, "s");
    }
    Ok(())
}

/// Every project by itself, as they are evaluated: columns in memory since they came, and then from disk.
fn tiny_projects(duckdb: &Json) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let file = scratch.path().join("events.db");
    let clock = Arc::new(ManualClock::at(Instant::from_seconds(EPOCH)));
    let metrics = rows::tiny()?;
    let evaluate = |store: &EventStore, start: u64| -> anyhow::Result<Vec<MetricBatch>> {
        let window = window(start, WINDOW_SECONDS)?;
        let one = |project: ProjectId| store.evaluate(project, window, &metrics, &LIMITS());
        Ok((0..TINY_PROJECTS).map(|p| one(rows::tiny_project(p))).collect::<Result<Vec<_>, _>>()?.concat())
    };
    let store = open(&file, &clock)?;
    rows::fill_tiny(&store)?;
    // The first window tells which attributes are in use.
    evaluate(&store, EPOCH)?;
    clock.set(Instant::from_seconds(EPOCH + WINDOW_SECONDS));
    rows::fill_tiny(&store)?;
    settle(&store);
    let theirs = duckdb["tiny_answers"].as_array().context("the peer's answers")?;
    let (ours, answers) = cpu::seconds(|| evaluate(&store, EPOCH + WINDOW_SECONDS))?;
    compare(&answers, theirs)?;
    report("evaluate_10000_tiny_projects", ours, "duckdb", cpu_of(duckdb, "tiny")?, "s");
    store.close();
    let store = open(&file, &clock)?;
    settle(&store);
    let (ours, answers) = cpu::seconds(|| evaluate(&store, EPOCH))?;
    compare(&answers, theirs)?;
    report("evaluate_10000_tiny_projects_from_disk", ours, "duckdb", cpu_of(duckdb, "tiny")?, "s");
    store.close();
    Ok(())
}

fn window(start: u64, seconds: u64) -> anyhow::Result<Window> {
    Window::starting_at(start, Period::new(u32::try_from(seconds)?)?).context("the rows must begin with a window")
}

/// Waits until the merges that ingest has left behind are done: they are not what is measured.
fn settle(store: &EventStore) {
    let mut merges = u64::MAX;
    while merges != store.stats().merges {
        merges = store.stats().merges;
        std::thread::sleep(std::time::Duration::from_secs(2));
    }
}

/// What another program makes of the same rows and queries.
fn peer(name: &str) -> anyhow::Result<Json> {
    let python = std::env::var("TIDEGATE_BENCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = format!("{}/peers/{name}_windows.py", env!("CARGO_MANIFEST_DIR"));
    let queries = [QUERIES, BLOCK].map(|n| n as u64);
    let numbers = [&[SECONDS * PER_SECOND, PER_SECOND, WINDOW_SECONDS], &queries[..], &[TINY_PROJECTS, TINY_ROWS]].concat();
    let mut command = Command::new(&python);
    command.arg(&script).args(numbers.iter().map(u64::to_string));
    let output = command.output().with_context(|| format!("starting {python}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{script} failed; `make setup` installs what it needs: {told}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn cpu_of(peer: &Json, what: &str) -> anyhow::Result<f64> {
    peer[what].as_f64().with_context(|| format!("the peer's CPU time for {what}"))
}

/// Rows, and the sum of each column, plain and weighted with the number in the row's key, must be those of the peer.
fn compare(ours: &[MetricBatch], theirs: &[Json]) -> anyhow::Result<()> {
    ensure!(ours.len() == theirs.len(), "{} answers, the peer has {}", ours.len(), theirs.len());
    for (batch, other) in ours.iter().zip(theirs) {
        let weight = |row: u32| match batch.dimension_text(0, row) {
            Some(key) => key[key.len() - 6..].parse().map_or(f64::NAN, |code: f64| code + 1.0),
            None => 1.0,
        };
        let mut mine = vec![f64::from(batch.live_rows)];
        for measure in &batch.measures {
            mine.push(measure.values.iter().sum());
            mine.push((0..).zip(&measure.values).map(|(row, value)| weight(row) * value).sum());
        }
        let other: Vec<f64> = other.as_array().into_iter().flatten().filter_map(Json::as_f64).collect();
        ensure!(mine == other, "{}: ours {mine:?}, the peer's {other:?}", batch.name);
    }
    Ok(())
}
