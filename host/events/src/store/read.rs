//! Reading the store: the segments of a window for the evaluator, single events, attachments, attributes.
//!
//! Everything here sees one snapshot of the database, so a merge that happens meanwhile neither hides nor doubles an event.

use super::error::EventStoreError;
use super::options::{AttachmentId, AttachmentInfo, AttributeInfo, ValueType};
use super::project::{signed, unsigned};
use super::{Counters, Shared, group, merge, pack};
use crate::evaluate::{Chunk, Evaluation, Piece, Texts};
use crate::segment::{Arrivals, Cell, Column, Directory, MAX_ROWS, SegmentError};
use crate::source::{EvaluationLimits, MetricSpec, SourceError};
use rusqlite::{Connection, OptionalExtension};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use tidegate_model::{Attachment, Event, MetricBatch, ObjectId, ProjectId, Value, Window};

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

/// An attribute that an evaluation uses: its row id, and the first code that no text has.
#[derive(Clone, Copy)]
struct Known {
    id: u32,
    next_code: u32,
}

struct SnapshotTexts<'a> {
    shared: &'a Shared,
    db: &'a Connection,
    attributes: Vec<Option<Known>>,
}

impl Texts for SnapshotTexts<'_> {
    fn codes(&self, slot: usize) -> u32 {
        self.attributes[slot].map_or(1, |known| known.next_code)
    }

    fn code(&self, slot: usize, text: &str) -> Result<Option<u32>, SourceError> {
        let Some(known) = self.attributes[slot] else { return Ok(None) };
        let code = match self.shared.texts.code(&super::texts::Draft::default(), known.id, text) {
            Some(code) => Some(code),
            None => group::stored_code(self.db, known.id, group::text_hash(text), text).map_err(ReadError::from)?,
        };
        Ok(code)
    }

    fn resolve(&self, slot: usize, codes: &[u32], each: &mut dyn FnMut(usize, &str)) -> Result<(), SourceError> {
        let Some(known) = self.attributes[slot] else { return Ok(()) };
        let missing = self.shared.texts.resolve(known.id, codes, each);
        let sql = "SELECT text FROM dictionary WHERE attribute = ?1 AND code = ?2";
        let mut statement = self.db.prepare_cached(sql).map_err(ReadError::from)?;
        for place in missing {
            let code = codes[place];
            let text: Option<String> =
                statement.query_row((known.id, code), |row| row.get(0)).optional().map_err(ReadError::from)?;
            let text =
                text.ok_or_else(|| SourceError::Corrupt(format!("text {code} of attribute {} is missing", known.id)))?;
            self.shared.texts.remember(known.id, code, &text);
            each(place, &text);
        }
        Ok(())
    }
}

struct Segment {
    id: i64,
    first_object: u64,
    rows: u32,
    /// Whether some of its events arrived outside of the window.
    cut: bool,
}

/// Evaluates metrics over the events of a project that arrived in `window`.
pub(super) fn evaluate(
    shared: &Shared,
    db: &Connection,
    project: ProjectId,
    window: Window,
    metrics: &[MetricSpec],
    limits: &EvaluationLimits,
) -> Result<Vec<MetricBatch>, ReadError> {
    // The snapshot begins with the first read: whatever is read next is no older than this.
    let segments = segments(db, project, window)?;
    let mut evaluation = Evaluation::new(metrics)?;
    let attributes = known(db, project, evaluation.attributes())?;
    let asked: Vec<u32> = attributes.iter().flatten().map(|known| known.id).collect();
    shared.cache.ask(project, &asked);
    let texts = SnapshotTexts { shared, db, attributes };
    let mut chunk = Chunk::default();
    for segment in &segments {
        let piece = piece(shared, db, segment, window, &texts.attributes)?;
        if chunk.rows() + piece.rows.len() > MAX_ROWS {
            evaluation.push(&std::mem::take(&mut chunk), &texts)?;
        }
        chunk.push(piece);
    }
    evaluation.push(&chunk, &texts)?;
    Ok(evaluation.finish(limits, &texts)?)
}

