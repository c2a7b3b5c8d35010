//! How long batches and records are kept.
//!
//! A batch is needed until every store has it, and the newest of each set for pull pages. After that it is kept for a while to
//! look at, then only the fact that it was remains, and one day that goes too; what deliveries came to in all is never forgotten.

use super::{Ledger, LedgerError, micros, signed, unsigned};
use rusqlite::params;
use tidegate_model::{Instant, ProjectId};

/// Rows that one transaction removes, so that nobody waits long for the connection.
const AT_ONCE: i64 = 500;

/// How far back things are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Horizons {
    /// Batches of windows that start before this go.
    pub(crate) batches: Instant,
    /// Records of windows that start before this go.
    pub(crate) records: Instant,
}

const NOT_QUEUED: &str = "NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.window = windows.id AND d.state = 'queued')";
const NOT_NEWEST: &str = "EXISTS (SELECT 1 FROM windows n WHERE n.metric_set = windows.metric_set \
                          AND n.period = windows.period AND n.start > windows.start AND n.state = 'evaluated')";

/// For each claim of a store on windows of a set: the first that is not on record. And the windows whose evaluation failed.
const OWED: &str = "
    SELECT min(first) FROM (
        SELECT max(l.since, coalesce(c.next_start, 0)) AS first, l.until AS until
        FROM links l
        JOIN metric_sets m ON m.id = l.metric_set AND m.project = ?1
        JOIN stores s ON s.id = l.store AND s.deleted IS NULL
        LEFT JOIN cursors c ON c.metric_set = l.metric_set AND c.period = l.period
        UNION ALL
        SELECT start, NULL FROM windows WHERE project = ?1 AND state = 'failed'
    ) WHERE until IS NULL OR first < until";

impl Ledger {
    /// The oldest moment from which on events of a project are owed to a store: they lie in windows that will be evaluated,
    /// now or later. None if no store gets anything of the project. A window on record needs its events no more, delivered or
    /// not: its batch is kept with it.
    pub(crate) fn owed_since(&self, project: ProjectId) -> Result<Option<Instant>, LedgerError> {
        self.db.read(|c| {
            let first: Option<i64> = c.prepare_cached(OWED)?.query_row([project.0], |row| row.get(0))?;
            Ok(first.map(|first| Instant::from_seconds(unsigned(first))))
        })
    }

    /// Removes what is past its horizon and needed by nobody. Tells how many batches and records went.
    pub(crate) fn prune(&self, horizons: Horizons) -> Result<(usize, usize), LedgerError> {
        let batches = format!(
            "UPDATE windows SET batch = NULL WHERE id IN (SELECT id FROM windows WHERE batch IS NOT NULL \
             AND start < ?1 AND {NOT_QUEUED} AND {NOT_NEWEST} LIMIT ?2)"
        );
        let records = format!(
            "DELETE FROM windows WHERE id IN (SELECT id FROM windows WHERE start < ?1 AND batch IS NULL \
             AND state <> 'failed' AND {NOT_QUEUED} LIMIT ?2)"
        );
        let pruned = (self.until_done(&batches, horizons.batches)?, self.until_done(&records, horizons.records)?);
        self.db.write(|t| {
            t.execute("DELETE FROM gaps WHERE recorded < ?1", [micros(horizons.records)])?;
            // Claims that have ended, and whose windows are all on record.
            let ended = "DELETE FROM links WHERE until <= (SELECT c.next_start FROM cursors c \
                         WHERE c.metric_set = links.metric_set AND c.period = links.period)";
            t.execute(ended, [])?;
            Ok::<_, LedgerError>(())
        })?;
        Ok(pruned)
    }

    fn until_done(&self, sql: &str, before: Instant) -> Result<usize, LedgerError> {
        let mut done = 0;
        loop {
            let step =
                || self.db.write(|t| Ok::<_, LedgerError>(t.execute(sql, params![signed(before.seconds()), AT_ONCE])?));
            let removed = step()?;
            done += removed;
            if removed == 0 {
                return Ok(done);
            }
        }
    }
}
