//! Merges small segments that lie next to each other, so that a window is a few large segments instead of thousands of small
//! ones, and dictionaries of compression are shared by many rows.
//!
//! A merge changes no event: numbers, arrivals and values stay. It is one transaction, so a crash leaves either the small
//! segments or the large one. Reading and encoding happen outside the writer's lock; only the exchange happens under it.

use super::Shared;
use super::group::{SegmentFacts, insert_segment};
use super::project::{signed, unsigned};
use super::read::ReadError;
use super::stored::{self, Stored};
use crate::segment::{Arrivals, Column, ColumnBuilder, Encoded, Encoder, MAX_ROWS};
use rusqlite::Connection;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tidegate_model::ProjectId;

/// Segments of similar size that are worth a merge.
const FAN_IN: usize = 8;
/// Most segments in one merge.
const MOST: usize = 512;
/// Most stored bytes in one merge, so that memory stays bounded when events have many attributes.
const MOST_BYTES: usize = 64 << 20;
/// Sizes, in rows, below which segments count as similar. The last is that of a full block: what a bulk writes in one go is
/// good as it is, and is not worth the cost of being read and written again.
const TIERS: [usize; 5] = [8, 64, 512, 4096, 8_192];

/// Tells the merging thread that there may be work.
pub(super) struct Merger {
    state: Mutex<Waiting>,
    changed: Condvar,
    alone: Mutex<()>,
}

#[derive(Default)]
struct Waiting {
    /// Segments written since the project was last looked at.
    fresh: HashMap<ProjectId, usize>,
    stop: bool,
}

impl Merger {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), alone: Mutex::default() }
    }

    /// While it is held, nobody else exchanges or removes segments. It is taken before the committer, never after.
    pub(super) fn alone(&self) -> MutexGuard<'_, ()> {
        self.alone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes one new segment for each of the projects named.
    pub(super) fn wake(&self, projects: impl Iterator<Item = ProjectId>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for project in projects {
            let fresh = state.fresh.entry(project).or_default();
            *fresh += 1;
            if *fresh >= FAN_IN {
                self.changed.notify_one();
            }
        }
    }

    /// Has every project with segments looked at.
    pub(super) fn wake_all(&self, projects: impl Iterator<Item = ProjectId>) {
        self.wake(projects.flat_map(|project| std::iter::repeat_n(project, FAN_IN)));
    }

    pub(super) fn stop(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        self.changed.notify_all();
    }

    fn stopped(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stop
    }

    fn next(&self) -> Option<ProjectId> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.stop {
                return None;
            }
            let due = state.fresh.iter().find(|(_, fresh)| **fresh >= FAN_IN).map(|(project, _)| *project);
            if let Some(project) = due {
                state.fresh.remove(&project);
                return Some(project);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum MergeError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("compressing a segment: {0}")]
    Compress(#[from] std::io::Error),
}

/// Merges whenever there is something to merge, until the merger is stopped.
pub(super) fn run(shared: &Shared) {
    while let Some(project) = shared.merger.next() {
        while !shared.merger.stopped() {
            match merge_once(shared, project) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(%project, %error, "small segments were not merged; they stay readable as they are");
                    break;
                }
            }
        }
    }
}

struct Small {
    id: i64,
    first_object: u64,
    rows: usize,
    bytes: usize,
    /// Days since the epoch when the last of its events arrived.
    day: i64,
}

/// Events of different days stay apart, so that what is kept by age goes a day late at most.
const MICROS_OF_A_DAY: i64 = 86_400_000_000;

