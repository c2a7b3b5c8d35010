//! Up to where each project is sealed, and what is being written at the moment.
//!
//! Whoever seals a window must know that nothing in it is still on its way to the disk. The trap is to wait for the disk itself: then
//! every project waits for the flood of another, for merges and for the index of texts. So a group notes which projects it is of and
//! when it began. Only those are waited for, and only if what they bring may have arrived before the end of the window.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use tidegate_model::{Clock, Instant, ProjectId};

/// The floors under the arrivals of all projects.
#[derive(Default)]
pub(super) struct Floors {
    state: Mutex<State>,
    written: Condvar,
}

#[derive(Default)]
struct State {
    floors: HashMap<ProjectId, Instant>,
    /// There is one writer, so one group at most.
    writing: Option<Group>,
}

struct Group {
    /// None of its events arrives before this.
    began: Instant,
    projects: Vec<ProjectId>,
}

/// A group on its way to the disk; dropping it says that the way is over, however it ended.
pub(super) struct Writing<'f> {
    floors: &'f Floors,
    /// The moment that the group begins.
    pub(super) now: Instant,
    /// The floors of its projects, in their order.
    pub(super) under: Vec<Instant>,
}

impl Floors {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A group with events of these projects begins. Seals that come later wait for it if it concerns them; those that came before
    /// are in the floors that it gets.
    pub(super) fn begin(&self, projects: Vec<ProjectId>, clock: &dyn Clock) -> Writing<'_> {
        let mut state = self.lock();
        let now = clock.now();
        let under = projects.iter().map(|project| state.floors.get(project).copied().unwrap_or_default()).collect();
        state.writing = Some(Group { began: now, projects });
        Writing { floors: self, now, under }
    }

    /// From now on nothing of `project` arrives before `end`, and what did is on disk and visible when this returns.
    pub(super) fn seal(&self, project: ProjectId, end: Instant) {
        let mut state = self.lock();
        let floor = state.floors.entry(project).or_default();
        *floor = end.max(*floor);
        let concerns = |group: &Group| group.began < end && group.projects.contains(&project);
        let is_waited_for = |state: &mut State| state.writing.as_ref().is_some_and(concerns);
        drop(self.written.wait_while(state, is_waited_for).unwrap_or_else(PoisonError::into_inner));
    }

    /// Forgets a project that is no more.
    pub(super) fn forget(&self, project: ProjectId) {
        self.lock().floors.remove(&project);
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.floors.lock().writing = None;
        self.floors.written.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use tidegate_model::ManualClock;

    fn at(seconds: u64) -> Instant {
        Instant::from_seconds(seconds)
    }

    #[test]
    fn a_project_is_sealed_while_the_events_of_another_are_on_their_way_to_the_disk() {
        let (floors, clock) = (Floors::default(), ManualClock::at(at(59)));
        let _flood = floors.begin(vec![ProjectId(1), ProjectId(2)], &clock);
        floors.seal(ProjectId(3), at(60));
        // Its own events that are on their way arrived behind the end of this window.
        floors.seal(ProjectId(1), at(59));
    }

    #[test]
    fn who_seals_a_window_waits_for_the_events_of_it_that_are_on_their_way() {
        let (floors, clock) = (Floors::default(), ManualClock::at(at(59)));
        let (tell, told) = channel();
        std::thread::scope(|scope| {
            let writing = floors.begin(vec![ProjectId(1)], &clock);
            let tells = tell.clone();
            let floors = &floors;
            scope.spawn(move || {
                floors.seal(ProjectId(1), at(60));
                tells.send("sealed").unwrap();
            });
            // The floor is there before the wait.
            while floors.lock().floors.is_empty() {
                std::thread::yield_now();
            }
            tell.send("written").unwrap();
            drop(writing);
        });
        assert_eq!([told.recv().unwrap(), told.recv().unwrap()], ["written", "sealed"]);
        // A clock that is behind changes nothing: what comes next arrives at the end of the window or later.
        assert_eq!(floors.begin(vec![ProjectId(1), ProjectId(2)], &clock).under, [at(60), Instant::default()]);
    }
}
