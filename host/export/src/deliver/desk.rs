//! Knows which store has something due, and when; has its worker do it.
//!
//! The trap is the store that asks whether there is something to do: ten thousand that ask every few seconds keep a machine
//! busy with nothing. Here a store is woken by what concerns it: a window that was recorded for it, the end of its wait, an
//! edit of it. Since a word can get lost (a commit that fails after it has reached the disk), the queues themselves are looked
//! through now and then, all in one query.

use super::worker::{Rest, Worker};
use super::{Healths, Shared};
use crate::offload::blocking;
use crate::schedule::later;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tidegate_model::{Instant, StoreId};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::Instant as Moment;

/// How often the queues are looked through.
const SWEEP: Duration = Duration::from_secs(30);
/// After a defect.
const AFTER_PANIC: Duration = Duration::from_secs(5);
/// A wall clock that differs by less from what it was is the same.
const CLOCK_SLACK: Duration = Duration::from_secs(1);

/// What was recorded for which stores, and when it is their turn.
pub(crate) type Queued = Vec<(StoreId, Instant)>;

/// A push store at the desk.
#[derive(Default)]
struct Slot {
    /// None while it works, or before it has worked for the first time.
    worker: Option<Box<Worker>>,
    is_working: bool,
    /// When it is woken.
    turn: Option<Instant>,
    /// What of the catalog it last worked with.
    mark: u64,
    /// Whether it was paused then.
    is_paused: bool,
    /// The count of edits when it began to work.
    edits: u64,
}

struct Desk {
    shared: Arc<Shared>,
    healths: Arc<Healths>,
    slots: BTreeMap<StoreId, Slot>,
    turns: BTreeSet<(Instant, StoreId)>,
    working: JoinSet<(StoreId, Rest)>,
    ids: HashMap<Id, StoreId>,
    /// When the queues are looked through next, on either clock.
    sweep: (Moment, Instant),
    /// When the catalog may be read again.
    read: Moment,
    has_read: bool,
    latest: Instant,
}

/// Has the stores' workers work until it is told to stop. From then on what is due is finished; whoever waits for this decides
/// how long.
pub(crate) async fn deliver(
    shared: Arc<Shared>,
    healths: Arc<Healths>,
    mut queued: mpsc::UnboundedReceiver<Queued>,
    mut stop: watch::Receiver<bool>,
) {
    let mut edits = shared.catalog.edits();
    let (tick, mut was_stopping) = (shared.tick, false);
    let mut desk = Desk::new(shared, healths);
    edits.mark_changed();
    loop {
        while let Ok(more) = queued.try_recv() {
            desk.queue(more);
        }
        let is_stopping = *stop.borrow_and_update();
        let unread = edits.has_changed().unwrap_or(false);
        // An edit a moment before the stop counts, and what it made due is delivered.
        let is_last_look = is_stopping && !std::mem::replace(&mut was_stopping, is_stopping);
        if unread && (is_last_look || !is_stopping && desk.read <= Moment::now()) {
            edits.mark_unchanged();
            if !desk.read_catalog().await {
                edits.mark_changed();
            }
        }
        desk.look_at_the_clock();
        if desk.has_read && (is_last_look || desk.is_sweep_due()) {
            desk.sweep().await;
        }
        desk.start_what_is_due();
        if is_stopping && desk.working.is_empty() {
            return;
        }
        let wait = desk.until_next().min(tick);
        let wait = match unread && !is_stopping {
            true => wait.min(desk.read.saturating_duration_since(Moment::now())),
            false => wait,
        };
        tokio::select! {
            biased;
            Some(done) = desk.working.join_next_with_id(), if !desk.working.is_empty() => desk.settle(done),
            Some(more) = queued.recv() => desk.queue(more),
            Ok(()) = stop.changed() => {}
            Ok(()) = edits.changed(), if !unread => edits.mark_changed(),
            () = tokio::time::sleep(wait) => {}
        }
    }
}

impl Desk {
    fn new(shared: Arc<Shared>, healths: Arc<Healths>) -> Self {
        let now = shared.clock.now();
        Self {
            shared,
            healths,
            slots: BTreeMap::new(),
            turns: BTreeSet::new(),
            working: JoinSet::new(),
            ids: HashMap::new(),
            sweep: (Moment::now(), now),
            read: Moment::now(),
            has_read: false,
            latest: now,
        }
    }

    /// Wakes a store at `at`, or earlier if that was planned.
    fn wake(&mut self, store: StoreId, at: Instant) {
        let Some(slot) = self.slots.get_mut(&store) else { return };
        if slot.turn.is_some_and(|turn| turn <= at) {
            return;
        }
        if let Some(turn) = slot.turn.replace(at) {
            self.turns.remove(&(turn, store));
        }
        self.turns.insert((at, store));
    }

    fn queue(&mut self, queued: Queued) {
        for (store, at) in queued {
            // A store that was made and given a window before the catalog was read again.
            self.slots.entry(store).or_default();
            self.wake(store, at);
        }
    }

    fn start_what_is_due(&mut self) {
        let now = self.shared.clock.now();
        let mut early = Vec::new();
        while let Some((at, store)) = self.turns.first().copied().filter(|(at, _)| *at <= now) {
            self.turns.pop_first();
            let Some(slot) = self.slots.get_mut(&store) else { continue };
            if slot.is_working {
                early.push((at, store));
                continue;
            }
            slot.turn = None;
            slot.is_working = true;
            slot.edits = *self.shared.catalog.edits().borrow();
            let new = || Box::new(Worker::new(store, Arc::clone(&self.shared), Arc::clone(&self.healths)));
            let worker = slot.worker.take().unwrap_or_else(new);
            let task = self.working.spawn(async move { (store, worker.work().await) });
            self.ids.insert(task.id(), store);
        }
        // Those go on when they are done with what they do: `settle` puts them back.
        for (_, store) in early {
            if let Some(slot) = self.slots.get_mut(&store) {
                slot.turn = Some(Instant::default());
            }
        }
    }

