//! Which metric sets are connected to which stores, and from which window on.
//!
//! A connection begins with the window in progress. When a store's period changes, the window in progress at the old period
//! is still finished, and the new period begins where it ends: rounded down to the new period, so that at worst some events
//! are in the last window of the old period and in the first of the new, and none are in neither.

use super::tenants::name_in;
use super::{CatalogError, Edit, View, listed};
use rusqlite::{Row, params};
use std::collections::HashMap;
use tidegate_model::{Instant, MetricSetId, Name, Period, ProjectId, StoreId, Window};

/// A store's claim on the windows of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) store: StoreId,
    pub(crate) metric_set: MetricSetId,
    pub(crate) project: ProjectId,
    pub(crate) period: Period,
    /// Start of the first window, in seconds.
    pub(crate) since: u64,
    /// No window that starts here or later, in seconds.
    pub(crate) until: Option<u64>,
    /// Whether a scraper reads the store.
    pub(crate) pull: bool,
    /// What the store's adapter is found by: its digest, or its name.
    pub(crate) adapter: String,
}

impl Link {
    pub(crate) fn wants(&self, window: Window) -> bool {
        let start = window.start().seconds();
        window.period() == self.period && start >= self.since && self.until.is_none_or(|until| start < until)
    }
}

/// The windows that hold the second `at`, are wanted and are not over: the one that ends first comes first.
pub(crate) fn in_progress<'l>(links: impl IntoIterator<Item = &'l Link>, at: u64, now: Instant) -> Vec<Window> {
    let windows = links.into_iter().map(|link| (link, link.period.window_at(Instant::from_seconds(at))));
    let mut found: Vec<Window> =
        windows.filter(|(link, window)| link.wants(*window) && window.end() > now).map(|(_, window)| window).collect();
    found.sort_by_key(|window| (window.end(), window.start()));
    found.dedup();
    found
}

