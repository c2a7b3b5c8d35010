//! `tidegate.db`: one SQLite file for catalog and ledger, so that a change of both is one transaction.
//!
//! The trap is a second writer: all writes go through one connection behind a mutex, reads through another, so that a list in
//! the API never waits for a commit to reach the disk. A file of a newer version is refused before anything is touched.

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One script for each version of the file, oldest first.
const MIGRATIONS: [&str; 3] = [include_str!("v1.sql"), include_str!("v2.sql"), include_str!("v3.sql")];

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
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

impl Db {
    /// Opens `file`, creates it if it is not there, and brings it to the newest version.
    pub(crate) fn open(file: &Path) -> Result<Self, OpenError> {
        let unusable = |cause: String| OpenError::Unusable { file: file.to_owned(), cause };
        keep_private(file).map_err(|e| unusable(e.to_string()))?;
        let mut writer = connect(file).map_err(|e| unusable(e.to_string()))?;
        let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        let found: i64 =
            writer.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(|e| unusable(e.to_string()))?;
        if found > known {
            return Err(OpenError::Newer { file: file.to_owned(), found, known });
        }
        migrate(&mut writer, found).map_err(|e| unusable(e.to_string()))?;
        let reader = connect(file).map_err(|e| unusable(e.to_string()))?;
        reader.pragma_update(None, "query_only", true).map_err(|e| unusable(e.to_string()))?;
        Ok(Self { writer: Mutex::new(writer), reader: Mutex::new(reader) })
    }

    /// Runs `work` in a write transaction: committed, and on disk, if it succeeds; as if it had never been if not.
    pub(crate) fn write<T, E>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<rusqlite::Error>,
    {
        let mut connection = lock(&self.writer);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = work(&transaction)?;
        transaction.commit()?;
        Ok(result)
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
        let mut connection = lock(&self.reader);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
        work(&transaction)
    }
}

/// A panic while the lock was held rolled its transaction back, so the connection is as good as before.
fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connect(file: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        file,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // What is deleted is overwritten: credentials are among it.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    Ok(connection)
}

fn migrate(connection: &mut Connection, found: i64) -> rusqlite::Result<()> {
    for (version, script) in (1_i64..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(script)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
        tracing::info!(version, "tidegate.db is now at this version");
    }
    Ok(())
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
        assert!(told.contains("has version 99, this Tidegate knows versions up to 3"), "{told}");
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
        assert!(told.contains("tidegate.db cannot be opened: file is not a database"), "{told}");
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
