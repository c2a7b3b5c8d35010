//! Reading the store: single events, attachments, attributes. (The events of a window are read in `window`.)
//!
//! Everything here sees one snapshot of the database, so a merge that happens meanwhile neither hides nor doubles an event.

use super::error::EventStoreError;
use super::options::{AttachmentId, AttachmentInfo, AttributeInfo, ValueType};
use super::project::{signed, unsigned};
use super::stored::Stored;
use super::{Counters, pack};
use crate::segment::{Cell, SegmentError};
use crate::source::SourceError;
use rusqlite::{Connection, OptionalExtension};
use std::collections::HashMap;
use tidegate_model::{Attachment, Event, ObjectId, ProjectId, Value};

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl From<ReadError> for SourceError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Sqlite(error) => Self::Storage(error.to_string()),
            ReadError::Segment(error) => Self::Corrupt(error.to_string()),
            ReadError::Source(error) => error,
        }
    }
}

impl From<EventStoreError> for SourceError {
    fn from(error: EventStoreError) -> Self {
        match error {
            EventStoreError::Closed => Self::Closed,
            EventStoreError::Corrupt(what) => Self::Corrupt(what),
            other => Self::Storage(other.to_string()),
        }
    }
}

impl From<rusqlite::Error> for EventStoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.to_string())
    }
}

impl From<SegmentError> for EventStoreError {
    fn from(error: SegmentError) -> Self {
        Self::Corrupt(error.to_string())
    }
}

/// Remembers the texts that are not in the index of the database yet.
pub(super) fn fresh_texts(db: &Connection, texts: &super::texts::Texts) -> Result<(), rusqlite::Error> {
    let sql =
        "SELECT a.id, d.code, d.text FROM attribute a JOIN dictionary d ON d.attribute = a.id AND d.code > a.indexed";
    let mut fresh = db.prepare(sql)?;
    let mut rows = fresh.query([])?;
    while let Some(row) = rows.next()? {
        texts.remember_fresh(row.get(0)?, row.get(1)?, row.get_ref(2)?.as_str()?);
    }
    Ok(())
}

/// Events and segments in the store, and the projects that have any.
pub(super) fn inventory(db: &Connection) -> Result<(Counters, Vec<ProjectId>), rusqlite::Error> {
    let (events, segments) =
        db.query_row("SELECT coalesce(sum(rows), 0), count(*) FROM segment", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let counters =
        Counters { events: unsigned(events).into(), segments: unsigned(segments).into(), ..Counters::default() };
    let mut projects = db.prepare("SELECT DISTINCT project FROM segment")?;
    let projects = projects.query_map([], |row| row.get(0).map(ProjectId))?.collect::<Result<_, _>>()?;
    Ok((counters, projects))
}

/// The segment that holds an event: its id, and the event's row in it.
pub(super) fn segment_of(
    db: &Connection,
    project: ProjectId,
    object: ObjectId,
) -> Result<Option<(i64, usize)>, rusqlite::Error> {
    let sql = "SELECT id, first_object, rows FROM segment WHERE project = ?1 AND first_object <= ?2
               ORDER BY first_object DESC LIMIT 1";
    let found = db.prepare_cached(sql)?.query_row((project.0, signed(object.0)), |row| {
        let (first, rows): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok((row.get(0)?, signed(object.0) - first, rows))
    });
    let found = found.optional()?.filter(|(_, row, rows)| row < rows);
    Ok(found.and_then(|(id, row, _)| Some((id, usize::try_from(row).ok()?))))
}

/// One event with everything that is stored of it.
pub(super) fn event(db: &Connection, project: ProjectId, object: ObjectId) -> Result<Option<Event>, EventStoreError> {
    let Some((segment, row)) = segment_of(db, project, object)? else { return Ok(None) };
    let damaged = || EventStoreError::Corrupt(format!("segment {segment} has no data"));
    let stored = Stored::open(db, segment)?.ok_or_else(damaged)?;
    let mut names = db.prepare_cached("SELECT id, name FROM attribute WHERE project = ?1")?;
    let names: HashMap<u32, String> =
        names.query_map([project.0], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut attributes = Vec::new();
    for id in stored.attributes() {
        let cell = stored.column(id)?.and_then(|column| column.cell(row));
        if let (Some(cell), Some(name)) = (cell, names.get(&id)) {
            attributes.push((name.clone(), value(db, id, cell)?));
        }
    }
    let uuid = stored.uuids()?.get(row).copied().flatten();
    let report = report(db, project, object)?;
    let attachments =
        attachments(db, project, object)?.into_iter().map(|info| attachment(db, info)).collect::<Result<_, _>>()?;
    Ok(Some(Event { uuid, attributes, report, attachments }))
}

fn value(db: &Connection, attribute: u32, cell: Cell) -> Result<Value, EventStoreError> {
    Ok(match cell {
        Cell::Int(number) => Value::Int(number),
        Cell::Float(number) => Value::Float(number),
        Cell::Bool(flag) => Value::Bool(flag),
        Cell::Text(code) => {
            let text = db
                .prepare_cached("SELECT text FROM dictionary WHERE attribute = ?1 AND code = ?2")?
                .query_row((attribute, code), |row| row.get(0))
                .optional()?;
            let missing = || EventStoreError::Corrupt(format!("text {code} of attribute {attribute} is missing"));
            Value::Str(text.ok_or_else(missing)?)
        }
    })
}

fn report(db: &Connection, project: ProjectId, object: ObjectId) -> Result<Option<Vec<u8>>, EventStoreError> {
    let mut find = db.prepare_cached("SELECT data, size FROM report WHERE project = ?1 AND object = ?2")?;
    let found: Option<(Vec<u8>, i64)> =
        find.query_row((project.0, signed(object.0)), |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    found.map(|(data, size)| pack::unpack(&data, size, &format!("report {object}"))).transpose()
}

/// The attachments of an event, without their bytes.
pub(super) fn attachments(
    db: &Connection,
    project: ProjectId,
    object: ObjectId,
) -> Result<Vec<AttachmentInfo>, rusqlite::Error> {
    let sql = "SELECT id, name, content_type, size FROM attachment WHERE project = ?1 AND object = ?2 ORDER BY id";
    let mut list = db.prepare_cached(sql)?;
    let list = list.query_map((project.0, signed(object.0)), |row| {
        let (id, size) = (AttachmentId(row.get(0)?), unsigned(row.get(3)?));
        Ok(AttachmentInfo { id, name: row.get(1)?, content_type: row.get(2)?, size })
    })?;
    list.collect()
}

fn attachment(db: &Connection, info: AttachmentInfo) -> Result<Attachment, EventStoreError> {
    let data: Vec<u8> =
        db.prepare_cached("SELECT data FROM attachment WHERE id = ?1")?.query_row([info.id.0], |row| row.get(0))?;
    let bytes = pack::unpack(&data, signed(info.size), &format!("attachment {}", info.id.0))?;
    Ok(Attachment { name: info.name, content_type: info.content_type, bytes })
}

/// The attributes of a project, sorted by name.
pub(super) fn attributes(db: &Connection, project: ProjectId) -> Result<Vec<AttributeInfo>, rusqlite::Error> {
    let sql = "SELECT name, types, next_code FROM attribute WHERE project = ?1 ORDER BY name";
    let mut list = db.prepare_cached(sql)?;
    let list = list.query_map([project.0], |row| {
        let (name, bits, next_code): (String, u8, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let types = ValueType::ALL.into_iter().filter(|kind| bits & kind.bit() != 0).collect();
        Ok(AttributeInfo { name, types, texts: u64::from(next_code) - 1 })
    })?;
    list.collect()
}
