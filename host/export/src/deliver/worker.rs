//! The deliverer of one store.

use super::breaker::{Breaker, FAILING};
use super::converse::{Note, Trouble};
use super::parts::{Next, Parts};
use super::{Health, Healths, Obstacle, Shared};
use crate::config::{Config, ConfigError};
use crate::ledger::{Finished, Job, LedgerError};
use crate::look_back::told;
use crate::schedule::later;
use std::sync::Arc;
use std::time::Duration;
use tidegate_model::{BatchView, Instant, StoreId};
use tidegate_sandbox::Fault;
use tokio::sync::watch;

/// How far into the future a window may end and still be sent: clocks are never exactly equal.
const FUTURE_TOLERANCE: Duration = Duration::from_secs(5);
/// A delivery on which the adapter fails lets others pass for this long at least.
const ASIDE: Duration = Duration::from_secs(30);

pub(super) struct Worker {
    store: StoreId,
    shared: Arc<Shared>,
    healths: Arc<Healths>,
    breaker: Breaker,
    /// Rows that fitted when more did not.
    most_rows: Option<u64>,
    /// Settings that the last try was made with.
    revision: Option<u64>,
}

/// What a turn came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Something was delivered or given up: look for more at once.
    Worked,
    /// Nothing to do before this moment, or before something changes.
    Idle(Option<Instant>),
    /// The store is gone.
    Gone,
}

impl Worker {
    pub(super) fn new(store: StoreId, shared: Arc<Shared>, healths: Arc<Healths>) -> Self {
        Self { store, shared, healths, breaker: Breaker::default(), most_rows: None, revision: None }
    }

    /// Delivers until the store is gone, or nothing is due any more after `stop`.
    pub(super) async fn run(mut self, mut recorded: watch::Receiver<u64>, mut stop: watch::Receiver<bool>) -> StoreId {
        let mut edits = self.shared.catalog.edits();
        loop {
            recorded.mark_unchanged();
            edits.mark_unchanged();
            let stopping = *stop.borrow_and_update();
            match self.turn().await {
                Turn::Worked => {}
                Turn::Gone => return self.store,
                Turn::Idle(_) if stopping => return self.store,
                Turn::Idle(until) => {
                    let wait = until.map_or(Duration::from_secs(5), |at| self.wait(at));
                    tokio::select! {
                        Ok(()) = recorded.changed() => {}
                        Ok(()) = edits.changed() => {}
                        _ = stop.changed() => {}
                        () = tokio::time::sleep(wait) => {}
                    }
                }
            }
        }
    }

    /// Until `at`, but in slices: the wall clock may be set meanwhile.
    fn wait(&self, at: Instant) -> Duration {
        let left = Duration::from_micros(at.micros().saturating_sub(self.shared.clock.now().micros()));
        left.clamp(Duration::from_millis(5), self.shared.tick.max(Duration::from_millis(5)))
    }

    /// Expires what is too old and delivers the oldest window that is due.
    pub(super) async fn turn(&mut self) -> Turn {
        let now = self.shared.clock.now();
        let config = self.config().await;
        let adapter = config.as_ref().map(|c| c.store.adapter.as_str()).unwrap_or_default();
        if let Err(error) = self.expire(now, adapter).await {
            return self.ledger_trouble(&error, now);
        }
        let config = match config {
            Ok(config) => config,
            Err(ConfigError::Gone) => return Turn::Gone,
            Err(ConfigError::Unfit(why)) => {
                self.obstacle(Obstacle::Settings(why));
                return Turn::Idle(Some(later(now, Duration::from_secs(5))));
            }
            Err(ConfigError::Unreadable(why)) => {
                tracing::warn!(store = %self.store, "the store cannot be read, and will be again soon: {why}");
                return Turn::Idle(Some(later(now, Duration::from_secs(1))));
            }
        };
        if config.store.paused {
            return Turn::Idle(None);
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
            return Turn::Idle(Some(until));
        }
        let latest = later(now, FUTURE_TOLERANCE);
        match self.ledger(move |l, store| l.next_job(store, now, latest)).await {
            Ok(Some(job)) => self.deliver(&config, job).await,
            Ok(None) => self.idle(now).await,
            Err(error) => self.ledger_trouble(&error, now),
        }
    }

    async fn idle(&mut self, now: Instant) -> Turn {
        match self.ledger(|l, store| l.next_due(store)).await {
            Ok(next) => {
                if next.is_none() {
                    self.well();
                }
                Turn::Idle(next)
            }
            Err(error) => self.ledger_trouble(&error, now),
        }
    }

    async fn expire(&self, now: Instant, adapter: &str) -> Result<(), LedgerError> {
        let look_back = self.shared.look_back.of(adapter);
        let horizon = Instant::from_seconds(now.seconds().saturating_sub(look_back.as_secs()));
        let reason = format!("not delivered within {}", told(look_back));
        let told = reason.clone();
        let expired = self.ledger(move |l, store| l.expire(store, horizon, &reason, now)).await?;
        if expired > 0 {
            self.shared.observed.deliveries.with_label_values(&["expired"]).inc_by(expired);
            tracing::error!(store = %self.store, windows = expired, "deliveries expired: {told}");
        }
        Ok(())
    }

    async fn config(&self) -> Result<Arc<Config>, ConfigError> {
        let (configs, store) = (Arc::clone(&self.shared.configs), self.store);
        let read = tokio::task::spawn_blocking(move || configs.get(store)).await;
        read.unwrap_or_else(|e| Err(ConfigError::Unreadable(e.to_string())))
    }

