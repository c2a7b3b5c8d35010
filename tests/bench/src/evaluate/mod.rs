//! The evaluator beside DuckDB and Polars: the same rows, the same queries, CPU seconds of all threads on both sides. Their
//! tables are in memory. Ours are on disk, and the columns in use in memory, as the writer keeps them for metrics that were
//! evaluated before; what is measured "from disk" starts without them.

pub(crate) mod rows;

use crate::{cpu, peers, report};
use anyhow::{Context, ensure};
use rows::{BLOCK, EPOCH, PER_SECOND, PROJECT, QUERIES, SECONDS, TINY_PROJECTS, TINY_ROWS, WINDOW_SECONDS};
use serde_json::Value as Json;
use std::ffi::OsStr;
use std::path::Path;
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
    everything(&store, &peers, true)?;
    store.close();
    let store = open(&file, &clock)?;
    everything(&store, &peers, false)?;
    store.close();
    let store = open(&file, &clock)?;
    settle(&store);
    one_by_one(&store, &metrics()?[..BLOCK], &peers, "evaluate_200_window_queries_from_disk")?;
    store.close();
    tiny_projects(&peers[0].1)
}

fn open(file: &Path, clock: &Arc<ManualClock>) -> anyhow::Result<EventStore> {
    Ok(EventStore::open(file, EventStoreOptions::default(), clock.clone())?)
}

fn metrics() -> anyhow::Result<Vec<MetricSpec>> {
    (0..QUERIES).map(rows::query).collect()
}

/// The window that just ended.
fn last_window() -> anyhow::Result<Window> {
    window(EPOCH + SECONDS - WINDOW_SECONDS, WINDOW_SECONDS)
}

/// Many queries on the window that just ended: one after the other, and all that are due at once.
fn windows(store: &EventStore, peers: &[(&str, Json)]) -> anyhow::Result<()> {
    let (window, metrics) = (last_window()?, metrics()?);
    let evaluate = |metrics: &[MetricSpec]| Ok(store.evaluate(PROJECT, window, metrics, &LIMITS())?);
    store.seal(PROJECT, window.end())?;
    settle(store);
    evaluate(&metrics[..BLOCK])?;
    let block = one_by_one(store, &metrics[..BLOCK], peers, "evaluate_200_window_queries")?;
    let (shared, together) = cpu::seconds(|| evaluate(&metrics[..BLOCK]))?;
    let (all, everything) = cpu::seconds(|| evaluate(&metrics))?;
    for (who, peer) in peers {
        let theirs = peer["answers"].as_array().context("the peer's answers")?;
        compare(&together, &theirs[..BLOCK])?;
        compare(&everything, theirs)?;
        report("evaluate_200_metrics_on_one_pass", shared, who, cpu_of(peer, "block")?, "s");
        report("evaluate_1000_metrics_on_one_pass", all, who, cpu_of(peer, "all")?, "s");
    }
    report("evaluate_1000_metrics_on_one_pass", all, "ours_200_on_one_pass", shared, "s");
    report("evaluate_1000_metrics_on_one_pass", all, "ours_200_queries", block, "s");
    Ok(())
}

/// A call for each of some queries on the window that just ended; the CPU seconds of all.
fn one_by_one(store: &EventStore, metrics: &[MetricSpec], peers: &[(&str, Json)], name: &str) -> anyhow::Result<f64> {
    let window = last_window()?;
    let one = |metric: &MetricSpec| store.evaluate(PROJECT, window, std::slice::from_ref(metric), &LIMITS());
    let (ours, answers) = cpu::seconds(|| Ok(metrics.iter().map(one).collect::<Result<Vec<_>, _>>()?.concat()))?;
    for (who, peer) in peers {
        compare(&answers, &peer["answers"].as_array().context("the peer's answers")?[..metrics.len()])?;
        report(name, ours, who, cpu_of(peer, "block")?, "s");
    }
    Ok(ours)
}

/// One query over all events.
fn everything(store: &EventStore, peers: &[(&str, Json)], in_memory: bool) -> anyhow::Result<()> {
    let name = "evaluate_unique_by_fingerprint_of_5m";
    let name = if in_memory { name.to_owned() } else { format!("{name}_from_disk") };
    let window = window(EPOCH, SECONDS)?;
    settle(store);
    let evaluate = || Ok(store.evaluate(PROJECT, window, &[rows::unique()?], &LIMITS())?);
    if in_memory {
        evaluate()?;
    }
    let (ours, answer) = cpu::seconds(evaluate)?;
    for (who, peer) in peers {
        compare(&answer, std::slice::from_ref(&peer["unique_answer"]))?;
        report(&name, ours, who, cpu_of(peer, "unique")?, "s");
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
pub(crate) fn settle(store: &EventStore) {
    let mut merges = u64::MAX;
    while merges != store.stats().merges {
        merges = store.stats().merges;
        std::thread::sleep(std::time::Duration::from_secs(2));
    }
}

/// What another program makes of the same rows and queries.
fn peer(name: &str) -> anyhow::Result<Json> {
    let queries = [QUERIES, BLOCK].map(|n| n as u64);
    let numbers =
        [&[SECONDS * PER_SECOND, PER_SECOND, WINDOW_SECONDS], &queries[..], &[TINY_PROJECTS, TINY_ROWS]].concat();
    let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
    peers::run(&format!("{name}_windows.py"), &numbers.iter().map(OsStr::new).collect::<Vec<_>>())
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
