//! The whole crate at once: a source of known values, the real adapters, receivers of our own on loopback, a clock that stands
//! still until it is told otherwise.

mod access;
mod embedded;
mod faults;
mod pull;
mod push;
mod receiver;
mod sim;
mod traits;

use crate::catalog::{DEFAULT_TENANT, StoreSpec};
use crate::{Catalog, EgressPolicy, Export, ExportOptions, StoreState, StoreStatus};
use receiver::Receiver;
use serde_json::{Value as Json, json};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tidegate_events::{EvaluationLimits, MetricSpec, Source, SourceError};
use tidegate_model::{
    Aggregate, Dimension, Instant, ManualClock, MeasureColumn, MetricBatch, MetricSetId, Period, ProjectId, StoreId,
    StringPool, Window,
};
use tidegate_sandbox::{Registry, Sandbox, SandboxOptions};
use tracing_subscriber::fmt::MakeWriter;

/// Start of the first window.
const T0: u64 = 1_699_999_980;
/// What no log, status or preview may ever show.
const CANARY: &str = "canary-9f3b-secret";

/// Gives each metric rows `v0`, `v1` ... whose values tell window and row apart.
#[derive(Default)]
struct Table {
    rows: AtomicU32,
    sealed: AtomicU64,
    broken: AtomicBool,
}

impl Table {
    fn value(window: Window, row: u32) -> f64 {
        f64::from(u32::try_from(window.start().seconds() % 86_400).unwrap()) + f64::from(row)
    }
}

impl Source for Table {
    fn seal(&self, _: ProjectId, end: Instant) -> Result<(), SourceError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(SourceError::Storage("told so".to_owned()));
        }
        self.sealed.fetch_max(end.seconds(), Ordering::SeqCst);
        Ok(())
    }

    fn evaluate(
        &self,
        _: ProjectId,
        window: Window,
        metrics: &[MetricSpec],
        _: &EvaluationLimits,
    ) -> Result<Vec<MetricBatch>, SourceError> {
        let rows = self.rows.load(Ordering::SeqCst);
        let batch = |spec: &MetricSpec| {
            // A metric called `wide` has a hundred times the rows.
            let rows = if spec.name.as_str() == "wide" { rows * 100 } else { rows };
            MetricBatch {
                name: spec.name.clone(),
                rows,
                live_rows: rows,
                folded_groups: 0,
                dimensions: vec![Dimension {
                    name: "d".to_owned(),
                    dictionary: (0..rows).map(|r| format!("v{r}")).collect::<StringPool>(),
                    codes: (0..rows).collect(),
                }],
                measures: vec![MeasureColumn {
                    attribute: "_tx".to_owned(),
                    aggregate: Aggregate::Count,
                    values: (0..rows).map(|r| Self::value(window, r)).collect(),
                    totals: None,
                }],
            }
        };
        Ok(metrics.iter().map(batch).collect())
    }
}

/// The real adapters, compiled once for all tests.
fn registry() -> Arc<Registry> {
    static REGISTRY: OnceLock<Arc<Registry>> = OnceLock::new();
    let made = REGISTRY.get_or_init(|| {
        let registry = Registry::new(Sandbox::new(SandboxOptions::default()).unwrap());
        registry.add_builtin().unwrap();
        Arc::new(registry)
    });
    Arc::clone(made)
}

