//! When windows are evaluated, and in which order. Calls block.
//!
//! A pass over one project: the windows that have just ended first, all sets of one window in one pass over the events; then
//! failed windows that are due again; then a bounded number of missed ones, oldest first. Everything that it needs to know is
//! on disk, so a pass can be cut off anywhere and the next one goes on.

mod agenda;
mod aside;
mod drive;
mod news;
mod places;
mod plan;
mod spread;
#[cfg(test)]
mod tests;

pub(crate) use aside::Suspects;
pub(crate) use drive::{Drive, drive};
pub(crate) use news::News;
pub(crate) use places::Places;
pub(crate) use plan::TrackPlan;
pub(crate) use spread::{Spread, of_store};

use crate::budget::{Exhausted, Shares};
use crate::catalog::{Catalog, CatalogError, Link, MetricsInForce};
use crate::chance::Chance;
use crate::ledger::{Document, Evaluated, Failed, Ledger, LedgerError, Tries};
use crate::look_back::{LookBack, told};
use crate::observe::{Loss, Observed};
use aside::{Due, FOUND_AT_ONCE, PATIENCE, Stopped, TRIES, Turn, culprit};
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
    pub(crate) news: News,
    pub(crate) look_back: LookBack,
    pub(crate) limits: EvaluationLimits,
    pub(crate) places: Places,
    /// What the evaluations of each tenant have used.
    pub(crate) shares: Arc<Shares>,
    /// How far after their ends windows are evaluated.
    pub(crate) spread: Spread,
    /// The metrics that are evaluated by themselves.
    pub(crate) suspects: Suspects,
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
        let due = self.ledger.failed_due(project, self.clock.now(), RETRIED_AT_ONCE)?;
        if due.is_empty() {
            return Ok(());
        }
        let links = self.catalog.read(|v| Ok(v.links_of_project(project)?))?;
        // Those that are put off or fail again are not due for a while, so this comes to an end.
        passed.more = due.len() >= RETRIED_AT_ONCE as usize;
        // Right after the live windows is when there is most time until the next ones.
        let mut is_first = passed.recorded > 0;
        for (document, _) in due {
            let now = self.clock.now();
            if !self.is_wanted(&links, &document, now) {
                self.give_up(&document, "its evaluation failed until it was too old for every store")?;
                continue;
            }
            let Some(metric) = &document.metric else {
                let (start, period) = (document.window.start().seconds(), document.window.period());
                self.window(project, start, period, &[document.set], passed)?;
                continue;
            };
            match self.suspects.turn(document.set, metric) {
                Turn::Now => self.by_itself(project, &document, metric, passed)?,
                Turn::WhenThereIsTime => {
                    let next_end = self.next_end(&links, now);
                    if later(now, self.limits.time) <= next_end || std::mem::take(&mut is_first) {
                        self.by_itself(project, &document, metric, passed)?;
                    } else {
                        self.ledger.put_off(&document, next_end)?;
                    }
                }
                Turn::After(_, Stopped { times, reason })
                    if times >= TRIES && later(document.window.end(), PATIENCE) <= now =>
                {
                    self.give_up(&document, &format!("the metric was stopped {times} times in a row: {reason}"))?;
                }
                Turn::After(wait, _) => self.ledger.put_off(&document, later(now, wait))?,
            }
        }
        Ok(())
    }

    /// When the next window of a project is to be evaluated.
    fn next_end(&self, links: &[Link], now: Instant) -> Instant {
        let ends = links.iter().map(|link| {
            let after = self.spread.of_project(link.project, link.period);
            let shifted = Instant::from_micros(now.micros().saturating_sub(after));
            Instant::from_micros(link.period.window_at(shifted).end().micros() + after)
        });
        ends.min().unwrap_or(Instant::from_micros(u64::MAX))
    }

    /// Whether a document is young enough for a store that wants it. A page sums up all windows, so what its set could evaluate
    /// together is never too old for it.
    fn is_wanted(&self, links: &[Link], document: &Document, now: Instant) -> bool {
        let horizon = |adapter: &str| now.seconds().saturating_sub(self.look_back.of(adapter).as_secs());
        let is_young = |l: &Link| document.window.end().seconds() > horizon(&l.adapter);
        let wants = |l: &Link| l.metric_set == document.set && l.wants(document.window);
        links.iter().any(|l| wants(l) && (l.pull && document.metric.is_none() || is_young(l)))
    }

    fn give_up(&self, document: &Document, reason: &str) -> Result<(), PassError> {
        self.ledger.give_up(document, reason, self.clock.now())?;
        self.observed.windows.with_label_values(&["expired"]).inc();
        self.observed.lost(Loss::NeverEvaluated, 1);
        let (metric_set, metric) = (document.set.0, document.metric.as_ref().map(Name::as_str));
        tracing::error!(metric_set, metric, window = %document.window, "a window was given up: {reason}");
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
        let now = self.clock.now();
        let read = self.catalog.read(|v| {
            let dues = sets.iter().map(|set| {
                // Also tells that it is still there.
                let set_name = v.metric_set(*set)?.name;
                let force = v.revisions(*set)?.metrics_for(window)?;
                Ok(Due::new(*set, set_name, force, &self.suspects, now))
            });
            Ok((v.project(project)?.name, dues.collect::<Result<Vec<_>, CatalogError>>()?))
        });
        let (name, mut dues) = match read {
            Ok(read) => read,
            // Deleted a moment ago.
            Err(CatalogError::NotFound { .. }) => return Ok(()),
            Err(other) => return Err(other.into()),
        };
        if let Err(error) = self.seal(project, window.end()).map_err(Unevaluated::from) {
            // What is not sealed must not be evaluated: events could still arrive in it.
            return dues
                .iter()
                .try_for_each(|due| self.failed(project, &Document::of_set(due.set, window), due, &error, passed));
        }
        let error = match self.evaluate(project, &name, window, &dues) {
            Ok(evaluated) => return self.record(evaluated, window, passed),
            Err(error) => error,
        };
        if let [due] = &mut dues[..] {
            return self.one_set(project, &name, window, due, error, passed);
        }
        if matches!(error, Unevaluated::Source(SourceError::Closed)) {
            return Err(PassError::Closed);
        }
        // One bad set must not hold up the others of the window; those with the metric that stood in the way come last.
        dues.sort_by_key(|due| culprit(&error).is_some_and(|metric| due.has(metric)));
        dues.iter_mut().try_for_each(|due| match self.evaluate(project, &name, window, std::slice::from_ref(due)) {
            Ok(evaluated) => self.record(evaluated, window, passed),
            Err(error) => self.one_set(project, &name, window, due, error, passed),
        })
    }

    /// Goes on with a set that could not be evaluated, without the metrics that stand in the way of the others.
    fn one_set(
        &self,
        project: ProjectId,
        name: &Name,
        window: Window,
        due: &mut Due,
        mut error: Unevaluated,
        passed: &mut Passed,
    ) -> Result<(), PassError> {
        for _ in 0..FOUND_AT_ONCE {
            if !due.put_aside(&error, &self.suspects, self.clock.now()) {
                break;
            }
            self.observed.windows.with_label_values(&["failed"]).inc();
            tracing::warn!(metric_set = %due.set_name, %window, "the others of the set go on without a metric: {error}");
            match self.evaluate(project, name, window, std::slice::from_ref(due)) {
                Ok(evaluated) => return self.record(evaluated, window, passed),
                Err(next) => error = next,
            }
        }
        self.failed(project, &Document::of_set(due.set, window), due, &error, passed)
    }

    /// Evaluates a metric that could not be evaluated with its set.
    fn by_itself(
        &self,
        project: ProjectId,
        document: &Document,
        metric: &Name,
        passed: &mut Passed,
    ) -> Result<(), PassError> {
        let (set, window) = (document.set, document.window);
        let read = self.catalog.read(|v| {
            let (set_name, force) = (v.metric_set(set)?.name, v.revisions(set)?.metrics_for(window)?);
            Ok((v.project(project)?.name, Due::of_metric(set, set_name, force, metric)))
        });
        let (name, due) = match read {
            Ok((name, Some(due))) => (name, due),
            Ok((_, None)) => return self.give_up(document, "what the set consisted of then is not known any more"),
            Err(CatalogError::NotFound { .. }) => return Ok(()),
            Err(other) => return Err(other.into()),
        };
        let sealed = self.seal(project, window.end()).map_err(Unevaluated::from);
        match sealed.and_then(|()| self.evaluate(project, &name, window, std::slice::from_ref(&due))) {
            Ok(mut evaluated) => {
                self.suspects.went_well(set, metric);
                evaluated.iter_mut().for_each(|one| one.metric = Some(metric.clone()));
                self.record(evaluated, window, passed)
            }
            Err(error) => self.failed(project, document, &due, &error, passed),
        }
    }

    fn evaluate(
        &self,
        project: ProjectId,
        name: &Name,
        window: Window,
        dues: &[Due],
    ) -> Result<Vec<Evaluated>, Unevaluated> {
        let metrics = dues.iter().flat_map(|due| &due.metrics);
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
            let _place = self.places.take(tenant.as_ref().map(|(tenant, _)| *tenant));
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
            let metrics = results.by_ref().take(due.metrics.len()).collect();
            let batch = Batch { project: name.clone(), metric_set: due.series.clone(), window, metrics };
            let queries = due.metrics.iter().map(|(_, query)| query.clone()).collect();
            let (metric_set, revision, batch) = (due.set, due.revision, Arc::new(batch));
            Evaluated { project, metric_set, revision, metric: None, aside: due.aside.clone(), batch, queries, from }
        });
        Ok(evaluated.collect())
    }

    fn record(&self, evaluated: Vec<Evaluated>, window: Window, passed: &mut Passed) -> Result<(), PassError> {
        let now = self.clock.now();
        self.ledger.record(evaluated, now, |recorded| {
            passed.recorded += recorded.windows;
            self.observed.windows.with_label_values(&["evaluated"]).inc_by(recorded.windows as u64);
            self.news.tell(recorded);
        })?;
        self.observed.lagged(Duration::from_micros(now.micros().saturating_sub(window.end().micros())));
        Ok(())
    }

    fn failed(
        &self,
        project: ProjectId,
        document: &Document,
        due: &Due,
        error: &Unevaluated,
        passed: &mut Passed,
    ) -> Result<(), PassError> {
        if matches!(error, Unevaluated::Source(SourceError::Closed)) {
            return Err(PassError::Closed);
        }
        let now = self.clock.now();
        let Tries { attempts, stopped } = self.ledger.tries(document)?;
        let tries = Tries { attempts: attempts + 1, stopped: stopped + u32::from(culprit(error).is_some()) };
        let reason = error.to_string();
        let wait = match (error, culprit(error), &document.metric) {
            (Unevaluated::Exhausted(exhausted), ..) => exhausted.wait,
            (_, Some(_), Some(metric)) => self.suspects.stopped(document.set, metric, &reason),
            _ => self.chance.backoff(tries.attempts),
        };
        let (revision, next_attempt) = (due.revision, later(now, wait));
        let failed = Failed { project, document: document.clone(), revision, tries, reason: &reason, next_attempt };
        self.ledger.record_failure(&failed, now)?;
        passed.recorded += 1;
        self.observed.windows.with_label_values(&["failed"]).inc();
        let (metric_set, window, attempts) = (&due.set_name, document.window, tries.attempts);
        tracing::warn!(%metric_set, %window, attempts, "an evaluation failed: {reason}");
        if document.metric.is_some() && tries.stopped >= TRIES {
            self.give_up(document, &format!("given up after {attempts} tries: {reason}"))?;
        }
        Ok(())
    }
}

/// `wait` after `now`.
pub(crate) fn later(now: Instant, wait: Duration) -> Instant {
    Instant::from_micros(now.micros().saturating_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)))
}
