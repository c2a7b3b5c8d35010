//! Takes what was committed to one database out of its log.

use super::Database;
use super::frames::{Committed, Log, Position};
use super::record::{Pages, RECORD};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a log is looked at again that is not what it should be ...
const TRIES: u32 = 3;
/// ... and after how long: it is written in one piece.
const BETWEEN_TRIES: Duration = Duration::from_millis(2);

/// Why the changes of a database cannot be had any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What was in its log since is gone, or another one is in its place.
    #[error("the log of {0} is not the one that was read before")]
    Another(&'static str),
}

/// Reads the log of one database.
#[derive(Debug)]
pub(super) struct Follower {
    database: Database,
    log: PathBuf,
}

impl Follower {
    pub(super) fn new(database: Database, file: &Path) -> Self {
        let mut log = file.as_os_str().to_owned();
        log.push("-wal");
        Self { database, log: log.into() }
    }

    /// Behind the last commit.
    pub(super) fn end(&self) -> io::Result<Position> {
        let Some(log) = Log::open(&self.log)? else { return Ok(Position::default()) };
        Ok(log.since(log.start)?.map_or(log.start, |committed| committed.end))
    }

    /// Where the log goes on behind a position: there, or at its start if it was begun anew once since.
    ///
    /// Once, because it begins anew only when all of it is in the database, and nothing gets there that was not taken before.
    fn next(&self, from: Position) -> Result<Option<(Log, Position)>, Lost> {
        let is_first = from == Position::default();
        let mut tries = 0;
        loop {
            let opened = Log::open(&self.log)?;
            match opened {
                // Nothing was written yet, or it was cut off and not written to since.
                None if is_first || self.is_empty()? => return Ok(None),
                Some(log) if log.start.salt == from.salt && log.has(from)? => return Ok(Some((log, from))),
                Some(log) if is_first || log.start.salt.0 == from.salt.0.wrapping_add(1) => {
                    let start = log.start;
                    return Ok(Some((log, start)));
                }
                // It may have begun anew between two looks, or be about to.
                _ if tries < TRIES => std::thread::sleep(BETWEEN_TRIES),
                _ => return Err(Lost::Another(self.database.name())),
            }
            tries += 1;
        }
    }

    pub(super) fn is_empty(&self) -> io::Result<bool> {
        match std::fs::metadata(&self.log) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            log => Ok(log?.len() == 0),
        }
    }

    /// Whether the log goes on behind a position that another process came to. One that was emptied and not written to since does not:
    /// what comes next in it has nothing in common with what was.
    pub(super) fn goes_on(&self, from: Position) -> Result<(), Lost> {
        match self.next(from)? {
            None if from != Position::default() => Err(Lost::Another(self.database.name())),
            _ => Ok(()),
        }
    }

    /// Gives what was committed since, in records; then where that ends.
    pub(super) fn take(&self, from: Position, mut give: impl FnMut(Pages) -> io::Result<()>) -> Result<Position, Lost> {
        let Some((log, from)) = self.next(from)? else { return Ok(from) };
        let Some(Committed { end, pages, latest }) = log.since(from)? else { return Ok(from) };
        let page = log.page as usize;
        let mut left: Vec<(u32, u32)> = latest.into_iter().collect();
        left.reverse();
        loop {
            let some = left.split_off(left.len().saturating_sub((RECORD / page).max(1)));
            let mut data = vec![0; some.len() * page];
            for ((_, place), contents) in some.iter().rev().zip(data.chunks_exact_mut(page)) {
                log.read(*place, contents)?;
            }
            if Log::open(&self.log)?.is_none_or(|again| again.start != log.start) {
                return Err(Lost::Another(self.database.name()));
            }
            let numbers = some.iter().rev().map(|(number, _)| *number).collect();
            let (database, more) = (self.database, !left.is_empty());
            let page = log.page;
            give(Pages { database, more, end, pages, page, numbers, data, ..Pages::default() })?;
            if !more {
                return Ok(end);
            }
        }
    }
}
