//! The deliverer of one store.

use super::breaker::{Breaker, FAILING};
use super::converse::{Note, Trouble};
use super::parts::{Again, Next, Parts};
use super::suspicion::Suspicion;
use super::{Health, Healths, Obstacle, Shared};
use crate::config::{Config, ConfigError};
use crate::ledger::{Finished, Job, Ledger, LedgerError, Next as Head, finish, note_of, try_later};
use crate::look_back::told;
use crate::observe::Loss;
use crate::offload::blocking;
use crate::schedule::later;
use rusqlite::Transaction;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tidegate_model::{BatchView, Instant, StoreId};
use tidegate_sandbox::{Disposition, Fault};

/// How far into the future a window may end and still be sent: clocks are never exactly equal.
const FUTURE_TOLERANCE: Duration = Duration::from_secs(5);
/// A delivery on which the adapter fails lets others pass for this long at least.
const ASIDE: Duration = Duration::from_secs(30);

/// When a store whose adapter or settings do not fit is looked at again: adapters come and go without an edit.
const UNFIT_WAIT: Duration = Duration::from_secs(5);
/// The longest that a store with a queue is not looked at.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// Refusals of one window, with arrivals of others between them, after which it is given up: it is the window that the sink
/// cannot take, as with a limit on series that does not go away.
const HOPELESS: u32 = 10;
/// Windows whose refusals are counted.
const MOST_REFUSED: usize = 1000;

pub(super) struct Worker {
    store: StoreId,
    shared: Arc<Shared>,
    healths: Arc<Healths>,
    breaker: Breaker,
    /// Rows that fitted when more did not.
    most_rows: Option<u64>,
    /// `project/store`, for the numbers.
    name: Option<String>,
    suspicion: Suspicion,
    /// Settings that the last try was made with.
    revision: Option<u64>,
    /// Windows that arrived in this life of the worker.
    arrivals: u64,
    /// Windows that were refused: the arrivals at the last refusal, and how often others had arrived in between.
    refused: HashMap<i64, (u64, u32)>,
    /// The last note that was logged: one that comes with every window is told once.
    noted: Option<String>,
}

/// What a turn came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Something was delivered or given up: look for more at once.
    Worked,
    /// Nothing to do before this moment, or before something changes.
    Idle(Option<Instant>),
    /// Nothing to do before somebody lets the store go on.
    Paused,
    /// The store is gone.
    Gone,
}

/// What comes after work.
pub(super) enum Rest {
    /// Nothing before this moment, or before something changes.
    Until(Box<Worker>, Option<Instant>),
    /// Nothing before somebody lets it go on.
    Paused(Box<Worker>),
    /// The store is gone.
    Gone,
}

impl Worker {
    pub(super) fn new(store: StoreId, shared: Arc<Shared>, healths: Arc<Healths>) -> Self {
        Self {
            store,
            shared,
            healths,
            breaker: Breaker::default(),
            most_rows: None,
            name: None,
            suspicion: Suspicion::default(),
            revision: None,
            arrivals: 0,
            refused: HashMap::new(),
            noted: None,
        }
    }

    /// Delivers until nothing is due any more.
    pub(super) async fn work(mut self: Box<Self>) -> Rest {
        loop {
            match self.turn().await {
                Turn::Worked => {}
                Turn::Gone => {
                    self.forget_numbers();
                    return Rest::Gone;
                }
                Turn::Idle(until) => return Rest::Until(self, until),
                Turn::Paused => return Rest::Paused(self),
            }
        }
    }

