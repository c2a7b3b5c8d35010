//! The schedule against a source that counts, fails and closes as told, over restarts and clock jumps.

mod slow;

use super::*;
use crate::catalog::{DEFAULT_TENANT, StoreSpec};
use crate::deliver::Queued;
use crate::ledger::{Finished, LedgerOptions, Next};
use proptest::prelude::*;
use serde_json::{Map, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use tidegate_model::{Aggregate, Description, Direction, ManualClock, MeasureColumn, MetricBatch, StoreId};
use tokio::sync::mpsc;

/// Holds arrivals as the event store does: never before a seal, never before the last one. Answers with their number.
#[derive(Default)]
pub(crate) struct CountingSource {
    arrivals: Mutex<Vec<u64>>,
    floor: AtomicU64,
    /// Windows that were evaluated, in order.
    evaluated: Mutex<Vec<Window>>,
    refuse: Mutex<Option<SourceError>>,
    /// Metrics whose evaluation fails.
    bad: Mutex<BTreeSet<String>>,
    /// With a clock they do not fail at once, but are stopped when they have taken all of their time on it.
    slow: Mutex<Option<Arc<ManualClock>>>,
    /// How often one was stopped.
    stops: AtomicU64,
    /// Whether windows cannot be sealed.
    is_open: std::sync::atomic::AtomicBool,
}

impl CountingSource {
    pub(crate) fn submit(&self, now: Instant) {
        let mut arrivals = self.arrivals.lock().unwrap();
        let last = arrivals.last().copied().unwrap_or(0);
        arrivals.push(now.micros().max(last).max(self.floor.load(Ordering::SeqCst)));
    }

    /// Forgets what a restart forgets.
    fn restart(&self) {
        self.floor.store(0, Ordering::SeqCst);
    }

    fn windows(&self) -> Vec<u64> {
        self.evaluated.lock().unwrap().iter().map(|w| w.start().seconds()).collect()
    }
}

impl Source for CountingSource {
    fn seal(&self, _: ProjectId, end: Instant) -> Result<(), SourceError> {
        if self.is_open.load(Ordering::SeqCst) {
            return Err(SourceError::Storage("it cannot be sealed".to_owned()));
        }
        self.floor.fetch_max(end.micros(), Ordering::SeqCst);
        Ok(())
    }

    fn evaluate(
        &self,
        _: ProjectId,
        window: Window,
        metrics: &[MetricSpec],
        limits: &EvaluationLimits,
    ) -> Result<Vec<MetricBatch>, SourceError> {
        if let Some(error) = self.refuse.lock().unwrap().clone() {
            return Err(error);
        }
        if let Some(bad) = metrics.iter().find(|m| self.bad.lock().unwrap().contains(m.name.as_str())) {
            let metric = bad.name.to_string();
            if let Some(clock) = &*self.slow.lock().unwrap() {
                clock.advance(limits.time.as_secs());
                self.stops.fetch_add(1, Ordering::SeqCst);
                return Err(SourceError::Time { metric, limit: limits.time });
            }
            return Err(SourceError::Query { metric, reason: "told so".to_owned() });
        }
        self.evaluated.lock().unwrap().push(window);
        let inside = |at: &&u64| window.start().micros() <= **at && **at < window.end().micros();
        let count = self.arrivals.lock().unwrap().iter().filter(inside).count();
        let batch = |spec: &MetricSpec| MetricBatch {
            name: spec.name.clone(),
            rows: 1,
            live_rows: 1,
            folded_groups: 0,
            dimensions: vec![],
            measures: vec![MeasureColumn {
                attribute: "_tx".to_owned(),
                aggregate: Aggregate::Count,
                values: vec![f64::from(u32::try_from(count).unwrap())],
                totals: None,
            }],
        };
        Ok(metrics.iter().map(batch).collect())
    }
}

struct Fixture {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    source: Arc<CountingSource>,
    schedule: Schedule,
    project: ProjectId,
}

const T0: u64 = 1_000_020;

fn open(dir: &std::path::Path, clock: &Arc<ManualClock>, source: &Arc<CountingSource>, look_back: u64) -> Schedule {
    let catalog = Arc::new(Catalog::open(&dir.join("tidegate.db"), clock.clone()).unwrap());
    let ledger = Ledger::new(catalog.db(), LedgerOptions { idle_seconds: 86_400, total_series: 1000 });
    Schedule {
        ledger: Arc::new(ledger),
        catalog,
        source: source.clone(),
        clock: clock.clone(),
        chance: Arc::new(Chance::new(Some(1))),
        observed: Arc::new(Observed::new(&prometheus::Registry::new()).unwrap()),
        news: News { board: Arc::default(), queued: mpsc::unbounded_channel().0 },
        look_back: LookBack::fixed(Duration::from_secs(look_back)),
        limits: EvaluationLimits::default(),
        places: Places::default(),
        shares: Shares::of_evaluations(),
        spread: Spread::default(),
        suspects: Suspects::default(),
        sealed: Mutex::default(),
    }
}

fn fixture(look_back: u64) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(Instant::from_seconds(T0)));
    let source = Arc::new(CountingSource::default());
    let schedule = open(dir.path(), &clock, &source, look_back);
    let create = |e: &crate::catalog::Edit<'_>| e.create_project(e.tenant_named(DEFAULT_TENANT)?.id, "web");
    let project = schedule.catalog.edit(create).unwrap().id;
    Fixture { dir, clock, source, schedule, project }
}

