//! How a store is doing, for people: one word for tables, one sentence for whoever has to act on it.

use crate::budget::LimitUse;
use crate::catalog::Store;
use crate::deliver::{FAILING, Health, Obstacle};
use crate::ledger::StoreFacts;
use crate::pull::{Readers, is_fresh, next_end};
use serde::Serialize;
use tidegate_model::{Direction, Instant, Name, StoreId, Window};

/// The states with their words, as one list.
macro_rules! states {
    ($($(#[$what:meta])* $state:ident = $word:literal,)*) => {
        /// The state of a store in one word.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
        pub enum StoreState {
            $($(#[$what])* #[serde(rename = $word)] $state,)*
        }

        /// The words for the states.
        pub const STORE_STATES: [&str; [$($word),*].len()] = [$($word),*];
    };
}

states! {
    /// Nothing has been shared yet: the first window has not ended, or no metric set is connected.
    Waiting = "waiting",
    /// Everything that is due has been shared.
    Ok = "ok",
    /// Deliveries are queued and nothing is known to stand in their way.
    Delivering = "delivering",
    /// The last try failed; the next one is set.
    Retrying = "retrying",
    /// Several tries in a row failed; one window is tried from time to time.
    Failing = "failing",
    /// The other side refuses the credentials: an admin has to change them.
    Credentials = "credentials",
    /// The adapter crashed, or broke a limit or the contract.
    AdapterFault = "adapter-fault",
    /// The adapter is not there, or does not take the store's settings any more.
    Misconfigured = "misconfigured",
    /// An admin has paused it.
    Paused = "paused",
    /// An admin has deleted it, and it gets what is queued for it first.
    Draining = "draining",
    /// A pull store whose newest window is too old to be shown.
    Stale = "stale",
}

/// How a store is doing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoreStatus {
    /// The store.
    pub store: StoreId,
    /// Its name.
    pub name: Name,
    /// Whether the host sends or a scraper reads.
    pub direction: Direction,
    /// Its period in seconds.
    pub period_seconds: u32,
    /// One word.
    pub state: StoreState,
    /// One sentence; what to do, if something is to be done.
    pub summary: String,
    /// What went wrong last, if it has not gone well since.
    pub problem: Option<String>,
    /// What is to be known of the newest window although it arrived, such as what a filter of the sink's leaves out.
    pub note: Option<String>,
    /// When data last got out: the confirmation of a delivery, or a page that was read. None since the start if never (pull).
    pub last_shared: Option<Instant>,
    /// The end of the newest window that got out.
    pub last_window_end: Option<Instant>,
    /// When the window in progress ends.
    pub next_window_end: Instant,
    /// When a store that waits after a failure is tried again, at the earliest.
    pub next_try: Option<Instant>,
    /// The end of the oldest window that is queued.
    pub oldest_undelivered: Option<Instant>,
    /// Deliveries by outcome; all zero for a pull store.
    pub deliveries: DeliveryCounts,
    /// Windows of connected metric sets whose evaluation failed and is tried again.
    pub failed_windows: u64,
    /// Rows of the newest evaluated windows.
    pub rows: u64,
    /// Metrics that had more groups than rows in those windows; empty if every group has a row of its own.
    pub folded: Vec<FoldedGroups>,
    /// Path of the pull URL, a credential; none for a push store.
    pub pull_path: Option<String>,
    /// Pages that were read since the start.
    pub pages: u64,
    /// What its adapter may use, and how much of it was used; empty while there is no adapter.
    pub limits: Vec<LimitUse>,
}

/// A metric with more groups than it may have rows: its last row, called `other`, stands for all that do not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FoldedGroups {
    /// The metric set.
    pub metric_set: Name,
    /// The metric.
    pub metric: Name,
    /// Groups that share the last row.
    pub groups: u64,
    /// Rows in all.
    pub rows: u64,
    /// The end of the window.
    pub window_end: Instant,
}

/// Deliveries of a store since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeliveryCounts {
    /// Windows that wait for their turn.
    pub queued: u64,
    /// Windows that arrived, at least in part.
    pub confirmed: u64,
    /// Windows of which nothing was accepted.
    pub rejected: u64,
    /// Windows that became too old, or were never evaluated because they already were.
    pub expired: u64,
    /// Rows that arrived.
    pub accepted_rows: u64,
    /// Rows that were refused for good.
    pub rejected_rows: u64,
}

/// What a status is put together from.
pub(crate) struct Parts<'p> {
    pub(crate) store: &'p Store,
    pub(crate) facts: StoreFacts,
    /// For push stores.
    pub(crate) health: Health,
    /// For pull stores.
    pub(crate) readers: Readers,
    /// Why the store cannot be worked for at all.
    pub(crate) unfit: Option<String>,
    pub(crate) limits: Vec<LimitUse>,
    /// For pull stores: the newest window of each set on the board.
    pub(crate) shown: Vec<Window>,
    pub(crate) connected: bool,
    pub(crate) now: Instant,
}

