//! What one store got, window by window, for people: newest first or oldest first, a page at a time.
//!
//! A push store has a delivery for each window, a pull store has none. The trap is the order: after an outage the live window is
//! recorded before those that were missed, so what counts is when a window began, and each set is read by its own index.

use super::{DeliveryRecord, Ledger, LedgerError, signed, unsigned};
use rusqlite::{Connection, Row, params};
use serde::Serialize;
use serde_json::Value as Json;
use tidegate_model::StoreId;

/// One window of a store.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoreWindow {
    /// The metric set.
    pub metric_set: String,
    /// The metric, if it could not be evaluated with its set: then it is a document of its own.
    pub metric: Option<String>,
    /// The period in seconds.
    pub period: u64,
    /// Its start, in seconds since the epoch.
    pub start: u64,
    /// Its end: the stamp that sinks get.
    pub end: u64,
    /// `evaluated`, `failed` (and tried again) or `expired`.
    pub state: String,
    /// Why it failed or expired.
    pub reason: Option<String>,
    /// Rows with values in it.
    pub rows: u64,
    /// Whether the values are still kept: it can be replayed.
    pub kept: bool,
    /// When it was recorded, in microseconds.
    pub recorded: u64,
    /// What became of it on the way; none for a pull store.
    pub delivery: Option<DeliveryRecord>,
}

/// What may become of a window: of one that is sent, then of one that is read, and of one whose values are not there yet.
pub const WINDOW_OUTCOMES: [&str; 6] = ["confirmed", "queued", "rejected", "expired", "evaluated", "failed"];

/// Which windows of a store, newest first unless it is said otherwise.
#[derive(Clone, Debug, Default)]
pub struct WindowFilter {
    /// Those behind the ones that begin at this second, where a page before ended.
    pub behind: Option<u64>,
    /// The oldest first.
    pub oldest_first: bool,
    /// Those that begin at this second or later.
    pub since: Option<u64>,
    /// Those that begin before this second.
    pub until: Option<u64>,
    /// Those of this metric set.
    pub metric_set: Option<String>,
    /// Those of which this became: the state of the delivery, or of the window where there is none.
    pub outcome: Option<String>,
    /// At least so many, if there are so many: those that begin together come together.
    pub most: u32,
}

/// What became of one window, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The window's end, in seconds since the epoch.
    pub end: u64,
    /// The state of the delivery; for a pull store that of the window.
    pub state: String,
    /// Rows with values in it.
    pub rows: u64,
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(unsigned)
}

/// The windows of one set that a store is connected to.
struct Span {
    metric_set: i64,
    period: i64,
    since: i64,
    until: i64,
}

fn spans(c: &Connection, store: StoreId) -> rusqlite::Result<Vec<Span>> {
    let sql = "SELECT metric_set, period, since, coalesce(until, 9223372036854775807) FROM links WHERE store = ?1";
    let span = |row: &Row<'_>| {
        Ok(Span { metric_set: row.get(0)?, period: row.get(1)?, since: row.get(2)?, until: row.get(3)? })
    };
    c.prepare_cached(sql)?.query_map([store.0], span)?.collect()
}

fn window(row: &Row<'_>) -> rusqlite::Result<StoreWindow> {
    let (period, start) = (number(row, 1)?, number(row, 2)?);
    let state: Option<String> = row.get(9)?;
    let rejections: Option<String> = row.get(14)?;
    let delivery = match state {
        None => None,
        Some(state) => Some(DeliveryRecord {
            store: row.get(8)?,
            state,
            attempts: number(row, 10)?,
            problem: row.get(11)?,
            accepted_rows: number(row, 12)?,
            rejected_rows: number(row, 13)?,
            rejections: rejections.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Json::Array(Vec::new())),
            request: row.get::<_, Option<Vec<u8>>>(15)?.map(hex::encode),
            updated: number(row, 16)?,
        }),
    };
    Ok(StoreWindow {
        metric_set: row.get(0)?,
        metric: row.get::<_, Option<String>>(17)?.filter(|name| !name.is_empty()),
        period,
        start,
        end: start + period,
        state: row.get(3)?,
        reason: row.get(4)?,
        rows: number(row, 5)?,
        kept: row.get(6)?,
        recorded: number(row, 7)?,
        delivery,
    })
}

