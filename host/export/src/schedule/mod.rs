//! When windows are evaluated, and in which order. Calls block.
//!
//! A pass over one project: the windows that have just ended first, all sets of one window in one pass over the events; then
//! failed windows that are due again; then a bounded number of missed ones, oldest first. Everything that it needs to know is
//! on disk, so a pass can be cut off anywhere and the next one goes on.

mod agenda;
mod drive;
mod places;
mod plan;
mod spread;
#[cfg(test)]
mod tests;

pub(crate) use drive::{Drive, drive};
pub(crate) use places::Places;
pub(crate) use plan::TrackPlan;
pub(crate) use spread::{Spread, of_store};

use crate::budget::{Exhausted, Shares};
use crate::catalog::{Catalog, CatalogError, MetricsInForce};
use crate::chance::Chance;
use crate::ledger::{Evaluated, Failed, Ledger, LedgerError, Recorded};
use crate::look_back::{LookBack, told};
use crate::observe::{Loss, Observed};
use plan::plan;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidegate_events::{EvaluationLimits, MetricSpec, Source, SourceError};
use tidegate_model::{Batch, Clock, CpuTime, Instant, MetricSetId, Name, Period, ProjectId, Window};

/// Missed windows that one pass makes up before it looks at the clock again.
const MISSED_AT_ONCE: usize = 16;
/// Failed windows that one pass tries again.
const RETRIED_AT_ONCE: u32 = 4;

/// Why a pass was cut off. What it had recorded until then stays.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PassError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The source is closed: the host is going down.
    #[error("the event store is closed")]
    Closed,
    /// A defect of the event store or of this crate.
    #[error("the evaluation ended in a panic, which is a defect; the log has it")]
    Panicked,
}

/// What a pass came to.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    /// What pull pages are to show, and which stores have something to get.
    pub(crate) news: Recorded,
    /// Windows that were recorded, evaluated or not.
    pub(crate) recorded: usize,
    /// Whether missed windows are left.
    pub(crate) more: bool,
}

/// The schedule of one host.
pub(crate) struct Schedule {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Arc<Chance>,
    pub(crate) observed: Arc<Observed>,
    pub(crate) look_back: LookBack,
    pub(crate) limits: EvaluationLimits,
    pub(crate) places: Places,
    /// What the evaluations of each tenant have used.
    pub(crate) shares: Arc<Shares>,
    /// How far after their ends windows are evaluated.
    pub(crate) spread: Spread,
    /// Up to where each project is sealed in this process.
    pub(crate) sealed: Mutex<HashMap<ProjectId, Instant>>,
}

/// Why a window was not evaluated.
#[derive(Debug, thiserror::Error)]
enum Unevaluated {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
}

/// A set whose window is to be evaluated.
struct Due {
    set: MetricSetId,
    /// As people know it.
    set_name: Name,
    force: MetricsInForce,
}

