//! Backtrace reports of 20 kB: parsed, compressed, stored; beside SQLite that only keeps their text.

use crate::{cpu, report};
use anyhow::ensure;
use serde_json::{Value as Json, json};
use std::path::Path;
use std::sync::Arc;
use tidegate_events::{EventStore, EventStoreOptions, report as reports};
use tidegate_model::{EventLimits, Instant, ManualClock, ProjectId};

const REPORTS: u32 = 5_000;
const BYTES: usize = 20_000;
/// Reports that are under way together, as clients of a busy server have them.
const AT_ONCE: usize = 100;

pub(super) fn run(folder: &Path) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(folder)?;
    let texts: Vec<Vec<u8>> = (0..REPORTS).map(|n| one(n).to_string().into_bytes()).collect();
    let mean = texts.iter().map(Vec::len).sum::<usize>() / texts.len();
    ensure!(mean.abs_diff(BYTES) < BYTES / 10, "reports of {mean} bytes");
    let before = cpu::with_ended_threads()?;
    let bytes = ours(&texts, folder.path())?;
    let ours = f64::from(REPORTS) / (cpu::with_ended_threads()? - before);
    let before = cpu::with_ended_threads()?;
    let plain = text_alone(&texts, folder.path())?;
    let theirs = f64::from(REPORTS) / (cpu::with_ended_threads()? - before);
    report("ingest_reports_of_20kB_per_cpu_second", ours, "sqlite_text_alone", theirs, "/s");
    let each = |bytes: u64| bytes as f64 / f64::from(REPORTS);
    report("ingest_bytes_per_report_on_disk", each(bytes), "sqlite_text_alone", each(plain), "B");
    println!("      5,000 reports a second take {:.0} % of one core", 5_000.0 / ours * 100.0);
    Ok(())
}

fn ours(texts: &[Vec<u8>], folder: &Path) -> anyhow::Result<u64> {
    let file = folder.join("events.db");
    let clock = Arc::new(ManualClock::at(Instant::from_seconds(1_700_000_040)));
    let store = EventStore::open(&file, EventStoreOptions::default(), clock)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let limits = EventLimits::default();
    runtime.block_on(async {
        for texts in texts.chunks(AT_ONCE) {
            let mut under_way = Vec::new();
            for text in texts {
                let event = reports::parse(text, Vec::new(), &limits)?;
                let store = store.clone();
                under_way.push(tokio::spawn(async move { store.submit(ProjectId(1), vec![event]).await }));
            }
            for sent in under_way {
                sent.await??;
            }
        }
        Ok::<_, anyhow::Error>(())
    })?;
    ensure!(store.stats().events == u64::from(REPORTS), "{:?}", store.stats());
    store.close();
    Ok(std::fs::metadata(&file)?.len())
}

fn text_alone(texts: &[Vec<u8>], folder: &Path) -> anyhow::Result<u64> {
    let file = folder.join("texts.db");
    let mut db = rusqlite::Connection::open(&file)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.execute_batch("CREATE TABLE report (id INTEGER PRIMARY KEY, report TEXT NOT NULL)")?;
    for texts in texts.chunks(AT_ONCE) {
        let transaction = db.transaction()?;
        for text in texts {
            let text = std::str::from_utf8(text)?;
            transaction.prepare_cached("INSERT INTO report (report) VALUES (?1)")?.execute([text])?;
        }
        transaction.commit()?;
    }
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(std::fs::metadata(&file)?.len())
}

fn one(n: u32) -> Json {
    let frame = |i: u32| {
        json!({
            "funcName": format!("com.example.module{}.Class{}.method{}", i % 7, (n + i) % 90, i),
            "library": format!("/usr/lib/libexample{}.so.{}", i % 11, i % 3), "line": (n * 31 + i * 7) % 2_000, "column": i % 80,
            "sourceCode": format!("s{}", i % 40),
        })
    };
    let thread = |t: u32| (0..32).map(|i| frame(t * 5 + i)).collect::<Vec<_>>();
    let threads = (0..4u32).map(|t| {
        (t.to_string(), json!({"name": format!("worker {t}"), "fault": t == n % 4, "stack": thread(t + n % 50)}))
    });
    let attributes = (0..30).map(|i| {
        (format!("attribute.{i}"), json!(format!("value {}", n.wrapping_mul(2_654_435_761) % (10 * (i + 1)))))
    });
    let environment =
        (0..40).map(|i| (format!("VARIABLE_{i}"), json!(format!("/opt/example/{}/bin:{}", i * 37, n % (i + 5)))));
    json!({
        "uuid": format!("{n:08x}-0000-4000-8000-{:012x}", u64::from(n) * 7_919), "timestamp": 1_700_000_000 + n / 100,
        "lang": "java", "langVersion": "21", "agent": "bench", "agentVersion": "1", "mainThread": "0", "classifiers": ["Exception"],
        "attributes": attributes.collect::<serde_json::Map<_, _>>(),
        "annotations": {"Environment Variables": environment.collect::<serde_json::Map<_, _>>()},
        "threads": threads.collect::<serde_json::Map<_, _>>(),
    })
}
