//! `tidegate.db`: one SQLite file for catalog and ledger, so that a change of both is one transaction.
//!
//! The trap is a second writer: all writes go through one connection behind a mutex, reads through another, so that a list in
//! the API never waits for a commit to reach the disk; and what a commit has put into the log gets into the file beside both. A file
//! of a newer version is refused before anything is touched.

mod copy;

pub use copy::{CopyError, Verified, copy_database, verify_database};

use crate::offload::is_alone;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidegate_events::changes::{ChangeLog, Database, Follow};
use tidegate_events::wal::{Emptier, keep_log};

/// One script for each version of the file, oldest first.
const MIGRATIONS: [&str; 13] = [
    include_str!("v1.sql"),
    include_str!("v2.sql"),
    include_str!("v3.sql"),
    include_str!("v4.sql"),
    include_str!("v5.sql"),
    include_str!("v6.sql"),
    include_str!("v7.sql"),
    include_str!("v8.sql"),
    include_str!("v9.sql"),
    include_str!("v10.sql"),
    include_str!("v11.sql"),
    include_str!("v12.sql"),
    include_str!("v13.sql"),
];

/// Statements kept compiled on each connection.
const CACHED_STATEMENTS: usize = 128;

/// Why the database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Written by a later Tidegate.
    #[error(
        "{} has version {found}, this Tidegate knows versions up to {known}: start the newer Tidegate again, or restore the copy made before the upgrade",
        file.display()
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that is known here.
        known: i64,
    },
    /// What is in it is not what was once written. The file is left as it is: nothing is written to it.
    #[error(
        "{} is damaged ({problem}). It was left as it is. Put a backup in its place with `tidegate ledger restore --from BACKUP`, or \
         move it away to begin with an empty one",
        file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What SQLite says.
        problem: String,
    },
    /// The key for its secrets is missing, or another one. Nothing was changed.
    #[error(transparent)]
    Key(#[from] crate::catalog::KeyError),
    /// Something else wrong with the file.
    #[error("{} cannot be opened: {cause}", file.display())]
    Unusable {
        /// The file.
        file: PathBuf,
        /// What SQLite or the system says.
        cause: String,
    },
}

/// The open database.
#[derive(Debug)]
pub(crate) struct Db {
    pub(crate) file: PathBuf,
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
    /// None in a simulation, whose files have no log.
    emptier: Option<Emptier>,
    /// Where its changes are kept, if they are.
    follow: Option<Follow>,
}

impl Db {
    /// Opens `file`, creates it if it is not there, and brings it to the newest version.
    #[cfg(test)]
    pub(crate) fn open(file: &Path) -> Result<Self, OpenError> {
        Self::open_followed(file, None)
    }

    /// The same; what is committed is kept in the log of changes, too.
    pub(crate) fn open_followed(file: &Path, changes: Option<Arc<ChangeLog>>) -> Result<Self, OpenError> {
        let unusable = |cause: String| OpenError::Unusable { file: file.to_owned(), cause };
        if !is_alone() {
            keep_private(file).map_err(|e| unusable(e.to_string()))?;
        }
        let damaged = |problem: String| OpenError::Damaged { file: file.to_owned(), problem };
        let told = |e: rusqlite::Error| {
            if copy::is_damage(&e) { damaged(e.to_string()) } else { unusable(e.to_string()) }
        };
        let mut writer = connect(file).map_err(told)?;
        // Files of a simulation have no faults but those of their stories, and their hosts start over and over.
        if !is_alone()
            && let Some(problem) = copy::first_problem(&writer).map_err(told)?
        {
            return Err(damaged(problem));
        }
        let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        let found: i64 = writer.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(told)?;
        if found > known {
            return Err(OpenError::Newer { file: file.to_owned(), found, known });
        }
        let follow = changes.map(|log| Follow { log, database: Database::Catalog });
        if follow.is_some() {
            keep_log(&writer).map_err(told)?;
        }
        migrate(&mut writer, found).map_err(told)?;
        let reader = connect(file).map_err(told)?;
        if follow.is_some() {
            keep_log(&reader).map_err(told)?;
        }
        reader.pragma_update(None, "query_only", true).map_err(|e| unusable(e.to_string()))?;
        let emptier =
            if is_alone() { None } else { Some(Emptier::start(&mut writer, file, follow.clone()).map_err(told)?) };
        Ok(Self { file: file.to_owned(), writer: Mutex::new(writer), reader: Mutex::new(reader), emptier, follow })
    }

