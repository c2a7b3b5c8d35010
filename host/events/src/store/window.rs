//! The events of a window, for the evaluator: which segments, which rows of them, and their columns, from memory or from disk.
//!
//! A window of moderate size is loaded whole, and its columns, coded as the evaluator wants them, stay in the cache: the next
//! query on the window finds them there. A larger one is read in pieces that fit the memory that the evaluation may take.
//! The trap is the window that changes: until it is sealed events arrive in it, and a merge puts its events into another
//! segment. So what is kept goes by the segments that it was made of, whose ids are never given twice.

use super::cache::KeptWindow;
use super::project::{signed, unsigned};
use super::read::ReadError;
use super::stored::Stored;
use super::{Shared, group};
use crate::evaluate::{Chunk, Coded, Evaluation, Piece, Texts};
use crate::segment::{Arrivals, Column};
use crate::source::{EvaluationLimits, MetricSpec, SourceError};
use rusqlite::{Connection, OptionalExtension};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use tidegate_model::{MetricBatch, ProjectId, Window};

/// Most rows that are evaluated at a time. Windows of no more are kept in memory.
const CHUNK_ROWS: usize = 1 << 20;
/// Memory that a row of an attribute takes while it is evaluated, at most: its kind, bits, number, local, class and group.
const CELL_BYTES: usize = 32;

/// An attribute that an evaluation uses: its row id, and the first code that no text has.
#[derive(Clone, Copy)]
pub(super) struct Known {
    id: u32,
    next_code: u32,
}

/// The dictionaries of some attributes as of one moment.
pub(super) struct SnapshotTexts<'a> {
    pub(super) shared: &'a Shared,
    pub(super) db: &'a Connection,
    pub(super) attributes: Vec<Option<Known>>,
}

impl SnapshotTexts<'_> {
    /// The row id of the attribute of a slot.
    pub(super) fn id(&self, slot: usize) -> Option<u32> {
        self.attributes[slot].map(|known| known.id)
    }
}

