//! Metrics that take too long, or too much memory: put aside, so that nobody has to wait for them.
//!
//! What stands beside such a metric waits for it once. From then on it is evaluated by itself, behind all that is live, as a document of
//! its own. The trap is the metric that is slow for good: if each of its windows were tried a few times, it would keep a processor busy
//! with nothing. So it has a breaker, as a store has: one window of it is tried now and then, and the others wait for what comes of that.

use super::{MetricsInForce, Unevaluated};
use crate::ledger::{Aside, Tries};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tidegate_events::SourceError;
use tidegate_model::{Instant, MetricQuery, MetricSetId, Name};
use tokio::time::Instant as Moment;

/// Stops in a row after which a window of a metric is given up; with the pauses between them that is some twelve minutes.
pub(super) const TRIES: u32 = 8;
/// How old a window of a metric must be to be given up untried, when others of it were stopped so often.
pub(super) const PATIENCE: Duration = Duration::from_secs(900);
/// Metrics of one set that may be found out in one go: each costs those beside it all the time that it may take.
pub(super) const FOUND_AT_ONCE: u32 = 3;
/// The pause after the first stop; each further one doubles it, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// For how long a metric that was stopped goes by itself.
const APART: Duration = Duration::from_secs(3600);

/// The metric that stood in the way, if it was one.
pub(super) fn culprit(error: &Unevaluated) -> Option<&str> {
    match error {
        Unevaluated::Source(
            SourceError::Time { metric, .. } | SourceError::Memory { metric, .. } | SourceError::Query { metric, .. },
        ) => Some(metric),
        _ => None,
    }
}

/// A metric that was stopped.
struct Suspect {
    /// Stops in a row; none if it was in time when it was evaluated last.
    stops: u32,
    /// When it is tried again.
    next: Moment,
    until: Moment,
    reason: String,
}

/// Whether a window of a metric may be evaluated by itself now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It was in time when it was evaluated last.
    Now,
    /// It may take all the time that it is given.
    WhenThereIsTime,
    /// Another window of it was stopped a moment ago.
    After(Duration, Stopped),
}

/// How often a metric was stopped in a row, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stopped {
    pub(super) times: u32,
    pub(super) reason: String,
}

/// The metrics that go by themselves. In memory: after a restart they are found out again.
#[derive(Default)]
pub(crate) struct Suspects(Mutex<HashMap<(MetricSetId, Name), Suspect>>);

impl Suspects {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<(MetricSetId, Name), Suspect>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// It was stopped; tells how long it has to wait.
    pub(super) fn stopped(&self, set: MetricSetId, metric: &Name, reason: &str) -> Duration {
        let now = Moment::now();
        self.with(|all| {
            all.retain(|_, known| known.until > now);
            let stops = all.get(&(set, metric.clone())).map_or(0, |known| known.stops).saturating_add(1);
            let pause = FIRST_PAUSE.saturating_mul(1 << (stops - 1).min(16)).min(LONGEST_PAUSE);
            let suspect = Suspect { stops, next: now + pause, until: now + APART, reason: reason.to_owned() };
            all.insert((set, metric.clone()), suspect);
            pause
        })
    }

    /// It was evaluated.
    pub(super) fn went_well(&self, set: MetricSetId, metric: &Name) {
        self.with(|all| all.get_mut(&(set, metric.clone())).into_iter().for_each(|known| known.stops = 0));
    }

    /// Why it goes by itself, if it does.
    fn reason(&self, set: MetricSetId, metric: &Name) -> Option<String> {
        let now = Moment::now();
        self.with(|all| Some(all.get(&(set, metric.clone())).filter(|known| known.until > now)?.reason.clone()))
    }

    pub(super) fn turn(&self, set: MetricSetId, metric: &Name) -> Turn {
        let now = Moment::now();
        self.with(|all| match all.get(&(set, metric.clone())) {
            Some(known) if known.stops == 0 => Turn::Now,
            Some(known) if known.next > now => {
                let stopped = Stopped { times: known.stops, reason: known.reason.clone() };
                Turn::After(known.next - now, stopped)
            }
            _ => Turn::WhenThereIsTime,
        })
    }
}

