//! Recording windows that were evaluated, and passing over those that nobody wants any more.

use super::failures::{self, Document, Failed, Tries};
use super::together::BYTES_AT_ONCE;
use super::totals::{Sums, query_digest, with_totals};
use super::{Ledger, LedgerError, LedgerOptions, Track, micros, signed, unsigned, window_in};
use crate::schedule::of_store;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use tidegate_events::compress;
use tidegate_model::{Batch, Instant, MetricQuery, MetricSetId, Name, Period, ProjectId, StoreId, Window, codec};

/// Good compression for little time; batches are read again at most a few times.
const ZSTD_LEVEL: i32 = 3;

/// A document of a window that was evaluated.
#[derive(Clone, Debug)]
pub(crate) struct Evaluated {
    pub(crate) project: ProjectId,
    pub(crate) metric_set: MetricSetId,
    pub(crate) revision: u64,
    /// The metric that it is of, if that could not be evaluated with its set.
    pub(crate) metric: Option<Name>,
    /// Metrics of the set that are not in it, each with a document of its own.
    pub(crate) aside: Vec<Aside>,
    pub(crate) batch: Arc<Batch>,
    /// The queries of the batch's metrics, in the same order.
    pub(crate) queries: Vec<MetricQuery>,
    /// From when on it goes to stores.
    pub(crate) from: Instant,
}

/// A metric that goes on by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Aside {
    pub(crate) metric: Name,
    pub(crate) reason: String,
    pub(crate) tries: Tries,
    pub(crate) next_attempt: Instant,
}

/// What recording windows came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorded {
    /// How many documents it was.
    pub(crate) windows: usize,
    /// What pull pages are to show from now on.
    pub(crate) shown: Vec<Shown>,
    /// The stores that have something new to get, and when it is their turn.
    pub(crate) queued: Vec<(StoreId, Instant)>,
}

/// The newest evaluated window of a set, with totals: what pull pages are made of.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) track: Track,
    pub(crate) batch: Arc<Batch>,
}

impl Evaluated {
    fn track(&self) -> Track {
        (self.metric_set, self.batch.window.period())
    }

    /// What was put aside, as failures to be recorded with it.
    fn failed(&self) -> impl Iterator<Item = Failed<'_>> {
        self.aside.iter().map(|aside| Failed {
            project: self.project,
            document: Document { set: self.metric_set, window: self.batch.window, metric: Some(aside.metric.clone()) },
            revision: self.revision,
            tries: aside.tries,
            reason: &aside.reason,
            next_attempt: aside.next_attempt,
        })
    }
}

impl Ledger {
    /// Records windows that were evaluated, with deliveries for the push stores that want them, cursors and totals: all or
    /// nothing of each set, and of small ones together. A window that is there already is left as it is. `tell` hears of each
    /// part as soon as it is on disk: whoever is to get it need not wait for the others, which may fail.
    pub(crate) fn record(
        &self,
        evaluated: Vec<Evaluated>,
        now: Instant,
        mut tell: impl FnMut(Recorded),
    ) -> Result<(), LedgerError> {
        let mut part = Vec::new();
        let mut bytes = 0;
        for item in evaluated {
            // Before the transaction, in which others wait.
            let packed = Packed::of(&item)?;
            bytes += packed.bytes.len();
            part.push((item, packed));
            if bytes >= BYTES_AT_ONCE {
                tell(self.record_together(std::mem::take(&mut part), std::mem::take(&mut bytes), now)?);
            }
        }
        if !part.is_empty() {
            tell(self.record_together(part, bytes, now)?);
        }
        Ok(())
    }

    fn record_together(
        &self,
        part: Vec<(Evaluated, Packed)>,
        bytes: usize,
        now: Instant,
    ) -> Result<Recorded, LedgerError> {
        let (totals, options) = (Arc::clone(&self.totals), self.options);
        self.together_here(bytes, move |t| {
            let mut cache = totals.lock().unwrap_or_else(PoisonError::into_inner);
            let mut recorded = Recorded { windows: part.len(), ..Recorded::default() };
            let done = part.iter().try_for_each(|(item, packed)| {
                Recording { t, cache: &mut cache, options, now }.one(item, packed, &mut recorded)
            });
            if done.is_err() {
                cache.clear();
            }
            done.map(|()| recorded)
        })
    }

