//! The embedded store as a source for Explore: its segments in the order of their events, each read by the columns that are
//! asked for. Segments whose event times are known to lie outside of the query's range are not opened.
//!
//! What is read here is not kept: a scan over everything would push out of memory what the next window needs.

use super::Shared;
use super::options::ValueType;
use super::project::unsigned;
use super::read::{self, ReadError};
use super::stored::Stored;
use super::window::{self, SnapshotTexts};
use crate::explore::{Answer, AttributeDescription, Columns, Exploration, ExploreLimits, Known, Progress, Watch};
use crate::segment::Column;
use crate::source::SourceError;
use rusqlite::Connection;
use std::sync::Arc;
use tidegate_model::query::format_of;
use tidegate_model::{ProjectId, Query};

struct Segment {
    id: i64,
    first_object: u64,
    rows: u32,
    times: Option<(i64, i64)>,
}

/// Answers a query over the events of a project, all of them as of one moment.
pub(super) fn explore(
    shared: &Shared,
    db: &Connection,
    project: ProjectId,
    query: &Query,
    limits: &ExploreLimits,
    watch: &mut Watch<'_>,
) -> Result<Answer, ReadError> {
    let segments = segments(db, project)?;
    let mixed = |types: &[ValueType]| types.iter().any(|kind| *kind != ValueType::Text);
    let attributes = read::attributes(db, project)?.into_iter();
    let known: Vec<Known> = attributes.map(|a| Known { mixed: mixed(&a.types), name: a.name }).collect();
    let mut exploration = Exploration::new(query, &known, limits)?;
    let names: Vec<String> =
        exploration.attributes().into_iter().map(|name| name.unwrap_or_default().to_owned()).collect();
    // No attribute has an empty name, so what no column holds is not found.
    let texts = SnapshotTexts { shared, db, attributes: window::known(db, project, &names)? };
    let mut scan = Scan { shared, db, texts: &texts, watch, done: 0, total: segments.len() as u64 };
    for segment in &segments {
        scan.step(exploration.scanned())?;
        exploration.note(segment.first_object, segment.rows.into());
        if !segment.times.is_some_and(|(first, last)| exploration.excludes(first, last)) {
            exploration.push(&mut scan.open(segment), &texts)?;
        }
    }
    let wanted = exploration.wanted(&texts)?;
    scan.total += show_total(&segments, &wanted);
    let mut rest = wanted.as_slice();
    while let Some(&first) = rest.first() {
        scan.step(exploration.scanned())?;
        let place = segments.partition_point(|segment| segment.first_object <= first).saturating_sub(1);
        let end = segments[place].first_object + u64::from(segments[place].rows);
        let (here, later) = rest.split_at(rest.partition_point(|object| *object < end).max(1));
        exploration.show(&mut scan.open(&segments[place]), here, &texts)?;
        rest = later;
    }
    // Too late to break: all the work is done.
    let _ = (scan.watch)(Progress { done: scan.total, total: scan.total, events: exploration.scanned() });
    Ok(exploration.finish(query, &texts)?)
}

/// In how many segments the events are.
fn show_total(segments: &[Segment], objects: &[u64]) -> u64 {
    let inside = |segment: &&Segment| {
        let first = objects.partition_point(|object| *object < segment.first_object);
        objects.get(first).is_some_and(|object| *object < segment.first_object + u64::from(segment.rows))
    };
    segments.iter().filter(inside).count() as u64
}

fn segments(db: &Connection, project: ProjectId) -> Result<Vec<Segment>, rusqlite::Error> {
    let sql = "SELECT id, first_object, rows, first_time, last_time FROM segment
               WHERE project = ?1 ORDER BY first_object";
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map([project.0], |row| {
        let times: (Option<i64>, Option<i64>) = (row.get(3)?, row.get(4)?);
        let (first_object, times) = (unsigned(row.get(1)?), times.0.zip(times.1));
        Ok(Segment { id: row.get(0)?, first_object, rows: row.get(2)?, times })
    })?;
    rows.collect()
}

/// A walk over segments that somebody watches.
struct Scan<'a> {
    shared: &'a Shared,
    db: &'a Connection,
    texts: &'a SnapshotTexts<'a>,
    watch: &'a mut Watch<'a>,
    done: u64,
    total: u64,
}

impl<'a> Scan<'a> {
    fn step(&mut self, events: u64) -> Result<(), SourceError> {
        if self.shared.closed.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(SourceError::Closed);
        }
        if (self.watch)(Progress { done: self.done, total: self.total, events }).is_break() {
            return Err(SourceError::Cancelled);
        }
        self.done += 1;
        Ok(())
    }

    fn open<'s>(&self, segment: &'s Segment) -> Opened<'s, 'a> {
        Opened { shared: self.shared, db: self.db, texts: self.texts, segment, stored: None }
    }
}

/// A segment that is read when the first column is asked for that is not in memory.
struct Opened<'s, 'a> {
    shared: &'a Shared,
    db: &'a Connection,
    texts: &'a SnapshotTexts<'a>,
    segment: &'s Segment,
    stored: Option<Stored<'a>>,
}

impl<'a> Opened<'_, 'a> {
    fn stored(&mut self) -> Result<&Stored<'a>, SourceError> {
        let id = self.segment.id;
        let stored = match self.stored.take() {
            Some(stored) => stored,
            None => {
                Stored::open(self.db, id)?.ok_or_else(|| SourceError::Corrupt(format!("segment {id} has no data")))?
            }
        };
        if stored.rows() != self.segment.rows as usize {
            return Err(SourceError::Corrupt(format!("segment {id} has another number of events")));
        }
        Ok(self.stored.insert(stored))
    }
}

impl Columns for Opened<'_, '_> {
    fn rows(&self) -> usize {
        self.segment.rows as usize
    }

    fn first_object(&self) -> u64 {
        self.segment.first_object
    }

    fn times(&self) -> Option<(i64, i64)> {
        self.segment.times
    }

    fn filled(&mut self, slot: usize) -> Result<Option<usize>, SourceError> {
        match self.texts.id(slot) {
            Some(attribute) => Ok(self.stored()?.filled(attribute)),
            None => Ok(Some(0)),
        }
    }

    fn column(&mut self, slot: usize) -> Result<Option<Arc<Column>>, SourceError> {
        let Some(attribute) = self.texts.id(slot) else { return Ok(None) };
        let id = self.segment.id;
        if let Some(Some(column)) = self.shared.cache.get(id, &[attribute]).pop() {
            return Ok(column);
        }
        Ok(self.stored()?.column(attribute)?.map(Arc::new))
    }
}

/// The attributes that queries can use.
pub(super) fn describe(db: &Connection, project: ProjectId) -> Result<Vec<AttributeDescription>, rusqlite::Error> {
    let describe = |attribute: super::AttributeInfo| AttributeDescription {
        format: format_of(&attribute.name),
        built_in: attribute.name == "timestamp",
        name: attribute.name,
        types: attribute.types,
        texts: attribute.texts,
    };
    let mut all: Vec<_> = read::attributes(db, project)?.into_iter().map(describe).collect();
    let object = AttributeDescription {
        name: "_tx".to_owned(),
        types: vec![ValueType::Integer],
        format: "none",
        texts: 0,
        built_in: true,
    };
    let place = all.partition_point(|other| other.name < object.name);
    all.insert(place, object);
    Ok(all)
}
