//! Taking events in: CPU time of all threads together, until they are on disk, and what they take there.
//!
//! Three ways in, the same rows: ours (lines into blocks, one writer, merges), one row at a time into SQLite as an application
//! would write it, and DuckDB reading the file by itself. What each has stored is counted and summed, and must agree.

pub(crate) mod http;
pub(crate) mod lines;
mod peers;
mod reports;

use crate::changes::Kept;
use crate::{cpu, report};
use anyhow::{Context, ensure};
use lines::Lines;
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tidegate_events::{Block, EvaluationLimits, EventStore, EventStoreOptions, MetricSpec, Source};
use tidegate_model::{EventLimits, Instant, ManualClock, MetricQuery, Name, Period, ProjectId, Window};
use tokio::task::JoinHandle;

const PROJECT: ProjectId = ProjectId(1);
/// Events that all three store.
pub(crate) const EVENTS: u64 = 500_000;
/// Events that rows are inserted of: the figure is a rate, and slow.
const ROW_EVENTS: u64 = 100_000;
/// Events after which the cost of one is looked at; the longer list with `LONG=1`.
const GROWTH: [u64; 2] = [500_000, 2_000_000];
const LONG_GROWTH: [u64; 4] = [500_000, 1_000_000, 5_000_000, 20_000_000];
/// Events that the cost is measured over.
const STEP: u64 = 250_000;
const START: u64 = 1_700_000_040;

pub(crate) fn run() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let file = scratch.path().join("events.ndjson");
    lines::write_file(&file, EVENTS)?;
    let ours = import(&file, scratch.path(), false, false)?;
    let duckdb = peers::duckdb(&file, scratch.path())?;
    let rows = peers::rows(&file, ROW_EVENTS, scratch.path())?;
    ours.agrees_with(&duckdb)?;
    report("ingest_ndjson_per_cpu_second", ours.rate(), "duckdb_read_json", duckdb.rate(), "/s");
    report("ingest_ndjson_per_cpu_second", ours.rate(), "sqlite_rows", rows.rate(), "/s");
    report("ingest_bytes_per_event_on_disk", ours.bytes_each(), "duckdb", duckdb.bytes_each(), "B");
    report("ingest_bytes_per_event_on_disk", ours.bytes_each(), "sqlite_rows", rows.bytes_each(), "B");
    let with_uuids = import(&file, scratch.path(), true, false)?;
    report("ingest_ndjson_with_uuids", with_uuids.rate(), "without", ours.rate(), "/s");
    drop(std::fs::remove_file(&file));
    http::run(scratch.path())?;
    reports::run(scratch.path())?;
    growth(scratch.path())
}

/// What it took to store some events, and what they sum up to.
pub(crate) struct Stored {
    pub(crate) events: u64,
    pub(crate) cpu: f64,
    pub(crate) bytes: u64,
    /// Bytes of changes that were kept.
    pub(crate) changes: u64,
    /// Number of events, distinct texts of `guid`, sum of `process.age`.
    pub(crate) sums: [f64; 3],
}

impl Stored {
    pub(crate) fn rate(&self) -> f64 {
        self.events as f64 / self.cpu
    }

    fn bytes_each(&self) -> f64 {
        self.bytes as f64 / self.events as f64
    }

    fn agrees_with(&self, other: &Self) -> anyhow::Result<()> {
        let close = |(a, b): (&f64, &f64)| (a - b).abs() <= b.abs() * 1e-9;
        ensure!(self.sums.iter().zip(&other.sums).all(close), "ours {:?}, the peer's {:?}", self.sums, other.sums);
        Ok(())
    }
}

/// A store of ours that blocks go into, one under way while the next is made.
struct Import {
    store: EventStore,
    clock: Arc<ManualClock>,
    kept: Option<Kept>,
    runtime: tokio::runtime::Runtime,
    under_way: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Import {
    fn new(folder: &Path, keep_changes: bool) -> anyhow::Result<Self> {
        let clock = Arc::new(ManualClock::at(Instant::from_seconds(START)));
        let log = keep_changes.then(|| Kept::log(folder));
        let options = EventStoreOptions { changes: log.clone(), ..EventStoreOptions::default() };
        let store = EventStore::open(&folder.join("events.db"), options, clock.clone())?;
        let kept = log.map(|log| Kept::beside_a_catalog(log, folder)).transpose()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Self { store, clock, kept, runtime, under_way: None })
    }

    fn send(&mut self, block: Block) -> anyhow::Result<()> {
        self.settle()?;
        self.clock.advance(1);
        let store = self.store.clone();
        self.under_way = Some(self.runtime.spawn(async move {
            for answer in store.submit_block(PROJECT, block).await? {
                answer?;
            }
            Ok(())
        }));
        Ok(())
    }