    /// Moves the cursor of a track to `to` without evaluating what lies between; `gaps` says which stores miss how many
    /// windows of it: (store, first start, windows).
    pub(crate) fn skip(
        &self,
        track: Track,
        to: u64,
        gaps: &[(StoreId, u64, u64)],
        reason: &str,
        now: Instant,
    ) -> Result<(), LedgerError> {
        self.db.write(|t| {
            for (store, first, windows) in gaps.iter().filter(|(_, _, n)| *n > 0) {
                let sql = "INSERT OR IGNORE INTO gaps (store, metric_set, period, first_start, windows, reason, recorded) \
                           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
                let (set, period) = (track.0.0, track.1.seconds());
                // What was evaluated while it was live is no part of the gap.
                let last = first + windows * u64::from(period);
                let there = "SELECT count(*) FROM windows WHERE metric_set = ?1 AND period = ?2 AND start >= ?3 AND start < ?4 AND metric = ''";
                let there: i64 = t.prepare_cached(there)?.query_row(params![set, period, signed(*first), signed(last)], |row| row.get(0))?;
                let windows = signed(*windows) - there;
                let key = params![store.0, set, period, signed(*first), windows, reason, micros(now)];
                if t.prepare_cached(sql)?.execute(key)? == 1 {
                    super::deliveries::count(t, store.0, "expired", windows, 0, 0)?;
                }
            }
            let sql = "UPDATE cursors SET next_start = max(next_start, ?3) WHERE metric_set = ?1 AND period = ?2";
            t.prepare_cached(sql)?.execute(params![track.0.0, track.1.seconds(), signed(to)])?;
            advance(t, track)?;
            Ok(())
        })
    }

    /// All cursors: every window of a track that starts before its cursor is on record, or nobody wanted it.
    #[cfg(test)]
    pub(crate) fn cursors(&self) -> Result<HashMap<Track, u64>, LedgerError> {
        self.db.read(|c| {
            let mut statement = c.prepare_cached("SELECT metric_set, period, next_start FROM cursors")?;
            Ok(statement.query_map([], cursor_in)?.collect::<Result<_, _>>()?)
        })
    }

    /// The cursors of a project's metric sets.
    pub(crate) fn cursors_of(&self, project: ProjectId) -> Result<HashMap<Track, u64>, LedgerError> {
        self.db.read(|c| {
            let sql = "SELECT c.metric_set, c.period, c.next_start FROM cursors c \
                       JOIN metric_sets m ON m.id = c.metric_set WHERE m.project = ?1";
            let mut statement = c.prepare_cached(sql)?;
            Ok(statement.query_map([project.0], cursor_in)?.collect::<Result<_, _>>()?)
        })
    }

    /// Whether anything is on record of a window.
    pub(crate) fn is_recorded(&self, set: MetricSetId, window: Window) -> Result<bool, LedgerError> {
        self.db.read(|c| Ok(recorded(c, (set, window.period()), window.start().seconds())?))
    }