    /// Runs `work` in a write transaction: committed, and on disk, if it succeeds; as if it had never been if not.
    pub(crate) fn write<T, E>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<rusqlite::Error>,
    {
        let mut connection = lock(&self.writer);
        stage(Stage::Begin)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = work(&transaction)?;
        stage(Stage::Commit)?;
        transaction.commit()?;
        stage(Stage::Committed)?;
        Ok(result)
    }

    /// Empties the log of changes, in which earlier contents of the file still lie.
    pub(crate) fn forget_log(&self) -> rusqlite::Result<()> {
        let forget = || {
            let writer = lock(&self.writer);
            if let Some(follow) = &self.follow {
                follow.log.drain_or_end(follow.database);
            }
            let forgotten = writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            if let Some(follow) = &self.follow {
                follow.log.cut_off(follow.database);
            }
            forgotten
        };
        match &self.emptier {
            Some(emptier) => emptier.while_idle(forget),
            None => forget(),
        }
    }

    /// Prepares the connection that writes; for what is its own and not in the file.
    pub(crate) fn watch(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<()>) -> rusqlite::Result<()> {
        let connection = lock(&self.writer);
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        work(&connection)
    }

    /// Runs `work` in a write transaction that is rolled back whatever comes of it.
    pub(crate) fn rehearse<T, E>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<rusqlite::Error>,
    {
        let mut connection = lock(&self.writer);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = work(&transaction);
        transaction.rollback()?;
        result
    }

    /// Runs `work` on one consistent state of the database.
    pub(crate) fn read<T, E>(&self, work: impl FnOnce(&Connection) -> Result<T, E>) -> Result<T, E>
    where
        E: From<rusqlite::Error>,
    {
        let connection = lock(&self.reader);
        stage(Stage::Read)?;
        connection.prepare_cached("BEGIN")?.execute([])?;
        let _ended = Ended(&connection);
        work(&connection)
    }
}

/// Ends a transaction that reads, also if the reader panics.
struct Ended<'c>(&'c Connection);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        // If it cannot be ended, the next one cannot begin, and says why.
        let _ = self.0.prepare_cached("ROLLBACK").and_then(|mut end| end.execute([]));
    }
}

/// A place inside a transaction at which a simulation can put a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Read,
    Begin,
    Commit,
    Committed,
}

fn stage(at: Stage) -> rusqlite::Result<()> {
    #[cfg(test)]
    if let Some(fate) = crate::offload::fate::current() {
        return fate.disk(at);
    }
    let _ = at;
    Ok(())
}

/// A panic while the lock was held rolled its transaction back, so the connection is as good as before.
fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connect(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // In a simulation only the process dies, never the machine, and the disk has the faults that it is told to have. So the file
    // is one in memory, which all who open it by its name share.
    let connection = if is_alone() {
        let memory = format!("file:{}?vfs=memdb", file.display());
        Connection::open_with_flags(memory, flags | OpenFlags::SQLITE_OPEN_URI)?
    } else {
        Connection::open_with_flags(file, flags)?
    };
    connection.busy_timeout(Duration::from_secs(10))?;
    // A commit is on disk when it returns.
    let (journal, synchronous) = if is_alone() { ("MEMORY", "OFF") } else { ("WAL", "FULL") };
    connection.pragma_update(None, "journal_mode", journal)?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // What is deleted is overwritten: credentials are among it.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    // Without it SQLite plans a statement anew whenever another value is bound, which is each time.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// A script may write a table anew, and for that drop it: what refers to it must not go with it. So references are not enforced
/// meanwhile, and are looked at before each script is committed.
fn migrate(connection: &mut Connection, found: i64) -> rusqlite::Result<()> {
    connection.pragma_update(None, "foreign_keys", false)?;
    for (version, script) in (1_i64..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(script)?;
        let is_torn = transaction.prepare("PRAGMA foreign_key_check")?.exists([])?;
        if is_torn {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY);
            let told = format!("rows refer to others that are not there, so it was not brought to version {version}");
            return Err(rusqlite::Error::SqliteFailure(code, Some(told)));
        }
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
        tracing::info!(version, "tidegate.db is now at this version");
    }
    connection.pragma_update(None, "foreign_keys", true)
}