    /// Expires what is too old and delivers the oldest window that is due.
    pub(super) async fn turn(&mut self) -> Turn {
        let now = self.shared.clock.now();
        let config = match self.config().await {
            Ok(config) => config,
            Err(ConfigError::Gone) => return Turn::Gone,
            Err(ConfigError::Unfit(why)) => {
                self.obstacle(Obstacle::Settings(why));
                return self.rest(now, "", Some(later(now, UNFIT_WAIT))).await;
            }
            Err(ConfigError::Unreadable(why)) => {
                tracing::warn!(store = %self.called(), "the store cannot be read, and will be again soon: {why}");
                return Turn::Idle(Some(later(now, Duration::from_secs(1))));
            }
        };
        self.named(&config.name);
        let reference = config.store.adapter_reference();
        let adapter = reference.as_str();
        if config.store.paused {
            return match self.rest(now, adapter, None).await {
                Turn::Idle(None) => Turn::Paused,
                other => other,
            };
        }
        let revision = config.store.revision;
        if self.revision.replace(revision).is_some_and(|last| last != revision) {
            // What failed under other settings may go well under these: at once.
            self.breaker = Breaker::default();
            self.most_rows = None;
            if let Err(error) = self.ledger(move |l, store| l.retry_now(store)).await {
                return self.ledger_trouble(&error, now);
            }
        }
        if let Err(until) = self.breaker.ready(now, revision) {
            // Not longer than this, since something may expire meanwhile.
            let look = later(now, LONGEST_REST.max(self.shared.tick));
            return self.rest(now, adapter, Some(until.min(look))).await;
        }
        let latest = later(now, FUTURE_TOLERANCE);
        let period = u64::from(config.store.period.seconds());
        let live = match config.adapter.description().push.in_order {
            // Nothing is ahead of the oldest window that is due.
            true => latest,
            false => Instant::from_seconds(now.seconds().saturating_sub(period)),
        };
        match self.expire_and(now, adapter, move |l, store| l.next_job(store, now, latest, live)).await {
            Ok(Head::Job(job)) => self.deliver(&config, job).await,
            Ok(Head::Nothing(next)) => {
                if next.is_none() {
                    self.well();
                    if config.store.draining {
                        self.remove(&config).await;
                    }
                }
                Turn::Idle(next)
            }
            Ok(Head::Damaged(reason)) => {
                self.shared.observed.lost(Loss::Damaged, 1);
                tracing::error!(store = %config.name, "a window is lost: {reason}");
                Turn::Worked
            }
            Err(error) => self.ledger_trouble(&error, now),
        }
    }

    /// Nothing is delivered for now, but what is too old expires.
    async fn rest(&mut self, now: Instant, adapter: &str, until: Option<Instant>) -> Turn {
        match self.expire_and(now, adapter, |_, _| Ok(())).await {
            Ok(()) => Turn::Idle(until),
            Err(error) => self.ledger_trouble(&error, now),
        }
    }

    /// Takes the numbers along when the store is renamed.
    fn named(&mut self, name: &str) {
        if self.name.as_deref() != Some(name) {
            self.forget_numbers();
            self.name = Some(name.to_owned());
        }
    }

    fn forget_numbers(&self) {
        if let Some(old) = &self.name {
            let _ = self.shared.observed.breaker.remove_label_values(&[old]);
        }
    }

    /// A store that was to be deleted has got everything that was queued for it.
    async fn remove(&self, config: &Config) {
        let (catalog, store, name) = (Arc::clone(&self.shared.catalog), self.store, config.store.name.clone());
        let work = move || {
            let why = "everything that was queued for it has been delivered";
            catalog.edit(|edit| edit.store_by_host(store, "delete", why, |edit| edit.delete_store(store)))
        };
        match blocking(work).await {
            Ok(Ok(())) => tracing::info!(store = %name, "everything was delivered, and the store is deleted"),
            Ok(Err(error)) => tracing::warn!(store = %name, "the drained store is deleted later: {error}"),
            Err(cut) => tracing::warn!(store = %name, "the drained store is deleted later: {cut}"),
        }
    }