    fn settle(&mut self) -> anyhow::Result<()> {
        match self.under_way.take() {
            Some(sent) => self.runtime.block_on(sent)?,
            None => Ok(()),
        }
    }

    /// Waits until nothing more is merged: that is work which the events have caused, too.
    fn rest(&mut self) -> anyhow::Result<()> {
        self.settle()?;
        let mut merges = None;
        while merges != Some(self.store.stats().merges) {
            merges = Some(self.store.stats().merges);
            std::thread::sleep(Duration::from_millis(300));
        }
        Ok(())
    }

    fn sums(&self) -> anyhow::Result<[f64; 3]> {
        let period = Period::new(86_400)?;
        let window = period.window_at(Instant::from_seconds(START));
        let next = Window::starting_at(window.end().seconds(), period).context("a window")?;
        let query = json!({"fold": {"_tx": [["count"]], "guid": [["unique"]], "process.age": [["sum"]]}});
        let metric = MetricSpec { name: Name::new("sums")?, query: MetricQuery::parse(&query)?.query };
        let limits = EvaluationLimits::default();
        let batch = self.store.evaluate(PROJECT, window, std::slice::from_ref(&metric), &limits)?;
        let later = self.store.evaluate(PROJECT, next, &[metric], &limits)?;
        ensure!(later[0].rows == 0 || later[0].measures[0].values[0] == 0.0, "the events must fit one day");
        let value = |i: usize| batch[0].measures[i].values.first().copied().unwrap_or_default();
        Ok([value(0), value(1), value(2)])
    }
}

/// Stores the lines of a file; each with a uuid of its own if that is wanted, and with all changes kept if that is.
pub(crate) fn import(file: &Path, folder: &Path, uuids: bool, keep_changes: bool) -> anyhow::Result<Stored> {
    let folder = tempfile::tempdir_in(folder)?;
    let limits = EventLimits::default();
    let before = cpu::with_ended_threads()?;
    let mut import = Import::new(folder.path(), keep_changes)?;
    let (mut block, mut events) = (Block::new(&limits), 0);
    let mut lines = BufReader::with_capacity(1 << 20, std::fs::File::open(file)?);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        line.pop();
        if uuids {
            line.pop();
            line.extend_from_slice(format!(r#","uuid":"{}"}}"#, lines::uuid(events)).as_bytes());
        }
        block.push_line(&line)?;
        line.clear();
        events += 1;
        if block.is_full() {
            import.send(std::mem::replace(&mut block, Block::new(&limits)))?;
        }
    }
    import.send(block)?;
    import.rest()?;
    let changes = import.kept.take().map_or(0, Kept::end);
    let cpu = cpu::with_ended_threads()? - before;
    let sums = import.sums()?;
    import.store.close();
    let bytes = std::fs::metadata(folder.path().join("events.db"))?.len();
    Ok(Stored { events, cpu, bytes, changes, sums })
}

/// The cost of an event when there are few, and when there are many.
fn growth(folder: &Path) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(folder)?;
    let long = std::env::var("LONG").is_ok_and(|long| long == "1");
    let marks: &[u64] = if long { &LONG_GROWTH } else { &GROWTH };
    let limits = EventLimits::default();
    let mut import = Import::new(folder.path(), false)?;
    let (mut at, mut first) = (0, None);
    for &mark in marks {
        let mut spent = 0.0;
        while at < mark {
            // Lines are made first, so that making them is not counted.
            let lines = Lines::new(at, 50_000.min(mark - at));
            let measured = mark - at <= STEP;
            let before = cpu::with_ended_threads()?;
            let mut block = Block::new(&limits);
            for line in lines.iter() {
                block.push_line(line)?;
                if block.is_full() {
                    import.send(std::mem::replace(&mut block, Block::new(&limits)))?;
                }
            }
            import.send(block)?;
            if measured {
                import.settle()?;
                spent += cpu::with_ended_threads()? - before;
            }
            at += lines.count();
        }
        let before = cpu::with_ended_threads()?;
        import.rest()?;
        let micros = (spent + cpu::with_ended_threads()? - before) / STEP as f64 * 1e6;
        let bytes = import.store.stats().file_bytes as f64 / at as f64;
        let first = *first.get_or_insert(micros);
        report(&format!("ingest_cost_at_{at}_events"), micros, "cost_at_500000", first, "us");
        println!("      {bytes:.1} bytes an event in the file");
    }
    import.store.close();
    Ok(())
}
