//! What a simulation holds over the host: the moment of its death, and the faults of its disk.
//!
//! Each place where a process can die without the code noticing (before and after work that blocks, before and after a commit,
//! before and after a request) counts down to the death. Once dead, nothing of the host goes on: its tasks hang until they are
//! dropped, and its disk takes nothing any more.

use crate::db::Stage;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Fate>>> = const { RefCell::new(None) };
}

/// The fate of the host that runs on this thread, if it runs in a simulation.
pub(crate) fn current() -> Option<Arc<Fate>> {
    CURRENT.with_borrow(Clone::clone)
}

/// Makes `fate` the one of this thread.
pub(crate) fn decide(fate: Option<Arc<Fate>>) {
    CURRENT.set(fate);
}

/// How the disk behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Disk {
    #[default]
    Well,
    /// No write gets through.
    Full,
    /// A commit may or may not have reached the disk, and an error is told in either case.
    SyncFails,
    /// Neither reads nor writes get through.
    Dead,
}

#[derive(Debug)]
struct State {
    chance: StdRng,
    /// Places until death.
    left: Option<u64>,
    dead: bool,
    disk: Disk,
    passed: u64,
}

#[derive(Debug)]
pub(crate) struct Fate {
    state: Mutex<State>,
    bell: Notify,
}

impl Fate {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let chance = StdRng::seed_from_u64(seed);
        let state = State { chance, left: None, dead: false, disk: Disk::Well, passed: 0 };
        Arc::new(Self { state: Mutex::new(state), bell: Notify::new() })
    }

    /// Lets the host die after `places` more places.
    pub(crate) fn die_after(&self, places: u64) {
        self.state.lock().unwrap().left = Some(places);
    }

    /// Places that were passed so far.
    pub(crate) fn passed(&self) -> u64 {
        self.state.lock().unwrap().passed
    }

    pub(crate) fn set_disk(&self, disk: Disk) {
        self.state.lock().unwrap().disk = disk;
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.state.lock().unwrap().dead
    }

    /// For the next life of the host.
    pub(crate) fn revive(&self) {
        let mut state = self.state.lock().unwrap();
        (state.dead, state.left) = (false, None);
    }

    /// Waits for the death.
    pub(crate) async fn death(&self) {
        loop {
            let rung = self.bell.notified();
            if self.is_dead() {
                return;
            }
            rung.await;
        }
    }

    /// Passes one place; true if the host is dead.
    fn pass(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        state.passed += 1;
        if !state.dead
            && let Some(left) = state.left
        {
            state.left = left.checked_sub(1);
            state.dead = left == 0;
            if state.dead {
                self.bell.notify_waiters();
            }
        }
        state.dead
    }

    /// A place in the network or before work: hangs for ever if the host is dead, and lets others go first now and then.
    pub(crate) async fn place(&self) {
        if self.pass() {
            std::future::pending::<()>().await;
        }
        let yields = self.state.lock().unwrap().chance.random_range(0..3);
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
    }

    pub(super) async fn run<T>(&self, work: impl FnOnce() -> T) -> Result<T, String> {
        self.place().await;
        let done = catch_unwind(AssertUnwindSafe(work)).map_err(|_| "a piece of work panicked".to_owned());
        self.place().await;
        done
    }

    /// What a transaction meets at `stage`.
    pub(crate) fn disk(&self, stage: Stage) -> rusqlite::Result<()> {
        let dead = stage != Stage::Read && self.pass();
        let mut state = self.state.lock().unwrap();
        let code = match (state.disk, stage) {
            _ if dead => rusqlite::ffi::SQLITE_IOERR,
            (Disk::Dead, _) => rusqlite::ffi::SQLITE_IOERR,
            (Disk::Full, Stage::Begin) => rusqlite::ffi::SQLITE_FULL,
            (Disk::SyncFails, Stage::Commit) if state.chance.random() => rusqlite::ffi::SQLITE_IOERR_FSYNC,
            (Disk::SyncFails, Stage::Committed) => rusqlite::ffi::SQLITE_IOERR_FSYNC,
            _ => return Ok(()),
        };
        let told = if code == rusqlite::ffi::SQLITE_FULL { "database or disk is full" } else { "disk I/O error" };
        Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), Some(told.to_owned())))
    }
}