/// What of a set is to be evaluated in a window.
pub(super) struct Due {
    pub(super) set: MetricSetId,
    /// As people know it.
    pub(super) set_name: Name,
    /// As series know it.
    pub(super) series: Name,
    pub(super) revision: u64,
    pub(super) metrics: Vec<(Name, MetricQuery)>,
    pub(super) aside: Vec<Aside>,
}

impl Due {
    /// All metrics of a set but those that go by themselves.
    pub(super) fn new(
        set: MetricSetId,
        set_name: Name,
        force: MetricsInForce,
        suspects: &Suspects,
        now: Instant,
    ) -> Self {
        let MetricsInForce { revision, series, metrics } = force;
        let mut due = Self { set, set_name, series, revision, metrics: Vec::new(), aside: Vec::new() };
        for (metric, query) in metrics {
            match suspects.reason(set, &metric) {
                None => due.metrics.push((metric, query)),
                Some(why) => {
                    let reason = format!("it is evaluated by itself, since it was stopped before: {why}");
                    let next_attempt = match suspects.turn(set, &metric) {
                        Turn::After(wait, _) => super::later(now, wait),
                        _ => now,
                    };
                    due.aside.push(Aside { metric, reason, tries: Tries::default(), next_attempt });
                }
            }
        }
        due
    }

    /// One metric of a set by itself; none if it was not in the set.
    pub(super) fn of_metric(set: MetricSetId, set_name: Name, force: MetricsInForce, metric: &Name) -> Option<Self> {
        let MetricsInForce { revision, series, metrics } = force;
        let metrics: Vec<_> = metrics.into_iter().filter(|(name, _)| name == metric).collect();
        (!metrics.is_empty()).then_some(Self { set, set_name, series, revision, metrics, aside: Vec::new() })
    }

    pub(super) fn has(&self, metric: &str) -> bool {
        self.metrics.iter().any(|(name, _)| name.as_str() == metric)
    }

    /// Goes on without the metric that `error` is about; false if that is none of this set.
    pub(super) fn put_aside(&mut self, error: &Unevaluated, suspects: &Suspects, now: Instant) -> bool {
        let found = culprit(error).and_then(|metric| self.metrics.iter().position(|(name, _)| name.as_str() == metric));
        let Some(at) = found else { return false };
        let ((metric, _), reason) = (self.metrics.remove(at), error.to_string());
        let next_attempt = super::later(now, suspects.stopped(self.set, &metric, &reason));
        self.aside.push(Aside { metric, reason, tries: Tries { attempts: 1, stopped: 1 }, next_attempt });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_metric_that_is_stopped_again_and_again_is_tried_more_and_more_seldom_and_at_once_when_it_is_well() {
        let (suspects, set, name) = (Suspects::default(), MetricSetId(1), Name::new("heavy").unwrap());
        assert_eq!(
            suspects.turn(set, &name),
            Turn::WhenThereIsTime,
            "one of an earlier run, of which nothing is known"
        );
        let pauses: Vec<u64> = (0..9).map(|_| suspects.stopped(set, &name, "too slow").as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
        let stopped = Stopped { times: 9, reason: "too slow".to_owned() };
        assert_eq!(suspects.turn(set, &name), Turn::After(LONGEST_PAUSE, stopped));
        assert_eq!(suspects.turn(MetricSetId(2), &name), Turn::WhenThereIsTime, "that of another set is another");
        tokio::time::advance(LONGEST_PAUSE).await;
        assert_eq!(suspects.turn(set, &name), Turn::WhenThereIsTime);
        suspects.went_well(set, &name);
        assert_eq!(suspects.turn(set, &name), Turn::Now);
        assert!(suspects.reason(set, &name).is_some());
        tokio::time::advance(APART).await;
        assert_eq!(suspects.reason(set, &name), None, "it goes with its set again");
    }
}
