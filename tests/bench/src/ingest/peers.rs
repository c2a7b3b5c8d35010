//! The others: a row for each event in SQLite, and DuckDB's own reader of JSON.

use super::Stored;
use crate::cpu;
use anyhow::{Context, ensure};
use rusqlite::types::Value as Cell;
use serde_json::Value as Json;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Rows of one transaction: as many as a block of ours has.
const ROWS_AT_ONCE: u64 = 8_192;

/// Parses each line and inserts it as a row with a column for each attribute.
pub(super) fn rows(file: &Path, most: u64, folder: &Path) -> anyhow::Result<Stored> {
    let folder = tempfile::tempdir_in(folder)?;
    let path = folder.path().join("rows.db");
    let mut lines = BufReader::with_capacity(1 << 20, std::fs::File::open(file)?).lines().peekable();
    let first: Json =
        serde_json::from_str(lines.peek().context("lines")?.as_ref().map_err(|e| anyhow::anyhow!("{e}"))?)?;
    let names: Vec<String> = first.as_object().context("an object")?.keys().cloned().collect();
    let columns: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    let places: Vec<String> = (1..=names.len()).map(|n| format!("?{n}")).collect();
    let before = cpu::with_ended_threads()?;
    let mut db = rusqlite::Connection::open(&path)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.execute_batch(&format!("CREATE TABLE event ({})", columns.join(",")))?;
    let (mut events, insert) = (0, format!("INSERT INTO event VALUES ({})", places.join(",")));
    while events < most {
        let transaction = db.transaction()?;
        {
            let mut insert = transaction.prepare_cached(&insert)?;
            for line in lines.by_ref().take(usize::try_from(ROWS_AT_ONCE.min(most - events))?) {
                let event: Json = serde_json::from_str(&line?)?;
                insert.execute(rusqlite::params_from_iter(names.iter().map(|name| cell(&event[name]))))?;
                events += 1;
            }
        }
        transaction.commit()?;
    }
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    let cpu = cpu::with_ended_threads()? - before;
    let sums = db.query_row(r#"SELECT count(*), count(DISTINCT guid), sum("process.age") FROM event"#, [], |row| {
        Ok([row.get::<_, i64>(0)? as f64, row.get::<_, i64>(1)? as f64, row.get(2)?])
    })?;
    ensure!(sums[0] == most as f64, "{} rows of {most}", sums[0]);
    Ok(Stored { events, cpu, bytes: std::fs::metadata(&path)?.len(), changes: 0, sums })
}

fn cell(value: &Json) -> Cell {
    match value {
        Json::Null => Cell::Null,
        Json::Bool(flag) => Cell::Integer(i64::from(*flag)),
        Json::Number(number) => {
            number.as_i64().map_or_else(|| Cell::Real(number.as_f64().unwrap_or_default()), Cell::Integer)
        }
        Json::String(text) => Cell::Text(text.clone()),
        other => Cell::Text(other.to_string()),
    }
}

/// Has DuckDB read the file into a table of a database file.
pub(super) fn duckdb(file: &Path, folder: &Path) -> anyhow::Result<Stored> {
    let folder = tempfile::tempdir_in(folder)?;
    let database = folder.path().join("events.duckdb");
    let answer = crate::peers::run("duckdb_ingest.py", &[file.as_os_str(), database.as_os_str()])?;
    let figure = |name: &str| answer[name].as_f64().with_context(|| format!("the peer's {name}"));
    let sums = [figure("events")?, figure("guids")?, figure("ages")?];
    Ok(Stored { events: sums[0] as u64, cpu: figure("cpu")?, bytes: figure("bytes")? as u64, changes: 0, sums })
}
