//! Empties the write-ahead log of a database beside whoever writes to it.
//!
//! By itself SQLite does so inside of the commit that fills the log: that commit then takes until a thousand pages are in the file and
//! synced, and everybody who waits for the next one waits for that, too. Here a thread with a connection of its own does it, which
//! holds up neither readers nor the writer. The trap is a log that grows without end, since it begins anew only when all of it is
//! in the file at the moment of a commit: so a log that is far too long is emptied by the commit after all.
//!
//! Where changes are kept, nothing gets from the log into the file before it is among them. What is committed between the one and the
//! other would be the exception: a reader that was there before holds it back.

use crate::changes::Follow;
use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Pages that make it worth the while: what SQLite takes by itself.
const ENOUGH: i32 = 1_000;
/// Pages at which whoever commits has to do it.
const FAR_TOO_MANY: i32 = 8_000;

/// The thread that does it, for one database; dropping this ends it.
#[derive(Debug)]
pub struct Emptier {
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Bell {
    state: Mutex<State>,
    rung: Condvar,
    /// Held while the log is being emptied.
    at_work: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    is_rung: bool,
    has_ended: bool,
    /// Pages that were in the log when it was looked at last.
    seen: i32,
    /// Pages after the last commit.
    filled: i32,
}

impl Emptier {
    /// Takes over for the one connection that writes to `file`, and has not written yet other than by migrations. With `follow`, its
    /// changes are kept from here on; then [`keep_log`] has to have been called for all connections.
    ///
    /// # Errors
    /// If the file cannot be opened once more, or there is no thread to be had.
    pub fn start(writer: &mut Connection, file: &Path, follow: Option<Follow>) -> Result<Self, rusqlite::Error> {
        let own = Own::open(file, follow.as_ref())?;
        let holds = own.holds.as_ref().map(|(holds, _)| Arc::clone(holds));
        let bell = Arc::new(Bell::default());
        let (works, rings) = (Arc::clone(&bell), Arc::clone(&bell));
        let thread = std::thread::Builder::new().name("log-emptier".to_owned()).spawn(move || works.work(&own));
        let thread = thread.map_err(|error| {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_NOMEM);
            rusqlite::Error::SqliteFailure(code, Some(format!("no thread can be started: {error}")))
        })?;
        let emptier = Self { bell, thread: Some(thread) };
        // This takes the place of what SQLite does by itself.
        writer.wal_hook(Some(move |wal: &mut Wal, pages: i32| {
            rings.filled(pages);
            if pages >= FAR_TOO_MANY {
                if let (Some(follow), Some(holds)) = (&follow, &holds)
                    && !follow.log.drain_or_end(follow.database)
                {
                    // Whoever holds this back may wait for a disk that says nothing.
                    holds.let_go();
                }
                // The commit has succeeded whatever comes of this; the next one tries again.
                let _ = wal.checkpoint();
            }
            Ok(())
        }))?;
        Ok(emptier)
    }

    /// Runs `work` while the log is left alone.
    pub fn while_idle<T>(&self, work: impl FnOnce() -> T) -> T {
        let _idle = held(&self.bell.at_work);
        work()
    }
}

/// Has a connection leave the log as it is: neither a commit nor the end of the last connection empties it. For databases whose
/// changes are kept.
///
/// # Errors
/// If SQLite refuses.
pub fn keep_log(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(drop)
}

/// The connections of the thread.
struct Own {
    empties: Connection,
    /// Where changes are kept: one that reads while the log is emptied, and the log of changes.
    holds: Option<(Arc<Holds>, Follow)>,
}

/// A connection that reads so that what is committed meanwhile stays in the log.
struct Holds(Mutex<Connection>);

impl Holds {
    fn begin(&self) -> Result<(), rusqlite::Error> {
        let connection = held(&self.0);
        connection.execute_batch("BEGIN")?;
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
    }

    fn let_go(&self) {
        let connection = held(&self.0);
        if !connection.is_autocommit() {
            // If it cannot, the next one cannot begin, and says why.
            let _ = connection.execute_batch("ROLLBACK");
        }
    }
}

impl Own {
    /// Opens them; with `follow`, the database is followed from here on.
    fn open(file: &Path, follow: Option<&Follow>) -> Result<Self, rusqlite::Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let empties = Connection::open_with_flags(file, flags)?;
        let Some(follow) = follow else { return Ok(Self { empties, holds: None }) };
        follow.log.follow(follow.database, file);
        let holds = Connection::open_with_flags(file, flags)?;
        [&empties, &holds].into_iter().try_for_each(keep_log)?;
        Ok(Self { empties, holds: Some((Arc::new(Holds(Mutex::new(holds))), follow.clone())) })
    }

    /// Empties the log as far as nobody reads it; tells how many pages it has and how many of them are in the file. `drained` is
    /// called when the changes are kept, before anything gets into the file.
    fn empty(&self, drained: impl FnOnce()) -> Result<Option<(i32, i32)>, rusqlite::Error> {
        // As a statement: the call does nothing on a connection that has not read yet.
        let sql = "PRAGMA wal_checkpoint(PASSIVE)";
        let empty = || self.empties.query_row(sql, [], |row| Ok((row.get(1)?, row.get(2)?)));
        let Some((holds, follow)) = &self.holds else { return empty().map(Some) };
        // What is committed from here on stays in the log until it lets go.
        let done = holds.begin().and_then(|()| {
            if !follow.drain() {
                return Ok(None);
            }
            drained();
            empty().map(Some)
        });
        holds.let_go();
        done
    }
}