    fn settle(&mut self, done: Result<(Id, (StoreId, Rest)), tokio::task::JoinError>) {
        let now = self.shared.clock.now();
        match done {
            Ok((id, (store, rest))) => {
                self.ids.remove(&id);
                let Some(slot) = self.slots.get_mut(&store) else { return };
                slot.is_working = false;
                // What came while it worked.
                if slot.turn.is_some_and(|turn| turn == Instant::default()) {
                    self.turns.insert((Instant::default(), store));
                }
                match rest {
                    Rest::Until(worker, at) => {
                        slot.worker = Some(worker);
                        if let Some(at) = at {
                            self.wake(store, at);
                        }
                    }
                    Rest::Paused(worker) => {
                        slot.worker = Some(worker);
                        // Paused and let go on between two looks at the catalog, it looks as it did before: so the next look
                        // counts as a change, and what was edited meanwhile is a reason to work again.
                        if !slot.is_paused {
                            slot.mark = 0;
                        }
                        if slot.edits != *self.shared.catalog.edits().borrow() {
                            self.wake(store, now);
                        }
                    }
                    Rest::Gone => self.forget(store),
                }
            }
            Err(error) => {
                // A worker that panicked is a defect, and no reason for the store to stand still.
                tracing::error!("a deliverer ended in a panic and is started again: {error}");
                let Some(store) = self.ids.remove(&error.id()) else { return };
                if let Some(slot) = self.slots.get_mut(&store) {
                    slot.is_working = false;
                    if let Some(turn) = slot.turn.take() {
                        self.turns.remove(&(turn, store));
                    }
                }
                self.wake(store, later(now, AFTER_PANIC));
            }
        }
    }

    fn forget(&mut self, store: StoreId) {
        if let Some(slot) = self.slots.remove(&store)
            && let Some(turn) = slot.turn
        {
            self.turns.remove(&(turn, store));
        }
        self.healths.forget(store);
    }

    /// Wakes the stores that were edited. False if the catalog could not be read.
    async fn read_catalog(&mut self) -> bool {
        let (catalog, began) = (Arc::clone(&self.shared.catalog), Moment::now());
        let read = blocking(move || catalog.read(|v| v.push_store_marks())).await;
        // Many edits in a row are read in few goes.
        self.read = Moment::now() + began.elapsed() * 4;
        let marks = match read {
            Ok(Ok(marks)) => marks,
            Ok(Err(error)) => {
                tracing::warn!("the stores cannot be listed, and will be again soon: {error}");
                self.read = Moment::now() + CLOCK_SLACK;
                return false;
            }
            Err(_) => return false,
        };
        let (now, is_first) = (self.shared.clock.now(), !std::mem::replace(&mut self.has_read, true));
        let known: BTreeSet<StoreId> = marks.iter().map(|mark| mark.store).collect();
        for mark in marks {
            let is_new = !self.slots.contains_key(&mark.store);
            let slot = self.slots.entry(mark.store).or_default();
            let is_changed = std::mem::replace(&mut slot.mark, mark.hash) != mark.hash;
            slot.is_paused = mark.is_paused;
            // At the start only those have something to do that have a queue.
            if is_changed && (!is_first || !is_new || mark.is_draining) {
                self.wake(mark.store, now);
            }
        }
        // They find out by themselves that they are gone.
        let gone: Vec<StoreId> = self.slots.keys().filter(|store| !known.contains(store)).copied().collect();
        gone.into_iter().for_each(|store| self.wake(store, now));
        true
    }

    /// A clock that was set back must not make waits longer.
    fn look_at_the_clock(&mut self) {
        let now = self.shared.clock.now();
        let back = Duration::from_micros(self.latest.micros().saturating_sub(now.micros()));
        self.latest = now;
        if back > CLOCK_SLACK {
            let waiting: Vec<StoreId> = self.turns.iter().map(|(_, store)| *store).collect();
            waiting.into_iter().for_each(|store| self.wake(store, now));
            self.sweep.0 = Moment::now();
        }
    }

    fn is_sweep_due(&self) -> bool {
        self.sweep.0 <= Moment::now() || self.sweep.1 <= self.shared.clock.now()
    }

    /// Wakes the stores that have a queue and no plan.
    async fn sweep(&mut self) {
        let span = SWEEP.max(self.shared.tick);
        self.sweep = (Moment::now() + span, later(self.shared.clock.now(), span));
        let ledger = Arc::clone(&self.shared.ledger);
        let waiting = match blocking(move || ledger.waiting()).await {
            Ok(Ok(waiting)) => waiting,
            Ok(Err(error)) => {
                tracing::warn!("the queues cannot be looked through, and will be again soon: {error}");
                return;
            }
            Err(_) => return,
        };
        let now = self.shared.clock.now();
        for store in waiting {
            if self.slots.get(&store).is_some_and(|slot| !slot.is_working && slot.turn.is_none()) {
                self.wake(store, now);
            }
        }
    }

    fn until_next(&self) -> Duration {
        let Some((at, _)) = self.turns.first() else { return Duration::MAX };
        Duration::from_micros(at.micros().saturating_sub(self.shared.clock.now().micros()))
            .max(Duration::from_millis(1))
    }
}
