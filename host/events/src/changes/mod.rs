//! The log of changes: everything that is committed to `tidegate.db` and `events.db`, kept beside backups, so that a restore can go to any
//! moment between two of them.
//!
//! Once a second what was committed since is taken out of the write-ahead logs of both databases, ledger first, and a mark is put behind
//! it. A backup and the changes up to a mark are both databases as they were then: the ledger may be a moment older than the events, never newer.
//!
//! The trap is a write-ahead log that begins anew before it was read. So whoever empties one asks here first ([`ChangeLog::drain`]), and nothing
//! gets from it into the database that is not in the log of changes. Where that cannot be had, as when a disk is full, the server goes
//! on and the log of changes ends: its *lineage* is over, and a new one begins with the next backup. A lineage outlives the process: a file
//! in the data directory names it, which whoever writes without the log of changes takes away.

mod follow;
mod frames;
mod images;
mod record;
mod restore;
#[cfg(test)]
mod tests;

pub use restore::{Applied, ApplyError, End, apply};

use follow::{Follower, Lost};
use images::Images;
use record::{Chunk, Lineage, Positions, Record, Records};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;
use tidegate_model::{Clock, Instant};
use tokio::sync::watch;

/// How often somebody who commits looks whether it can have the state ...
const TRIES: u32 = 400;
/// ... and how long it waits in between: two seconds in all.
const BETWEEN_TRIES: Duration = Duration::from_millis(5);
/// Bytes at which a file of changes is closed and the next one begun.
const FILE: u64 = 32 << 20;

/// A database whose changes are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Database {
    /// `tidegate.db`: catalog and ledger.
    #[default]
    Catalog,
    /// `events.db`.
    Events,
}

impl Database {
    /// Both, in the order in which they are read.
    pub const ALL: [Self; 2] = [Self::Catalog, Self::Events];

    /// The name of its file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Catalog => "tidegate.db",
            Self::Events => "events.db",
        }
    }
}

/// Where a backup stands in the log of changes; kept with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Base {
    lineage: Lineage,
    /// The last record before the copies were begun.
    after: u64,
    /// The mark after they were whole: nothing before it leads to a state that ever was.
    whole: u64,
}

/// A backup that is being made.
#[derive(Debug)]
pub struct Beginning {
    lineage: Lineage,
    after: u64,
}

/// Figures for monitoring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeStats {
    /// Whether changes are being kept. If not, the next backup is the next moment that can be gone back to.
    pub kept: bool,
    /// Bytes written since the start.
    pub bytes: u64,
    /// Times since the start that changes could not be kept.
    pub breaks: u64,
    /// When both databases were last looked at.
    pub looked: Instant,
}

/// The log of changes of one data directory.
pub struct ChangeLog {
    folder: PathBuf,
    token: PathBuf,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Whether somebody could not wait for the state, and has emptied a log.
    is_given_up: AtomicBool,
    /// Whether a backup has to be made before changes are of use.
    wanting: watch::Sender<bool>,
}

impl std::fmt::Debug for ChangeLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChangeLog").field("folder", &self.folder).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    followers: [Option<Follower>; Database::ALL.len()],
    positions: Positions,
    lineage: Option<Lineage>,
    /// One that may go on: known once the logs of both databases were looked at.
    earlier: Option<Lineage>,
    chunk: Option<Chunk>,
    images: Images,
    /// That of the next record.
    number: u64,
    /// Whether the last record is a mark.
    is_marked: bool,
    has_failed: bool,
    stats: ChangeStats,
}