impl Fixture {
    fn set(&self, name: &str) -> MetricSetId {
        let create = |e: &crate::catalog::Edit<'_>| {
            let set = e.put_metric_set(self.project, name)?.0.id;
            e.put_metric(set, &format!("{name}-errors"), &json!({"fold": {"_tx": [["count"]]}}))?;
            Ok(set)
        };
        self.schedule.catalog.edit(create).unwrap()
    }

    fn store(&self, name: &str, direction: Direction, period: u32, sets: &[MetricSetId]) -> StoreId {
        let adapter = Description::parse(&json!({"name": "sink", "version": "1"}).to_string()).unwrap();
        let (settings, period) = (Map::new(), Period::new(period).unwrap());
        let spec = StoreSpec {
            adapter: &adapter,
            direction,
            pull: false,
            period,
            settings: &settings,
            paused: false,
            metric_sets: sets,
        };
        self.schedule.catalog.edit(|e| e.put_store(self.project, name, &spec)).unwrap().0.id
    }

    /// Passes until nothing is left to do.
    fn run(&self) -> usize {
        let mut recorded = 0;
        loop {
            let passed = self.schedule.pass(self.project).unwrap();
            recorded += passed.recorded;
            if !passed.more {
                return recorded;
            }
        }
    }

    fn restart(&mut self) {
        self.source.restart();
        self.schedule = open(self.dir.path(), &self.clock, &self.source, self.schedule.look_back.of("").as_secs());
        self.schedule.seal_all().unwrap().unwrap();
    }

    /// Windows and values that a store was given, in the order in which it gets them.
    fn drain(&self, store: StoreId) -> Vec<(u64, f64)> {
        let far = Instant::from_seconds(T0 * 2);
        let mut got = Vec::new();
        while let Next::Job(job) = self.schedule.ledger.next_job(store, far, far, far).unwrap() {
            got.push((job.batch.window.start().seconds(), job.batch.metrics[0].measures[0].values[0]));
            let done = Finished::Confirmed { accepted: 1, rejected: 0, rejections: vec![] };
            self.schedule.ledger.finish(job.delivery, &done, far).unwrap();
        }
        got
    }
}

