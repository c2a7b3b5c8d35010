//! Runs the schedule: one pass per project at a time, projects side by side, so that a slow one delays nobody else.
//!
//! It waits on the monotonic clock in short slices and looks at the wall clock after each: a jump of the wall clock is noticed
//! within a slice, and changes which windows are due, never how long a wait lasts.

use super::agenda::Agenda;
use super::{PassError, Passed, Schedule};
use crate::catalog::Link;
use crate::offload;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidegate_model::{Instant, ProjectId};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant as Moment;

/// Passes under way at once: most of them wait for the disk.
const PASSES_AT_ONCE: usize = 32;

/// How long a disk that says nothing is left alone.
const AFTER_TROUBLE: Duration = Duration::from_secs(1);

/// The wall clock is corrected by less than this all the time.
const CLOCK_SLACK: Duration = Duration::from_secs(1);

/// What the schedule is driven with.
pub(crate) struct Drive {
    pub(crate) schedule: Arc<Schedule>,
    /// Rung to have a look at once.
    pub(crate) nudges: watch::Receiver<u64>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) tick: Duration,
    /// Why windows are not recorded at the moment, if they are not.
    pub(crate) problem: Arc<Mutex<Option<String>>>,
}

struct Done {
    project: ProjectId,
    took: Duration,
    result: Result<Passed, PassError>,
}

/// What a look at clock and disk came to.
struct Look {
    now: Instant,
    /// The claims of all stores, if they were read again.
    links: Option<Vec<Link>>,
    /// Projects with a failed window that is due again.
    retry: Vec<ProjectId>,
}

/// Drives the schedule until it is told to stop; passes that are under way then are waited for.
pub(crate) async fn drive(mut drive: Drive) {
    let mut agenda = Agenda::default();
    let mut passes: JoinSet<Done> = JoinSet::new();
    let mut edits = drive.schedule.catalog.edits();
    let (mut latest, mut read) = (Instant::default(), Moment::now());
    edits.mark_changed();
    while !*drive.stop.borrow_and_update() {
        let mut unread = edits.has_changed().unwrap_or(false);
        let reads = unread && read <= Moment::now();
        let began = Moment::now();
        let look = drive.look(reads).await;
        let mut wait = drive.tick;
        if let Some(look) = look {
            if look.links.is_some() {
                edits.mark_unchanged();
                unread = false;
                // Many edits in a row are read in few goes.
                read = Moment::now() + began.elapsed() * 4;
            }
            if is_set_back(latest, look.now) {
                agenda.look_at_all(look.now);
            }
            latest = look.now;
            drive.start_what_is_due(&mut agenda, look, &mut passes);
            wait = agenda.until_next(latest, passes.len() < PASSES_AT_ONCE).min(wait);
        } else {
            wait = wait.max(AFTER_TROUBLE);
            // What was edited meanwhile is no reason to ask a disk that says nothing again and again.
            read = Moment::now() + AFTER_TROUBLE;
        }
        if unread {
            wait = wait.min(read.saturating_duration_since(Moment::now()).max(Duration::from_millis(1)));
        }
        tokio::select! {
            biased;
            _ = drive.stop.changed() => {}
            _ = edits.changed(), if !unread => edits.mark_changed(),
            Ok(()) = drive.nudges.changed() => agenda.look_at_all(latest),
            Some(done) = passes.join_next(), if !passes.is_empty() => drive.settle(done, &mut agenda),
            () = tokio::time::sleep(wait) => {}
        }
    }
    while let Some(done) = passes.join_next().await {
        drive.settle(done, &mut agenda);
    }
}

impl Drive {
    /// Looks at the clock and at what the disk says; None if it says nothing.
    async fn look(&self, reads: bool) -> Option<Look> {
        let schedule = Arc::clone(&self.schedule);
        let looked = offload::blocking(move || {
            let now = schedule.clock.now();
            let links = if reads { Some(schedule.catalog.read(|v| Ok(v.links()?))?) } else { None };
            let retry = schedule.ledger.projects_to_retry(now)?;
            Ok::<_, PassError>(Look { now, links, retry })
        });
        match looked.await {
            Ok(Ok(look)) => Some(look),
            Ok(Err(error)) => {
                self.trouble(&error.to_string());
                None
            }
            Err(_) => None,
        }
    }

    /// Starts a pass for each project that has something to do.
    fn start_what_is_due(&self, agenda: &mut Agenda, look: Look, passes: &mut JoinSet<Done>) {
        if let Some(links) = look.links {
            self.schedule.spread.set_claims(links.len() as u64);
            agenda.read(links, look.now);
        }
        while passes.len() < PASSES_AT_ONCE
            && let Some(project) = agenda.next(look.now, &look.retry)
        {
            agenda.begin(project, look.now, &self.schedule.spread);
            let schedule = Arc::clone(&self.schedule);
            passes.spawn(async move {
                let began = Moment::now();
                let passed = offload::blocking(move || schedule.pass(project)).await;
                let result = passed.unwrap_or(Err(PassError::Panicked));
                Done { project, took: began.elapsed(), result }
            });
        }
    }

    fn settle(&self, done: Result<Done, tokio::task::JoinError>, agenda: &mut Agenda) {
        let Ok(Done { project, took, result }) = done else { return };
        match result {
            Ok(passed) => {
                // Making up what was missed takes half of the time at most.
                agenda.done(project, passed.more.then(|| Moment::now() + took));
                if passed.recorded > 0 {
                    *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = None;
                }
            }
            Err(error) => {
                agenda.failed(project, &self.schedule.chance);
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

/// Says it when the wall clock was set back.
fn is_set_back(latest: Instant, now: Instant) -> bool {
    let back = Duration::from_micros(latest.micros().saturating_sub(now.micros()));
    if back > CLOCK_SLACK {
        let seconds = back.as_secs();
        tracing::warn!(seconds, "the clock was set back; windows that were evaluated already are not evaluated again");
    }
    back > CLOCK_SLACK
}
