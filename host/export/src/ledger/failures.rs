//! Documents that could not be evaluated: why, when they are tried again, and when they are given up.
//!
//! A window of a metric set is one document, and each metric that could not be evaluated with the others is one more. The trap is to
//! tie them together again: the document of the set is sealed without that metric, and is never touched when it comes.

use super::record::{advance, cursor};
use super::{Ledger, LedgerError, micros, signed, window_in};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use tidegate_model::{Instant, MetricSetId, Name, ProjectId, Window};

/// One document of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) set: MetricSetId,
    pub(crate) window: Window,
    /// The series name of the metric that it is of; none for all that could be evaluated together.
    pub(crate) metric: Option<Name>,
}

impl Document {
    /// The one that holds what a set could evaluate together.
    pub(crate) fn of_set(set: MetricSetId, window: Window) -> Self {
        Self { set, window, metric: None }
    }

    /// As it is stored.
    pub(super) fn metric(&self) -> &str {
        self.metric.as_ref().map_or("", Name::as_str)
    }
}

/// A document whose evaluation failed.
#[derive(Clone, Debug)]
pub(crate) struct Failed<'a> {
    pub(crate) project: ProjectId,
    pub(crate) document: Document,
    pub(crate) revision: u64,
    pub(crate) tries: Tries,
    pub(crate) reason: &'a str,
    pub(crate) next_attempt: Instant,
}

/// How often a document was tried in vain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tries {
    pub(crate) attempts: u32,
    /// How many of them the metric itself ended: it took too long, or too much memory.
    pub(crate) stopped: u32,
}