#[test]
fn a_window_is_evaluated_once_for_all_its_stores_and_sets() {
    let f = fixture(86_400);
    let sets = [f.set("a"), f.set("b")];
    let stores = [f.store("one", Direction::Push, 60, &sets), f.store("two", Direction::Push, 60, &sets[..1])];
    f.store("page", Direction::Pull, 60, &sets);
    f.source.submit(f.clock.now());
    f.clock.advance(61);
    assert_eq!(f.run(), 2);
    assert_eq!(f.source.windows(), [T0], "one pass over the events for two sets and three stores");
    assert_eq!(f.drain(stores[0]), [(T0, 1.0), (T0, 1.0)]);
    assert_eq!(f.drain(stores[1]), [(T0, 1.0)]);
    assert_eq!(f.run(), 0);
}

#[test]
fn the_live_window_comes_first_and_the_missed_ones_follow_oldest_first() {
    let f = fixture(86_400);
    let sets = [f.set("a")];
    f.store("one", Direction::Push, 60, &sets);
    f.clock.advance(300);
    f.run();
    let starts: Vec<u64> = f.source.windows().iter().map(|s| (s - T0) / 60).collect();
    assert_eq!(starts, [4, 0, 1, 2, 3]);
}

#[test]
fn a_bounded_number_of_missed_windows_is_made_up_in_one_pass() {
    let f = fixture(86_400);
    let sets = [f.set("a")];
    f.store("one", Direction::Push, 60, &sets);
    f.clock.advance(60 * 100);
    let passed = f.schedule.pass(f.project).unwrap();
    assert_eq!((passed.recorded, passed.more), (1 + MISSED_AT_ONCE, true));
    f.run();
    assert_eq!(f.source.windows().len(), 100);
}

#[test]
fn an_event_never_arrives_in_a_window_that_was_evaluated_also_after_a_restart_with_a_clock_set_back() {
    let mut f = fixture(86_400);
    let sets = [f.set("a")];
    let store = f.store("one", Direction::Push, 60, &sets);
    f.clock.advance(61);
    f.run();
    f.clock.set(Instant::from_seconds(T0 + 10));
    f.restart();
    f.source.submit(f.clock.now());
    f.clock.set(Instant::from_seconds(T0 + 121));
    f.run();
    assert_eq!(f.drain(store), [(T0, 0.0), (T0 + 60, 1.0)]);
}

#[test]
fn an_evaluation_that_fails_is_recorded_tried_again_and_never_a_zero() {
    let f = fixture(86_400);
    let sets = [f.set("a")];
    let store = f.store("one", Direction::Push, 60, &sets);
    f.source.submit(f.clock.now());
    *f.source.refuse.lock().unwrap() = Some(SourceError::Storage("no disk".to_owned()));
    f.clock.advance(61);
    assert_eq!(f.run(), 1);
    assert_eq!(f.drain(store), []);
    let facts = f.schedule.ledger.facts(store).unwrap();
    assert_eq!(facts.evaluation_problem.as_deref(), Some("the event store could not be read: no disk"));
    *f.source.refuse.lock().unwrap() = None;
    f.clock.advance(70);
    f.run();
    assert_eq!(f.drain(store), [(T0, 1.0), (T0 + 60, 0.0)]);
}

#[test]
fn one_bad_set_does_not_hold_up_the_others_of_its_window() {
    let f = fixture(86_400);
    let sets = [f.set("bad"), f.set("good")];
    f.source.bad.lock().unwrap().insert("bad-errors".to_owned());
    let (bad, good) = (f.store("b", Direction::Push, 60, &sets[..1]), f.store("g", Direction::Push, 60, &sets[1..]));
    f.clock.advance(61);
    f.run();
    assert_eq!(f.drain(good), [(T0, 0.0)]);
    assert_eq!(f.drain(bad), []);
    assert!(f.schedule.ledger.facts(bad).unwrap().evaluation_problem.unwrap().contains("told so"));
}

/// Looks whether stores were told something before each evaluation.
struct Listening {
    source: Arc<CountingSource>,
    queued: Mutex<mpsc::UnboundedReceiver<Queued>>,
    heard: Mutex<Vec<Option<StoreId>>>,
}

