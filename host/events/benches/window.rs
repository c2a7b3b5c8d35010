//! How long the store takes for what it does all day: parse, store, and evaluate 200 metrics over the window that just ended.
//!
//! `cargo bench -p tidegate-events`; `EVENTS=5000000` for as many events. Figures, no judgement.
#![allow(clippy::print_stdout, missing_docs)] // a report for a person is all that this is

use std::sync::Arc;
use std::time::{Duration, Instant as Moment};
use tidegate_events::{EvaluationLimits, EventStore, EventStoreOptions, MetricSpec, Source, ndjson};
use tidegate_model::{Event, EventLimits, Instant, ManualClock, MetricQuery, Name, Period, ProjectId, Window};

const PROJECT: ProjectId = ProjectId(1);
const WINDOW_EVENTS: u64 = 100_000;

/// The same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    /// Small ones are more frequent.
    fn skewed(&mut self, bound: u64) -> u64 {
        let a = self.below(bound);
        self.below(a + 1)
    }
}

fn line(random: &mut Random, number: u64) -> String {
    let fingerprint = random.skewed(2_000);
    let guid = random.below(1_000_000).min(random.below(1_000_000));
    let mut line = format!(
        r#"{{"timestamp":{},"fingerprint":"{fingerprint:064x}","guid":"{guid:08x}-0000-4000-8000-{guid:012x}","app.version":"2.{}.{}","error.type":"{}","hostname":"host-{}","process.age":{},"memory":{}.5,"handled":{}"#,
        1_700_000_000 + number / 1000,
        random.skewed(5),
        random.skewed(12),
        ["Crash", "Exception", "Hang", "Message", "OOMException"][random.skewed(5) as usize],
        random.below(300),
        random.skewed(90_000),
        random.below(1 << 33),
        random.below(2) == 0,
    );
    for i in 0..24 {
        line.push_str(&format!(r#","attribute.{i}":"value {}""#, random.skewed(30 * (i + 1))));
    }
    line.push('}');
    line
}

fn metrics() -> Vec<MetricSpec> {
    let folds = [
        r#"{"_tx":[["count"]]}"#,
        r#"{"guid":[["unique"]]}"#,
        r#"{"_tx":[["count"]],"guid":[["unique"]],"process.age":[["max"]]}"#,
        r#"{"_tx":[["unique"]],"process.age":[["mean"],["sum"]]}"#,
    ];
    let groups =
        ["[]", r#"["fingerprint"]"#, r#"["app.version"]"#, r#"["error.type","app.version"]"#, r#"["hostname"]"#];
    let filters = [
        "[]".to_owned(),
        r#"[{"error.type":[["equal","Crash"]]}]"#.to_owned(),
        r#"[{"app.version":[["regular-expression","^2\\.[01]\\."]]}]"#.to_owned(),
        r#"[{"process.age":[["greater-than",1000]],"handled":[["equal",false]]}]"#.to_owned(),
    ];
    let more = (0..6).map(|i| format!(r#"[{{"attribute.{i}":[["not-equal","value {i}"]]}}]"#));
    let filters: Vec<String> = filters.into_iter().chain(more).collect();
    let mut all = Vec::new();
    for fold in folds {
        for group in groups {
            for filter in &filters {
                let query = format!(r#"{{"filter":{filter},"group":{group},"fold":{fold}}}"#);
                let query = MetricQuery::parse(&serde_json::from_str(&query).expect("JSON")).expect("a query").query;
                all.push(MetricSpec { name: Name::new("m").expect("a name"), query });
            }
        }
    }
    all
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Moment::now();
    let done = work();
    let took = start.elapsed();
    println!("{what:60} {:>9.1} ms", took.as_secs_f64() * 1e3);
    (done, took)
}

fn main() {
    let total: u64 = std::env::var("EVENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(500_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::at(Instant::from_seconds(600)));
    let open = || {
        EventStore::open(&dir.path().join("events.db"), EventStoreOptions::default(), clock.clone()).expect("a store")
    };
    let store = open();
    let mut random = Random(1);
    let limits = EventLimits::default();
    let (mut parsing, mut generic, mut storing, mut bytes) = (Duration::ZERO, Duration::ZERO, Duration::ZERO, 0);
    for batch in 0..total / 1000 {
        if batch * 1000 == total - WINDOW_EVENTS {
            clock.set(Instant::from_seconds(1200));
        }
        let lines: Vec<String> = (0..1000).map(|i| line(&mut random, batch * 1000 + i)).collect();
        bytes += lines.iter().map(String::len).sum::<usize>();
        let start = Moment::now();
        let events: Vec<Event> =
            lines.iter().map(|l| ndjson::parse_line(l.as_bytes(), &limits).expect("a line")).collect();
        parsing += start.elapsed();
        let start = Moment::now();
        lines.iter().for_each(|l| drop(serde_json::from_str::<serde_json::Value>(l).expect("JSON")));
        generic += start.elapsed();
        let start = Moment::now();
        runtime.block_on(store.submit(PROJECT, events)).expect("receipts");
        storing += start.elapsed();
    }
    let per_second = |took: Duration| total as f64 / took.as_secs_f64();
    println!("{total} events of {} bytes", bytes as u64 / total);
    println!("{:60} {:>9.0} events/s", "parse lines, one core", per_second(parsing));
    println!("{:60} {:>9.0} events/s", "beside it: serde_json to a generic value", per_second(generic));
    println!("{:60} {:>9.0} events/s", "store in submissions of 1000, one at a time", per_second(storing));
    let window = Window::starting_at(1200, Period::new(600).expect("a period")).expect("a window");
    let metrics = metrics();
    println!("{} metrics over a window of {WINDOW_EVENTS} events:", metrics.len());
    let limits = EvaluationLimits::default();
    let evaluate = |metrics: &[MetricSpec]| store.evaluate(PROJECT, window, metrics, &limits).expect("batches");
    let (rows, _) =
        timed("first time, columns from disk", || evaluate(&metrics).iter().map(|b| u64::from(b.rows)).sum::<u64>());
    for _ in 0..3 {
        timed("all at once, columns in memory", || evaluate(&metrics));
    }
    timed("one after the other, columns in memory", || {
        metrics.iter().for_each(|metric| drop(evaluate(std::slice::from_ref(metric))));
    });
    println!("{rows} rows; {:?}", store.stats());
    store.close();
    let (store, _) = timed("open again", open);
    timed("all at once after that, columns from disk", || {
        store.evaluate(PROJECT, window, &metrics, &limits).expect("batches")
    });
}
