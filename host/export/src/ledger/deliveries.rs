//! The queue of each store, and what became of its deliveries.

use super::record::unpack_checked;
use super::{Ledger, LedgerError, micros, signed, unsigned};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tidegate_model::{Batch, Instant, StoreId};

/// Most groups of rejected rows that a delivery keeps by name.
const MAX_REJECTIONS: usize = 20;
/// A next try further away than this was set by a clock that has since been set back.
const MAX_WAIT_MICROS: i64 = 3_600_000_000;

/// The delivery whose turn it is.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) delivery: i64,
    pub(crate) batch: Arc<Batch>,
    /// Tries that failed before.
    pub(crate) attempts: u32,
    /// From when on it was to be tried.
    pub(crate) planned: Instant,
}

/// The head of a store's queue.
#[derive(Clone, Debug)]
pub(crate) enum Next {
    /// To be delivered.
    Job(Job),
    /// It was damaged, and is given up for this reason; there may be more behind it.
    Damaged(String),
    /// Nothing is due before this time, if there is anything at all.
    Nothing(Option<Instant>),
}

/// What waits for a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Queue {
    pub(crate) store: StoreId,
    /// `project/store`.
    pub(crate) name: String,
    pub(crate) windows: u64,
    /// Bytes of the batches, as stored.
    pub(crate) bytes: u64,
    /// End of the oldest window.
    pub(crate) oldest: Instant,
}

/// What the first request of a delivery was, and who made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FirstAction {
    pub(crate) digest: [u8; 32],
    /// Rows of the part that it carries.
    pub(crate) rows: u64,
    pub(crate) adapter: [u8; 32],
    pub(crate) settings_revision: u64,
}

/// Rows that were refused for good, as they are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RowRejection {
    pub(crate) metric: String,
    /// The labels of the first of them.
    pub(crate) series: String,
    pub(crate) rows: u64,
    pub(crate) reason: String,
}

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finished {
    /// Rows that were accepted; of the others, who and why.
    Confirmed { accepted: u64, rejected: u64, rejections: Vec<RowRejection> },
    /// Nothing of it was accepted.
    Rejected { reason: String, rejected: u64, rejections: Vec<RowRejection> },
}

impl Finished {
    fn state(&self) -> &'static str {
        match self {
            Self::Confirmed { .. } => "confirmed",
            Self::Rejected { .. } => "rejected",
        }
    }
}

/// Adds to what became of a store's deliveries in all.
pub(super) fn count(
    t: &Connection,
    store: i64,
    state: &str,
    windows: i64,
    accepted: i64,
    rejected: i64,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO delivery_sums (store, state, windows, accepted_rows, rejected_rows) VALUES (?1, ?2, ?3, ?4, ?5) \
               ON CONFLICT DO UPDATE SET windows = windows + excluded.windows, \
               accepted_rows = accepted_rows + excluded.accepted_rows, rejected_rows = rejected_rows + excluded.rejected_rows";
    t.prepare_cached(sql)?.execute(params![store, state, windows, accepted, rejected])?;
    Ok(())
}

