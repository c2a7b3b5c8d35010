//! When each project is looked at next.
//!
//! A project is looked at when a window of it has ended, when missed windows are left to make up, when its claims have changed,
//! and after a failure; not in between, so a project that has nothing to do costs nothing.

use super::Spread;
use crate::catalog::Link;
use crate::chance::Chance;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;
use tidegate_model::{Instant, Period, ProjectId};
use tokio::time::Instant as Moment;

/// One project.
#[derive(Default)]
struct Turn {
    links: Vec<Link>,
    periods: BTreeSet<Period>,
    is_running: bool,
    failures: u32,
    /// By the wall clock: when the next window of it has ended.
    live: Option<Instant>,
    /// By the monotonic clock: when it goes on with what it missed, or tries again after a failure.
    behind: Option<Moment>,
}

/// All projects.
#[derive(Default)]
pub(super) struct Agenda {
    turns: HashMap<ProjectId, Turn>,
    live: BTreeSet<(Instant, ProjectId)>,
    behind: BTreeSet<(Moment, ProjectId)>,
}

impl Agenda {
    /// Takes the claims of all stores; projects whose claims have changed are looked at now.
    pub(super) fn read(&mut self, links: Vec<Link>, now: Instant) {
        let mut projects: BTreeMap<ProjectId, Vec<Link>> = BTreeMap::new();
        for link in links {
            projects.entry(link.project).or_default().push(link);
        }
        let gone: Vec<ProjectId> = self.turns.keys().filter(|p| !projects.contains_key(p)).copied().collect();
        for project in gone {
            // One that runs goes on; it finds nothing more to do.
            if !self.turns[&project].is_running {
                self.plan(project, None, None);
                self.turns.remove(&project);
            }
        }
        for (project, links) in projects {
            let turn = self.turns.entry(project).or_default();
            if turn.links != links {
                turn.periods = links.iter().map(|link| link.period).collect();
                turn.links = links;
                self.look(project, now);
            }
        }
    }

    pub(super) fn look_at_all(&mut self, now: Instant) {
        let projects: BTreeSet<ProjectId> = self.turns.keys().copied().collect();
        projects.into_iter().for_each(|project| self.look(project, now));
    }

    fn look(&mut self, project: ProjectId, now: Instant) {
        let turn = &self.turns[&project];
        // After a failure everything waits.
        if turn.failures == 0 {
            self.plan(project, Some(now), turn.behind);
        }
    }

    /// A project that has something to do now.
    pub(super) fn next(&self, now: Instant, retry: &[ProjectId]) -> Option<ProjectId> {
        let is_free = |project: &ProjectId| self.turns.get(project).is_some_and(|turn| !turn.is_running);
        let live = self.live.iter().take_while(|(at, _)| *at <= now).map(|(_, project)| *project);
        let moment = Moment::now();
        let behind = self.behind.iter().take_while(|(at, _)| *at <= moment).map(|(_, project)| *project);
        // What has something to make up waits with what has failed.
        let has_time = |p: &&ProjectId| self.turns.get(p).is_some_and(|turn| turn.behind.is_none());
        live.chain(behind).chain(retry.iter().filter(has_time).copied()).find(is_free)
    }

    /// A pass of a project begins.
    pub(super) fn begin(&mut self, project: ProjectId, now: Instant, spread: &Spread) {
        let Some(turn) = self.turns.get_mut(&project) else { return };
        turn.is_running = true;
        let ends = turn.periods.iter().map(|period| {
            let after = spread.of_project(project, *period);
            let shifted = Instant::from_micros(now.micros().saturating_sub(after));
            Instant::from_micros(period.window_at(shifted).end().micros() + after)
        });
        let live = ends.min();
        self.plan(project, live, None);
    }

    /// It has ended; missed windows are left to make up, but not before `behind`.
    pub(super) fn done(&mut self, project: ProjectId, behind: Option<Moment>) {
        let Some(turn) = self.turns.get_mut(&project) else { return };
        (turn.is_running, turn.failures) = (false, 0);
        let live = turn.live;
        self.plan(project, live, behind);
    }

    /// It has failed, and is tried again after a while.
    pub(super) fn failed(&mut self, project: ProjectId, chance: &Chance) {
        let Some(turn) = self.turns.get_mut(&project) else { return };
        turn.is_running = false;
        turn.failures = turn.failures.saturating_add(1);
        let behind = Moment::now() + chance.backoff(turn.failures);
        self.plan(project, None, Some(behind));
    }

    fn plan(&mut self, project: ProjectId, live: Option<Instant>, behind: Option<Moment>) {
        let Some(turn) = self.turns.get_mut(&project) else { return };
        if let Some(at) = std::mem::replace(&mut turn.live, live) {
            self.live.remove(&(at, project));
        }
        if let Some(at) = std::mem::replace(&mut turn.behind, behind) {
            self.behind.remove(&(at, project));
        }
        self.live.extend(live.map(|at| (at, project)));
        self.behind.extend(behind.map(|at| (at, project)));
    }

    /// Until there is something to do. If `has_places` is not so, the end of a pass comes first.
    pub(super) fn until_next(&self, now: Instant, has_places: bool) -> Duration {
        if !has_places {
            return Duration::MAX;
        }
        let is_free = |project: &ProjectId| self.turns.get(project).is_some_and(|turn| !turn.is_running);
        let live = self.live.iter().find(|(_, project)| is_free(project));
        let live = live.map(|(at, _)| Duration::from_micros(at.micros().saturating_sub(now.micros())));
        let behind = self.behind.iter().find(|(_, project)| is_free(project));
        let behind = behind.map(|(at, _)| at.saturating_duration_since(Moment::now()));
        live.into_iter().chain(behind).min().unwrap_or(Duration::MAX)
    }
}
