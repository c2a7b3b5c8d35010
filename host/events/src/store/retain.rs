//! Removing old events: whole segments, oldest first, so that it costs little and touches nothing that stays.
//!
//! Two traps. An event that a metric store is still owed must not go, whatever its age: the caller says from which arrival on
//! events are owed, and no segment that reaches there is touched. And numbers of events are never given twice, so the newest
//! segment of a project stays, since it tells the next number.
//!
//! What belongs to a segment (uuids, reports, attachments) goes before it in small transactions, and the segment in the last.
//! A crash in between leaves a segment that the next call takes up again.

use super::Shared;
use super::error::EventStoreError;
use super::project::{signed, unsigned};
use super::read::ReadError;
use super::stored::{self, Stored};
use rusqlite::{Connection, OptionalExtension};
use std::sync::atomic::Ordering;
use tidegate_model::{Instant, ProjectId};

/// Rows that one transaction removes: the writer waits for it.
const AT_ONCE: u64 = 2_000;
/// Segments that one call removes, so that whoever calls can stop in between.
const SEGMENTS_AT_ONCE: u64 = 32;

/// Which events of a project may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Horizon {
    /// Those that arrived before this may go.
    pub age: Option<Instant>,
    /// The oldest may go while the project has more stored bytes than this.
    pub bytes: Option<u64>,
    /// Those that arrived at this moment or later stay in any case: a metric store is owed a window of them.
    pub owed: Option<Instant>,
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Whole segments.
    pub segments: u64,
    /// Events in them.
    pub events: u64,
    /// Stored bytes of the segments, and of the reports and attachments of their events.
    pub bytes: u64,
}

/// What a project takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProjectUsage {
    /// The project.
    pub project: ProjectId,
    /// Events stored.
    pub events: u64,
    /// Segments that they are in.
    pub segments: u64,
    /// Stored bytes of the segments, and of the reports and attachments. Dictionaries and the list of uuids come on top.
    pub bytes: u64,
    /// Arrival of the oldest event.
    pub oldest: Instant,
}

struct Oldest {
    id: i64,
    first_object: u64,
    rows: u64,
    last_arrival: Instant,
    bytes: u64,
}

/// Removes what is beyond the horizon.
pub(super) fn retain(shared: &Shared, project: ProjectId, horizon: &Horizon) -> Result<Removed, EventStoreError> {
    let mut removed = Removed::default();
    let Some(usage) = shared.readers.snapshot(|db| usage(db, project))? else { return Ok(removed) };
    while removed.segments < SEGMENTS_AT_ONCE {
        let _alone = shared.merger.alone();
        let Some(segment) = shared.readers.snapshot(|db| oldest(db, project, true))? else { break };
        let aged = horizon.age.is_some_and(|age| segment.last_arrival < age);
        let too_many = horizon.bytes.is_some_and(|bytes| usage.bytes.saturating_sub(removed.bytes) > bytes);
        let owed = horizon.owed.is_some_and(|owed| segment.last_arrival >= owed);
        if owed || !(aged || too_many) {
            break;
        }
        remove(shared, project, &segment)?;
        removed.add(&segment);
    }
    Ok(removed)
}