impl ChangeLog {
    /// The log in `folder`, which is made when it is needed. `token` is the file in the data directory that names the lineage, `known`
    /// what was in it when nobody had written to the databases yet.
    #[must_use]
    pub fn open(folder: PathBuf, token: PathBuf, known: Option<&str>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let mut state = State::default();
        if let Some(lineage) = known.and_then(|text| text.trim().parse().ok()).map(Lineage) {
            match end_of(&folder, lineage) {
                Ok(Some((next, positions))) => {
                    (state.earlier, state.number, state.positions) = (Some(lineage), next, positions);
                }
                Ok(None) => {}
                Err(error) => {
                    let folder = folder.display();
                    tracing::warn!(%folder, %error, "the log of changes cannot be read, so a new one begins with the next backup");
                }
            }
        }
        let wanting = watch::Sender::new(state.earlier.is_none());
        let is_given_up = AtomicBool::new(false);
        Arc::new(Self { folder, token, clock, state: Mutex::new(state), is_given_up, wanting })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.checked(self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The state; none if whoever has it waits for its disk, and does so for long.
    fn state_soon(&self) -> Option<MutexGuard<'_, State>> {
        // Who waited before has waited for all.
        let tries = if self.is_given_up.load(Ordering::SeqCst) { 1 } else { TRIES };
        for _ in 0..tries {
            match self.state.try_lock() {
                Ok(state) => return Some(self.checked(state)),
                Err(TryLockError::Poisoned(state)) => return Some(self.checked(state.into_inner())),
                Err(TryLockError::WouldBlock) => std::thread::sleep(BETWEEN_TRIES),
            }
        }
        None
    }

    fn checked<'s>(&self, mut state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        if self.is_given_up.load(Ordering::SeqCst) {
            self.give_up(&mut state, &io::Error::other("writing them took so long that commits waited for it").into());
        }
        state
    }

    /// Begins to follow a database. From here on whoever empties its log asks [`drain`](Self::drain) first.
    pub(crate) fn follow(&self, database: Database, file: &Path) {
        let mut state = self.state();
        let follower = Follower::new(database, file);
        let goes_on = follower.goes_on(state.positions[database as usize]);
        state.followers[database as usize] = Some(follower);
        let Some(lineage) = state.earlier else { return };
        if let Err(lost) = goes_on {
            self.give_up(&mut state, &lost);
        } else if state.followers.iter().all(Option::is_some) {
            match self.write_token(lineage) {
                Ok(()) => {
                    (state.lineage, state.earlier) = (Some(lineage), None);
                    state.stats.kept = true;
                }
                Err(error) => self.give_up(&mut state, &error.into()),
            }
        }
    }

    /// Takes what was committed to a database out of its log, so that the log may be emptied: tells whether it may.
    pub(crate) fn drain(&self, database: Database) -> bool {
        self.drained(&mut self.state(), database)
    }

    /// The same where the log has to be emptied whatever comes of it. False if somebody else takes so long that it cannot be waited for.
    pub fn drain_or_end(&self, database: Database) -> bool {
        let Some(mut state) = self.state_soon() else {
            // Before the log is emptied: what is read from it after that is not written any more.
            self.is_given_up.store(true, Ordering::SeqCst);
            return false;
        };
        if !self.drained(&mut state, database) {
            let why = format!("the log of {} had to be emptied", database.name());
            self.give_up(&mut state, &io::Error::other(why).into());
        }
        true
    }

    fn drained(&self, state: &mut State, database: Database) -> bool {
        if state.lineage.is_none() {
            return state.earlier.is_none();
        }
        let taken = self.take(state, database).and_then(|()| Ok(state.sync()?));
        self.told(state, taken)
    }

    /// To be called when the log of a database was drained and cut off, before anything is written to it again: its next filling has
    /// nothing in common with this one.
    pub fn cut_off(&self, database: Database) {
        let mut state = self.state();
        if state.followers[database as usize].as_ref().is_some_and(|follower| follower.is_empty().unwrap_or(false)) {
            state.positions[database as usize] = Default::default();
        }
    }

    /// Takes what was committed to both, and marks the moment. Blocks; to be called about once a second.
    pub fn tick(&self) {
        let mut state = self.state();
        if state.lineage.is_some() {
            let marked = self.mark(&mut state, false);
            self.told(&mut state, marked);
        }
    }

    /// To be called before the first file of a backup is copied. Begins a new lineage if there is none.
    ///
    /// # Errors
    /// If the changes cannot be written.
    pub fn begin(&self) -> io::Result<Beginning> {
        let mut state = self.state();
        let state = &mut *state;
        if state.lineage.is_none() {
            private_folder(&self.folder)?;
            let newest = record::files(&self.folder)?.last().map_or(0, |file| file.lineage.0);
            let lineage = Lineage((self.clock.now().micros() / 1_000).max(newest + 1));
            for database in Database::ALL {
                let follower = state.followers[database as usize].as_ref();
                let follower = follower.ok_or_else(|| io::Error::other(format!("{} is not open", database.name())))?;
                state.positions[database as usize] = follower.end()?;
            }
            let chunk = Chunk::begin(&self.folder, 1, lineage, state.positions)?;
            self.write_token(lineage)?;
            state.stats.bytes += chunk.length;
            state.chunk = Some(chunk);
            (state.lineage, state.earlier, state.number, state.has_failed) = (Some(lineage), None, 2, false);
            state.stats.kept = true;
        } else {
            // What comes now goes into a file of its own, so that those before it can go with the backups before this one.
            state.chunk = None;
        }
        // A restore may begin here, and knows of nothing that was before.
        state.images.forget();
        let lineage = state.lineage.unwrap_or(Lineage(0));
        Ok(Beginning { lineage, after: state.number - 1 })
    }

    /// To be called when all files of a backup are copied: where it stands. None if changes were lost meanwhile.
    pub fn finish(&self, begun: &Beginning) -> Option<Base> {
        let mut state = self.state();
        if state.lineage != Some(begun.lineage) {
            return None;
        }
        let marked = self.mark(&mut state, true);
        let is_marked = self.told(&mut state, marked) && state.lineage == Some(begun.lineage);
        is_marked.then(|| Base { lineage: begun.lineage, after: begun.after, whole: state.number - 1 })
    }

    /// To be told of the backups that there are: whether the changes that are kept lead from one of them.
    pub fn lead_from(&self, bases: &[Base]) {
        let current = self.state().lineage;
        let is_one = bases.iter().any(|base| Some(base.lineage) == current);
        self.wanting.send_replace(!is_one);
    }

    /// Tells when a backup has to be made, since the changes that are kept lead from none.
    pub fn wanting(&self) -> watch::Receiver<bool> {
        self.wanting.subscribe()
    }

    /// Removes what leads from none of these backups.
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub fn keep_since(&self, bases: &[Base]) -> io::Result<()> {
        let current = self.state().lineage;
        let files = record::files(&self.folder)?;
        for (i, file) in files.iter().enumerate() {
            let first = bases.iter().filter(|b| b.lineage == file.lineage).map(|b| b.after).min();
            let next = files.get(i + 1).filter(|next| next.lineage == file.lineage).map(|next| next.first);
            let is_needed = match (first, next) {
                (None, _) => current == Some(file.lineage),
                (Some(_), None) => true,
                (Some(after), Some(next)) => next > after + 1,
            };
            if !is_needed {
                fs::remove_file(&file.path)?;
            }
        }
        Ok(())
    }

    /// Figures for monitoring.
    #[must_use]
    pub fn stats(&self) -> ChangeStats {
        self.state().stats
    }

    fn take(&self, state: &mut State, database: Database) -> Result<(), Lost> {
        // Gone only if something panicked in here.
        let follower = state.followers[database as usize].take().ok_or(Lost::Another(database.name()))?;
        let from = state.positions[database as usize];
        let taken = follower.take(from, |pages| {
            state.is_marked = false;
            let record = Record::Pages(state.images.differences(&pages)?);
            self.append(state, &record)?;
            state.images.remember(&pages);
            Ok(())
        });
        state.followers[database as usize] = Some(follower);
        state.positions[database as usize] = taken?;
        Ok(())
    }

    fn mark(&self, state: &mut State, in_any_case: bool) -> Result<(), Lost> {
        for database in Database::ALL {
            self.take(state, database)?;
        }
        // Read last: nothing that stands before the mark is later than it.
        let at = self.clock.now();
        if !state.is_marked || in_any_case {
            self.append(state, &Record::Mark { at })?;
            state.is_marked = true;
            state.sync()?;
        }
        state.stats.looked = at;
        Ok(())
    }

    fn append(&self, state: &mut State, record: &Record) -> io::Result<()> {
        let Some(lineage) = state.lineage else { return Err(io::Error::other("there is no lineage")) };
        if self.is_given_up.load(Ordering::SeqCst) {
            return Err(io::Error::other("it took too long"));
        }
        let mut chunk = match state.chunk.take().filter(|chunk| chunk.length < FILE) {
            Some(chunk) => chunk,
            None => {
                let chunk = Chunk::begin(&self.folder, state.number, lineage, state.positions)?;
                state.number += 1;
                state.stats.bytes += chunk.length;
                chunk
            }
        };
        let before = chunk.length;
        // Not put back if this fails: what is behind half a record is not read.
        chunk.add(state.number, record)?;
        state.number += 1;
        state.stats.bytes += chunk.length - before;
        state.chunk = Some(chunk);
        Ok(())
    }

    /// What came of something is told once, until it is better. Tells whether it went well.
    fn told(&self, state: &mut State, done: Result<(), Lost>) -> bool {
        match done {
            Ok(()) => {
                if std::mem::take(&mut state.has_failed) {
                    tracing::info!("changes are written to the log of changes again; none is missing");
                }
                true
            }
            Err(Lost::Io(error)) => {
                // Nobody knows whether the last record is there.
                state.images.forget();
                if !std::mem::replace(&mut state.has_failed, true) {
                    let folder = self.folder.display();
                    tracing::warn!(%folder, %error, "changes cannot be written to the log of changes; it is tried again");
                }
                false
            }
            Err(lost) => {
                self.give_up(state, &lost);
                true
            }
        }
    }

    fn give_up(&self, state: &mut State, why: &Lost) {
        self.is_given_up.store(false, Ordering::SeqCst);
        if state.lineage.is_none() && state.earlier.is_none() {
            return;
        }
        let had_begun = state.lineage.is_some();
        (state.lineage, state.earlier, state.chunk, state.has_failed) = (None, None, None, false);
        state.stats.kept = false;
        state.stats.breaks += 1;
        // If it cannot be removed, what it names does not go on either: this lineage has no further files.
        let _ = fs::remove_file(&self.token);
        self.wanting.send_replace(true);
        if had_begun {
            tracing::error!(
                "the log of changes ends here, and a new one begins with the next backup; no restore goes to a moment between: {why}"
            );
        } else {
            tracing::warn!(
                "the databases were changed without the log of changes, so a new one begins with the next backup: {why}"
            );
        }
    }

    fn write_token(&self, lineage: Lineage) -> io::Result<()> {
        let beside = self.token.with_extension("new");
        let mut file = File::create(&beside)?;
        writeln!(file, "{}", lineage.0)?;
        file.sync_all()?;
        fs::rename(&beside, &self.token)
    }
}