    /// For each project that is still there, the end of the newest window on record: nothing may arrive before it.
    pub(crate) fn seals(&self) -> Result<Vec<(ProjectId, Instant)>, LedgerError> {
        self.db.read(|c| {
            let mut statement = c.prepare_cached(
                "SELECT project, max(start + period) FROM windows \
                 WHERE project IN (SELECT id FROM projects) GROUP BY project",
            )?;
            let rows = statement
                .query_map([], |row| Ok((ProjectId(row.get(0)?), Instant::from_seconds(unsigned(row.get(1)?)))))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The newest evaluated window of a track as pull pages show it.
    pub(crate) fn shown(&self, track: Track) -> Result<Option<Shown>, LedgerError> {
        self.db.read(|c| {
            let Some(newest) = newest(c, track)? else { return Ok(None) };
            let Some(batch) = batch_of(c, track, newest)? else { return Ok(None) };
            let sums = load_totals(c, track)?;
            Ok(Some(Shown { track, batch: Arc::new(with_totals(&batch, &sums)) }))
        })
    }

    /// The newest evaluated windows of a track as they were recorded, at most `most`, the newest first.
    pub(crate) fn recent_batches(&self, track: Track, most: usize) -> Result<Vec<Arc<Batch>>, LedgerError> {
        let sql = "SELECT batch FROM windows WHERE metric_set = ?1 AND period = ?2 AND state = 'evaluated' \
                   AND batch IS NOT NULL ORDER BY start DESC LIMIT ?3";
        self.db.read(|c| {
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            let mut statement = c.prepare_cached(sql)?;
            let packed =
                statement.query_map(params![track.0.0, track.1.seconds(), most], |row| row.get::<_, Vec<u8>>(0))?;
            packed.map(|packed| unpack(&packed?)).collect()
        })
    }

    /// The newest evaluated window of a track as it was recorded, if its batch is still kept.
    pub(crate) fn newest_batch(&self, track: Track) -> Result<Option<Arc<Batch>>, LedgerError> {
        self.db.read(|c| match newest(c, track)? {
            Some(newest) => batch_of(c, track, newest),
            None => Ok(None),
        })
    }
}

/// A batch as it is stored.
struct Packed {
    digest: [u8; 32],
    bytes: Vec<u8>,
}

impl Packed {
    fn of(item: &Evaluated) -> Result<Self, LedgerError> {
        let stored = codec::encode(&item.batch);
        let digest = codec::digest(&stored);
        let bytes = compress::pack(&stored, ZSTD_LEVEL).map_err(|e| LedgerError::Damaged(e.to_string()))?;
        Ok(Self { digest, bytes })
    }
}

/// What recording a window works with.
struct Recording<'r> {
    t: &'r Transaction<'r>,
    cache: &'r mut HashMap<Track, HashMap<String, Sums>>,
    options: LedgerOptions,
    now: Instant,
}

impl Recording<'_> {
    fn one(self, item: &Evaluated, packed: &Packed, recorded: &mut Recorded) -> Result<(), LedgerError> {
        let (t, now, track, window) = (self.t, self.now, item.track(), item.batch.window);
        let Some(id) = insert_window(t, item, packed, now)? else { return Ok(()) };
        for failed in item.failed() {
            failures::insert(t, &failed, now)?;
        }
        queue_deliveries(t, id, item, now, &mut recorded.queued)?;
        advance(t, track)?;
        if !wanted_by_pull(t, track)? {
            self.cache.remove(&track);
            let sql = "DELETE FROM totals WHERE metric_set = ?1 AND period = ?2";
            t.prepare_cached(sql)?.execute(params![track.0.0, track.1.seconds()])?;
            return Ok(());
        }
        let sums = match self.cache.entry(track) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(load_totals(t, track)?),
        };
        add_totals(t, item, sums, self.options)?;
        let newest = newest(t, track)?;
        // A missed window that was made up adds to the totals; what is live stays what it was, or grows by a metric that came later.
        let live = match newest {
            Some(newest) if newest != window || item.metric.is_some() => batch_of(t, track, newest)?,
            _ => None,
        };
        let live = live.unwrap_or_else(|| Arc::clone(&item.batch));
        recorded.shown.push(Shown { track, batch: Arc::new(with_totals(&live, sums)) });
        Ok(())
    }
}

fn add_totals(
    t: &Transaction<'_>,
    item: &Evaluated,
    sums: &mut HashMap<String, Sums>,
    options: LedgerOptions,
) -> Result<(), LedgerError> {
    let track = item.track();
    let (set, period) = (track.0.0, track.1.seconds());
    let newest = newest(t, track)?.map_or(0, |w| w.end().seconds());
    let there = item.batch.metrics.iter().map(|m| &m.name).chain(item.aside.iter().map(|a| &a.metric));
    let current: HashSet<&str> = there.map(Name::as_str).collect();
    let is_gone = |name: &str| item.metric.is_none() && !current.contains(name);
    for gone in sums.keys().filter(|name| is_gone(name)) {
        let sql = "DELETE FROM totals WHERE metric_set = ?1 AND period = ?2 AND metric = ?3";
        t.prepare_cached(sql)?.execute(params![set, period, gone])?;
    }
    sums.retain(|name, _| !is_gone(name));
    for (metric, query) in item.batch.metrics.iter().zip(&item.queries) {
        if metric.measures.iter().all(|m| !m.aggregate.additive()) {
            continue;
        }
        let digest = query_digest(query);
        let name = metric.name.to_string();
        let kept = sums.remove(&name).filter(|s| s.are_of(&digest));
        let mut next = kept.unwrap_or_else(|| Sums::new(digest, metric));
        next.add(metric, item.batch.window);
        next.let_go(newest, options.idle_seconds, options.total_series);
        let bytes = next.encode().map_err(|e| LedgerError::Damaged(e.to_string()))?;
        let sql = "INSERT INTO totals (metric_set, period, metric, sums) VALUES (?1, ?2, ?3, ?4) \
                   ON CONFLICT DO UPDATE SET sums = excluded.sums";
        t.prepare_cached(sql)?.execute(params![set, period, name, bytes])?;
        sums.insert(name, next);
    }
    Ok(())
}