impl Source for Listening {
    fn seal(&self, project: ProjectId, end: Instant) -> Result<(), SourceError> {
        self.source.seal(project, end)
    }

    fn evaluate(
        &self,
        project: ProjectId,
        window: Window,
        metrics: &[MetricSpec],
        limits: &EvaluationLimits,
    ) -> Result<Vec<MetricBatch>, SourceError> {
        let told = self.queued.lock().unwrap().try_recv().ok();
        self.heard.lock().unwrap().push(told.map(|stores| stores[0].0));
        self.source.evaluate(project, window, metrics, limits)
    }
}

#[test]
fn a_store_is_told_of_its_window_before_the_pass_goes_on_with_another() {
    let mut f = fixture(86_400);
    let sets = [f.set("a"), f.set("b")];
    let slow = f.store("slow", Direction::Push, 60, &sets[..1]);
    f.store("quick", Direction::Push, 20, &sets[1..]);
    let (tell, told) = mpsc::unbounded_channel();
    f.schedule.news.queued = tell;
    let listening = Listening { source: f.source.clone(), queued: Mutex::new(told), heard: Mutex::default() };
    let listening = Arc::new(listening);
    f.schedule.source = listening.clone();
    f.clock.advance(61);
    f.schedule.pass(f.project).unwrap();
    assert_eq!(listening.heard.lock().unwrap()[..2], [None, Some(slow)]);
}

#[test]
fn a_closed_source_ends_the_pass_and_records_nothing() {
    let f = fixture(86_400);
    let sets = [f.set("a")];
    let store = f.store("one", Direction::Push, 60, &sets);
    *f.source.refuse.lock().unwrap() = Some(SourceError::Closed);
    f.clock.advance(61);
    assert!(matches!(f.schedule.pass(f.project), Err(PassError::Closed)));
    assert_eq!(f.schedule.ledger.facts(store).unwrap().failed_windows, 0);
}

#[test]
fn after_a_long_absence_old_windows_expire_without_being_evaluated_unless_a_pull_store_sums_them() {
    let f = fixture(3600);
    let push = [f.set("pushed")];
    let store = f.store("one", Direction::Push, 60, &push);
    f.clock.advance(6 * 3600);
    f.run();
    assert_eq!(f.source.windows().len(), 60);
    let counts = f.schedule.ledger.facts(store).unwrap().counts;
    assert_eq!((counts.expired, counts.queued), (300, 60));
    let f = fixture(3600);
    let pull = [f.set("shown")];
    f.store("page", Direction::Pull, 60, &pull);
    f.clock.advance(6 * 3600);
    f.run();
    assert_eq!(f.source.windows().len(), 360);
}

#[test]
fn a_failed_window_that_got_too_old_for_everyone_is_given_up_with_a_reason() {
    let f = fixture(3600);
    let sets = [f.set("a")];
    let store = f.store("one", Direction::Push, 60, &sets);
    *f.source.refuse.lock().unwrap() = Some(SourceError::Storage("no disk".to_owned()));
    f.clock.advance(61);
    f.run();
    *f.source.refuse.lock().unwrap() = None;
    f.clock.advance(3 * 3600);
    f.run();
    let facts = f.schedule.ledger.facts(store).unwrap();
    assert_eq!((facts.failed_windows, facts.counts.expired), (0, 121));
}

#[test]
fn a_deleted_store_is_planned_for_no_more() {
    let f = fixture(86_400);
    let sets = [f.set("a")];
    let store = f.store("one", Direction::Push, 60, &sets);
    f.schedule.catalog.edit(|e| e.delete_store(store)).unwrap();
    f.clock.advance(600);
    assert_eq!(f.run(), 0);
}