/// Merges one run of segments, if there is one worth it.
pub(super) fn merge_once(shared: &Shared, project: ProjectId) -> Result<bool, MergeError> {
    let _alone = shared.merger.alone();
    let asked = shared.cache.asked(project);
    let merged = shared.readers.snapshot(|db| {
        let segments = candidates(db, project)?;
        let Some(range) = choose(&segments) else { return Ok(None) };
        merge(db, &segments[range], &asked).map(Some)
    });
    let Some(merged) = merged? else { return Ok(false) };
    let committer = shared.committer();
    let id = committer.transaction(|db| {
        let (times, beside_bytes) = facts_of(db, &merged.ids)?;
        for id in &merged.ids {
            db.prepare_cached("DELETE FROM segment WHERE id = ?1")?.execute([id])?;
            stored::delete(db, *id)?;
        }
        let facts = SegmentFacts { first_object: merged.first_object, arrivals: &merged.arrivals, times, beside_bytes };
        insert_segment(db, project, &facts, &merged.encoded)
    });
    let id = id.map_err(MergeError::Sqlite)?;
    if merged.ids.iter().all(|&id| shared.cache.holds(id)) {
        shared.cache.put(id, asked.iter().map(|attribute| (*attribute, merged.columns.get(attribute).cloned())));
        shared.cache.put_arrivals(id, &Arc::new(merged.arrivals));
    }
    shared.cache.remove(&merged.ids);
    drop(committer);
    shared.counters.merges.fetch_add(1, Ordering::Relaxed);
    shared.counters.segments.fetch_sub(merged.ids.len() as u64 - 1, Ordering::Relaxed);
    Ok(true)
}

fn candidates(db: &Connection, project: ProjectId) -> Result<Vec<Small>, rusqlite::Error> {
    let sql = "SELECT id, first_object, rows, data_bytes, last_arrival FROM segment
               WHERE project = ?1 AND rows < ?2 ORDER BY first_object";
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map((project.0, signed(TIERS[TIERS.len() - 1] as u64)), |row| {
        let (rows, bytes): (u32, i64) = (row.get(2)?, row.get(3)?);
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let day = row.get::<_, i64>(4)? / MICROS_OF_A_DAY;
        Ok(Small { id: row.get(0)?, first_object: unsigned(row.get(1)?), rows: rows as usize, bytes, day })
    })?;
    rows.collect()
}

/// The least and the greatest event time of several segments, if each of them has them, and the bytes stored beside them: read
/// with the lock in hand, since an attachment may have come meanwhile.
fn facts_of(db: &Connection, ids: &[i64]) -> Result<(Option<(i64, i64)>, u64), rusqlite::Error> {
    let mut find = db.prepare_cached("SELECT first_time, last_time, beside_bytes FROM segment WHERE id = ?1")?;
    let (mut all, mut beside_bytes) = (None, 0);
    for (place, id) in ids.iter().enumerate() {
        let (first, last, beside): (Option<i64>, Option<i64>, i64) =
            find.query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        beside_bytes += unsigned(beside);
        let times = first.zip(last);
        all = match all.zip(times) {
            Some(((least, greatest), (first, last))) => Some((first.min(least), last.max(greatest))),
            None if place == 0 => times,
            None => None,
        };
    }
    Ok((all, beside_bytes))
}

/// The first run of adjacent segments of similar size that is worth a merge, small ones first.
fn choose(segments: &[Small]) -> Option<Range<usize>> {
    for tier in TIERS {
        let mut start = 0;
        while start < segments.len() {
            let end = run_end(segments, start, tier);
            if end - start >= FAN_IN {
                return Some(start..fitting_end(segments, start, end));
            }
            start = end.max(start + 1);
        }
    }
    None
}

fn follows(before: &Small, after: &Small) -> bool {
    before.day == after.day && before.first_object + before.rows as u64 == after.first_object
}

/// The end of the run of adjacent segments below `tier` rows that begins at `start`.
fn run_end(segments: &[Small], start: usize, tier: usize) -> usize {
    let mut end = start;
    while let Some(segment) = segments.get(end)
        && segment.rows < tier
        && (end == start || follows(&segments[end - 1], segment))
    {
        end += 1;
    }
    end
}

/// As much of the run as fits one segment; two always fit, since none has half of the most rows.
fn fitting_end(segments: &[Small], start: usize, end: usize) -> usize {
    let (mut rows, mut bytes) = (0, 0);
    for (i, segment) in segments.iter().enumerate().take(end).skip(start) {
        rows += segment.rows;
        bytes += segment.bytes;
        if i - start >= 2 && (rows > MAX_ROWS || bytes > MOST_BYTES || i - start >= MOST) {
            return i;
        }
    }
    end
}

