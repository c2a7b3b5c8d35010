//! The database file: its tables, how connections are set up, and how an older file is brought up to date.

use super::error::EventStoreError;
use crate::wal::keep_log;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// One step for each version of the file's form; `PRAGMA user_version` counts the steps taken.
///
/// `segment` is apart from `segment_data` so that looking for the segments of a window does not read past their bytes, and its
/// ids are never given twice, so that a cache may name segments by them.
///
/// Version 2: what lets a reader skip a segment, and the retention add up, without reading it. Each event of a segment has a
/// `timestamp` that is a number from `first_time` to `last_time` (whole seconds, both inclusive); both are NULL where that is not
/// known, as in segments written before, and where a `timestamp` is no number: then only a look inside tells. `data_bytes` is
/// the length of the segment's data, `beside_bytes` that of the reports and attachments of its events, as stored.
///
/// Version 3: texts are found by `text_index`, which is filled in its own order many texts at a time. Filled with each commit it
/// would touch a page for every text, since hashes have no order. `attribute.indexed` is the last code that is in it.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE segment (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        project INTEGER NOT NULL,
        first_object INTEGER NOT NULL,
        rows INTEGER NOT NULL,
        first_arrival INTEGER NOT NULL,
        last_arrival INTEGER NOT NULL
    );
    CREATE INDEX segment_by_arrival ON segment (project, last_arrival, first_object);
    CREATE UNIQUE INDEX segment_by_object ON segment (project, first_object, rows);
    CREATE TABLE segment_data (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
    CREATE TABLE attribute (
        id INTEGER PRIMARY KEY,
        project INTEGER NOT NULL,
        name TEXT NOT NULL,
        types INTEGER NOT NULL,
        next_code INTEGER NOT NULL,
        UNIQUE (project, name)
    );
    CREATE TABLE dictionary (
        attribute INTEGER NOT NULL,
        code INTEGER NOT NULL,
        hash INTEGER NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (attribute, code)
    ) WITHOUT ROWID;
    CREATE INDEX dictionary_by_hash ON dictionary (attribute, hash);
    CREATE TABLE seen (
        project INTEGER NOT NULL,
        uuid BLOB NOT NULL,
        object INTEGER NOT NULL,
        arrival INTEGER NOT NULL,
        PRIMARY KEY (project, uuid)
    ) WITHOUT ROWID;
    CREATE TABLE report (
        project INTEGER NOT NULL,
        object INTEGER NOT NULL,
        size INTEGER NOT NULL,
        data BLOB NOT NULL,
        PRIMARY KEY (project, object)
    );
    CREATE TABLE attachment (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        project INTEGER NOT NULL,
        object INTEGER NOT NULL,
        name TEXT NOT NULL,
        content_type TEXT,
        size INTEGER NOT NULL,
        data BLOB NOT NULL
    );
    CREATE INDEX attachment_by_object ON attachment (project, object);
",
    "
    ALTER TABLE segment ADD COLUMN first_time INTEGER;
    ALTER TABLE segment ADD COLUMN last_time INTEGER;
    ALTER TABLE segment ADD COLUMN data_bytes INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE segment ADD COLUMN beside_bytes INTEGER NOT NULL DEFAULT 0;
    UPDATE segment SET
        data_bytes = coalesce((SELECT length(data) FROM segment_data d WHERE d.id = segment.id), 0),
        beside_bytes = coalesce((SELECT sum(length(data)) FROM report r WHERE r.project = segment.project
                AND r.object >= first_object AND r.object < first_object + rows), 0)
            + coalesce((SELECT sum(length(data)) FROM attachment a WHERE a.project = segment.project
                AND a.object >= first_object AND a.object < first_object + rows), 0);
",
    "
    CREATE TABLE text_index (
        attribute INTEGER NOT NULL,
        hash INTEGER NOT NULL,
        code INTEGER NOT NULL,
        PRIMARY KEY (attribute, hash, code)
    ) WITHOUT ROWID;
    INSERT INTO text_index SELECT attribute, hash, code FROM dictionary;
    DROP INDEX dictionary_by_hash;
    ALTER TABLE dictionary DROP COLUMN hash;
    ALTER TABLE attribute ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0;
    UPDATE attribute SET indexed = next_code - 1;
",
    "
    CREATE TABLE segment_piece (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
",
];

/// Statements that a connection keeps prepared.
const PREPARED: usize = 32;

/// Why a file cannot be opened: that it is damaged, if SQLite says so.
pub(super) fn told(file: &Path) -> impl Fn(rusqlite::Error) -> EventStoreError + '_ {
    move |error| {
        let (file, said) = (file.display().to_string(), error.to_string());
        if is_damage(&error) {
            EventStoreError::Damaged { file, problem: said }
        } else {
            EventStoreError::Open { file, reason: said }
        }
    }
}