/// None if the window is evaluated already, given up, or of a set that is gone.
fn insert_window(
    t: &Transaction<'_>,
    item: &Evaluated,
    packed: &Packed,
    now: Instant,
) -> Result<Option<i64>, LedgerError> {
    if cursor(t, item.track())?.is_none() {
        return Ok(None);
    }
    let sql = "INSERT INTO windows (project, metric_set, revision, period, start, metric, state, attempts, next_attempt, \
               live_rows, digest, batch, recorded) VALUES (?1, ?2, ?3, ?4, ?5, ?10, 'evaluated', 1, 0, ?6, ?7, ?8, ?9) \
               ON CONFLICT DO UPDATE SET state = 'evaluated', revision = excluded.revision, reason = NULL, \
               attempts = attempts + 1, live_rows = excluded.live_rows, digest = excluded.digest, \
               batch = excluded.batch, recorded = excluded.recorded WHERE state = 'failed' RETURNING id";
    let window = item.batch.window;
    let values = params![
        item.project.0,
        item.metric_set.0,
        signed(item.revision),
        window.period().seconds(),
        signed(window.start().seconds()),
        signed(item.batch.live_rows()),
        packed.digest,
        packed.bytes,
        micros(now),
        item.metric.as_ref().map_or("", Name::as_str),
    ];
    let window: Option<i64> = t.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional()?;
    if let (Some(window), Some(metrics)) = (window, super::facts::folded(&item.batch)) {
        let sql = "INSERT OR REPLACE INTO folded_windows (window, metrics) VALUES (?1, ?2)";
        t.prepare_cached(sql)?.execute(params![window, metrics])?;
    }
    Ok(window)
}

fn cursor_in(row: &rusqlite::Row<'_>) -> rusqlite::Result<(Track, u64)> {
    let period = Period::new(row.get(1)?).map_err(|e| crate::catalog::corrupt(1, e))?;
    Ok(((MetricSetId(row.get(0)?), period), unsigned(row.get(2)?)))
}

/// What stands with a window without rows.
pub(super) const NOTHING_TO_SEND: &str = "nothing to send";

/// One delivery for each push store that wants the window. What has no rows is delivered by that fact.
fn queue_deliveries(
    t: &Transaction<'_>,
    window: i64,
    item: &Evaluated,
    now: Instant,
    queued: &mut Vec<(StoreId, Instant)>,
) -> Result<(), LedgerError> {
    let empty = item.batch.live_rows() == 0;
    let (state, problem) = if empty { ("confirmed", Some(NOTHING_TO_SEND)) } else { ("queued", None) };
    let (start, end) = (item.batch.window.start().seconds(), item.batch.window.end().seconds());
    let period = item.batch.window.period();
    let sql = "SELECT DISTINCT l.store FROM links l JOIN stores s ON s.id = l.store \
               WHERE l.metric_set = ?1 AND l.period = ?2 AND l.since <= ?3 AND (l.until IS NULL OR ?3 < l.until) \
               AND s.deleted IS NULL AND NOT s.pull ORDER BY l.store";
    let mut statement = t.prepare_cached(sql)?;
    let key = params![item.metric_set.0, period.seconds(), signed(start)];
    let stores: Vec<i64> = statement.query_map(key, |row| row.get(0))?.collect::<Result<_, _>>()?;
    let sql = "INSERT OR IGNORE INTO deliveries (store, window, window_end, state, next_attempt, problem, updated) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let mut statement = t.prepare_cached(sql)?;
    for store in &stores {
        let turn = item.from.micros().saturating_add(of_store(StoreId(*store), stores.len(), period));
        let values = params![store, window, signed(end), state, signed(turn), problem, micros(now)];
        if statement.execute(values)? == 0 {
            continue;
        }
        if empty {
            super::deliveries::count(t, *store, "confirmed", 1, 0, 0)?;
        } else {
            queued.push((StoreId(*store), Instant::from_micros(turn)));
        }
    }
    Ok(())
}

pub(super) fn cursor(c: &Connection, track: Track) -> rusqlite::Result<Option<u64>> {
    let sql = "SELECT next_start FROM cursors WHERE metric_set = ?1 AND period = ?2";
    let found = c.prepare_cached(sql)?.query_row(params![track.0.0, track.1.seconds()], |row| row.get(0)).optional()?;
    Ok(found.map(unsigned))
}