#[test]
fn windows_of_two_periods_are_evaluated_each_at_its_own_end() {
    let f = fixture(86_400);
    let sets = [f.set("a")];
    let (slow, fast) = (f.store("slow", Direction::Push, 60, &sets), f.store("fast", Direction::Push, 20, &sets));
    for _ in 0..12 {
        f.source.submit(f.clock.now());
        f.clock.advance(10);
        f.run();
    }
    assert_eq!(f.drain(slow), [(T0, 6.0), (T0 + 60, 6.0)]);
    assert_eq!(f.drain(fast), (0..6).map(|n| (T0 + 20 * n, 2.0)).collect::<Vec<_>>());
}

#[derive(Clone, Debug)]
enum Happening {
    Submit,
    Advance(u64),
    SetBack(u64),
    Pass,
    /// The process dies and comes back; what it had in memory is gone.
    Restart,
    Break,
    Mend,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => Just(Happening::Submit),
        4 => (1u64..150).prop_map(Happening::Advance),
        1 => (1u64..400).prop_map(Happening::SetBack),
        4 => Just(Happening::Pass),
        1 => Just(Happening::Restart),
        1 => Just(Happening::Break),
        1 => Just(Happening::Mend),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Whatever happens: once the trouble is over, every window from the connection to now is on record exactly once, each
    /// holds what arrived in it, and the sum over them is what was acknowledged.
    #[test]
    fn every_event_is_in_exactly_one_window(story in prop::collection::vec(happening(), 1..60)) {
        let mut f = fixture(86_400);
        let sets = [f.set("a")];
        let (store, page) = (f.store("one", Direction::Push, 60, &sets), f.store("page", Direction::Pull, 60, &sets));
        let mut submitted = 0;
        for happening in story {
            match happening {
                Happening::Submit => {
                    f.source.submit(f.clock.now());
                    submitted += 1;
                }
                Happening::Advance(seconds) => f.clock.advance(seconds),
                Happening::SetBack(seconds) => {
                    let now = f.clock.now().seconds();
                    f.clock.set(Instant::from_seconds(now - seconds));
                }
                Happening::Pass => drop(f.schedule.pass(f.project).unwrap()),
                Happening::Restart => f.restart(),
                Happening::Break => *f.source.refuse.lock().unwrap() = Some(SourceError::Storage("told so".to_owned())),
                Happening::Mend => *f.source.refuse.lock().unwrap() = None,
            }
        }
        *f.source.refuse.lock().unwrap() = None;
        // Time goes on past everything that has arrived, and past every wait.
        let newest = f.source.arrivals.lock().unwrap().last().copied().unwrap_or(0) / 1_000_000;
        let end = newest.max(f.source.floor.load(Ordering::SeqCst) / 1_000_000).max(f.clock.now().seconds()).max(T0) + 1000;
        f.clock.set(Instant::from_seconds(end));
        f.run();
        f.run();
        let last = end / 60 * 60;
        let mut got = f.drain(store);
        got.sort_by_key(|(start, _)| *start);
        let starts: Vec<u64> = got.iter().map(|(start, _)| *start).collect();
        let first = starts.first().copied().unwrap_or(last);
        prop_assert!(first == T0, "{first}");
        prop_assert_eq!(starts, (first..last).step_by(60).collect::<Vec<_>>());
        let arrivals = f.source.arrivals.lock().unwrap().clone();
        for (start, value) in &got {
            let oracle = arrivals.iter().filter(|at| (start * 1_000_000..(start + 60) * 1_000_000).contains(*at)).count();
            prop_assert_eq!(*value, oracle as f64, "window {}", start);
        }
        let before = arrivals.iter().filter(|at| **at < T0 * 1_000_000).count();
        let sum: f64 = got.iter().map(|(_, value)| value).sum();
        prop_assert_eq!(sum, (submitted - before) as f64);
        let shown = f.schedule.ledger.shown((sets[0], Period::default())).unwrap().unwrap();
        prop_assert_eq!(shown.batch.metrics[0].measures[0].totals.as_ref().unwrap()[0], sum);
        let _ = page;
    }
}
