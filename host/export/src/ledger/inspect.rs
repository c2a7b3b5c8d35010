//! The ledger as people look at it: what is owed to whom, what was lost and why, what became of one window.

use super::record::unpack_checked;
use super::{Ledger, LedgerError, unsigned};
use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;
use serde_json::Value as Json;
use std::sync::Arc;
use tidegate_model::{Batch, MetricSetId, Name, Period, ProjectId, StoreId, Window};

/// Most lost windows that one look tells of.
const MOST_LOST: u32 = 10_000;

/// What a push store is owed. Times are seconds since the epoch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoreLedger {
    /// The project.
    pub project: String,
    /// The store.
    pub store: String,
    /// Its period in seconds.
    pub period: u32,
    /// End of the oldest window that waits for it.
    pub oldest_undelivered: Option<u64>,
    /// Windows that wait.
    pub queued: u64,
    /// Bytes of them, as stored.
    pub queued_bytes: u64,
    /// Windows that arrived, of which nothing was accepted, that are lost; since it was made.
    pub confirmed: u64,
    /// As above.
    pub rejected: u64,
    /// As above.
    pub expired: u64,
    /// What the last try of the oldest one came to.
    pub problem: Option<String>,
}

/// Windows in a row that a store will never get, for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The project.
    pub project: String,
    /// The store.
    pub store: String,
    /// The metric set; none if it was deleted.
    pub metric_set: Option<String>,
    /// The metric, if it alone is missing: the others of its set were evaluated without it.
    pub metric: Option<String>,
    /// The period in seconds.
    pub period: u64,
    /// Start of the first window.
    pub start: u64,
    /// End of the last window.
    pub end: u64,
    /// How many there are.
    pub windows: u64,
    /// `expired` or `rejected`.
    pub outcome: String,
    /// Why.
    pub reason: String,
}

/// One document of a window, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WindowRecord {
    /// The metric that it is of; none for what the set could evaluate together.
    pub metric: Option<String>,
    /// The metric set's revision that it was evaluated with.
    pub revision: u64,
    /// The period in seconds.
    pub period: u64,
    /// Its start.
    pub start: u64,
    /// Its end: the stamp that sinks get.
    pub end: u64,
    /// `evaluated`, `failed` (and tried again) or `expired`.
    pub state: String,
    /// Why it failed or expired.
    pub reason: Option<String>,
    /// Evaluations.
    pub attempts: u64,
    /// Rows with values in it.
    pub rows: u64,
    /// SHA-256 of the batch.
    pub digest: Option<String>,
    /// Whether the batch is still kept: it can be replayed.
    pub kept: bool,
    /// When it was recorded, in microseconds.
    pub recorded: u64,
    /// Each store's delivery of it.
    pub deliveries: Vec<DeliveryRecord>,
}

/// One store's delivery of a window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeliveryRecord {
    /// The store.
    pub store: String,
    /// `queued`, `confirmed`, `rejected` or `expired`.
    pub state: String,
    /// Tries.
    pub attempts: u64,
    /// What is or was wrong; of one that arrived, what is to be known of it all the same.
    pub problem: Option<String>,
    /// Rows that arrived.
    pub accepted_rows: u64,
    /// Rows that were refused for good.
    pub rejected_rows: u64,
    /// Which rows, and why.
    pub rejections: Json,
    /// SHA-256 of the first request.
    pub request: Option<String>,
    /// When this was recorded, in microseconds.
    pub updated: u64,
}

/// A delivery that can be made again.
#[derive(Clone, Debug)]
pub(crate) struct Past {
    pub(crate) batch: Arc<Batch>,
    pub(crate) state: String,
    /// The first request that was made of it, if one was.
    pub(crate) first: Option<super::FirstAction>,
}

/// Why a window cannot be delivered again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoPast {
    #[error("the ledger has no window of this metric set and store at that time")]
    Unknown,
    #[error("what was in the window is not kept any more; `tidegate ledger show` tells what became of it")]
    Pruned,
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<rusqlite::Error> for NoPast {
    fn from(error: rusqlite::Error) -> Self {
        Self::Ledger(error.into())
    }
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(unsigned)
}

fn hexed(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    Ok(row.get::<_, Option<Vec<u8>>>(column)?.map(hex::encode))
}

fn ids(projects: &[ProjectId]) -> String {
    Json::from(projects.iter().map(|p| p.0).collect::<Vec<_>>()).to_string()
}