fn recorded(c: &Connection, track: Track, start: u64) -> rusqlite::Result<bool> {
    let sql =
        "SELECT EXISTS (SELECT 1 FROM windows WHERE metric_set = ?1 AND period = ?2 AND start = ?3 AND metric = '')";
    c.prepare_cached(sql)?.query_row(params![track.0.0, track.1.seconds(), signed(start)], |row| row.get(0))
}

/// Moves the cursor over the windows that are on record.
pub(super) fn advance(t: &Transaction<'_>, track: Track) -> rusqlite::Result<()> {
    let Some(from) = cursor(t, track)? else { return Ok(()) };
    let mut next = from;
    while recorded(t, track, next)? {
        next += u64::from(track.1.seconds());
    }
    if next != from {
        let sql = "UPDATE cursors SET next_start = ?3 WHERE metric_set = ?1 AND period = ?2";
        t.prepare_cached(sql)?.execute(params![track.0.0, track.1.seconds(), signed(next)])?;
    }
    Ok(())
}

fn wanted_by_pull(c: &Connection, track: Track) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM links l JOIN stores s ON s.id = l.store \
               WHERE l.metric_set = ?1 AND l.period = ?2 AND s.pull AND s.deleted IS NULL)";
    c.prepare_cached(sql)?.query_row(params![track.0.0, track.1.seconds()], |row| row.get(0))
}

fn newest(c: &Connection, track: Track) -> rusqlite::Result<Option<Window>> {
    let sql = "SELECT start, period FROM windows WHERE metric_set = ?1 AND period = ?2 AND metric = '' AND state = 'evaluated' \
               ORDER BY start DESC LIMIT 1";
    c.prepare_cached(sql)?.query_row(params![track.0.0, track.1.seconds()], |row| window_in(row, 0, 1)).optional()
}

/// All documents of a window that were evaluated, as one batch.
fn batch_of(c: &Connection, track: Track, window: Window) -> Result<Option<Arc<Batch>>, LedgerError> {
    let sql = "SELECT batch FROM windows WHERE metric_set = ?1 AND period = ?2 AND start = ?3 AND batch IS NOT NULL ORDER BY metric";
    let key = params![track.0.0, track.1.seconds(), signed(window.start().seconds())];
    let mut statement = c.prepare_cached(sql)?;
    let mut packed = statement.query_map(key, |row| row.get::<_, Vec<u8>>(0))?;
    let Some(first) = packed.next() else { return Ok(None) };
    let mut batch = unpack(&first?)?;
    for later in packed {
        let later = unpack(&later?)?;
        Arc::make_mut(&mut batch).metrics.extend(later.metrics.iter().cloned());
    }
    Ok(Some(batch))
}

/// A stored batch, which must be what was once written.
pub(super) fn unpack_checked(packed: &[u8], digest: Option<&[u8]>) -> Result<Arc<Batch>, LedgerError> {
    let stored = compress::unpack(packed).map_err(|e| LedgerError::Damaged(e.to_string()))?;
    if digest != Some(codec::digest(&stored).as_slice()) {
        return Err(LedgerError::Damaged("the digest of the window differs from the one on record".to_owned()));
    }
    codec::decode(&stored).map(Arc::new).map_err(|e| LedgerError::Damaged(e.to_string()))
}

/// A stored batch.
pub(super) fn unpack(packed: &[u8]) -> Result<Arc<Batch>, LedgerError> {
    let stored = compress::unpack(packed).map_err(|e| LedgerError::Damaged(e.to_string()))?;
    codec::decode(&stored).map(Arc::new).map_err(|e| LedgerError::Damaged(e.to_string()))
}

fn load_totals(c: &Connection, track: Track) -> Result<HashMap<String, Sums>, LedgerError> {
    let mut statement = c.prepare_cached("SELECT metric, sums FROM totals WHERE metric_set = ?1 AND period = ?2")?;
    let rows = statement.query_map(params![track.0.0, track.1.seconds()], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?))
    })?;
    let mut totals = HashMap::new();
    for row in rows {
        let (metric, bytes) = row?;
        let sums = Sums::decode(&bytes).map_err(|e| LedgerError::Damaged(format!("totals of {metric}: {e}")))?;
        totals.insert(metric, sums);
    }
    Ok(totals)
}