struct Merged {
    ids: Vec<i64>,
    first_object: u64,
    arrivals: Arrivals,
    encoded: Encoded,
    /// Those that evaluations asked for.
    columns: HashMap<u32, Arc<Column>>,
}

/// Makes one segment of several, a column at a time.
fn merge(db: &Connection, segments: &[Small], asked: &HashSet<u32>) -> Result<Merged, MergeError> {
    let open = |segment: &Small| Stored::open(db, segment.id)?.ok_or(rusqlite::Error::QueryReturnedNoRows.into());
    let parts = segments.iter().map(open).collect::<Result<Vec<_>, ReadError>>()?;
    let mut arrivals = Arrivals::default();
    let mut uuids = Vec::new();
    for part in &parts {
        arrivals.append(&part.arrivals()?);
        let some = part.uuids()?;
        uuids.extend(if some.is_empty() { vec![None; part.rows()] } else { some });
    }
    let mut encoder = Encoder::new(&arrivals)?;
    encoder.uuids(&uuids)?;
    let attributes: BTreeSet<u32> = parts.iter().flat_map(Stored::attributes).collect();
    let mut columns = HashMap::new();
    for attribute in attributes {
        let (mut builder, mut at) = (ColumnBuilder::default(), 0);
        for part in &parts {
            if let Some(column) = part.column(attribute)? {
                builder.append(at, &column, part.rows());
            }
            at += part.rows();
        }
        let column = builder.finish(at);
        encoder.column(attribute, &column)?;
        if asked.contains(&attribute) {
            columns.insert(attribute, Arc::new(column));
        }
    }
    let ids = segments.iter().map(|segment| segment.id).collect();
    Ok(Merged { ids, first_object: segments[0].first_object, arrivals, encoded: encoder.finish(), columns })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn merging_ends_with_few_segments_that_hold_every_row_once(sizes in prop::collection::vec(1usize..3000, 1..400)) {
            let total: usize = sizes.iter().sum();
            let mut next = 1;
            let mut segments: Vec<Small> = sizes
                .iter()
                .map(|&rows| {
                    next += rows as u64;
                    Small { id: 0, first_object: next - rows as u64, rows, bytes: rows * 50, day: 0 }
                })
                .collect();
            let mut merges = 0;
            while let Some(range) = choose(&segments) {
                prop_assert!(range.len() >= 2);
                let rows: usize = segments[range.clone()].iter().map(|s| s.rows).sum();
                prop_assert!(rows <= MAX_ROWS);
                let first_object = segments[range.start].first_object;
                segments.splice(range, [Small { id: 0, first_object, rows, bytes: rows * 50, day: 0 }]);
                merges += 1;
                prop_assert!(merges <= sizes.len());
            }
            prop_assert_eq!(segments.iter().map(|s| s.rows).sum::<usize>(), total);
            // Between two that are large enough there are fewer small ones than are worth a merge.
            let large = segments.iter().filter(|s| s.rows >= TIERS[TIERS.len() - 1]).count();
            prop_assert!(large <= total / TIERS[TIERS.len() - 1]);
            prop_assert!(segments.len() <= large + (large + 1) * (FAN_IN - 1));
        }
    }

    #[test]
    fn segments_with_a_gap_between_them_are_not_merged() {
        let segment = |i: u64, space, day| Small { id: 0, first_object: i * space, rows: 5, bytes: 100, day };
        let with_gaps: Vec<_> = (0..20).map(|i| segment(i, 10, 0)).collect();
        assert!(choose(&with_gaps).is_none());
        let adjacent: Vec<_> = (0..20).map(|i| segment(i, 5, 0)).collect();
        assert_eq!(choose(&adjacent), Some(0..20));
    }

    #[test]
    fn segments_of_different_days_are_not_merged() {
        let segment = |i: u64| Small { id: 0, first_object: i * 5, rows: 5, bytes: 100, day: i64::from(i >= 7) };
        let week: Vec<_> = (0..20).map(segment).collect();
        assert_eq!(choose(&week), Some(7..20));
    }
}