impl Schedule {
    /// Promises again what earlier runs of the host had promised: nothing arrives in a window that is on record.
    ///
    /// # Errors
    /// [`PassError`], and the source's refusal.
    pub(crate) fn seal_all(&self) -> Result<Result<(), SourceError>, LedgerError> {
        for (project, end) in self.ledger.seals()? {
            if let Err(error) = self.seal(project, end) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    fn seal(&self, project: ProjectId, end: Instant) -> Result<(), SourceError> {
        let known = || self.sealed.lock().unwrap_or_else(PoisonError::into_inner);
        if known().get(&project).is_some_and(|sealed| *sealed >= end) {
            return Ok(());
        }
        self.source.seal(project, end)?;
        known().insert(project, end);
        Ok(())
    }

    /// What every track of a project has to do now.
    fn survey(&self, project: ProjectId) -> Result<Vec<TrackPlan>, PassError> {
        let links = self.catalog.read(|v| Ok(v.links_of_project(project)?))?;
        let cursors = self.ledger.cursors_of(project)?;
        let mut plans = plan(&links, &cursors, self.clock.now(), &self.look_back, &self.spread);
        for plan in &mut plans {
            if let Some(window) = plan.live
                && self.ledger.is_recorded(plan.track.0, window)?
            {
                plan.live = None;
            }
        }
        Ok(plans)
    }

    /// One pass over a project.
    pub(crate) fn pass(&self, project: ProjectId) -> Result<Passed, PassError> {
        let mut passed = Passed::default();
        let mut live: BTreeMap<(u64, Period), Vec<MetricSetId>> = BTreeMap::new();
        for track in self.survey(project)? {
            if let Some(window) = track.live {
                live.entry((window.start().seconds(), window.period())).or_default().push(track.track.0);
            }
        }
        for ((start, period), sets) in live {
            self.window(project, start, period, &sets, &mut passed)?;
        }
        self.retry_failed(project, &mut passed)?;
        for _ in 0..MISSED_AT_ONCE {
            if !self.next_missed(project, &self.survey(project)?, &mut passed)? {
                return Ok(passed);
            }
        }
        passed.more = true;
        Ok(passed)
    }

    /// Makes up the oldest missed window of a project, with every set that misses it. False if there is none.
    fn next_missed(&self, project: ProjectId, plans: &[TrackPlan], passed: &mut Passed) -> Result<bool, PassError> {
        let mut oldest: BTreeMap<(u64, Period), Vec<MetricSetId>> = BTreeMap::new();
        for plan in plans {
            if let Some(skip) = &plan.skip {
                let missed: u64 = skip.gaps.iter().map(|(_, _, windows)| windows).sum();
                let reason = format!("older than {} when it could be evaluated", told(skip.longest));
                self.ledger.skip(plan.track, skip.to, &skip.gaps, &reason, self.clock.now())?;
                if missed > 0 {
                    self.observed.windows.with_label_values(&["expired"]).inc_by(missed);
                    self.observed.lost(Loss::NeverEvaluated, missed);
                    tracing::error!(
                        metric_set = plan.track.0.0,
                        period = plan.track.1.seconds(),
                        windows = missed,
                        "windows were given up: {reason}"
                    );
                }
            }
            if let Some(window) = plan.missed {
                oldest.entry((window.start().seconds(), window.period())).or_default().push(plan.track.0);
            }
        }
        let Some(((start, period), sets)) = oldest.pop_first() else { return Ok(false) };
        self.window(project, start, period, &sets, passed)?;
        Ok(true)
    }

    fn retry_failed(&self, project: ProjectId, passed: &mut Passed) -> Result<(), PassError> {
        let now = self.clock.now();
        let due = self.ledger.failed_due(project, now, RETRIED_AT_ONCE)?;
        if due.is_empty() {
            return Ok(());
        }
        // Those that fail again are not due for a while, so this comes to an end.
        passed.more = due.len() >= RETRIED_AT_ONCE as usize;
        let links = self.catalog.read(|v| Ok(v.links_of_project(project)?))?;
        let horizon = |adapter: &str| now.seconds().saturating_sub(self.look_back.of(adapter).as_secs());
        for (set, window, _) in due {
            let wanted = links.iter().any(|l| {
                l.metric_set == set && l.wants(window) && (l.pull || window.end().seconds() > horizon(&l.adapter))
            });
            if wanted {
                self.window(project, window.start().seconds(), window.period(), &[set], passed)?;
            } else {
                let reason = "its evaluation failed until it was too old for every store";
                self.ledger.give_up(set, window, reason, now)?;
                self.observed.windows.with_label_values(&["expired"]).inc();
                self.observed.lost(Loss::NeverEvaluated, 1);
                tracing::error!(metric_set = set.0, %window, "a window was given up: {reason}");
            }
        }
        Ok(())
    }

    /// Seals, evaluates and records one window of several sets.
    fn window(
        &self,
        project: ProjectId,
        start: u64,
        period: Period,
        sets: &[MetricSetId],
        passed: &mut Passed,
    ) -> Result<(), PassError> {
        let Some(window) = Window::starting_at(start, period) else { return Ok(()) };
        let read = self.catalog.read(|v| {
            let dues = sets.iter().map(|set| {
                // Also tells that it is still there.
                let set_name = v.metric_set(*set)?.name;
                Ok(Due { set: *set, set_name, force: v.revisions(*set)?.metrics_for(window)? })
            });
            Ok((v.project(project)?.name, dues.collect::<Result<Vec<_>, CatalogError>>()?))
        });
        let (name, dues) = match read {
            Ok(read) => read,
            // Deleted a moment ago.
            Err(CatalogError::NotFound { .. }) => return Ok(()),
            Err(other) => return Err(other.into()),
        };
        let sealed = self.seal(project, window.end());
        let all: Vec<&Due> = dues.iter().collect();
        match sealed.map_err(Unevaluated::from).and_then(|()| self.evaluate(project, &name, window, &all)) {
            Ok(evaluated) => self.record(evaluated, window, passed),
            Err(Unevaluated::Source(SourceError::Closed)) => Err(PassError::Closed),
            Err(error) if dues.len() == 1 => self.failed(project, &dues[0], window, &error, passed),
            // One bad set must not hold up the others of the window.
            Err(error) => bad_last(all, &error).into_iter().try_for_each(|due| {
                match self.evaluate(project, &name, window, &[due]) {
                    Ok(evaluated) => self.record(evaluated, window, passed),
                    Err(Unevaluated::Source(SourceError::Closed)) => Err(PassError::Closed),
                    Err(error) => self.failed(project, due, window, &error, passed),
                }
            }),
        }
    }

    fn evaluate(
        &self,
        project: ProjectId,
        name: &Name,
        window: Window,
        dues: &[&Due],
    ) -> Result<Vec<Evaluated>, Unevaluated> {
        let metrics = dues.iter().flat_map(|due| &due.force.metrics);
        let specs: Vec<MetricSpec> =
            metrics.map(|(name, query)| MetricSpec { name: name.clone(), query: query.clone() }).collect();
        let mut batches = if specs.is_empty() {
            Vec::new()
        } else {
            let tenant = self.catalog.quotas_of_project(project);
            if let Some((tenant, quotas)) = &tenant {
                self.shares.check(*tenant, quotas.evaluation_cpu)?;
            }
            self.observed.evaluations.inc();
            let _place = self.places.take();
            let mut cpu = CpuTime::start();
            let evaluated = self.source.evaluate(project, window, &specs, &self.limits);
            if let Some((tenant, _)) = tenant {
                self.shares.took(tenant, cpu.lap());
            }
            evaluated?
        };
        if batches.len() != specs.len() {
            let told = format!("{} results came for {} metrics", batches.len(), specs.len());
            return Err(SourceError::Corrupt(told).into());
        }
        let after = self.spread.of_project(project, window.period());
        let from = Instant::from_micros(window.end().micros() + after);
        let mut results = batches.drain(..);
        let evaluated = dues.iter().map(|due| {
            let metrics = results.by_ref().take(due.force.metrics.len()).collect();
            let batch = Batch { project: name.clone(), metric_set: due.force.series.clone(), window, metrics };
            let queries = due.force.metrics.iter().map(|(_, query)| query.clone()).collect();
            let (metric_set, revision, batch) = (due.set, due.force.revision, Arc::new(batch));
            Evaluated { project, metric_set, revision, batch, queries, from }
        });
        Ok(evaluated.collect())
    }

    fn record(&self, evaluated: Vec<Evaluated>, window: Window, passed: &mut Passed) -> Result<(), PassError> {
        let now = self.clock.now();
        let count = evaluated.len();
        let recorded = self.ledger.record(evaluated, now)?;
        passed.news.shown.extend(recorded.shown);
        passed.news.queued.extend(recorded.queued);
        passed.recorded += count;
        self.observed.windows.with_label_values(&["evaluated"]).inc_by(count as u64);
        self.observed.lagged(Duration::from_micros(now.micros().saturating_sub(window.end().micros())));
        Ok(())
    }

    fn failed(
        &self,
        project: ProjectId,
        due: &Due,
        window: Window,
        error: &Unevaluated,
        passed: &mut Passed,
    ) -> Result<(), PassError> {
        let now = self.clock.now();
        let attempts = self.ledger.attempts(due.set, window)?;
        let wait = match error {
            Unevaluated::Exhausted(exhausted) => exhausted.wait,
            Unevaluated::Source(_) => self.chance.backoff(attempts + 1),
        };
        let reason = error.to_string();
        let next_attempt = later(now, wait);
        let revision = due.force.revision;
        let failed = Failed { project, metric_set: due.set, revision, window, reason: &reason, next_attempt };
        self.ledger.record_failure(&failed, now)?;
        passed.recorded += 1;
        self.observed.windows.with_label_values(&["failed"]).inc();
        tracing::warn!(metric_set = %due.set_name, %window, attempts = attempts + 1, "an evaluation failed: {reason}");
        Ok(())
    }
}

/// The sets of a window, those with the metric that took too long after the others: these need not wait for it once more.
fn bad_last<'d>(mut dues: Vec<&'d Due>, error: &Unevaluated) -> Vec<&'d Due> {
    if let Unevaluated::Source(SourceError::Time { metric, .. }) = error {
        dues.sort_by_key(|due| due.force.metrics.iter().any(|(name, _)| name.as_str() == metric));
    }
    dues
}

/// `wait` after `now`.
pub(crate) fn later(now: Instant, wait: Duration) -> Instant {
    Instant::from_micros(now.micros().saturating_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)))
}