    /// One try to deliver a window.
    async fn deliver(&mut self, config: &Arc<Config>, job: Job) -> Turn {
        let mut parts = Parts::new(BatchView::whole(Arc::clone(&job.batch)), self.most_rows);
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
            let next = match self.shared.converse.about(config, view.clone(), note).await {
                Ok(verdict) => parts.judged(&view, verdict),
                Err(trouble) => return self.troubled(&job, trouble).await,
            };
            match next {
                Next::GoOn => {}
                Next::Again { reason, after } => return self.again(config, &job, reason, after).await,
                Next::Stop(reason) => return self.stop(config, &job, reason).await,
            }
        }
        self.most_rows = parts.fitted().or(self.most_rows);
        self.finish(config, &job, parts.finished()).await
    }

    async fn finish(&mut self, config: &Config, job: &Job, finished: Finished) -> Turn {
        let now = self.shared.clock.now();
        let (store, window) = (&config.store.name, job.batch.window);
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
        let delivery = job.delivery;
        let recorded = self.ledger(move |l, _| l.finish(delivery, &finished, now)).await;
        if let Err(error) = recorded {
            // It will be sent again: the same bytes under the same stamp.
            return self.ledger_trouble(&error, now);
        }
        self.shared.observed.deliveries.with_label_values(&[outcome]).inc();
        self.breaker.succeeded();
        self.well();
        Turn::Worked
    }

    async fn again(&mut self, config: &Config, job: &Job, reason: String, after: Option<Duration>) -> Turn {
        let now = self.shared.clock.now();
        let next = self.breaker.failed(now, after, &self.shared.chance);
        if self.breaker.failures() == FAILING {
            tracing::warn!(store = %config.store.name, "the store has failed {FAILING} times in a row: {reason}");
        }
        self.obstacle(Obstacle::Sink(reason.clone()));
        self.put_off(job, reason, next, now).await
    }

    async fn stop(&mut self, config: &Config, job: &Job, reason: String) -> Turn {
        let now = self.shared.clock.now();
        let next = self.breaker.refused(now, config.store.revision);
        tracing::error!(store = %config.store.name, "the credentials were refused; deliveries wait until they are changed: {reason}");
        self.obstacle(Obstacle::Credentials(reason.clone()));
        self.put_off(job, reason, next, now).await
    }

    async fn troubled(&mut self, job: &Job, trouble: Trouble) -> Turn {
        let now = self.shared.clock.now();
        let reason = trouble.to_string();
        match trouble {
            Trouble::Ledger(error) => self.ledger_trouble(&error, now),
            Trouble::OtherBytes { .. } => {
                tracing::error!(store = %self.store, window = %job.batch.window, "{reason}");
                let (rejected, delivery) = (job.batch.live_rows(), job.delivery);
                let told = reason.clone();
                let finished = Finished::Rejected { reason, rejected, rejections: Vec::new() };
                match self.ledger(move |l, _| l.finish(delivery, &finished, now)).await {
                    Ok(()) => {
                        self.shared.observed.deliveries.with_label_values(&["rejected"]).inc();
                        self.obstacle(Obstacle::Adapter(told));
                        Turn::Worked
                    }
                    Err(error) => self.ledger_trouble(&error, now),
                }
            }
            Trouble::Unsendable(_) => {
                let next = self.breaker.failed(now, None, &self.shared.chance);
                self.obstacle(Obstacle::Settings(reason.clone()));
                self.put_off(job, reason, next, now).await
            }
            // No fault of the store's adapter: all places were taken.
            Trouble::Fault(Fault::Busy { .. }) => Turn::Idle(Some(later(now, self.shared.chance.backoff(1)))),
            Trouble::Fault(_) | Trouble::Cut(_) => {
                let next = self.breaker.failed(now, None, &self.shared.chance);
                tracing::warn!(store = %self.store, window = %job.batch.window, "{reason}");
                self.obstacle(Obstacle::Adapter(reason.clone()));
                // One batch that an adapter cannot stand must not block those behind it.
                let aside = later(next, ASIDE.saturating_mul(job.attempts + 1).min(crate::chance::LONGEST));
                self.put_off(job, reason, aside, now).await
            }
        }
    }

    async fn put_off(&mut self, job: &Job, problem: String, next: Instant, now: Instant) -> Turn {
        let delivery = job.delivery;
        match self.ledger(move |l, _| l.try_later(delivery, &problem, next, now)).await {
            Ok(()) => Turn::Worked,
            Err(error) => self.ledger_trouble(&error, now),
        }
    }

    /// The ledger cannot be used: nothing may be sent without it, so the store waits.
    fn ledger_trouble(&mut self, error: &LedgerError, now: Instant) -> Turn {
        tracing::warn!(store = %self.store, "deliveries wait: {error}");
        Turn::Idle(Some(self.breaker.failed(now, None, &self.shared.chance)))
    }

    async fn ledger<T: Send + 'static>(
        &self,
        work: impl FnOnce(&crate::ledger::Ledger, StoreId) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (ledger, store) = (Arc::clone(&self.shared.ledger), self.store);
        let done = tokio::task::spawn_blocking(move || work(&ledger, store)).await;
        done.unwrap_or_else(|e| Err(LedgerError::Damaged(format!("a thread of the ledger died: {e}"))))
    }

    fn obstacle(&self, obstacle: Obstacle) {
        self.healths.set(self.store, Health { obstacle: Some(obstacle), failures: self.breaker.failures() });
    }

    fn well(&self) {
        self.healths.set(self.store, Health::default());
    }
}
