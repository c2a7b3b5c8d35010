//! A deterministic world around the whole export: paused time, seeded chance, a disk and a network with faults, a host that can
//! die anywhere.
//!
//! Hours pass in milliseconds, since nothing is waited for: when every task waits, the clock jumps to the next moment at which one
//! of them has something to do. All work runs on one thread in an order that the seed decides, so a failure is seen again by
//! running its seed. What comes out is compared with a count by hand over the events that were acknowledged.

mod cases;
mod check;
mod net;
mod source;
mod story;

use super::registry;
use crate::catalog::{DEFAULT_TENANT, KeySource, StoreSpec};
use crate::ledger::StoreFacts;
use crate::offload::fate::{self, Disk, Fate};
use crate::{Catalog, Export, ExportOptions, ExportSettings};
use net::Net;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use source::SimSource;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidegate_model::{Clock, Instant, MetricSetId, Period, ProjectId, Secret, StoreId};
use tokio::time::Instant as Moment;

/// When each simulation begins: the start of an hour.
const DAWN: u64 = 1_700_000_400 / 3600 * 3600;

/// The wall clock: goes with the paused clock of the runtime, except when it jumps.
struct SimClock {
    began: Moment,
    offset: AtomicI64,
    /// When it was set back last, and what it showed before.
    set_back: Mutex<Option<(Moment, u64)>>,
}

impl SimClock {
    fn jump(&self, seconds: i64) {
        if seconds < 0 {
            *self.set_back.lock().unwrap() = Some((Moment::now(), self.now().seconds()));
        }
        self.offset.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }
}

impl SimClock {
    /// The latest time that a request which arrives now may have been sent at by this clock: it can have been under way for
    /// some seconds when the clock was set back.
    fn sent_by(&self) -> u64 {
        let before = self.set_back.lock().unwrap().filter(|(at, _)| at.elapsed() < Duration::from_secs(10));
        before.map_or(0, |(_, reading)| reading).max(self.now().seconds())
    }
}

impl Clock for SimClock {
    fn now(&self) -> Instant {
        let true_now = DAWN * 1_000_000 + u64::try_from(self.began.elapsed().as_micros()).unwrap();
        Instant::from_micros(true_now.saturating_add_signed(self.offset.load(Ordering::SeqCst)))
    }
}

/// A push store of the simulation, and where it sends.
#[derive(Clone, Debug)]
struct Pushed {
    id: StoreId,
    name: String,
    /// Host part of its URL: the name of its sink.
    sink: String,
}

/// The world.
struct Sim {
    /// Its name, in memory.
    file: PathBuf,
    chance: StdRng,
    fate: Arc<Fate>,
    clock: Arc<SimClock>,
    source: Arc<SimSource>,
    net: Arc<Net>,
    settings: ExportSettings,
    catalog: Arc<Catalog>,
    project: ProjectId,
    set: MetricSetId,
    stores: Vec<Pushed>,
    pages: Vec<StoreId>,
    export: Option<Arc<Export>>,
    /// Whether the host is to run: when it dies it is started again.
    wanted: bool,
    lives: u32,
    /// Where the numbers of the present life are.
    numbers: prometheus::Registry,
}

/// Says which seed failed.
struct Named(u64);

impl Drop for Named {
    #[expect(clippy::print_stderr, reason = "the harness keeps it for failed tests")]
    fn drop(&mut self) {
        fate::decide(None);
        if std::thread::panicking() {
            eprintln!("the simulation failed with seed {}; it fails again with the same seed", self.0);
        }
    }
}

/// Runs `story` in a world that `seed` decides.
fn simulate(seed: u64, story: impl AsyncFnOnce(&mut Sim)) {
    // The tape of the other tests would hold hours of this.
    let _quiet = tracing::subscriber::set_default(tracing::subscriber::NoSubscriber::default());
    let _named = Named(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut sim = Sim::new(seed);
        story(&mut sim).await;
    });
}