/// Removes everything of a project that is no more. Nothing may be submitted to it meanwhile.
pub(super) fn forget(shared: &Shared, project: ProjectId) -> Result<Removed, EventStoreError> {
    let mut removed = Removed::default();
    loop {
        let _alone = shared.merger.alone();
        let Some(segment) = shared.readers.snapshot(|db| oldest(db, project, false))? else { break };
        remove(shared, project, &segment)?;
        removed.add(&segment);
        if removed.segments == SEGMENTS_AT_ONCE {
            return Ok(removed);
        }
    }
    let some = "DELETE FROM seen WHERE project = ?1 AND uuid IN (SELECT uuid FROM seen WHERE project = ?1 LIMIT ?2)";
    while shared.committer().transaction(|db| db.execute(some, (project.0, signed(AT_ONCE))))? > 0 {}
    let attributes: Vec<u32> = shared.readers.snapshot(|db| {
        let mut ids = db.prepare_cached("SELECT id FROM attribute WHERE project = ?1")?;
        let ids = ids.query_map([project.0], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok::<_, rusqlite::Error>(ids)
    })?;
    for attribute in attributes {
        let some = "DELETE FROM dictionary WHERE attribute = ?1 AND code IN
                    (SELECT code FROM dictionary WHERE attribute = ?1 LIMIT ?2)";
        while shared.committer().transaction(|db| db.execute(some, (attribute, signed(AT_ONCE))))? > 0 {}
        let some = "DELETE FROM text_index WHERE attribute = ?1 AND (hash, code) IN
                    (SELECT hash, code FROM text_index WHERE attribute = ?1 LIMIT ?2)";
        while shared.committer().transaction(|db| db.execute(some, (attribute, signed(AT_ONCE))))? > 0 {}
        shared.committer().transaction(|db| db.execute("DELETE FROM attribute WHERE id = ?1", [attribute]))?;
    }
    shared.committer().forget(project);
    shared.floors.forget(project);
    Ok(removed)
}

impl Removed {
    fn add(&mut self, segment: &Oldest) {
        self.segments += 1;
        self.events += segment.rows;
        self.bytes += segment.bytes;
    }
}

/// Removes a segment with all that belongs to it. It must not be merged meanwhile.
fn remove(shared: &Shared, project: ProjectId, segment: &Oldest) -> Result<(), EventStoreError> {
    let uuids = shared.readers.snapshot(|db| {
        let uuids = Stored::open(db, segment.id).and_then(|stored| stored.map(|stored| stored.uuids()).transpose());
        match uuids {
            Ok(uuids) => Ok(uuids.unwrap_or_default()),
            // Damaged ones go too; the uuids of their events stay known, which does no harm.
            Err(ReadError::Segment(_)) => Ok(Vec::new()),
            Err(error) => Err(EventStoreError::from(error)),
        }
    })?;
    for start in (0..segment.rows).step_by(AT_ONCE as usize) {
        let end = segment.rows.min(start + AT_ONCE);
        let places = usize::try_from(start).unwrap_or(usize::MAX)..usize::try_from(end).unwrap_or(usize::MAX);
        let some = uuids.get(places).unwrap_or_default();
        let objects = (segment.first_object + start, segment.first_object + end);
        shared.committer().transaction(|db| belongings(db, project, objects, some))?;
    }
    let committer = shared.committer();
    committer.transaction(|db| {
        // What was attached meanwhile.
        belongings(db, project, (segment.first_object, segment.first_object + segment.rows), &[])?;
        db.prepare_cached("DELETE FROM segment WHERE id = ?1")?.execute([segment.id])?;
        stored::delete(db, segment.id)?;
        Ok::<_, EventStoreError>(())
    })?;
    shared.cache.remove(&[segment.id]);
    let counters = &shared.counters;
    counters.segments.fetch_sub(1, Ordering::Relaxed);
    counters.events.fetch_sub(segment.rows, Ordering::Relaxed);
    counters.removed_events.fetch_add(segment.rows, Ordering::Relaxed);
    counters.removed_bytes.fetch_add(segment.bytes, Ordering::Relaxed);
    Ok(())
}

/// Removes reports, attachments and known uuids of the events from `objects.0` to before `objects.1`.
fn belongings(
    db: &Connection,
    project: ProjectId,
    objects: (u64, u64),
    uuids: &[Option<[u8; 16]>],
) -> Result<(), EventStoreError> {
    let range = (project.0, signed(objects.0), signed(objects.1));
    for sql in [
        "DELETE FROM report WHERE project = ?1 AND object >= ?2 AND object < ?3",
        "DELETE FROM attachment WHERE project = ?1 AND object >= ?2 AND object < ?3",
    ] {
        db.prepare_cached(sql)?.execute(range)?;
    }
    let mut unsee = db.prepare_cached("DELETE FROM seen WHERE project = ?1 AND uuid = ?2 AND object = ?3")?;
    for (object, uuid) in (objects.0..).zip(uuids) {
        if let Some(uuid) = uuid {
            unsee.execute((project.0, uuid, signed(object)))?;
        }
    }
    Ok(())
}

/// The oldest segment of a project; with `spare`, unless it is the newest, too.
fn oldest(db: &Connection, project: ProjectId, spare: bool) -> Result<Option<Oldest>, rusqlite::Error> {
    let sql = "SELECT id, first_object, rows, last_arrival, data_bytes + beside_bytes FROM segment s
               WHERE project = ?1 AND (NOT ?2 OR EXISTS (
                   SELECT 1 FROM segment n WHERE n.project = s.project AND n.first_object > s.first_object))
               ORDER BY last_arrival, first_object LIMIT 1";
    let segment = |row: &rusqlite::Row<'_>| {
        Ok(Oldest {
            id: row.get(0)?,
            first_object: unsigned(row.get(1)?),
            rows: unsigned(row.get(2)?),
            last_arrival: Instant::from_micros(unsigned(row.get(3)?)),
            bytes: unsigned(row.get(4)?),
        })
    };
    db.prepare_cached(sql)?.query_row((project.0, spare), segment).optional()
}

const USAGE: &str =
    "SELECT project, sum(rows), count(*), sum(data_bytes + beside_bytes), min(first_arrival) FROM segment";

fn usage_in(row: &rusqlite::Row<'_>) -> rusqlite::Result<ProjectUsage> {
    Ok(ProjectUsage {
        project: ProjectId(row.get(0)?),
        events: unsigned(row.get(1)?),
        segments: unsigned(row.get(2)?),
        bytes: unsigned(row.get(3)?),
        oldest: Instant::from_micros(unsigned(row.get(4)?)),
    })
}

/// What a project takes; none if it has no events.
pub(super) fn usage(db: &Connection, project: ProjectId) -> Result<Option<ProjectUsage>, rusqlite::Error> {
    let sql = format!("{USAGE} WHERE project = ?1 GROUP BY project");
    db.prepare_cached(&sql)?.query_row([project.0], usage_in).optional()
}

/// What every project with events takes, and the bytes of the file that are free for new events.
pub(super) fn usages(db: &Connection) -> Result<(Vec<ProjectUsage>, u64), rusqlite::Error> {
    let sql = format!("{USAGE} GROUP BY project ORDER BY project");
    let projects = db.prepare_cached(&sql)?.query_map([], usage_in)?.collect::<Result<_, _>>()?;
    let pragma = |name| db.pragma_query_value(None, name, |row| row.get(0)).map(unsigned);
    Ok((projects, pragma("freelist_count")? * pragma("page_size")?))
}