impl Ledger {
    /// The windows of a store that a filter leaves, in its order.
    pub(crate) fn store_windows(&self, store: StoreId, wanted: &WindowFilter) -> Result<Vec<StoreWindow>, LedgerError> {
        let order = if wanted.oldest_first { "ASC" } else { "DESC" };
        let sql = "SELECT m.name, w.period, w.start, w.state, w.reason, w.live_rows, w.batch IS NOT NULL, w.recorded, s.name, \
                   d.state, d.attempts, d.problem, d.accepted_rows, d.rejected_rows, d.rejections, d.action_digest, d.updated, w.metric \
                   FROM windows w JOIN metric_sets m ON m.id = w.metric_set JOIN stores s ON s.id = ?1 \
                   LEFT JOIN deliveries d ON d.store = ?1 AND d.window = w.id WHERE w.metric_set = ?2 AND w.period = ?3 \
                   AND w.start >= ?4 AND w.start < ?5 AND (?6 IS NULL OR coalesce(d.state, w.state) = ?6) \
                   AND (?7 IS NULL OR m.name = ?7) ORDER BY w.start";
        let sql = format!("{sql} {order}, w.metric");
        let bound = |second: Option<u64>, none| second.map_or(none, signed);
        let (after, before) = if wanted.oldest_first {
            (wanted.behind.map(|second| second.saturating_add(1)), None)
        } else {
            (None, wanted.behind)
        };
        let (since, most) = (bound(wanted.since, 0).max(bound(after, 0)), wanted.most);
        let before = bound(before, i64::MAX).min(bound(wanted.until, i64::MAX));
        self.db.read(|c| {
            let mut statement = c.prepare_cached(&sql)?;
            let mut found: Vec<StoreWindow> = Vec::new();
            for Span { metric_set, period, since: connected, until } in spans(c, store)? {
                let (since, before) = (connected.max(since), until.min(before));
                let (outcome, set) = (&wanted.outcome, &wanted.metric_set);
                let asked = params![store.0, metric_set, period, since, before, outcome, set];
                let (mut count, mut last) = (0, None);
                for one in statement.query_map(asked, window)? {
                    let one = one?;
                    // The documents of a window stay together.
                    if count >= most && last != Some(one.start) {
                        break;
                    }
                    (count, last) = (count + 1, Some(one.start));
                    found.push(one);
                }
            }
            let later = |a: u64, b: u64| if wanted.oldest_first { a.cmp(&b) } else { b.cmp(&a) };
            found.sort_by(|a, b| {
                later(a.start, b.start).then_with(|| (&a.metric_set, &a.metric).cmp(&(&b.metric_set, &b.metric)))
            });
            if let Some(last) = found.get((most as usize).saturating_sub(1)).map(|w| w.start) {
                found.retain(|w| later(w.start, last).is_le());
            }
            Ok(found)
        })
    }

    /// The outcomes of the newest windows of each store, oldest first: those of the newest `most` for each of its sets.
    pub(crate) fn recent_outcomes(&self, stores: &[StoreId], most: u32) -> Result<Vec<Vec<Outcome>>, LedgerError> {
        let sql = "SELECT w.start + w.period, coalesce(d.state, w.state), w.live_rows FROM windows w \
                   LEFT JOIN deliveries d ON d.store = ?1 AND d.window = w.id WHERE w.metric_set = ?2 AND w.period = ?3 \
                   AND w.metric = '' AND w.start >= ?4 AND w.start < ?5 ORDER BY w.start DESC LIMIT ?6";
        self.db.read(|c| {
            let mut statement = c.prepare_cached(sql)?;
            let outcome =
                |row: &Row<'_>| Ok(Outcome { end: number(row, 0)?, state: row.get(1)?, rows: number(row, 2)? });
            let mut all = Vec::with_capacity(stores.len());
            for store in stores {
                let mut found: Vec<Outcome> = Vec::new();
                for span in spans(c, *store)? {
                    let asked = params![store.0, span.metric_set, span.period, span.since, span.until, most];
                    for one in statement.query_map(asked, outcome)? {
                        found.push(one?);
                    }
                }
                found.sort_by_key(|outcome| outcome.end);
                all.push(found);
            }
            Ok(all)
        })
    }
}