impl Ledger {
    /// The oldest queued delivery of a store that is due. Windows that end after `latest` wait: nothing is sent that is
    /// stamped in the future.
    /// One that ended after `live` goes before all others: who looks at a graph after an outage wants to see what is now first.
    /// A delivery whose batch is damaged is given up on the way, so that it does not block those behind it.
    pub(crate) fn next_job(
        &self,
        store: StoreId,
        now: Instant,
        latest: Instant,
        live: Instant,
    ) -> Result<Next, LedgerError> {
        let found = self.db.read(|c| {
            let sql = "SELECT d.id, w.batch, d.attempts, w.digest, d.next_attempt FROM deliveries d JOIN windows w ON w.id = d.window \
                       WHERE d.store = ?1 AND d.state = 'queued' AND (d.next_attempt <= ?2 OR d.next_attempt > ?2 + ?4) \
                       AND d.window_end <= ?3 AND d.window_end > ?5 ORDER BY d.window_end, d.id LIMIT 1";
            let mut statement = c.prepare_cached(sql)?;
            let mut after = |after: i64| {
                let key = params![store.0, micros(now), signed(latest.seconds()), MAX_WAIT_MICROS, after];
                let row = statement.query_row(key, |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, Option<Vec<u8>>>(1)?, row.get::<_, u32>(2)?, row.get(3)?, row.get::<_, i64>(4)?))
                });
                row.optional()
            };
            let found = match after(signed(live.seconds()))? {
                Some(live) => Some(live),
                None => after(i64::MIN)?,
            };
            if found.is_some() {
                return Ok((found, None));
            }
            let sql = "SELECT min(max(next_attempt, window_end * 1000000)) FROM deliveries WHERE store = ?1 AND state = 'queued'";
            let next: Option<i64> = c.prepare_cached(sql)?.query_row([store.0], |row| row.get(0))?;
            Ok::<_, LedgerError>((None, next.map(|micros| Instant::from_micros(unsigned(micros)))))
        })?;
        let (found, next) = found;
        let Some((delivery, packed, attempts, digest, planned)) = found else { return Ok(Next::Nothing(next)) };
        let digest: Option<Vec<u8>> = digest;
        let missing = || LedgerError::Damaged("a queued delivery without its batch".to_owned());
        match packed.ok_or_else(missing).and_then(|packed| unpack_checked(&packed, digest.as_deref())) {
            Ok(batch) => {
                Ok(Next::Job(Job { delivery, batch, attempts, planned: Instant::from_micros(unsigned(planned)) }))
            }
            Err(LedgerError::Damaged(what)) => {
                let reason = format!("its record in the ledger is damaged: {what}");
                self.expire_one(delivery, &reason, now)?;
                Ok(Next::Damaged(reason))
            }
            Err(other) => Err(other),
        }
    }

    fn expire_one(&self, delivery: i64, reason: &str, now: Instant) -> Result<(), LedgerError> {
        self.db.write(|t| {
            let sql = "UPDATE deliveries SET state = 'expired', problem = ?2, updated = ?3 \
                       WHERE id = ?1 AND state = 'queued' RETURNING store";
            let store: Option<i64> = t
                .prepare_cached(sql)?
                .query_row(params![delivery, reason, micros(now)], |row| row.get(0))
                .optional()?;
            if let Some(store) = store {
                count(t, store, "expired", 1, 0, 0)?;
            }
            Ok(())
        })
    }

    /// What waits in the queues of all stores that have one.
    pub(crate) fn queues(&self) -> Result<Vec<Queue>, LedgerError> {
        self.db.read(|c| {
            let sql = "SELECT s.id, p.name || '/' || s.name, count(*), coalesce(sum(length(w.batch)), 0), min(d.window_end) \
                       FROM deliveries d JOIN stores s ON s.id = d.store JOIN projects p ON p.id = s.project \
                       JOIN windows w ON w.id = d.window WHERE d.state = 'queued' GROUP BY d.store";
            let mut statement = c.prepare_cached(sql)?;
            let queue = |row: &rusqlite::Row<'_>| {
                Ok(Queue {
                    store: StoreId(row.get(0)?),
                    name: row.get(1)?,
                    windows: unsigned(row.get(2)?),
                    bytes: unsigned(row.get(3)?),
                    oldest: Instant::from_seconds(unsigned(row.get(4)?)),
                })
            };
            Ok(statement.query_map([], queue)?.collect::<Result<_, _>>()?)
        })
    }

    /// Expires the oldest windows of a store's queue until it holds at most `most` bytes. Tells how many that were.
    pub(crate) fn shed(&self, store: StoreId, most: u64, now: Instant) -> Result<u64, LedgerError> {
        let reason = format!("the store's queue held more than {most} bytes, and its oldest windows made room");
        self.db.write(|t| {
            let sql = "UPDATE deliveries SET state = 'expired', updated = ?3, \
                       problem = ?4 || coalesce('; the last problem was: ' || coalesce(problem, ?5), '') \
                       WHERE id IN (SELECT id FROM (SELECT d.id AS id, sum(length(w.batch)) \
                       OVER (ORDER BY d.window_end DESC, d.id DESC) AS kept FROM deliveries d JOIN windows w ON w.id = d.window \
                       WHERE d.store = ?1 AND d.state = 'queued') WHERE kept > ?2)";
            let key = params![store.0, signed(most), micros(now), reason, last_problem(t, store)?];
            let expired = t.prepare_cached(sql)?.execute(key)?;
            count_expired(t, store, expired)?;
            Ok(expired as u64)
        })
    }

    /// The stores that have something in their queues.
    pub(crate) fn waiting(&self) -> Result<Vec<StoreId>, LedgerError> {
        self.db.read(|c| {
            let mut statement = c.prepare_cached("SELECT DISTINCT store FROM deliveries WHERE state = 'queued'")?;
            Ok(statement.query_map([], |row| Ok(StoreId(row.get(0)?)))?.collect::<Result<_, _>>()?)
        })
    }

    /// Records the end of a delivery.
    #[cfg(test)]
    pub(crate) fn finish(&self, delivery: i64, finished: &Finished, now: Instant) -> Result<(), LedgerError> {
        self.db.write(|t| finish(t, delivery, finished, now)).map(drop)
    }

    /// Records a try that failed, and when the next one is due.
    #[cfg(test)]
    pub(crate) fn try_later(
        &self,
        delivery: i64,
        problem: &str,
        next: Instant,
        now: Instant,
    ) -> Result<(), LedgerError> {
        self.db.write(|t| try_later(t, delivery, problem, next, now))
    }

    /// Makes every queued delivery of a store due at once, whatever its last try came to.
    pub(crate) fn retry_now(&self, store: StoreId) -> Result<(), LedgerError> {
        self.db.write(|t| {
            let sql =
                "UPDATE deliveries SET next_attempt = 0 WHERE store = ?1 AND state = 'queued' AND next_attempt > 0";
            t.prepare_cached(sql)?.execute([store.0])?;
            Ok(())
        })
    }

    /// Expires what is queued for a store and ends at `horizon` or before. Tells how many that were.
    pub(crate) fn expire(
        &self,
        store: StoreId,
        horizon: Instant,
        reason: &str,
        now: Instant,
    ) -> Result<u64, LedgerError> {
        let due = self.db.read(|c| {
            let sql =
                "SELECT EXISTS (SELECT 1 FROM deliveries WHERE store = ?1 AND state = 'queued' AND window_end <= ?2)";
            let key = params![store.0, signed(horizon.seconds())];
            Ok::<_, LedgerError>(c.prepare_cached(sql)?.query_row(key, |row| row.get::<_, bool>(0))?)
        })?;
        if !due {
            return Ok(0);
        }
        self.db.write(|t| {
            let sql = "UPDATE deliveries SET state = 'expired', updated = ?4, \
                       problem = ?3 || coalesce('; the last problem was: ' || coalesce(problem, ?5), '') \
                       WHERE store = ?1 AND state = 'queued' AND window_end <= ?2";
            let key = params![store.0, signed(horizon.seconds()), reason, micros(now), last_problem(t, store)?];
            let expired = t.prepare_cached(sql)?.execute(key)?;
            count_expired(t, store, expired)?;
            Ok(expired as u64)
        })
    }
}