/// The file holds the credentials of stores, so nobody but its owner may read it. SQLite gives its side files the same mode.
fn keep_private(file: &Path) -> std::io::Result<()> {
    let opened = std::fs::OpenOptions::new().create(true).append(true).open(file)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        opened.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    drop(opened);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_newer_version_is_refused_plainly_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tidegate.db");
        drop(Db::open(&file).unwrap());
        let connection = Connection::open(&file).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        drop(connection);
        let told = Db::open(&file).unwrap_err().to_string();
        let known = format!("has version 99, this Tidegate knows versions up to {}", MIGRATIONS.len());
        assert!(told.contains(&known), "{told}");
        let connection = Connection::open(&file).unwrap();
        let version: i64 = connection.pragma_query_value(None, "user_version", |r| r.get(0)).unwrap();
        assert_eq!(version, 99);
    }

    #[test]
    fn a_file_that_is_no_database_is_refused_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tidegate.db");
        std::fs::write(&file, "this is not a database, however long one reads on ".repeat(40)).unwrap();
        let told = Db::open(&file).unwrap_err().to_string();
        assert!(told.contains("tidegate.db is damaged (file is not a database). It was left as it is."), "{told}");
    }

    #[test]
    fn a_statement_is_planned_once_whatever_is_bound_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&dir.path().join("tidegate.db")).unwrap();
        let planned_again = |c: &Connection| {
            let sql = "SELECT DISTINCT l.store FROM links l JOIN stores s ON s.id = l.store \
                       WHERE l.metric_set = ?1 AND l.period = ?2 AND l.since <= ?3 AND s.deleted IS NULL";
            let mut statement = c.prepare(sql)?;
            for n in 0..5 {
                statement.query_map([n, n + 1, n + 2], |_| Ok(()))?.count();
            }
            Ok::<_, rusqlite::Error>(statement.get_status(rusqlite::StatementStatus::RePrepare))
        };
        assert_eq!(db.read(planned_again).unwrap(), 0);
        let without = |c: &Connection| {
            c.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, false)?;
            planned_again(c)
        };
        assert!(db.read(without).unwrap() > 0, "what keeps plans is not needed any more");
    }

    fn filled(file: &Path) {
        let db = Db::open(file).unwrap();
        let fill = |t: &Transaction<'_>| {
            (0..2000).try_for_each(|n| {
                t.execute("INSERT INTO tenants (name, created) VALUES (?1, 0)", [format!("{n:0200}")]).map(drop)
            })
        };
        db.write(fill).unwrap();
    }

    fn tenants(file: &Path) -> i64 {
        let db = Db::open(file).unwrap();
        db.read(|c| c.query_row("SELECT count(*) FROM tenants", [], |r| r.get::<_, i64>(0))).unwrap()
    }

    #[test]
    fn a_flipped_page_is_found_at_the_start_and_the_file_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tidegate.db");
        filled(&file);
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 4096].fill(0xa5);
        std::fs::write(&file, &bytes).unwrap();
        for _ in 0..2 {
            let told = Db::open(&file).unwrap_err().to_string();
            assert!(told.contains("is damaged") && told.contains("tidegate ledger restore"), "{told}");
        }
        assert!(std::fs::read(&file).unwrap() == bytes, "it was written to");
        assert!(!verify_database(&file).unwrap().problems.is_empty());
    }

    #[test]
    fn case_5_a_log_that_is_torn_anywhere_ends_at_the_last_whole_commit() {
        let dir = tempfile::tempdir().unwrap();
        let (file, wal) = (dir.path().join("tidegate.db"), dir.path().join("tidegate.db-wal"));
        let db = Db::open(&file).unwrap();
        for n in 0..20 {
            db.write(|t| t.execute("INSERT INTO tenants (name, created) VALUES (?1, 0)", [format!("{n:0500}")]))
                .unwrap();
        }
        // As the disk would be after the power failed: copied while it is open, and cut off somewhere.
        let (main, log) = (std::fs::read(&file).unwrap(), std::fs::read(&wal).unwrap());
        let mut last = 20;
        for cut in (0..=log.len()).rev().step_by(997) {
            let torn = tempfile::tempdir().unwrap();
            let file = torn.path().join("tidegate.db");
            std::fs::write(&file, &main).unwrap();
            std::fs::write(torn.path().join("tidegate.db-wal"), &log[..cut]).unwrap();
            let left = tenants(&file);
            assert!(left <= last, "{left} rows after {last} with a shorter log");
            last = left;
        }
        assert_eq!(last, 0);
    }

    #[test]
    fn a_copy_made_while_others_write_is_whole_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let (file, copy) = (dir.path().join("tidegate.db"), dir.path().join("copy.db"));
        filled(&file);
        let db = Db::open(&file).unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut n = 0;
                while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                    n += 1;
                    // Two rows in one commit: a copy has both or none.
                    db.write(|t| {
                        t.execute("INSERT INTO tenants (name, created) VALUES (?1, 1)", [format!("a{n}")])?;
                        t.execute("INSERT INTO tenants (name, created) VALUES (?1, 2)", [format!("b{n}")])
                    })
                    .unwrap();
                }
            });
            for _ in 0..5 {
                let _ = std::fs::remove_file(&copy);
                copy_database(&file, &copy).unwrap();
                assert_eq!(verify_database(&copy).unwrap(), Verified::default());
                let connection = Connection::open(&copy).unwrap();
                let count = |kind: i64| {
                    connection
                        .query_row("SELECT count(*) FROM tenants WHERE created = ?1", [kind], |r| r.get::<_, i64>(0))
                        .unwrap()
                };
                assert_eq!((count(0), count(1)), (2000, count(2)));
            }
            stop.store(true, std::sync::atomic::Ordering::SeqCst);
        });
    }

    #[test]
    fn case_38_a_file_of_each_earlier_version_is_brought_forward_with_what_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        for version in 1..MIGRATIONS.len() {
            let file = dir.path().join(format!("v{version}.db"));
            let connection = Connection::open(&file).unwrap();
            for script in &MIGRATIONS[..version] {
                connection.execute_batch(script).unwrap();
            }
            connection.pragma_update(None, "user_version", i64::try_from(version).unwrap()).unwrap();
            let row = "INSERT INTO tenants (id, name, created) VALUES (7, 'kept', 0); \
                       INSERT INTO projects (id, tenant, name, created) VALUES (1, 7, 'web', 0); \
                       INSERT INTO stores (project, name, period, adapter, settings, revision, paused, pull, created) \
                       VALUES (1, 'central', 60, 'influxdb', '{}', 1, 0, 0, 0); \
                       INSERT INTO windows (id, project, metric_set, revision, period, start, state, attempts, next_attempt, live_rows, \
                       recorded) VALUES (5, 1, 1, 1, 60, 600, 'evaluated', 1, 0, 3, 0), (9, 1, 1, 1, 60, 660, 'evaluated', 1, 0, 3, 0); \
                       INSERT INTO deliveries (store, window, window_end, state, updated) VALUES (1, 5, 660, 'queued', 0); \
                       DELETE FROM windows WHERE id = 9;";
            connection.execute_batch(row).unwrap();
            drop(connection);
            let db = Db::open(&file).unwrap();
            let read = |c: &Connection| {
                c.query_row("SELECT t.name, s.name, s.draining FROM tenants t, stores s", [], |r| {
                    Ok((r.get::<_, String>(0)?, r.get::<_, String>(1)?, r.get::<_, bool>(2)?))
                })
            };
            assert_eq!(
                db.read(read).unwrap(),
                ("kept".to_owned(), "central".to_owned(), false),
                "from version {version}"
            );
            let version: i64 = db.read(|c| c.pragma_query_value(None, "user_version", |r| r.get(0))).unwrap();
            assert_eq!(version, i64::try_from(MIGRATIONS.len()).unwrap());
            let owed = "SELECT w.start FROM deliveries d JOIN windows w ON w.id = d.window WHERE d.state = 'queued'";
            assert_eq!(db.read(|c| c.query_row(owed, [], |r| r.get::<_, i64>(0))).unwrap(), 600);
            let next = "INSERT INTO windows (project, metric_set, revision, period, start, state, attempts, next_attempt, live_rows, \
                        recorded) VALUES (1, 1, 1, 60, 720, 'evaluated', 1, 0, 3, 0) RETURNING id";
            let id = db.write(|t| t.query_row(next, [], |r| r.get::<_, i64>(0))).unwrap();
            assert_eq!(id, 10, "the number of a window that is forgotten is not used again");
            let all = "DELETE FROM windows WHERE id = 5";
            db.write(|t| t.execute(all, [])).unwrap();
            let left = db.read(|c| c.query_row("SELECT count(*) FROM deliveries", [], |r| r.get::<_, i64>(0)));
            assert_eq!(left.unwrap(), 0, "references are enforced again");
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tidegate.db");
        let _db = Db::open(&file).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn work_that_fails_and_work_that_is_rehearsed_leave_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&dir.path().join("tidegate.db")).unwrap();
        let insert = |t: &Transaction<'_>| t.execute("INSERT INTO tenants (name, created) VALUES ('a', 0)", []);
        let failed = db.write(|t| insert(t).and_then(|_| Err::<(), _>(rusqlite::Error::InvalidQuery)));
        assert!(failed.is_err());
        db.rehearse(insert).unwrap();
        let count = || db.read(|c| c.query_row("SELECT count(*) FROM tenants", [], |r| r.get::<_, i64>(0))).unwrap();
        assert_eq!(count(), 0);
        db.write(insert).unwrap();
        assert_eq!(count(), 1);
    }
}