impl State {
    fn sync(&self) -> io::Result<()> {
        self.chunk.as_ref().map_or(Ok(()), Chunk::sync)
    }
}

/// Whom a database's changes are told to.
#[derive(Clone, Debug)]
pub struct Follow {
    /// The log.
    pub log: Arc<ChangeLog>,
    /// Which database it is.
    pub database: Database,
}

impl Follow {
    /// As [`ChangeLog::drain`], for the one database.
    pub(crate) fn drain(&self) -> bool {
        self.log.drain(self.database)
    }
}

/// The number of the record that comes next in a lineage, and where each log was read up to; none if there is nothing of it.
fn end_of(folder: &Path, lineage: Lineage) -> io::Result<Option<(u64, Positions)>> {
    // The last file may have ended before its first record was whole; the one before it is then the last.
    for file in record::files(folder)?.into_iter().rev().filter(|file| file.lineage == lineage) {
        let mut records = Records::open(&file.path)?;
        let (mut next, mut positions) = (file.first, None);
        while let Some((number, record)) = records.next()? {
            match record {
                Record::Head { positions: there, .. } => positions = Some(there),
                Record::Pages(pages) if !pages.more => {
                    if let Some(positions) = &mut positions {
                        positions[pages.database as usize] = pages.end;
                    }
                }
                Record::Pages(_) | Record::Mark { .. } => {}
            }
            next = number + 1;
        }
        if let Some(positions) = positions {
            return Ok(Some((next, positions)));
        }
    }
    Ok(None)
}

/// A folder for its owner only.
fn private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(path)
}