impl Parts<'_> {
    pub(crate) fn status(self) -> StoreStatus {
        let (state, summary, problem) = if self.store.pull { self.pull_state() } else { self.push_state() };
        let Self { store, facts, health, readers, limits, shown, now, .. } = self;
        let (last_window_end, last_shared) = if store.pull {
            (shown.iter().map(|w| w.end()).max(), readers.last)
        } else {
            facts.newest_confirmed.map_or((None, None), |(end, at)| (Some(end), Some(at)))
        };
        StoreStatus {
            store: store.id,
            name: store.name.clone(),
            direction: if store.pull { Direction::Pull } else { Direction::Push },
            period_seconds: store.period.seconds(),
            state,
            summary,
            problem,
            note: facts.note,
            last_shared,
            last_window_end,
            next_window_end: next_end(store.period, now),
            next_try: health.next.filter(|next| *next > now && !store.paused),
            oldest_undelivered: facts.oldest_queued,
            deliveries: facts.counts,
            failed_windows: facts.failed_windows,
            rows: facts.rows,
            folded: facts.folded,
            pull_path: store.pull_token.as_ref().map(|token| format!("/pull/{token}")),
            pages: readers.pages,
            limits,
        }
    }

    /// What holds for both kinds: an admin's doing.
    fn held_up(&self) -> Option<(StoreState, String, Option<String>)> {
        if let Some(why) = &self.unfit {
            return Some((StoreState::Misconfigured, format!("cannot work: {why}"), Some(why.clone())));
        }
        if self.store.paused {
            let queued = self.facts.counts.queued;
            let summary = match queued {
                0 => "paused".to_owned(),
                _ => format!("paused; {}", waiting(queued)),
            };
            return Some((StoreState::Paused, summary, None));
        }
        if self.store.draining {
            let summary = format!("is deleted once its queue is empty; {}", waiting(self.facts.counts.queued));
            return Some((StoreState::Draining, summary, self.facts.queued_problem.clone()));
        }
        if !self.connected && !self.store.draining {
            return Some((StoreState::Waiting, "no metric set is connected to it".to_owned(), None));
        }
        None
    }

    fn push_state(&self) -> (StoreState, String, Option<String>) {
        if let Some(held) = self.held_up() {
            return held;
        }
        let queued = self.facts.counts.queued;
        let waiting = waiting(queued);
        let behind = |state, summary: String, why: &String| (state, format!("{summary}; {waiting}"), Some(why.clone()));
        match &self.health.obstacle {
            Some(Obstacle::Credentials(why)) => {
                let told = format!("the other side refuses the credentials or another setting, change it: {why}");
                return behind(StoreState::Credentials, told, why);
            }
            Some(Obstacle::Adapter(why)) => {
                return behind(StoreState::AdapterFault, format!("the adapter failed: {why}"), why);
            }
            Some(Obstacle::Settings(why)) => {
                return behind(StoreState::Misconfigured, format!("nothing can be sent: {why}"), why);
            }
            Some(Obstacle::Sink(why)) if self.health.failures >= FAILING => {
                let told = format!("{} tries in a row have failed, the last with: {why}", self.health.failures);
                return behind(StoreState::Failing, told, why);
            }
            Some(Obstacle::Sink(why)) => {
                return behind(StoreState::Retrying, format!("the last try failed and is repeated soon: {why}"), why);
            }
            None => {}
        }
        let problem = self.past_problem();
        if queued == 0
            && let Some(why) = self.lost_since()
        {
            return (StoreState::Failing, format!("the newest window was lost: {why}"), problem);
        }
        match (queued, self.facts.newest_confirmed) {
            (0, None) => (StoreState::Waiting, "the first window has not ended yet".to_owned(), problem),
            (0, Some(_)) => (StoreState::Ok, "everything that is due has arrived".to_owned(), problem),
            _ => (StoreState::Delivering, waiting, problem),
        }
    }

    fn pull_state(&self) -> (StoreState, String, Option<String>) {
        if let Some(held) = self.held_up() {
            return held;
        }
        if let Some(fault) = &self.readers.fault {
            return (StoreState::AdapterFault, format!("the adapter failed: {fault}"), Some(fault.clone()));
        }
        let problem = self.past_problem();
        if self.shown.is_empty() {
            return (StoreState::Waiting, "the first window has not ended yet".to_owned(), problem);
        }
        if !self.shown.iter().any(|w| is_fresh(*w, self.now)) {
            return (StoreState::Stale, "the newest window is too old to be shown".to_owned(), problem);
        }
        let summary = match self.readers.last {
            Some(_) => "its page is being read".to_owned(),
            None => "its page is ready and has not been read since the start".to_owned(),
        };
        (StoreState::Ok, summary, problem)
    }

    /// What went wrong and has not gone well since: a window that was lost after the last that arrived, a failed evaluation.
    fn past_problem(&self) -> Option<String> {
        let lost = self.lost_since().map(|why| format!("a window was lost: {why}"));
        let failed = self.facts.evaluation_problem.as_ref().map(|why| format!("a window cannot be evaluated: {why}"));
        lost.or(failed).or_else(|| self.facts.queued_problem.clone())
    }

    /// Why the newest window that was lost was, if none has arrived since.
    fn lost_since(&self) -> Option<&str> {
        let arrived = self.facts.newest_confirmed.map(|(_, at)| at);
        let lost = self.facts.lost.as_ref().filter(|(at, _)| arrived.is_none_or(|arrived| *at >= arrived));
        lost.map(|(_, why)| why.as_str())
    }
}