impl Ledger {
    /// The push stores of some projects: who waits longest comes first.
    pub(crate) fn status(&self, projects: &[ProjectId]) -> Result<Vec<StoreLedger>, LedgerError> {
        self.db.read(|c| {
            let sum = |state: &str| {
                format!("coalesce((SELECT windows FROM delivery_sums n WHERE n.store = s.id AND n.state = '{state}'), 0)")
            };
            let sql = format!(
                "SELECT p.name, s.name, s.period, min(d.window_end), count(d.id), coalesce(sum(length(w.batch)), 0), {}, {}, {}, \
                 (SELECT problem FROM deliveries o WHERE o.store = s.id AND o.state = 'queued' ORDER BY o.window_end, o.id LIMIT 1) \
                 FROM stores s JOIN projects p ON p.id = s.project \
                 LEFT JOIN deliveries d ON d.store = s.id AND d.state = 'queued' LEFT JOIN windows w ON w.id = d.window \
                 WHERE s.deleted IS NULL AND NOT s.pull AND p.id IN (SELECT value FROM json_each(?1)) \
                 GROUP BY s.id ORDER BY min(d.window_end) IS NULL, min(d.window_end), p.name, s.name",
                sum("confirmed"), sum("rejected"), sum("expired")
            );
            let mut statement = c.prepare_cached(&sql)?;
            let line = |row: &Row<'_>| {
                Ok(StoreLedger {
                    project: row.get(0)?,
                    store: row.get(1)?,
                    period: row.get(2)?,
                    oldest_undelivered: row.get::<_, Option<i64>>(3)?.map(unsigned),
                    queued: number(row, 4)?,
                    queued_bytes: number(row, 5)?,
                    confirmed: number(row, 6)?,
                    rejected: number(row, 7)?,
                    expired: number(row, 8)?,
                    problem: row.get(9)?,
                })
            };
            Ok(statement.query_map([ids(projects)], line)?.collect::<Result<_, _>>()?)
        })
    }

    /// What the stores of some projects will never get, newest last. Windows that follow each other and share their reason are
    /// one gap.
    pub(crate) fn gaps(&self, projects: &[ProjectId]) -> Result<Vec<Gap>, LedgerError> {
        let lost: Vec<Gap> = self.db.read(|c| {
            let sql = "SELECT * FROM ( \
                       SELECT p.name, s.name, m.name, w.period, w.start, w.start + w.period AS end, 1, d.state, d.problem, w.metric \
                       FROM deliveries d JOIN windows w ON w.id = d.window JOIN stores s ON s.id = d.store \
                       JOIN projects p ON p.id = s.project LEFT JOIN metric_sets m ON m.id = w.metric_set \
                       WHERE d.state IN ('rejected', 'expired') AND p.id IN (SELECT value FROM json_each(?1)) \
                       UNION ALL \
                       SELECT p.name, s.name, m.name, g.period, g.first_start, g.first_start + g.windows * g.period, g.windows, \
                       'expired', g.reason, '' FROM gaps g JOIN stores s ON s.id = g.store JOIN projects p ON p.id = s.project \
                       LEFT JOIN metric_sets m ON m.id = g.metric_set \
                       WHERE g.windows > 0 AND p.id IN (SELECT value FROM json_each(?1)) \
                       ORDER BY end DESC LIMIT ?2) ORDER BY 1, 2, 3, 10, 4, 5";
            let mut statement = c.prepare_cached(sql)?;
            let gap = |row: &Row<'_>| {
                Ok(Gap {
                    project: row.get(0)?,
                    store: row.get(1)?,
                    metric_set: row.get(2)?,
                    metric: row.get::<_, Option<String>>(9)?.filter(|name| !name.is_empty()),
                    period: number(row, 3)?,
                    start: number(row, 4)?,
                    end: number(row, 5)?,
                    windows: number(row, 6)?,
                    outcome: row.get(7)?,
                    reason: row.get::<_, Option<String>>(8)?.unwrap_or_default(),
                })
            };
            let rows = statement.query_map(params![ids(projects), MOST_LOST], gap)?;
            Ok::<_, LedgerError>(rows.collect::<Result<_, _>>()?)
        })?;
        let mut gaps: Vec<Gap> = Vec::new();
        for gap in lost {
            match gaps.last_mut() {
                Some(last) if last.end == gap.start && same(last, &gap) => {
                    (last.end, last.windows) = (gap.end, last.windows + gap.windows);
                }
                _ => gaps.push(gap),
            }
        }
        gaps.sort_by_key(|g| g.end);
        Ok(gaps)
    }

    /// The windows of a set that hold the second `at`: for each period its document, and those of metrics that came by themselves.
    pub(crate) fn windows_at(&self, set: MetricSetId, at: u64) -> Result<Vec<WindowRecord>, LedgerError> {
        self.db.read(|c| {
            let sql = "SELECT id, revision, period, start, state, reason, attempts, live_rows, digest, batch IS NOT NULL, recorded, metric \
                       FROM windows WHERE metric_set = ?1 AND start <= ?2 AND ?2 < start + period ORDER BY period, metric";
            let mut statement = c.prepare_cached(sql)?;
            let window = |row: &Row<'_>| {
                let (period, start) = (number(row, 2)?, number(row, 3)?);
                let record = WindowRecord {
                    metric: row.get::<_, Option<String>>(11)?.filter(|name| !name.is_empty()),
                    revision: number(row, 1)?,
                    period,
                    start,
                    end: start + period,
                    state: row.get(4)?,
                    reason: row.get(5)?,
                    attempts: number(row, 6)?,
                    rows: number(row, 7)?,
                    digest: hexed(row, 8)?,
                    kept: row.get(9)?,
                    recorded: number(row, 10)?,
                    deliveries: Vec::new(),
                };
                Ok((row.get::<_, i64>(0)?, record))
            };
            let found: Vec<(i64, WindowRecord)> =
                statement.query_map(params![set.0, super::signed(at)], window)?.collect::<Result<_, _>>()?;
            let mut windows = Vec::new();
            for (id, mut record) in found {
                record.deliveries = deliveries(c, id)?;
                windows.push(record);
            }
            Ok(windows)
        })
    }

    /// The windows of a set that a store got, or was to get, and that begin at `from` or later and before `to`; oldest first, `most`
    /// at most.
    pub(crate) fn past_windows(
        &self,
        store: StoreId,
        set: MetricSetId,
        from: u64,
        to: u64,
        most: usize,
    ) -> Result<Vec<(Window, Option<Name>)>, LedgerError> {
        self.db.read(|c| {
            let sql = "SELECT w.start, w.period, w.metric FROM windows w JOIN deliveries d ON d.window = w.id AND d.store = ?1 \
                       WHERE w.metric_set = ?2 AND w.start >= ?3 AND w.start < ?4 ORDER BY w.start, w.period, w.metric LIMIT ?5";
            let mut statement = c.prepare_cached(sql)?;
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            let key = params![store.0, set.0, super::signed(from), super::signed(to), most];
            let document = |row: &Row<'_>| Ok((super::window_in(row, 0, 1)?, super::failures::metric_in(row, 2)?));
            Ok(statement.query_map(key, document)?.collect::<Result<_, _>>()?)
        })
    }

    /// What a store got, or was to get, of a set in the window that holds the second `at`: the shortest if no period is named. With
    /// `metric` the document of a metric that could not be evaluated with the others.
    pub(crate) fn past(
        &self,
        store: StoreId,
        set: MetricSetId,
        at: u64,
        period: Option<Period>,
        metric: Option<&Name>,
    ) -> Result<Past, NoPast> {
        let found = self.db.read(|c| {
            let sql = "SELECT w.batch, w.digest, d.state, d.action_digest, d.action_rows, d.adapter_digest, d.settings_revision \
                       FROM deliveries d JOIN windows w ON w.id = d.window WHERE d.store = ?1 AND w.metric_set = ?2 \
                       AND w.start <= ?3 AND ?3 < w.start + w.period AND (?4 IS NULL OR w.period = ?4) AND w.metric = ?5 ORDER BY w.period LIMIT 1";
            let past = |row: &Row<'_>| {
                let first = match row.get::<_, Option<[u8; 32]>>(3)? {
                    None => None,
                    Some(digest) => Some(super::FirstAction {
                        digest,
                        rows: number(row, 4)?,
                        adapter: row.get(5)?,
                        settings_revision: number(row, 6)?,
                    }),
                };
                let (packed, digest): (Option<Vec<u8>>, Option<Vec<u8>>) = (row.get(0)?, row.get(1)?);
                Ok((packed, digest, row.get::<_, String>(2)?, first))
            };
            let metric = metric.map_or("", Name::as_str);
            let key = params![store.0, set.0, super::signed(at), period.map(Period::seconds), metric];
            let row = c.prepare_cached(sql)?.query_row(key, past);
            Ok::<_, NoPast>(row.optional()?)
        })?;
        let (packed, digest, state, first) = found.ok_or(NoPast::Unknown)?;
        let packed = packed.ok_or(NoPast::Pruned)?;
        Ok(Past { batch: unpack_checked(&packed, digest.as_deref())?, state, first })
    }
}