impl Drop for Emptier {
    fn drop(&mut self) {
        held(&self.bell.state).has_ended = true;
        self.bell.rung.notify_all();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that empties the log of a database had panicked");
        }
    }
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bell {
    /// Notes how many pages the log has after a commit.
    fn filled(&self, pages: i32) {
        let mut state = held(&self.state);
        // It has begun anew.
        if pages < state.seen {
            state.seen = 0;
        }
        state.filled = pages;
        if pages - state.seen >= ENOUGH {
            state.is_rung = true;
            self.rung.notify_one();
        }
    }

    fn work(&self, own: &Own) {
        loop {
            let mut state = held(&self.state);
            while !state.is_rung && !state.has_ended {
                state = self.rung.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.has_ended {
                return;
            }
            state.is_rung = false;
            drop(state);
            let idle = held(&self.at_work);
            let done = own.empty(|| ());
            drop(idle);
            match done {
                Ok(Some((pages, _))) => held(&self.state).seen = pages.max(0),
                // The log of changes has told why. Tried again when there is more.
                Ok(None) => {
                    let mut state = held(&self.state);
                    state.seen = state.filled;
                }
                // A full disk, say: whoever writes finds out as well, and tells.
                Err(error) => tracing::debug!(%error, "the log of a database was not emptied, and will be later"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changes::{ChangeLog, Database};
    use std::path::PathBuf;
    use tidegate_model::SystemClock;

    /// A database whose pages go to the log one by one, and the length of its file.
    fn database(dir: &tempfile::TempDir) -> (Connection, PathBuf) {
        let file = dir.path().join("pages.db");
        let db = Connection::open(&file).unwrap();
        db.pragma_update(None, "journal_mode", "WAL").unwrap();
        db.execute_batch("CREATE TABLE page (data BLOB); PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        (db, file)
    }

    fn fill(db: &Connection, pages: i32) {
        db.execute("INSERT INTO page VALUES (zeroblob(?1))", [i64::from(pages) * 4096]).unwrap();
    }

    fn length(file: &Path) -> u64 {
        std::fs::metadata(file).unwrap().len()
    }

    #[test]
    fn a_commit_leaves_the_file_alone_and_the_log_is_emptied_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let (mut db, file) = database(&dir);
        let emptier = Emptier::start(&mut db, &file, None).unwrap();
        let before = length(&file);
        emptier.while_idle(|| {
            fill(&db, ENOUGH + 1);
            assert_eq!(length(&file), before, "SQLite by itself would have written them by now");
        });
        while length(&file) == before {
            std::thread::yield_now();
        }
        // Ends with whatever is under way.
        drop(emptier);
        assert!(length(&file) > u64::try_from(ENOUGH).unwrap() * 4096);
    }

    #[test]
    fn a_log_that_is_far_too_long_is_emptied_by_the_commit_and_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (mut db, file) = database(&dir);
        let emptier = Emptier::start(&mut db, &file, None).unwrap();
        emptier.while_idle(|| {
            (0..9).for_each(|_| fill(&db, 1_000));
            assert!(length(&file) > u64::try_from(FAR_TOO_MANY).unwrap() * 4096, "{}", length(&file));
            let log = dir.path().join("pages.db-wal");
            let long = length(&log);
            (0..6).for_each(|_| fill(&db, 1_000));
            assert_eq!(length(&log), long);
        });
    }

    #[test]
    fn what_is_committed_after_the_changes_were_kept_does_not_get_into_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let (db, file) = database(&dir);
        let clock = Arc::new(SystemClock);
        let log = ChangeLog::open(dir.path().join("changes"), dir.path().join("lineage"), None, clock);
        let other = dir.path().join("other.db");
        Connection::open(&other).unwrap().execute_batch("CREATE TABLE page (data BLOB)").unwrap();
        Own::open(&other, Some(&Follow { log: Arc::clone(&log), database: Database::Events })).unwrap();
        let own = Own::open(&file, Some(&Follow { log: Arc::clone(&log), database: Database::Catalog })).unwrap();
        fill(&db, 50);
        let _begun = log.begin().unwrap();
        fill(&db, 50);
        let mut kept = 0;
        let (pages, in_file) = own
            .empty(|| {
                kept = log.stats().bytes;
                fill(&db, 70);
            })
            .unwrap()
            .unwrap();
        assert!(kept > 0 && pages > 170 && (100..120).contains(&in_file), "{in_file} of {pages}");
        // With the next look it is kept, and then it may.
        let (pages, in_file) = own.empty(|| ()).unwrap().unwrap();
        assert_eq!(pages, in_file);
        assert!(log.stats().bytes > kept);
    }

    #[test]
    fn few_pages_are_not_worth_the_while_and_a_log_that_began_anew_is_counted_anew() {
        let bell = Bell::default();
        let is_rung = |pages| {
            bell.filled(pages);
            std::mem::take(&mut held(&bell.state).is_rung)
        };
        assert!(!is_rung(999) && is_rung(1_000));
        held(&bell.state).seen = 1_000;
        assert!(!is_rung(1_999) && is_rung(2_000));
        assert!(!is_rung(3) && !is_rung(999) && is_rung(1_001));
    }
}