fn segments(db: &Connection, project: ProjectId, window: Window) -> Result<Vec<Segment>, rusqlite::Error> {
    let sql = "SELECT id, first_object, rows, first_arrival, last_arrival FROM segment
               WHERE project = ?1 AND last_arrival >= ?2 ORDER BY last_arrival, first_object";
    let (start, end) = (signed(window.start().micros()), signed(window.end().micros()));
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query((project.0, start))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (first, last): (i64, i64) = (row.get(3)?, row.get(4)?);
        if first >= end {
            break;
        }
        let cut = first < start || last >= end;
        found.push(Segment { id: row.get(0)?, first_object: unsigned(row.get(1)?), rows: row.get(2)?, cut });
    }
    Ok(found)
}

fn known(db: &Connection, project: ProjectId, names: &[String]) -> Result<Vec<Option<Known>>, rusqlite::Error> {
    let mut find = db.prepare_cached("SELECT id, next_code FROM attribute WHERE project = ?1 AND name = ?2")?;
    let find = |name: &String| {
        find.query_row((project.0, name), |row| Ok(Known { id: row.get(0)?, next_code: row.get(1)? })).optional()
    };
    names.iter().map(find).collect()
}

/// The rows of a segment that belong to the window, with the columns wanted: from memory, or from disk and then in memory.
fn piece(
    shared: &Shared,
    db: &Connection,
    segment: &Segment,
    window: Window,
    attributes: &[Option<Known>],
) -> Result<Piece, ReadError> {
    let ids: Vec<u32> = attributes.iter().flatten().map(|known| known.id).collect();
    let mut found = shared.cache.get(segment.id, &ids);
    let mut arrivals = if segment.cut { shared.cache.arrivals(segment.id) } else { None };
    if found.iter().any(Option::is_none) || (segment.cut && arrivals.is_none()) {
        let data = merge::segment_data(db, segment.id)?;
        let data = data.ok_or_else(|| SourceError::Corrupt(format!("segment {} has no data", segment.id)))?;
        let directory = Directory::read(&data)?;
        if directory.rows() != segment.rows as usize {
            return Err(SourceError::Corrupt(format!("segment {} has another number of events", segment.id)).into());
        }
        if segment.cut {
            let decoded = Arc::new(directory.arrivals()?);
            shared.cache.put_arrivals(segment.id, &decoded);
            arrivals = Some(decoded);
        }
        let mut decoded = Vec::new();
        for (column, &id) in found.iter_mut().zip(&ids).filter(|(column, _)| column.is_none()) {
            let column = column.insert(directory.column(id)?.map(Arc::new));
            decoded.push((id, column.clone()));
        }
        shared.cache.put(segment.id, decoded);
    }
    let rows = rows_inside(segment, arrivals.as_deref(), window);
    let first_object = segment.first_object + rows.start as u64;
    let mut found = found.into_iter().map(Option::flatten);
    let columns: Vec<Option<Arc<Column>>> =
        attributes.iter().map(|known| known.and_then(|_| found.next().flatten())).collect();
    Ok(Piece { rows, first_object, columns })
}

fn rows_inside(segment: &Segment, arrivals: Option<&Arrivals>, window: Window) -> Range<usize> {
    let inside = match arrivals {
        Some(arrivals) => arrivals.between(window.start(), window.end()),
        None => 0..segment.rows,
    };
    inside.start as usize..inside.end as usize
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
    let data = merge::segment_data(db, segment)?.ok_or_else(damaged)?;
    let directory = Directory::read(&data)?;
    let mut names = db.prepare_cached("SELECT id, name FROM attribute WHERE project = ?1")?;
    let names: HashMap<u32, String> =
        names.query_map([project.0], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut attributes = Vec::new();
    for id in directory.attributes() {
        let cell = directory.column(id)?.and_then(|column| column.cell(row));
        if let (Some(cell), Some(name)) = (cell, names.get(&id)) {
            attributes.push((name.clone(), value(db, id, cell)?));
        }
    }
    let uuid = directory.uuids()?.get(row).copied().flatten();
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