/// The series name of a metric as it is stored with a document.
pub(super) fn metric_in(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Name>> {
    let name: String = row.get(column)?;
    match name.is_empty() {
        true => Ok(None),
        false => Name::new(name).map(Some).map_err(|e| crate::catalog::corrupt(column, e)),
    }
}

/// Puts a failure on record, unless the document was evaluated or given up already.
pub(super) fn insert(t: &Transaction<'_>, failed: &Failed<'_>, now: Instant) -> rusqlite::Result<()> {
    let sql = "INSERT INTO windows (project, metric_set, revision, period, start, metric, state, reason, attempts, stopped, \
               next_attempt, live_rows, recorded) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'failed', ?7, ?8, ?9, ?10, 0, ?11) \
               ON CONFLICT DO UPDATE SET reason = excluded.reason, attempts = excluded.attempts, stopped = excluded.stopped, \
               next_attempt = excluded.next_attempt, recorded = excluded.recorded WHERE state = 'failed'";
    t.prepare_cached(sql)?.execute(params![
        failed.project.0,
        failed.document.set.0,
        signed(failed.revision),
        failed.document.window.period().seconds(),
        signed(failed.document.window.start().seconds()),
        failed.document.metric(),
        failed.reason,
        failed.tries.attempts,
        failed.tries.stopped,
        micros(failed.next_attempt),
        micros(now),
    ])?;
    Ok(())
}

impl Ledger {
    /// Records that the evaluation of a document failed, and when to try again. The cursor moves over it: the windows after it
    /// are not held up, and it stays on record until it is evaluated or given up.
    pub(crate) fn record_failure(&self, failed: &Failed<'_>, now: Instant) -> Result<(), LedgerError> {
        self.db.write(|t| {
            let track = (failed.document.set, failed.document.window.period());
            if cursor(t, track)?.is_none() {
                return Ok(());
            }
            insert(t, failed, now)?;
            advance(t, track)?;
            Ok(())
        })
    }

    /// Has a failed document wait until `next_attempt`; that is no try of it.
    pub(crate) fn put_off(&self, document: &Document, next_attempt: Instant) -> Result<(), LedgerError> {
        self.db.write(|t| {
            let sql = "UPDATE windows SET next_attempt = ?5 \
                       WHERE metric_set = ?1 AND period = ?2 AND start = ?3 AND metric = ?4 AND state = 'failed'";
            let (period, start) = (document.window.period().seconds(), signed(document.window.start().seconds()));
            let key = params![document.set.0, period, start, document.metric(), micros(next_attempt)];
            t.prepare_cached(sql)?.execute(key)?;
            Ok(())
        })
    }

    /// Gives up a document whose evaluation failed for good: expired for all that wanted it.
    pub(crate) fn give_up(&self, document: &Document, reason: &str, now: Instant) -> Result<(), LedgerError> {
        self.db.write(|t| {
            let sql = "UPDATE windows SET state = 'expired', reason = ?5, recorded = ?6 \
                       WHERE metric_set = ?1 AND period = ?2 AND start = ?3 AND metric = ?4 AND state = 'failed'";
            let (period, start) = (document.window.period().seconds(), signed(document.window.start().seconds()));
            let key = params![document.set.0, period, start, document.metric(), reason, micros(now)];
            if t.execute(sql, key)? == 0 {
                return Ok(());
            }
            let sql = "INSERT OR IGNORE INTO deliveries (store, window, window_end, state, problem, updated) \
                       SELECT l.store, w.id, w.start + w.period, 'expired', ?5, ?6 FROM windows w JOIN links l \
                       ON l.metric_set = w.metric_set AND l.period = w.period AND l.since <= w.start \
                       AND (l.until IS NULL OR w.start < l.until) JOIN stores s ON s.id = l.store AND s.deleted IS NULL AND NOT s.pull \
                       WHERE w.metric_set = ?1 AND w.period = ?2 AND w.start = ?3 AND w.metric = ?4 RETURNING store";
            let mut statement = t.prepare(sql)?;
            let stores: Vec<i64> = statement.query_map(key, |row| row.get(0))?.collect::<Result<_, _>>()?;
            for store in stores {
                super::deliveries::count(t, store, "expired", 1, 0, 0)?;
            }
            Ok(())
        })
    }

    /// Documents of a project whose evaluation failed and is due again, oldest first.
    pub(crate) fn failed_due(
        &self,
        project: ProjectId,
        now: Instant,
        most: u32,
    ) -> Result<Vec<(Document, Tries)>, LedgerError> {
        self.db.read(|c| {
            // A clock that was set back must not put the next try off: it is at most an hour away when it is set.
            let sql = "SELECT metric_set, start, period, metric, attempts, stopped FROM windows WHERE state = 'failed' AND project = ?1 \
                       AND (next_attempt <= ?2 OR next_attempt > ?2 + 3600000000) ORDER BY start, metric LIMIT ?3";
            let mut statement = c.prepare_cached(sql)?;
            let rows = statement.query_map(params![project.0, micros(now), most], |row| {
                let (set, window, metric) = (MetricSetId(row.get(0)?), window_in(row, 1, 2)?, metric_in(row, 3)?);
                Ok((Document { set, window, metric }, Tries { attempts: row.get(4)?, stopped: row.get(5)? }))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Tries of a document that failed so far.
    pub(crate) fn tries(&self, document: &Document) -> Result<Tries, LedgerError> {
        self.db.read(|c| {
            let sql = "SELECT attempts, stopped FROM windows WHERE metric_set = ?1 AND period = ?2 AND start = ?3 AND metric = ?4";
            let (period, start) = (document.window.period().seconds(), signed(document.window.start().seconds()));
            let tries = |row: &Row<'_>| Ok(Tries { attempts: row.get(0)?, stopped: row.get(1)? });
            let key = params![document.set.0, period, start, document.metric()];
            Ok(c.prepare_cached(sql)?.query_row(key, tries).optional()?.unwrap_or_default())
        })
    }

    /// Projects with a failed document that is due again.
    pub(crate) fn projects_to_retry(&self, now: Instant) -> Result<Vec<ProjectId>, LedgerError> {
        self.db.read(|c| {
            let sql = "SELECT DISTINCT project FROM windows WHERE state = 'failed' \
                       AND (next_attempt <= ?1 OR next_attempt > ?1 + 3600000000)";
            let mut statement = c.prepare_cached(sql)?;
            let rows = statement.query_map([micros(now)], |row| Ok(ProjectId(row.get(0)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}