/// What stood in the way of a store last, as far as its queue knows. While a sink takes nothing, most windows that wait were never
/// tried by themselves, and the reason is the same for all of them.
fn last_problem(t: &Transaction<'_>, store: StoreId) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT problem FROM deliveries WHERE store = ?1 AND state = 'queued' AND problem IS NOT NULL ORDER BY updated DESC LIMIT 1";
    t.prepare_cached(sql)?.query_row([store.0], |row| row.get(0)).optional()
}

fn count_expired(t: &Transaction<'_>, store: StoreId, expired: usize) -> rusqlite::Result<()> {
    count(t, store.0, "expired", i64::try_from(expired).unwrap_or(i64::MAX), 0, 0)
}

/// Notes the first request of a delivery before it is sent. If an earlier try under the same adapter and settings made another
/// one, that one is returned, and nothing may be sent.
pub(crate) fn note_first_action(
    t: &Transaction<'_>,
    delivery: i64,
    first: &FirstAction,
) -> Result<Option<[u8; 32]>, LedgerError> {
    let (rows, revision) = (signed(first.rows), signed(first.settings_revision));
    let values = params![delivery, first.digest, rows, first.adapter, revision];
    let set = "UPDATE deliveries SET action_digest = ?2, action_rows = ?3, adapter_digest = ?4, settings_revision = ?5 WHERE id = ?1";
    // Most of the time it is the first try.
    if t.prepare_cached(&format!("{set} AND action_digest IS NULL"))?.execute(values)? == 1 {
        return Ok(None);
    }
    let sql = "SELECT action_digest, action_rows, adapter_digest, settings_revision FROM deliveries \
               WHERE id = ?1 AND action_digest IS NOT NULL";
    let known = t.prepare_cached(sql)?.query_row([delivery], |row| {
        Ok(FirstAction {
            digest: row.get(0)?,
            rows: unsigned(row.get(1)?),
            adapter: row.get(2)?,
            settings_revision: unsigned(row.get(3)?),
        })
    });
    match known.optional()? {
        Some(known) if known == *first => return Ok(None),
        Some(known) if (FirstAction { digest: first.digest, ..known.clone() }) == *first => {
            return Ok(Some(known.digest));
        }
        _ => {}
    }
    t.prepare_cached(set)?.execute(values)?;
    Ok(None)
}