    /// Expires what is too old, then does `work`.
    async fn expire_and<T: Send + 'static>(
        &self,
        now: Instant,
        adapter: &str,
        work: impl FnOnce(&Ledger, StoreId) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let look_back = self.shared.look_back.of(adapter);
        let horizon = Instant::from_seconds(now.seconds().saturating_sub(look_back.as_secs()));
        let reason = format!("not delivered within {}", told(look_back));
        let done = self.ledger(move |l, store| {
            let expired = l.expire(store, horizon, &reason, now)?;
            Ok((expired, reason, work(l, store)?))
        });
        let (expired, reason, done) = done.await?;
        if expired > 0 {
            self.shared.observed.deliveries.with_label_values(&["expired"]).inc_by(expired);
            self.shared.observed.lost(Loss::TooOld, expired);
            tracing::error!(store = %self.called(), windows = expired, "deliveries expired: {reason}");
        }
        Ok(done)
    }

    async fn config(&self) -> Result<Arc<Config>, ConfigError> {
        if let Some(known) = self.shared.configs.known(self.store) {
            return Ok(known);
        }
        let (configs, store) = (Arc::clone(&self.shared.configs), self.store);
        let read = blocking(move || configs.get(store)).await;
        read.unwrap_or_else(|e| Err(ConfigError::Unreadable(e.to_string())))
    }

    /// One try to deliver a window.
    async fn deliver(&mut self, config: &Arc<Config>, job: Job) -> Turn {
        if job.attempts == 0 {
            let late = self.shared.clock.now().micros().saturating_sub(job.planned.micros());
            self.shared.observed.late.observe(Duration::from_micros(late).as_secs_f64());
        }
        let shared = Arc::clone(&self.shared);
        let _place = match self.breaker.failures() {
            0 => None,
            // None if the host is going down, and with it this task.
            _ => shared.doubtful.acquire().await.ok(),
        };
        let mut parts = Parts::new(BatchView::whole(Arc::clone(&job.batch)), self.most_rows);
        let is_suspected = self.suspicion.is_on(job.delivery);
        let mut conversations = 0;
        while let Some(view) = parts.next() {
            if conversations == self.shared.parts {
                parts
                    .give_up(view, &format!("more than {} parts were needed to deliver the window", self.shared.parts));
                break;
            }
            let note = Note { ledger: Arc::clone(&self.shared.ledger), delivery: job.delivery };
            let note = (conversations == 0).then_some(note);
            conversations += 1;
            let (verdict, status) = match self.shared.converse.about(config, view.clone(), note).await {
                Ok(said) => said,
                Err(trouble) => return self.troubled(config, &job, trouble).await,
            };
            let next = match verdict.disposition {
                Disposition::Retry { reason, after: None } if is_suspected && Suspicion::may_be_a_row(status) => {
                    parts.suspect(&view, reason)
                }
                _ => parts.judged(&view, verdict),
            };
            match next {
                Next::GoOn => {}
                Next::Again(Again { reason, after }) => {
                    self.suspicion.failed(job.delivery, status, &reason);
                    return self.again(config, &job, reason, after).await;
                }
                Next::Stop(reason) => return self.stop(config, &job, reason, status).await,
            }
        }
        self.most_rows = parts.fitted().or(self.most_rows);
        let note = parts.note();
        self.finish(config, &job, parts.finished(), note).await
    }

    /// Records the end of a delivery, with what the admin should know of it although it arrived.
    async fn finish(&mut self, config: &Config, job: &Job, finished: Finished, note: Option<String>) -> Turn {
        let now = self.shared.clock.now();
        let (store, window) = (&config.name, job.batch.window);
        let outcome = match &finished {
            Finished::Confirmed { rejected: 0, .. } => "confirmed",
            Finished::Confirmed { accepted, rejected, rejections } => {
                let first = rejections.first().map(|r| format!("{} {{{}}}: {}", r.metric, r.series, r.reason));
                tracing::error!(%store, %window, accepted, rejected, "rows were refused for good, the first: {}", first.unwrap_or_default());
                "confirmed"
            }
            Finished::Rejected { reason, rejected, .. } => {
                tracing::error!(%store, %window, rejected, "a window was refused for good: {reason}");
                "rejected"
            }
        };
        let (delivery, told) = (job.delivery, note.clone());
        let record = move |t: &Transaction<'_>| {
            let has_more = finish(t, delivery, &finished, now)?;
            told.map_or(Ok(()), |told| note_of(t, delivery, &told))?;
            Ok(has_more)
        };
        let has_more = match self.shared.ledger.together(record).await {
            Ok(has_more) => has_more,
            // It will be sent again: the same bytes under the same stamp.
            Err(error) => return self.ledger_trouble(&error, now),
        };
        if let Some(note) = note.filter(|note| self.noted.as_ref() != Some(note)) {
            tracing::warn!(%store, %window, "the window arrived, and there is something to know: {note}");
            self.noted = Some(note);
        }
        let observed = &self.shared.observed;
        observed.deliveries.with_label_values(&[outcome]).inc();
        if outcome == "rejected" {
            observed.lost(Loss::Refused, 1);
        } else {
            let age = Duration::from_micros(now.micros().saturating_sub(window.end().micros()));
            observed.age.observe(age.as_secs_f64());
        }
        self.arrivals += 1;
        self.refused.remove(&delivery);
        let recovered = self.breaker.failures() >= FAILING;
        self.breaker.succeeded();
        self.well();
        // What was set aside while nothing got through goes first again: it is the oldest.
        if recovered && let Err(error) = self.ledger(move |l, store| l.retry_now(store)).await {
            return self.ledger_trouble(&error, now);
        }
        // The queue was empty in the transaction that ended this; what came since has woken the store already.
        if has_more || config.store.draining { Turn::Worked } else { Turn::Idle(None) }
    }

    async fn again(&mut self, config: &Config, job: &Job, reason: String, after: Option<Duration>) -> Turn {
        let now = self.shared.clock.now();
        let cause = if after.is_some() { "throttle" } else { "retry" };
        self.shared.observed.retries.with_label_values(&[cause]).inc();
        if self.is_hopeless(job) {
            let told = format!("refused {HOPELESS} times while the windows behind it were accepted: {reason}");
            let rejected = job.batch.live_rows();
            let finished = Finished::Rejected { reason: told, rejected, rejections: Vec::new() };
            return self.finish(config, job, finished, None).await;
        }
        let next = self.breaker.failed(now, after, &self.shared.chance);
        if self.breaker.failures() == FAILING {
            tracing::warn!(store = %config.name, "the store has failed {FAILING} times in a row: {reason}");
        }
        self.obstacle(Obstacle::Sink(reason.clone()));
        // If it is this window that the sink cannot take, those behind it must get their turn.
        let aside = job.attempts + 1 >= FAILING && !config.adapter.description().push.in_order;
        let next = if aside {
            later(next, ASIDE.saturating_mul(job.attempts + 1).min(self.shared.chance.longest()))
        } else {
            next
        };
        self.put_off(job, reason, next, now).await
    }

    /// Notes that a window was refused once more. True if that happened too often while others arrived.
    fn is_hopeless(&mut self, job: &Job) -> bool {
        let (arrivals, refusals) = self.refused.entry(job.delivery).or_insert((self.arrivals, 0));
        if *arrivals < self.arrivals {
            (*arrivals, *refusals) = (self.arrivals, *refusals + 1);
        }
        let hopeless = *refusals >= HOPELESS;
        if self.refused.len() > MOST_REFUSED {
            self.refused.clear();
        }
        hopeless
    }

    async fn stop(&mut self, config: &Config, job: &Job, reason: String, status: Option<u16>) -> Turn {
        let now = self.shared.clock.now();
        let (store, next) = (&config.name, self.breaker.refused(now, config.store.revision));
        let (cause, reason) = match status {
            // Not what the settings hold back, but where they lead.
            Some(300..=399) => {
                let reason = format!(
                    "{reason}; that is a redirect, which is not followed: the settings have to name the address that it leads to"
                );
                tracing::error!(%store, "deliveries wait until the settings are changed: {reason}");
                self.obstacle(Obstacle::Settings(reason.clone()));
                ("settings", reason)
            }
            _ => {
                tracing::error!(%store, "the credentials were refused, or another setting; deliveries wait until they are changed: {reason}");
                self.obstacle(Obstacle::Credentials(reason.clone()));
                ("credentials", reason)
            }
        };
        self.shared.observed.retries.with_label_values(&[cause]).inc();
        self.put_off(job, reason, next, now).await
    }

    async fn troubled(&mut self, config: &Config, job: &Job, trouble: Trouble) -> Turn {
        let now = self.shared.clock.now();
        let reason = trouble.to_string();
        match trouble {
            Trouble::Ledger(error) => self.ledger_trouble(&error, now),
            Trouble::OtherBytes { .. } => {
                tracing::error!(store = %self.called(), window = %job.batch.window, "{reason}");
                let (rejected, delivery) = (job.batch.live_rows(), job.delivery);
                let told = reason.clone();
                let finished = Finished::Rejected { reason, rejected, rejections: Vec::new() };
                match self.shared.ledger.together(move |t| finish(t, delivery, &finished, now)).await {
                    Ok(_) => {
                        self.shared.observed.deliveries.with_label_values(&["rejected"]).inc();
                        self.shared.observed.lost(Loss::OtherBytes, 1);
                        self.obstacle(Obstacle::Adapter(told));
                        Turn::Worked
                    }
                    Err(error) => self.ledger_trouble(&error, now),
                }
            }
            Trouble::Unsendable(_) => {
                self.shared.observed.retries.with_label_values(&["settings"]).inc();
                let next = self.breaker.failed(now, None, &self.shared.chance);
                self.obstacle(Obstacle::Settings(reason.clone()));
                self.put_off(job, reason, next, now).await
            }
            // No fault of the store's adapter: all places were taken.
            Trouble::Fault(Fault::Busy { .. }) => Turn::Idle(Some(later(now, self.shared.chance.backoff(1)))),
            // Its minute is used up, whatever the window: all of them wait for the next one.
            Trouble::Fault(Fault::Cpu { wait, .. }) => {
                self.shared.observed.retries.with_label_values(&["adapter"]).inc();
                let next = self.breaker.failed(now, Some(wait), &self.shared.chance);
                tracing::warn!(store = %self.called(), "{reason}");
                self.obstacle(Obstacle::Adapter(reason.clone()));
                self.put_off(job, reason, next, now).await
            }
            Trouble::Fault(fault) if self.shared.trials.ends(config, &fault).await => {
                // The version before it delivers this window, at once.
                self.put_off(job, reason, now, now).await
            }
            Trouble::Fault(_) | Trouble::Cut(_) => {
                self.shared.observed.retries.with_label_values(&["adapter"]).inc();
                let next = self.breaker.failed(now, None, &self.shared.chance);
                tracing::warn!(store = %self.called(), window = %job.batch.window, "{reason}");
                self.obstacle(Obstacle::Adapter(reason.clone()));
                // One batch that an adapter cannot stand must not block those behind it.
                let aside = later(next, ASIDE.saturating_mul(job.attempts + 1).min(self.shared.chance.longest()));
                self.put_off(job, reason, aside, now).await
            }
        }
    }

    async fn put_off(&mut self, job: &Job, problem: String, next: Instant, now: Instant) -> Turn {
        let delivery = job.delivery;
        match self.shared.ledger.together(move |t| try_later(t, delivery, &problem, next, now)).await {
            Ok(()) => Turn::Worked,
            Err(error) => self.ledger_trouble(&error, now),
        }
    }

    /// The ledger cannot be used: nothing may be sent without it, so the store waits.
    fn ledger_trouble(&mut self, error: &LedgerError, now: Instant) -> Turn {
        tracing::warn!(store = %self.called(), "deliveries wait: {error}");
        Turn::Idle(Some(self.breaker.failed(now, None, &self.shared.chance)))
    }

    async fn ledger<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Ledger, StoreId) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (ledger, store) = (Arc::clone(&self.shared.ledger), self.store);
        let done = blocking(move || work(&ledger, store)).await;
        done.unwrap_or_else(|e| Err(LedgerError::Damaged(format!("a thread of the ledger died: {e}"))))
    }

    fn obstacle(&self, obstacle: Obstacle) {
        let open = match obstacle {
            Obstacle::Credentials(_) => 3.0,
            _ if self.breaker.failures() >= FAILING => 2.0,
            _ => 1.0,
        };
        self.show_breaker(open);
        let (failures, next) = (self.breaker.failures(), self.breaker.until());
        self.healths.set(self.store, Health { obstacle: Some(obstacle), failures, next });
    }

    /// The store as people know it, once it was read.
    fn called(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.store.to_string())
    }

    fn show_breaker(&self, state: f64) {
        if let Some(name) = &self.name {
            self.shared.observed.breaker.with_label_values(&[name]).set(state);
        }
    }

    fn well(&self) {
        self.show_breaker(0.0);
        self.healths.set(self.store, Health::default());
    }
}