fn same(a: &Gap, b: &Gap) -> bool {
    (&a.project, &a.store, &a.metric_set, &a.metric, a.period, &a.outcome, &a.reason)
        == (&b.project, &b.store, &b.metric_set, &b.metric, b.period, &b.outcome, &b.reason)
}

fn deliveries(c: &rusqlite::Connection, window: i64) -> rusqlite::Result<Vec<DeliveryRecord>> {
    let sql = "SELECT s.name, d.state, d.attempts, d.problem, d.accepted_rows, d.rejected_rows, d.rejections, d.action_digest, \
               d.updated FROM deliveries d JOIN stores s ON s.id = d.store WHERE d.window = ?1 ORDER BY s.name";
    let mut statement = c.prepare_cached(sql)?;
    let delivery = |row: &Row<'_>| {
        let rejections: Option<String> = row.get(6)?;
        Ok(DeliveryRecord {
            store: row.get(0)?,
            state: row.get(1)?,
            attempts: number(row, 2)?,
            problem: row.get(3)?,
            accepted_rows: number(row, 4)?,
            rejected_rows: number(row, 5)?,
            rejections: rejections.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Json::Array(Vec::new())),
            request: hexed(row, 7)?,
            updated: number(row, 8)?,
        })
    };
    statement.query_map([window], delivery)?.collect()
}
