//! Copies of a database that is in use, and whether one is sound.

use rusqlite::backup::Backup;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::Path;
use std::time::Duration;
use tidegate_model::codec;

/// What a look through a database found.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Verified {
    /// Windows whose stored bytes were compared with their digest.
    pub windows: u64,
    /// What is wrong, in words; nothing if it is sound.
    pub problems: Vec<String>,
}

/// Why a copy could not be made or looked at.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {cause}")]
pub struct CopyError {
    file: String,
    cause: String,
}

fn failed(file: &Path) -> impl Fn(&dyn std::fmt::Display) -> CopyError {
    let file = file.display().to_string();
    move |cause| CopyError { file: file.clone(), cause: cause.to_string() }
}

fn reader(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    Ok(connection)
}

/// Copies a database to a new file while others write to it: one consistent state, readable by its owner only.
///
/// # Errors
/// [`CopyError`]; what there is of the copy then is of no use.
pub fn copy_database(from: &Path, to: &Path) -> Result<(), CopyError> {
    let told = failed(to);
    super::keep_private(to).map_err(|e| told(&e))?;
    let source = reader(from).map_err(|e| failed(from)(&e))?;
    let mut copy = Connection::open(to).map_err(|e| told(&e))?;
    // In one step: in steps it would begin anew with every write of the others, and they write all the time.
    Backup::new(&source, &mut copy).and_then(|b| b.step(-1).map(drop)).map_err(|e| told(&e))?;
    // One file, without a log beside it.
    copy.pragma_update(None, "journal_mode", "DELETE").map_err(|e| told(&e))?;
    drop(copy);
    std::fs::File::open(to).and_then(|f| f.sync_all()).map_err(|e| told(&e))
}

/// Looks whether a database is sound: its structure, and for a ledger, whether each stored window is what was once written.
///
/// # Errors
/// [`CopyError`] if it cannot be opened at all.
pub fn verify_database(file: &Path) -> Result<Verified, CopyError> {
    match look(file) {
        // So damaged that it cannot even be looked through.
        Err(error) if is_damage(&error) => Ok(Verified { windows: 0, problems: vec![error.to_string()] }),
        Err(error) => Err(failed(file)(&error)),
        Ok(verified) => Ok(verified),
    }
}

/// Whether SQLite says that a file is no database, or a broken one.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
}

fn look(file: &Path) -> rusqlite::Result<Verified> {
    let connection = reader(file)?;
    let mut verified = Verified::default();
    let found = problems(&connection, "PRAGMA quick_check(20)")?;
    verified.problems.extend(found.into_iter().filter(|line| line != "ok"));
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'windows' AND type = 'table'";
    let ledger: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    if verified.problems.is_empty() && ledger == 1 {
        windows(&connection, &mut verified)?;
    }
    Ok(verified)
}

/// The first problem of a database's structure, if there is one.
pub(super) fn first_problem(connection: &Connection) -> rusqlite::Result<Option<String>> {
    Ok(problems(connection, "PRAGMA quick_check(1)")?.into_iter().find(|said| said != "ok"))
}

fn problems(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        // SQLite puts a heading before the first problem, on a line of its own.
        let said: String = row.get(0)?;
        found.extend(said.lines().filter(|line| !line.starts_with("***")).map(str::to_owned));
    }
    Ok(found)
}

fn windows(connection: &Connection, verified: &mut Verified) -> rusqlite::Result<()> {
    let sql = "SELECT metric_set, period, start, digest, batch FROM windows WHERE batch IS NOT NULL";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        verified.windows += 1;
        let (digest, packed): (Option<Vec<u8>>, Vec<u8>) = (row.get(3)?, row.get(4)?);
        let sound = tidegate_events::compress::unpack(&packed)
            .is_ok_and(|stored| digest.as_deref() == Some(codec::digest(&stored).as_slice()));
        if !sound {
            let (set, period, start): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            verified.problems.push(format!("the window of metric set {set} at {start} ({period} s) is damaged"));
        }
    }
    let sql = "SELECT count(*) FROM deliveries d JOIN windows w ON w.id = d.window WHERE d.state = 'queued' AND w.batch IS NULL";
    let missing: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    if missing > 0 {
        verified.problems.push(format!("{missing} queued deliveries have no window to send"));
    }
    Ok(())
}
