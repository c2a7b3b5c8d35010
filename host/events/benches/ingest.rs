//! What it costs to take events in: CPU time of the whole process, threads that write and merge included, and bytes on disk.
//!
//! `cargo bench -p tidegate-events --bench ingest`; `EVENTS=5000000` for as many. Figures, no judgement.
#![allow(clippy::print_stdout, missing_docs)] // a report for a person is all that this is

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tidegate_events::{Block, EventStore, EventStoreOptions};
use tidegate_model::{EventLimits, Instant, ManualClock, ProjectId};

const PROJECT: ProjectId = ProjectId(1);
/// Text attributes beside those with a meaning.
const OTHERS: u64 = 24;

/// SplitMix64's finaliser.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

/// 30 attributes: the time, five texts of the cardinalities that crash reports have, a double, the others.
fn line(out: &mut Vec<u8>, row: u64, uuids: bool) {
    let draw = |column: u64, distinct: u64| mix(row * 64 + column) % distinct;
    let guid = draw(2, 500_000);
    let written = write!(
        out,
        r#"{{"timestamp":{},"fingerprint":"{:064x}","guid":"{guid:08x}-0000-4000-8000-{guid:012x}","error.type":"error type {}","app.version":"2.{}","process.age":{:.2}"#,
        1_700_000_000 + row / 2000,
        mix(draw(1, 5_000)),
        draw(3, 20),
        draw(4, 50),
        draw(5, 100_000) as f64 / 4.0,
    );
    written.expect("memory");
    for i in 0..OTHERS {
        write!(out, r#","attribute.{i}":"value {}""#, draw(6 + i, 10 * (i + 1))).expect("memory");
    }
    if uuids {
        write!(out, r#","uuid":"{}""#, uuid(row)).expect("memory");
    }
    out.extend_from_slice(b"}\n");
}

fn uuid(row: u64) -> String {
    let (a, b) = (mix(row * 2), mix(row * 2 + 1));
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xfff,
        b >> 52,
        b & 0xffff_ffff_ffff
    )
}

/// CPU seconds of the process so far (`/proc/self/stat`, in hundredths).
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let after = stat.rsplit_once(") ").expect("a name").1;
    let field = |n: usize| after.split(' ').nth(n).and_then(|t| t.parse::<f64>().ok()).expect("a number");
    (field(11) + field(12)) / 100.0
}

fn main() {
    let total: u64 = std::env::var("EVENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(500_000);
    let uuids = std::env::var_os("UUIDS").is_some();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::at(Instant::from_seconds(600)));
    let file = dir.path().join("events.db");
    let store = EventStore::open(&file, EventStoreOptions::default(), clock.clone()).expect("a store");
    let limits = EventLimits::default();
    let (mut made, mut parsing, mut storing, mut bytes) = (0, 0.0, 0.0, 0);
    let step = total.min(500_000);
    let mut under_way: Option<tokio::task::JoinHandle<()>> = None;
    while made < total {
        let mut text = Vec::new();
        let before = cpu();
        for row in made..made + step {
            line(&mut text, row, uuids);
        }
        let making = cpu() - before;
        bytes += text.len();
        let start = cpu();
        let mut only_parsing = 0.0;
        let mut lines = text.split(|b| *b == b'\n').filter(|l| !l.is_empty()).peekable();
        while lines.peek().is_some() {
            let began = thread_cpu();
            let mut block = Block::new(&limits);
            while !block.is_full()
                && let Some(line) = lines.next()
            {
                block.push_line(line).expect("a good line");
            }
            only_parsing += thread_cpu() - began;
            if let Some(task) = under_way.take() {
                runtime.block_on(task).expect("stored");
            }
            clock.advance(1);
            let store = store.clone();
            under_way = Some(runtime.spawn(async move {
                store.submit_block(PROJECT, block).await.expect("receipts");
            }));
        }
        if let Some(task) = under_way.take() {
            runtime.block_on(task).expect("stored");
        }
        let took = cpu() - start;
        made += step;
        parsing += only_parsing;
        storing += took - only_parsing;
        let stats = store.stats();
        println!(
            "{made:>9} events: {:.0} events per CPU-second in this step (parse {:.2} us, the rest {:.2} us; making the lines {:.2} us), {:.1} bytes/event in the file, {} segments, {} commits, {} merges",
            step as f64 / took,
            only_parsing / step as f64 * 1e6,
            (took - only_parsing) / step as f64 * 1e6,
            making / step as f64 * 1e6,
            stats.file_bytes as f64 / made as f64,
            stats.segments,
            stats.commits,
            stats.merges,
        );
    }
    std::thread::sleep(Duration::from_millis(300));
    let start = cpu();
    store.close();
    let closing = cpu() - start;
    let size = std::fs::metadata(&file).expect("the file").len();
    println!(
        "{total} events of {} bytes: {:.0} events per CPU-second ({:.2} us to parse, {:.2} us for the rest), closing {closing:.2} s, {:.1} bytes an event on disk",
        bytes as u64 / total,
        total as f64 / (parsing + storing),
        parsing / total as f64 * 1e6,
        storing / total as f64 * 1e6,
        size as f64 / total as f64,
    );
}

fn thread_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    stat.split_whitespace().next().and_then(|n| n.parse::<f64>().ok()).expect("a number") / 1e9
}