/// Everything that was logged by any test, from the finest level up.
fn log() -> Arc<Mutex<Vec<u8>>> {
    #[derive(Clone)]
    struct Tape(Arc<Mutex<Vec<u8>>>);
    impl Write for Tape {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    impl<'w> MakeWriter<'w> for Tape {
        type Writer = Self;
        fn make_writer(&'w self) -> Self {
            self.clone()
        }
    }
    static TAPE: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();
    let tape = TAPE.get_or_init(|| {
        let tape = Arc::new(Mutex::new(Vec::new()));
        let filter = tracing_subscriber::EnvFilter::new(
            "trace,wasmtime=warn,cranelift=warn,wasmtime_internal_cranelift=warn,cranelift_codegen=warn",
        );
        let subscriber =
            tracing_subscriber::fmt().with_env_filter(filter).with_writer(Tape(Arc::clone(&tape))).with_ansi(false);
        subscriber.try_init().unwrap();
        tape
    });
    Arc::clone(tape)
}

struct World {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    table: Arc<Table>,
    catalog: Arc<Catalog>,
    project: ProjectId,
    set: MetricSetId,
    export: Option<Arc<Export>>,
    /// Changes to the options of each start.
    options: Box<dyn Fn(&mut ExportOptions) + Send + Sync>,
}

fn open(dir: &Path, clock: &Arc<ManualClock>) -> Arc<Catalog> {
    Arc::new(Catalog::open(&dir.join("tidegate.db"), clock.clone()).unwrap())
}

impl World {
    /// A project with a metric set `crashes` that has one metric, `errors`, of `rows` rows; nothing runs yet.
    fn new(rows: u32) -> Self {
        log();
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Instant::from_seconds(T0 + 5)));
        let table = Arc::new(Table { rows: AtomicU32::new(rows), ..Table::default() });
        let catalog = open(dir.path(), &clock);
        let create = |e: &crate::catalog::Edit<'_>| {
            let project = e.create_project(e.tenant_named(DEFAULT_TENANT)?.id, "web")?.id;
            let set = e.put_metric_set(project, "crashes")?.0.id;
            e.put_metric(set, "errors", &json!({"group": ["d"], "fold": {"_tx": [["count"]]}}))?;
            Ok((project, set))
        };
        let (project, set) = catalog.edit(create).unwrap();
        let options = Box::new(|_: &mut ExportOptions| {});
        Self { dir, clock, table, catalog, project, set, export: None, options }
    }

    fn with(mut self, options: impl Fn(&mut ExportOptions) + Send + Sync + 'static) -> Self {
        self.options = Box::new(options);
        self
    }

    /// Makes sure that there is a store called `name` of `adapter` with these settings.
    fn put(&self, name: &str, adapter: &str, settings: &Json, sets: &[MetricSetId], paused: bool) -> StoreId {
        let adapter = registry().get(adapter).unwrap();
        let spec = StoreSpec {
            adapter: adapter.description(),
            direction: adapter.direction(),
            pull: false,
            period: Period::default(),
            settings: settings.as_object().unwrap(),
            paused,
            metric_sets: sets,
        };
        self.catalog.edit(|e| e.put_store(self.project, name, &spec)).unwrap().0.id
    }

    fn influx(&self, name: &str, receiver: &Receiver) -> StoreId {
        self.put(name, "influxdb", &influx(receiver, CANARY), &[self.set], false)
    }

    async fn start(&mut self) {
        self.catalog = open(self.dir.path(), &self.clock);
        let (catalog, source) = (Arc::clone(&self.catalog), self.table.clone());
        let mut options = ExportOptions::new(catalog, source, registry(), self.clock.clone());
        options.egress = EgressPolicy::allowing(vec!["127.0.0.0/8".parse().unwrap()]);
        options.settings.tick = Duration::from_millis(2);
        options.seed = Some(1);
        (self.options)(&mut options);
        self.export = Some(Export::start(options).await.unwrap());
    }

    /// As if the process were killed: nothing gets a chance to finish.
    async fn kill(&mut self) {
        self.export = None;
        // Threads that may block end their call by themselves.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    fn export(&self) -> &Arc<Export> {
        self.export.as_ref().unwrap()
    }

    async fn status(&self, store: StoreId) -> StoreStatus {
        self.export().store_status(store).await.unwrap()
    }

    /// Waits until a store's status is as wanted.
    async fn until(&self, store: StoreId, wanted: impl Fn(&StoreStatus) -> bool) -> StoreStatus {
        for _ in 0..2000 {
            let status = self.status(store).await;
            if wanted(&status) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it never came to that: {:?}", self.status(store).await);
    }

    async fn until_confirmed(&self, store: StoreId, windows: u64) -> StoreStatus {
        self.until(store, |s| s.deliveries.confirmed >= windows).await
    }

    async fn until_state(&self, store: StoreId, state: StoreState) -> StoreStatus {
        self.until(store, |s| s.state == state).await
    }

    fn window(&self, n: u64) -> Window {
        Window::starting_at(T0 + 60 * n, Period::default()).unwrap()
    }
}

/// Settings of an InfluxDB 1.x store.
fn influx(receiver: &Receiver, password: &str) -> Json {
    let url = format!("http://127.0.0.1:{}", receiver.port);
    json!({"version": "1", "url": url, "database": "m", "user": "writer", "password": password, "gzip": false})
}

/// Some time in which what must not happen could have happened.
async fn a_while() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}