fn seconds(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

fn period(row: &Row<'_>, column: usize) -> rusqlite::Result<Period> {
    Period::new(row.get(column)?).map_err(|error| super::error::corrupt(column, error))
}

fn signed(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

impl View<'_> {
    /// All links of all stores, those of paused ones too: their windows queue up.
    pub(crate) fn links(&self) -> rusqlite::Result<Vec<Link>> {
        self.links_where("1", params![])
    }

    /// The links of a project's metric sets.
    pub(crate) fn links_of_project(&self, project: ProjectId) -> rusqlite::Result<Vec<Link>> {
        self.links_where("m.project = ?1", params![project.0])
    }

    /// The links of some stores.
    pub(crate) fn links_of_stores(&self, stores: &[StoreId]) -> rusqlite::Result<Vec<Link>> {
        self.links_where("l.store IN (SELECT value FROM json_each(?1))", params![listed(stores)])
    }

    /// The links of a store.
    pub(crate) fn links_of_store(&self, store: StoreId) -> rusqlite::Result<Vec<Link>> {
        self.links_where("l.store = ?1", params![store.0])
    }

    fn links_where(&self, condition: &str, values: &[&dyn rusqlite::ToSql]) -> rusqlite::Result<Vec<Link>> {
        let sql = format!(
            "SELECT l.store, l.metric_set, m.project, l.period, l.since, l.until, s.pull, \
             coalesce('sha256:' || lower(hex(a.digest)), s.adapter) FROM links l \
             JOIN stores s ON s.id = l.store LEFT JOIN store_adapters a ON a.store = s.id JOIN metric_sets m ON m.id = l.metric_set \
             WHERE s.deleted IS NULL AND {condition} ORDER BY l.metric_set, l.period, l.store, l.since"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let link = |row: &Row<'_>| {
            Ok(Link {
                store: StoreId(row.get(0)?),
                metric_set: MetricSetId(row.get(1)?),
                project: ProjectId(row.get(2)?),
                period: period(row, 3)?,
                since: seconds(row, 4)?,
                until: row.get::<_, Option<i64>>(5)?.map(|s| u64::try_from(s).unwrap_or(0)),
                pull: row.get(6)?,
                adapter: row.get(7)?,
            })
        };
        statement.query_map(values, link)?.collect()
    }

    /// The stores that each set of a project is connected to, by name, with their periods.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn connections(&self, of: ProjectId) -> Result<HashMap<MetricSetId, Vec<(Name, Period)>>, CatalogError> {
        let sql = "SELECT DISTINCT l.metric_set, s.name, s.period FROM metric_sets m JOIN links l ON l.metric_set = m.id \
                   JOIN stores s ON s.id = l.store WHERE m.project = ?1 AND l.until IS NULL AND s.deleted IS NULL ORDER BY s.name";
        let mut statement = self.connection.prepare_cached(sql)?;
        let connection = |row: &Row<'_>| Ok((MetricSetId(row.get(0)?), (name_in(row, 1)?, period(row, 2)?)));
        let mut found: HashMap<_, Vec<_>> = HashMap::new();
        for row in statement.query_map([of.0], connection)? {
            let (set, store) = row?;
            found.entry(set).or_default().push(store);
        }
        Ok(found)
    }

    /// Names of the stores that a set is connected to.
    pub(super) fn stores_connected_to(&self, set: MetricSetId) -> Result<Vec<String>, CatalogError> {
        let sql = "SELECT DISTINCT s.name FROM links l JOIN stores s ON s.id = l.store \
                   WHERE l.metric_set = ?1 AND l.until IS NULL AND s.deleted IS NULL ORDER BY s.name";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_map([set.0], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }

    /// Names of the sets that a store is connected to.
    pub(super) fn sets_connected_to(&self, store: StoreId) -> Result<Vec<(MetricSetId, String)>, CatalogError> {
        let sql = "SELECT m.id, m.name FROM links l JOIN metric_sets m ON m.id = l.metric_set \
                   WHERE l.store = ?1 AND l.until IS NULL ORDER BY m.name";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([store.0], |row| Ok((MetricSetId(row.get(0)?), row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl Edit<'_> {
    /// Connects a set to a store, from the window in progress on.
    pub(super) fn link(&self, store: StoreId, set: MetricSetId, period: Period) -> Result<(), CatalogError> {
        self.link_since(store, set, period, period.window_at(self.now).start())
    }

    /// Disconnects a set from a store at once. What is queued is still delivered.
    pub(super) fn unlink(&self, store: StoreId, set: MetricSetId) -> Result<(), CatalogError> {
        self.connection.execute("DELETE FROM links WHERE store = ?1 AND metric_set = ?2", params![store.0, set.0])?;
        Ok(())
    }

    /// Lets the windows in progress of a store's old period be its last ones, and begins with `period` where they end.
    pub(super) fn change_period(&self, store: StoreId, period: Period) -> Result<(), CatalogError> {
        let current: Vec<Link> =
            self.links_of_store(store)?.into_iter().filter(|l| l.until.is_none() && l.period != period).collect();
        for link in current {
            let key = params![store.0, link.metric_set.0, link.period.seconds(), signed(link.since)];
            // A link that has not begun yet leaves no window to finish.
            let begun = link.since <= self.now.seconds();
            let from = if begun { link.period.window_at(self.now).end() } else { Instant::from_seconds(link.since) };
            let sql = if begun {
                "UPDATE links SET until = ?5 WHERE store = ?1 AND metric_set = ?2 AND period = ?3 AND since = ?4"
            } else {
                "DELETE FROM links WHERE store = ?1 AND metric_set = ?2 AND period = ?3 AND since = ?4 AND ?5 = ?5"
            };
            let until = signed(from.seconds());
            self.connection.execute(sql, rusqlite::params_from_iter(key.iter().copied().chain([&until as _])))?;
            self.link_since(store, link.metric_set, period, period.window_at(from).start())?;
        }
        Ok(())
    }

    fn link_since(&self, store: StoreId, set: MetricSetId, period: Period, since: Instant) -> Result<(), CatalogError> {
        let since = signed(since.seconds());
        // Nobody else has claims on what lies between the cursor and now: then the cursor jumps, and nothing is made up.
        let sql = "INSERT INTO cursors (metric_set, period, next_start) VALUES (?1, ?2, ?3) \
                   ON CONFLICT DO UPDATE SET next_start = max(next_start, ?3) WHERE NOT EXISTS ( \
                       SELECT 1 FROM links WHERE metric_set = ?1 AND period = ?2 AND (until IS NULL OR until > next_start))";
        self.connection.execute(sql, params![set.0, period.seconds(), since])?;
        let sql = "INSERT OR IGNORE INTO links (store, metric_set, period, since, until) VALUES (?1, ?2, ?3, ?4, NULL)";
        self.connection.execute(sql, params![store.0, set.0, period.seconds(), since])?;
        let sql = "UPDATE links SET until = NULL WHERE store = ?1 AND metric_set = ?2 AND period = ?3 AND since = ?4";
        self.connection.execute(sql, params![store.0, set.0, period.seconds(), since])?;
        Ok(())
    }
}