impl Texts for SnapshotTexts<'_> {
    fn codes(&self, slot: usize) -> u32 {
        self.attributes[slot].map_or(1, |known| known.next_code)
    }

    fn code(&self, slot: usize, text: &str) -> Result<Option<u32>, SourceError> {
        let Some(known) = self.attributes[slot] else { return Ok(None) };
        let code = match self.shared.texts.code(&super::texts::Draft::default(), known.id, text) {
            Some(code) => Some(code),
            None => group::stored_code(self.db, known.id, text).map_err(ReadError::from)?,
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

/// The segments with events of the window, in the order of arrival.
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

/// The attributes of these names, where there are any.
pub(super) fn known(
    db: &Connection,
    project: ProjectId,
    names: &[String],
) -> Result<Vec<Option<Known>>, rusqlite::Error> {
    let mut find = db.prepare_cached("SELECT id, next_code FROM attribute WHERE project = ?1 AND name = ?2")?;
    let find = |name: &String| {
        find.query_row((project.0, name), |row| Ok(Known { id: row.get(0)?, next_code: row.get(1)? })).optional()
    };
    names.iter().map(find).collect()
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
    let rows = segments.iter().map(|segment| segment.rows as usize).sum();
    Scan { shared, db, project, window, limits, segments, rows }.evaluate(metrics)
}

/// The events of a window in one snapshot of the database.
struct Scan<'a> {
    shared: &'a Shared,
    db: &'a Connection,
    project: ProjectId,
    window: Window,
    limits: &'a EvaluationLimits,
    segments: Vec<Segment>,
    /// Rows of these segments, inside the window or not.
    rows: usize,
}

impl Scan<'_> {
    /// In one pass, or in several if that takes too much memory or too long.
    fn evaluate(&self, metrics: &[MetricSpec]) -> Result<Vec<MetricBatch>, ReadError> {
        match self.pass(metrics) {
            Err(ReadError::Source(SourceError::Time { metric, .. })) if metrics.len() > 1 => {
                let slow = metrics.iter().position(|spec| spec.name.as_str() == metric).unwrap_or(0);
                // It alone, and first: if that takes too long as well, the others need not wait for each other to know.
                let batch = self.evaluate(&metrics[slow..=slow])?;
                let mut batches = self.evaluate(&[&metrics[..slow], &metrics[slow + 1..]].concat())?;
                batches.splice(slow..slow, batch);
                Ok(batches)
            }
            Err(ReadError::Source(SourceError::Memory { .. })) if metrics.len() > 1 => {
                let (some, others) = metrics.split_at(metrics.len() / 2);
                let mut batches = self.evaluate(some)?;
                batches.extend(self.evaluate(others)?);
                Ok(batches)
            }
            done => done,
        }
    }

    fn pass(&self, metrics: &[MetricSpec]) -> Result<Vec<MetricBatch>, ReadError> {
        let evaluation = Evaluation::new(metrics, self.limits)?;
        let attributes = known(self.db, self.project, evaluation.attributes())?;
        let asked: Vec<u32> = attributes.iter().flatten().map(|known| known.id).collect();
        self.shared.cache.ask(self.project, &asked);
        let texts = SnapshotTexts { shared: self.shared, db: self.db, attributes };
        // A quarter, since the states of the metrics and the columns as they are stored take memory, too.
        let fitting = self.limits.memory / 4 / (CELL_BYTES * texts.attributes.len().max(1));
        if self.rows <= fitting.min(CHUNK_ROWS) {
            self.whole(evaluation, &texts)
        } else {
            self.in_pieces(evaluation, &texts, fitting.min(CHUNK_ROWS))
        }
    }

    /// All rows at once, with the columns that are in memory already.
    fn whole(&self, mut evaluation: Evaluation, texts: &SnapshotTexts<'_>) -> Result<Vec<MetricBatch>, ReadError> {
        let cache = &self.shared.cache;
        let same = |kept: &Arc<KeptWindow>| kept.segments.iter().copied().eq(self.segments.iter().map(|s| s.id));
        let kept = cache.window(self.project, self.window).filter(same);
        let mut columns: HashMap<u32, Arc<Coded>> = kept.as_ref().map(|k| k.columns.clone()).unwrap_or_default();
        let ids = || texts.attributes.iter().map(|known| known.map(|known| known.id));
        let adopted = ids().enumerate().filter_map(|(slot, id)| Some((slot, columns.get(&id?)?)));
        cache.count_hits(adopted.filter(|(slot, column)| evaluation.adopt(*slot, column)).count());
        let wanted: Vec<bool> = (0..texts.attributes.len()).map(|slot| evaluation.wants(slot)).collect();
        let (mut chunk, mut rows) = (Chunk::default(), Vec::with_capacity(self.segments.len()));
        for (place, segment) in self.segments.iter().enumerate() {
            let inside = kept.as_ref().and_then(|kept| kept.rows.get(place).cloned());
            let piece = self.piece(segment, inside, &wanted, texts, true)?;
            rows.push(piece.rows.clone());
            chunk.push(piece);
        }
        evaluation.push(&chunk, texts)?;
        let ids: Vec<Option<u32>> = ids().collect();
        columns.extend(evaluation.share().into_iter().filter_map(|(slot, column)| Some((ids[slot]?, column))));
        let batches = evaluation.finish(self.limits, texts)?;
        let segments = self.segments.iter().map(|segment| segment.id).collect();
        cache.put_window(self.project, KeptWindow { window: self.window, segments, rows, columns });
        Ok(batches)
    }

    /// About `most` rows after the other.
    fn in_pieces(
        &self,
        mut evaluation: Evaluation,
        texts: &SnapshotTexts<'_>,
        most: usize,
    ) -> Result<Vec<MetricBatch>, ReadError> {
        let wanted: Vec<bool> = (0..texts.attributes.len()).map(|slot| evaluation.wants(slot)).collect();
        // A scan that would push out most of what is in memory leaves it alone.
        let columns = wanted.iter().filter(|wanted| **wanted).count();
        let keep = self.rows.saturating_mul(columns * 8) <= self.shared.options.cache_bytes / 2;
        let mut chunk = Chunk::default();
        for segment in &self.segments {
            let piece = self.piece(segment, None, &wanted, texts, keep)?;
            if chunk.rows() > 0 && chunk.rows() + piece.rows.len() > most {
                evaluation.push(&std::mem::take(&mut chunk), texts)?;
            }
            chunk.push(piece);
        }
        evaluation.push(&chunk, texts)?;
        Ok(evaluation.finish(self.limits, texts)?)
    }

    /// The rows of a segment that belong to the window (`inside` if that is known), with the columns wanted: from memory, or
    /// from disk and then, to `keep`, in memory.
    fn piece(
        &self,
        segment: &Segment,
        inside: Option<Range<usize>>,
        wanted: &[bool],
        texts: &SnapshotTexts<'_>,
        keep: bool,
    ) -> Result<Piece, ReadError> {
        let cache = &self.shared.cache;
        let slots = || texts.attributes.iter().zip(wanted).map(|(known, wanted)| known.filter(|_| *wanted));
        let ids: Vec<u32> = slots().flatten().map(|known| known.id).collect();
        let mut found = if ids.is_empty() { Vec::new() } else { cache.get(segment.id, &ids) };
        let cut = segment.cut && inside.is_none();
        let mut arrivals = if cut { cache.arrivals(segment.id) } else { None };
        if found.iter().any(Option::is_none) || (cut && arrivals.is_none()) {
            let none = || SourceError::Corrupt(format!("segment {} has no data", segment.id));
            let stored = Stored::open(self.db, segment.id)?.ok_or_else(none)?;
            if stored.rows() != segment.rows as usize {
                let told = format!("segment {} has another number of events", segment.id);
                return Err(SourceError::Corrupt(told).into());
            }
            if cut {
                let decoded = Arc::new(stored.arrivals()?);
                cache.put_arrivals(segment.id, &decoded);
                arrivals = Some(decoded);
            }
            let mut decoded = Vec::new();
            for (column, &id) in found.iter_mut().zip(&ids).filter(|(column, _)| column.is_none()) {
                let column = column.insert(stored.column(id)?.map(Arc::new));
                decoded.push((id, column.clone()));
            }
            if keep {
                cache.put(segment.id, decoded);
            }
        }
        let rows = inside.unwrap_or_else(|| rows_inside(segment, arrivals.as_deref(), self.window));
        let first_object = segment.first_object + rows.start as u64;
        let mut found = found.into_iter().map(Option::flatten);
        let columns: Vec<Option<Arc<Column>>> =
            slots().map(|known| known.and_then(|_| found.next().flatten())).collect();
        Ok(Piece { rows, first_object, columns })
    }
}

fn rows_inside(segment: &Segment, arrivals: Option<&Arrivals>, window: Window) -> Range<usize> {
    let inside = match arrivals {
        Some(arrivals) => arrivals.between(window.start(), window.end()),
        None => 0..segment.rows,
    };
    inside.start as usize..inside.end as usize
}