impl Sim {
    fn new(seed: u64) -> Self {
        let fate = Fate::new(seed);
        fate::decide(Some(Arc::clone(&fate)));
        static WORLDS: AtomicU64 = AtomicU64::new(0);
        let file = PathBuf::from(format!("/world-{}/tidegate.db", WORLDS.fetch_add(1, Ordering::Relaxed)));
        let clock = Arc::new(SimClock { began: Moment::now(), offset: AtomicI64::new(0), set_back: Mutex::new(None) });
        let catalog = open_at(&file, &clock).unwrap();
        let create = |e: &crate::catalog::Edit<'_>| {
            let project = e.create_project(e.tenant_named(DEFAULT_TENANT)?.id, "web")?.id;
            let set = e.put_metric_set(project, "crashes")?.0.id;
            e.put_metric(set, "all", &json!({"fold": {"_tx": [["count"]]}}))?;
            e.put_metric(set, "errors", &json!({"group": ["d"], "fold": {"_tx": [["count"]]}}))?;
            Ok((project, set))
        };
        let (project, set) = catalog.edit(create).unwrap();
        // What is due is known by its time; looking more often than this finds nothing new.
        // At the end everything is looked at, however long ago it was.
        let (series_idle, keep_records) = (Duration::from_secs(1 << 30), Duration::from_secs(1 << 30));
        let tick = Duration::from_secs(20);
        let settings = ExportSettings { tick, series_idle, keep_records, ..ExportSettings::default() };
        Self {
            file,
            chance: StdRng::seed_from_u64(seed),
            net: Arc::new(Net::new(Arc::clone(&fate), clock.clone())),
            fate,
            source: Arc::new(SimSource::default()),
            clock,
            settings,
            catalog,
            project,
            set,
            stores: Vec::new(),
            pages: Vec::new(),
            export: None,
            wanted: false,
            lives: 0,
            numbers: prometheus::Registry::new(),
        }
    }

    fn below(&mut self, most: u64) -> u64 {
        self.chance.random_range(0..most)
    }

    fn now(&self) -> u64 {
        self.clock.now().seconds()
    }

    /// Connects a push store that writes line protocol to the sink of its own name.
    fn push_store(&mut self, name: &str, period: u32) -> StoreId {
        let id = self.put_store(name, period, false);
        self.stores.retain(|s| s.id != id);
        self.stores.push(Pushed { id, name: name.to_owned(), sink: format!("{name}.example") });
        id
    }

    /// Creates or changes a push store.
    fn put_store(&self, name: &str, period: u32, paused: bool) -> StoreId {
        let settings =
            json!({"version": "1", "url": format!("http://{name}.example:8086"), "database": "m", "gzip": false});
        self.put(name, period, paused, &settings)
    }

    /// Changes the settings of a push store.
    fn put_settings(&self, name: &str, settings: &serde_json::Value) -> StoreId {
        self.put(name, 60, false, settings)
    }

    fn put(&self, name: &str, period: u32, paused: bool, settings: &serde_json::Value) -> StoreId {
        let adapter = registry().get("influxdb").unwrap();
        let period = Period::new(period).unwrap();
        let spec = StoreSpec {
            adapter: adapter.description(),
            direction: adapter.direction(),
            pull: false,
            period,
            settings: settings.as_object().unwrap(),
            paused,
            metric_sets: &[self.set],
        };
        self.catalog.edit(|e| e.put_store(self.project, name, &spec)).unwrap().0.id
    }

    /// Connects a store that scrapers read.
    fn pull_store(&mut self, name: &str, period: u32) -> StoreId {
        let adapter = registry().get("prometheus").unwrap();
        let (settings, period) = (serde_json::Map::new(), Period::new(period).unwrap());
        let spec = StoreSpec {
            adapter: adapter.description(),
            direction: adapter.direction(),
            pull: true,
            period,
            settings: &settings,
            paused: false,
            metric_sets: &[self.set],
        };
        let id = self.catalog.edit(|e| e.put_store(self.project, name, &spec)).unwrap().0.id;
        self.pages.push(id);
        id
    }

    /// Starts the host. False if it died on the way, or its disk refused.
    async fn start(&mut self) -> bool {
        self.fate.revive();
        self.lives += 1;
        self.source.restart();
        self.wanted = true;
        // A full disk may not even let it be opened; the old handle still reads.
        let Some(catalog) = open_at(&self.file, &self.clock) else { return false };
        self.catalog = catalog;
        self.numbers = prometheus::Registry::new();
        let mut options =
            ExportOptions::new(Arc::clone(&self.catalog), self.source.clone(), registry(), self.clock.clone());
        options.transport = Some(self.net.clone());
        options.settings = self.settings.clone();
        options.seed = Some(self.chance.random());
        options.allowance.call.call_time = Duration::from_secs(60);
        // Hours of the story pass in moments of a real processor.
        (options.allowance.store_cpu, options.allowance.tenant_cpu) = (Duration::MAX, Duration::MAX);
        options.metrics = self.numbers.clone();
        let started = tokio::select! {
            biased;
            started = Export::start(options) => started.ok(),
            () = self.fate.death() => None,
        };
        self.export = started;
        self.export.is_some()
    }

    /// The host is gone at once, as after `kill -9`, and stays away.
    async fn down(&mut self) {
        self.wanted = false;
        self.kill().await;
    }

    async fn kill(&mut self) {
        self.export = None;
        self.net.cut();
        // Its tasks are dropped when the runtime gets to them.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    fn runs(&self) -> bool {
        self.export.is_some()
    }

    fn export(&self) -> &Arc<Export> {
        self.export.as_ref().expect("the host runs")
    }

    /// Stops the host in order.
    async fn stop(&mut self) {
        self.wanted = false;
        if let Some(export) = self.export.take() {
            let death = Arc::clone(&self.fate);
            tokio::select! {
            biased;
                () = export.shutdown(Duration::from_secs(10)) => {}
                () = death.death() => {}
            }
        }
        self.kill().await;
    }

    /// Lets time pass; a host that dies meanwhile is started again.
    async fn pass(&mut self, span: Duration) {
        let end = Moment::now() + span;
        // A supervisor that starts it again and again does so less and less often.
        let mut pause = Duration::from_secs(7);
        loop {
            let fate = Arc::clone(&self.fate);
            if self.wanted && !self.runs() && !self.start().await {
                self.kill().await;
                tokio::time::sleep_until(end.min(Moment::now() + pause)).await;
                pause = (pause * 2).min(self.settings.tick * 30);
            }
            tokio::select! {
            biased;
                () = tokio::time::sleep_until(end) => return,
                () = fate.death(), if self.runs() => self.kill().await,
                () = std::future::ready(()), if self.wanted && !self.runs() => {}
            }
        }
    }

    async fn seconds(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds)).await;
    }

    /// An event is acknowledged now; nothing happens if no host is there to take it.
    fn submit(&self, series: &str) {
        if self.runs() && !self.fate.is_dead() {
            self.source.accept(self.clock.now(), series);
        }
    }

    fn facts(&self, store: StoreId) -> StoreFacts {
        self.export().ledger().facts(store).unwrap()
    }

    /// Ends all trouble and lets time pass until nothing is left to do.
    async fn settle(&mut self) {
        self.fate.set_disk(Disk::Well);
        self.source.set_trouble(None);
        self.source.set_bad(None);
        self.net.heal();
        if !self.runs() {
            assert!(self.start().await, "nothing is in the way of a start");
        }
        for store in self.stores.clone() {
            // It may have died and nobody has looked yet, or be about to.
            while self.catalog.edit(|e| e.set_paused(store.id, false)).is_err() {
                self.seconds(60).await;
            }
        }
        // Past what an earlier, faster clock had stamped, and past every wait.
        let newest = self.source.newest().max(self.now());
        self.seconds(newest - self.now() + 900 + 2 * self.settings.tick.as_secs()).await;
        for _ in 0..1000 {
            let left =
                self.stores.iter().any(|s| self.facts(s.id).counts.queued > 0 || self.facts(s.id).failed_windows > 0);
            if !left && (10..50).contains(&(self.now() % 60)) {
                return;
            }
            // Not at the very moment at which a window ends.
            self.seconds(if left { 600 } else { 17 }).await;
        }
        let facts: Vec<_> = self.stores.iter().map(|s| (s.name.clone(), self.facts(s.id))).collect();
        panic!("it never came to rest: {facts:?}");
    }
}

fn open_at(file: &Path, clock: &Arc<SimClock>) -> Option<Arc<Catalog>> {
    let key = KeySource::Given(Secret::new("5a".repeat(32)));
    Catalog::open_with(file, &key, clock.clone()).ok().map(Arc::new)
}

/// The value of a counter or gauge on a page of numbers, all labels that hold `label` together.
fn number(registry: &prometheus::Registry, name: &str, label: &str) -> f64 {
    let families = registry.gather();
    let family = families.iter().filter(|f| f.name() == name);
    let fits = |m: &&prometheus::proto::Metric| {
        label.is_empty() || m.get_label().iter().any(|l| format!("{}={}", l.name(), l.value()).contains(label))
    };
    let value = |m: &prometheus::proto::Metric| m.get_counter().get_value() + m.get_gauge().get_value();
    family.flat_map(|f| f.get_metric().iter().filter(fits).map(value).collect::<Vec<_>>()).sum()
}

/// A list behind a lock, for what a simulation notes.
type Notes = Mutex<Vec<String>>;