fn waiting(queued: u64) -> String {
    if queued == 1 { "1 window is waiting".to_owned() } else { format!("{queued} windows are waiting") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_model::{Period, ProjectId};

    fn store(pull: bool) -> Store {
        Store {
            pin: None,
            id: StoreId(1),
            project: ProjectId(1),
            name: Name::new("central").unwrap(),
            period: Period::default(),
            adapter: "sink".to_owned(),
            settings: serde_json::Map::new(),
            revision: 1,
            paused: false,
            pull,
            draining: false,
            pull_token: pull.then(|| "abc".to_owned()),
            metric_sets: vec![],
        }
    }

    fn parts(store: &Store) -> Parts<'_> {
        let now = Instant::from_seconds(6_030);
        let (facts, health, readers) = (StoreFacts::default(), Health::default(), Readers::default());
        Parts { store, facts, health, readers, unfit: None, limits: vec![], shown: vec![], connected: true, now }
    }

    fn window(start: u64) -> Window {
        Window::starting_at(start, Period::default()).unwrap()
    }

    #[test]
    fn each_obstacle_of_a_push_store_has_a_state_and_says_what_waits() {
        let store = store(false);
        let why = || "because".to_owned();
        let cases = [
            (Obstacle::Credentials(why()), 1, StoreState::Credentials),
            (Obstacle::Adapter(why()), 1, StoreState::AdapterFault),
            (Obstacle::Settings(why()), 1, StoreState::Misconfigured),
            (Obstacle::Sink(why()), 4, StoreState::Retrying),
            (Obstacle::Sink(why()), 5, StoreState::Failing),
        ];
        for (obstacle, failures, state) in cases {
            let mut parts = parts(&store);
            parts.health = Health { obstacle: Some(obstacle), failures, next: Some(Instant::from_seconds(6_050)) };
            parts.facts.counts.queued = 3;
            let status = parts.status();
            assert_eq!(status.state, state);
            assert!(status.summary.ends_with("because; 3 windows are waiting"), "{}", status.summary);
            assert_eq!(status.problem.as_deref(), Some("because"));
            assert_eq!(status.next_try, Some(Instant::from_seconds(6_050)));
        }
    }

    #[test]
    fn a_push_store_waits_for_its_first_window_then_delivers_then_is_well() {
        let store = store(false);
        assert_eq!(parts(&store).status().state, StoreState::Waiting);
        let mut busy = parts(&store);
        busy.facts.counts.queued = 2;
        assert_eq!(busy.status().state, StoreState::Delivering);
        let mut well = parts(&store);
        well.facts.newest_confirmed = Some((Instant::from_seconds(6_000), Instant::from_seconds(6_001)));
        let status = well.status();
        assert_eq!((status.state, status.problem), (StoreState::Ok, None));
        assert_eq!(status.last_shared, Some(Instant::from_seconds(6_001)));
        assert_eq!(status.next_window_end, Instant::from_seconds(6_060));
    }

    #[test]
    fn a_lost_window_is_a_problem_until_another_arrives() {
        let store = store(false);
        let told = |lost: u64| {
            let mut parts = parts(&store);
            parts.facts.newest_confirmed = Some((Instant::from_seconds(60), Instant::from_seconds(100)));
            parts.facts.lost = Some((Instant::from_seconds(lost), "too old".to_owned()));
            let status = parts.status();
            (status.state, status.problem)
        };
        assert_eq!(told(101), (StoreState::Failing, Some("a window was lost: too old".to_owned())));
        assert_eq!(told(99), (StoreState::Ok, None));
    }

    #[test]
    fn a_store_that_has_lost_every_window_is_failing_and_says_why() {
        let store = store(false);
        let mut parts = parts(&store);
        parts.facts.lost = Some((Instant::from_seconds(60), "refused".to_owned()));
        let status = parts.status();
        assert_eq!(
            (status.state, status.summary.as_str()),
            (StoreState::Failing, "the newest window was lost: refused")
        );
    }

    #[test]
    fn a_pull_store_is_ready_stale_or_broken_and_tells_its_path() {
        let store = store(true);
        let state = |shown: Vec<Window>, fault: Option<&str>| {
            let mut parts = parts(&store);
            parts.shown = shown;
            parts.readers.fault = fault.map(str::to_owned);
            parts.status()
        };
        assert_eq!(state(vec![], None).state, StoreState::Waiting);
        let ok = state(vec![window(5_940)], None);
        assert_eq!((ok.state, ok.pull_path.as_deref()), (StoreState::Ok, Some("/pull/abc")));
        assert_eq!(state(vec![window(5_700)], None).state, StoreState::Stale);
        assert_eq!(state(vec![window(5_940)], Some("crashed")).state, StoreState::AdapterFault);
    }

    #[test]
    fn what_an_admin_did_comes_before_everything_else() {
        let mut held = store(false);
        held.paused = true;
        assert_eq!(parts(&held).status().state, StoreState::Paused);
        let store = store(false);
        let mut unfit = parts(&store);
        unfit.unfit = Some("there is no adapter called \"sink\"".to_owned());
        assert_eq!(unfit.status().state, StoreState::Misconfigured);
        let mut alone = parts(&store);
        alone.connected = false;
        assert_eq!(alone.status().summary, "no metric set is connected to it");
    }
}
