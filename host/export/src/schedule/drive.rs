//! Runs the schedule: one pass per project at a time, projects side by side, so that a slow one delays nobody else.
//!
//! It waits on the monotonic clock in short slices and looks at the wall clock after each: a jump of the wall clock is noticed
//! within a slice, and changes which windows are due, never how long a wait lasts.

use super::{PassError, Passed, Schedule, TrackPlan};
use crate::offload;
use crate::pull::Board;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidegate_model::{Instant, ProjectId};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant as Moment;

/// Passes under way at once: evaluation is CPU work, and the event store has one reader for each.
const PASSES_AT_ONCE: usize = 4;

/// The wall clock is corrected by less than this all the time.
const CLOCK_SLACK: Duration = Duration::from_secs(1);

/// What the schedule is driven with.
pub(crate) struct Drive {
    pub(crate) schedule: Arc<Schedule>,
    pub(crate) board: Arc<Board>,
    /// Rung after every record, for the deliverers.
    pub(crate) recorded: watch::Sender<u64>,
    /// Rung to have a look at once.
    pub(crate) nudges: watch::Receiver<u64>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) tick: Duration,
    /// Why windows are not recorded at the moment, if they are not.
    pub(crate) problem: Arc<Mutex<Option<String>>>,
}

/// How a project is doing.
#[derive(Default)]
struct Turn {
    running: bool,
    failures: u32,
    /// Missed windows wait until then; after a failure everything does.
    not_before: Option<Moment>,
}

struct Done {
    project: ProjectId,
    took: Duration,
    result: Result<Passed, PassError>,
}

/// Drives the schedule until it is told to stop; passes that are under way then are waited for.
pub(crate) async fn drive(mut drive: Drive) {
    let mut turns: HashMap<ProjectId, Turn> = HashMap::new();
    let mut passes: JoinSet<Done> = JoinSet::new();
    let mut edits = drive.schedule.catalog.edits();
    let mut latest = Instant::default();
    while !*drive.stop.borrow_and_update() {
        edits.mark_unchanged();
        latest = noticed(latest, drive.schedule.clock.now());
        let wait = drive.start_what_is_due(&mut turns, &mut passes).await;
        tokio::select! {
            biased;
            _ = drive.stop.changed() => {}
            _ = edits.changed() => {}
            Ok(()) = drive.nudges.changed() => {}
            Some(done) = passes.join_next(), if !passes.is_empty() => drive.settle(done, &mut turns),
            () = tokio::time::sleep(wait) => {}
        }
    }
    while let Some(done) = passes.join_next().await {
        drive.settle(done, &mut turns);
    }
}

impl Drive {
    /// Starts a pass for each project that has something to do, and tells how long to wait for the next look.
    async fn start_what_is_due(&self, turns: &mut HashMap<ProjectId, Turn>, passes: &mut JoinSet<Done>) -> Duration {
        let schedule = Arc::clone(&self.schedule);
        let surveyed = offload::blocking(move || {
            let now = schedule.clock.now();
            let retry = schedule.ledger.projects_to_retry(now)?;
            Ok::<_, PassError>((now, schedule.survey()?, retry))
        })
        .await;
        let (now, plans, retry) = match surveyed {
            Ok(Ok(surveyed)) => surveyed,
            Ok(Err(error)) => {
                self.trouble(&error.to_string());
                return self.tick.max(Duration::from_secs(1));
            }
            Err(_) => return self.tick,
        };
        let live: BTreeSet<ProjectId> = plans.iter().filter(|p| p.live.is_some()).map(|p| p.project).collect();
        let missed = plans.iter().filter(|p| p.missed.is_some() || p.skip.is_some()).map(|p| p.project);
        let behind: BTreeSet<ProjectId> = missed.chain(retry).collect();
        for project in live.union(&behind) {
            let turn = turns.entry(*project).or_default();
            let held = turn.not_before.is_some_and(|at| at > Moment::now());
            let waits = held && (turn.failures > 0 || !live.contains(project));
            if turn.running || waits || passes.len() >= PASSES_AT_ONCE {
                continue;
            }
            turn.running = true;
            let (schedule, project) = (Arc::clone(&self.schedule), *project);
            passes.spawn(async move {
                let began = Moment::now();
                let passed = offload::blocking(move || schedule.pass(project)).await;
                let result = passed.unwrap_or(Err(PassError::Panicked));
                Done { project, took: began.elapsed(), result }
            });
        }
        until_next_end(&plans, now).min(self.tick)
    }

    fn settle(&self, done: Result<Done, tokio::task::JoinError>, turns: &mut HashMap<ProjectId, Turn>) {
        let Ok(Done { project, took, result }) = done else { return };
        let turn = turns.entry(project).or_default();
        turn.running = false;
        match result {
            Ok(passed) => {
                turn.failures = 0;
                // Making up what was missed takes half of the time at most.
                turn.not_before = passed.more.then(|| Moment::now() + took);
                self.board.post(passed.shown);
                if passed.recorded > 0 {
                    self.recorded.send_modify(|n| *n += 1);
                    *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = None;
                }
            }
            Err(error) => {
                turn.failures = turn.failures.saturating_add(1);
                turn.not_before = Some(Moment::now() + self.schedule.chance.backoff(turn.failures));
                if !matches!(error, PassError::Closed) {
                    self.trouble(&error.to_string());
                }
            }
        }
    }

    /// Nothing can be recorded: a human has to make room, or mend the disk. Said once, not with every try.
    fn trouble(&self, why: &str) {
        let mut problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        if problem.as_deref() != Some(why) {
            tracing::error!("windows cannot be recorded at the moment, and will be made up: {why}");
        }
        *problem = Some(why.to_owned());
    }
}

/// Says it when the wall clock was set back; tells its newest reading.
fn noticed(latest: Instant, now: Instant) -> Instant {
    let back = Duration::from_micros(latest.micros().saturating_sub(now.micros()));
    if back > CLOCK_SLACK {
        let seconds = back.as_secs();
        tracing::warn!(seconds, "the clock was set back; windows that were evaluated already are not evaluated again");
    }
    now
}

/// Time until the next window of any track ends.
fn until_next_end(plans: &[TrackPlan], now: Instant) -> Duration {
    let ends = plans.iter().map(|p| p.track.1.window_at(now).end().micros().saturating_sub(now.micros()));
    ends.min().map_or(Duration::MAX, Duration::from_micros)
}