/// Records the end of a delivery. Tells whether the store has others in its queue.
pub(crate) fn finish(
    t: &Transaction<'_>,
    delivery: i64,
    finished: &Finished,
    now: Instant,
) -> Result<bool, LedgerError> {
    let (accepted, rejected, rejections, reason) = match finished {
        Finished::Confirmed { accepted, rejected, rejections } => (*accepted, *rejected, rejections, None),
        Finished::Rejected { reason, rejected, rejections } => (0, *rejected, rejections, Some(reason)),
    };
    let kept = &rejections[..rejections.len().min(MAX_REJECTIONS)];
    let kept = if kept.is_empty() { None } else { serde_json::to_string(kept).ok() };
    let sql = "UPDATE deliveries SET state = ?2, problem = ?3, accepted_rows = ?4, rejected_rows = ?5, \
               rejections = ?6, attempts = attempts + 1, updated = ?7 WHERE id = ?1 AND state = 'queued' RETURNING store";
    let (accepted, rejected) = (signed(accepted), signed(rejected));
    let values = params![delivery, finished.state(), reason, accepted, rejected, kept, micros(now)];
    let store: Option<i64> = t.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional()?;
    // None if the store was deleted in the meantime: that is on record already.
    let Some(store) = store else { return Ok(true) };
    count(t, store, finished.state(), 1, accepted, rejected)?;
    let sql = "SELECT EXISTS (SELECT 1 FROM deliveries WHERE store = ?1 AND state = 'queued')";
    Ok(t.prepare_cached(sql)?.query_row([store], |row| row.get(0))?)
}

/// Keeps with a delivery that arrived what is to be known of it all the same.
pub(crate) fn note_of(t: &Transaction<'_>, delivery: i64, note: &str) -> Result<(), LedgerError> {
    let sql = "UPDATE deliveries SET problem = ?2 WHERE id = ?1 AND state = 'confirmed'";
    t.prepare_cached(sql)?.execute(params![delivery, note])?;
    Ok(())
}

/// Records a try that failed, and when the next one is due.
pub(crate) fn try_later(
    t: &Transaction<'_>,
    delivery: i64,
    problem: &str,
    next: Instant,
    now: Instant,
) -> Result<(), LedgerError> {
    let sql = "UPDATE deliveries SET attempts = attempts + 1, problem = ?2, next_attempt = ?3, updated = ?4 \
               WHERE id = ?1 AND state = 'queued'";
    t.prepare_cached(sql)?.execute(params![delivery, problem, micros(next), micros(now)])?;
    Ok(())
}