/// Whether SQLite says that a file is no database, or a broken one.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
}

/// Opens the one connection that writes, and brings the file up to date.
pub(super) fn open_writer(
    file: &Path,
    file_bytes: Option<u64>,
    is_followed: bool,
) -> Result<Connection, EventStoreError> {
    let told = told(file);
    let mut db = Connection::open(file).map_err(&told)?;
    if is_followed {
        keep_log(&db).map_err(&told)?;
    }
    set_up(&db, file)?;
    migrate(&mut db, file)?;
    if let Some(bytes) = file_bytes {
        let page: i64 = db.pragma_query_value(None, "page_size", |row| row.get(0)).map_err(&told)?;
        let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / page.max(1);
        db.pragma_update(None, "max_page_count", pages.max(1)).map_err(&told)?;
    }
    Ok(db)
}

/// Without it SQLite plans a statement anew whenever another value is bound, which is each time.
fn keep_plans(db: &Connection) -> rusqlite::Result<()> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

fn set_up(db: &Connection, file: &Path) -> Result<(), EventStoreError> {
    let told = told(file);
    db.set_prepared_statement_cache_capacity(PREPARED);
    keep_plans(db).map_err(&told)?;
    db.busy_timeout(Duration::from_secs(5)).map_err(&told)?;
    let mode: String = db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(&told)?;
    if !mode.eq_ignore_ascii_case("wal") {
        let reason = format!("the file system does not allow a write-ahead log (journal mode is {mode})");
        return Err(EventStoreError::Open { file: file.display().to_string(), reason });
    }
    for (pragma, value) in [("synchronous", "FULL"), ("cache_size", "-65536"), ("journal_size_limit", "67108864")] {
        db.pragma_update(None, pragma, value).map_err(&told)?;
    }
    Ok(())
}

fn migrate(db: &mut Connection, file: &Path) -> Result<(), EventStoreError> {
    let told = told(file);
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(&told)?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let Some(steps) = usize::try_from(found).ok().and_then(|taken| MIGRATIONS.get(taken..)) else {
        return Err(EventStoreError::Newer { file: file.display().to_string(), found, known });
    };
    if steps.is_empty() {
        return Ok(());
    }
    let transaction = db.transaction().map_err(&told)?;
    for step in steps {
        transaction.execute_batch(step).map_err(&told)?;
    }
    transaction.pragma_update(None, "user_version", known).map_err(&told)?;
    transaction.commit().map_err(&told)
}

/// Connections that read, kept for the next reader.
pub(super) struct Readers {
    file: PathBuf,
    is_followed: bool,
    idle: Mutex<Vec<Connection>>,
}

/// Most connections kept open while nobody reads.
const IDLE: usize = 8;

impl Readers {
    pub(super) fn new(file: &Path, is_followed: bool) -> Self {
        Self { file: file.to_owned(), is_followed, idle: Mutex::default() }
    }

    /// Runs `read` with everything that it sees fixed at one moment: commits that happen meanwhile do not show.
    pub(super) fn snapshot<T, E: From<rusqlite::Error>>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let db = self.take()?;
        db.prepare_cached("BEGIN")?.execute([])?;
        let result = read(&db);
        // A connection that cannot end its transaction is not used again.
        if db.prepare_cached("ROLLBACK").and_then(|mut end| end.execute([])).is_ok() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE {
                idle.push(db);
            }
        }
        result
    }

    fn take(&self) -> Result<Connection, rusqlite::Error> {
        if let Some(db) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(db);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(&self.file, flags)?;
        if self.is_followed {
            keep_log(&db)?;
        }
        db.set_prepared_statement_cache_capacity(PREPARED);
        keep_plans(&db)?;
        db.busy_timeout(Duration::from_secs(5))?;
        db.pragma_update(None, "query_only", true)?;
        Ok(db)
    }

    /// Closes the connections that nobody uses.
    pub(super) fn clear(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
