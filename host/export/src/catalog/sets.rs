//! Metric sets and their metrics, and what a set consisted of at any time.
//!
//! The trap is the edit in the middle of a window: half of the window would be counted by one query and half by another, or the
//! whole by a query that nobody had asked for when it began. So each change of a set's metrics is a new revision with the
//! moment it came into force, and a window is evaluated with the revision that was in force at its start.

use super::error::{corrupt, name_of};
use super::tenants::name_in;
use super::{CatalogError, Change, Edit, Kind, View};
use rusqlite::{OptionalExtension, Row, params};
use serde_json::Value as Json;
use tidegate_model::{Instant, MetricId, MetricQuery, MetricSetId, Name, ProjectId, Window};

/// A named group of metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricSet {
    /// Its number.
    pub id: MetricSetId,
    /// The project whose events it counts.
    pub project: ProjectId,
    /// Its name, unique inside the project.
    pub name: Name,
    /// The name that its series carry: the one it had when it was made, unless a rename changed them. Unique inside the project.
    pub series: Name,
    /// Rises with every change of its metrics.
    pub revision: u64,
}

/// A name and a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its number.
    pub id: MetricId,
    /// The set that it is in.
    pub metric_set: MetricSetId,
    /// Its name, unique inside the set.
    pub name: Name,
    /// The name that its series carry: the one it had when it was made, unless a rename changed them. Unique inside the set.
    pub series: Name,
    /// What it computes.
    pub query: MetricQuery,
    /// Its place among the metrics of the set, from 0.
    pub position: u32,
}

/// What putting a metric came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutMetric {
    /// Its number.
    pub id: MetricId,
    /// Whether it was new or different.
    pub change: Change,
    /// Conditions on `timestamp` that were dropped, in words: the window decides which events count.
    pub dropped_time_frame: Vec<String>,
}

/// The metrics that a window is evaluated with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MetricsInForce {
    pub(crate) revision: u64,
    /// The name that series carry for the set.
    pub(crate) series: Name,
    /// The names that series carry, and what they are of.
    pub(crate) metrics: Vec<(Name, MetricQuery)>,
}

/// What a set consisted of, oldest first.
#[derive(Clone, Debug)]
pub(crate) struct Revisions {
    /// The name that series carry as of now.
    series: Name,
    all: Vec<Revision>,
}

#[derive(Clone, Debug)]
struct Revision {
    number: u64,
    since: Instant,
    series: Name,
    metrics: String,
}

impl Revisions {
    /// Which revision `window` is evaluated with: the one in force at its start. A set that had no metrics then, being new
    /// for example, counts with what it has got by the window's end.
    fn in_force(&self, window: Window) -> Option<&Revision> {
        let at_start = self.all.iter().rfind(|r| r.since <= window.start() && r.metrics != "[]");
        at_start.or_else(|| self.all.iter().rfind(|r| r.since < window.end())).or(self.all.first())
    }

    /// The metrics that `window` is evaluated with.
    pub(crate) fn metrics_for(&self, window: Window) -> rusqlite::Result<MetricsInForce> {
        let Some(revision) = self.in_force(window) else {
            return Ok(MetricsInForce { revision: 0, series: self.series.clone(), metrics: Vec::new() });
        };
        let stored: Vec<(Name, Json)> = serde_json::from_str(&revision.metrics).map_err(|e| corrupt(0, e))?;
        let parsed = stored.into_iter().map(|(name, query)| Ok((name, parse(&query)?)));
        let (number, series) = (revision.number, revision.series.clone());
        Ok(MetricsInForce { revision: number, series, metrics: parsed.collect::<rusqlite::Result<_>>()? })
    }
}

fn parse(query: &Json) -> rusqlite::Result<MetricQuery> {
    MetricQuery::parse(query).map(|parsed| parsed.query).map_err(|e| corrupt(0, e))
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|e| corrupt(column, e))
}

fn set(row: &Row<'_>) -> rusqlite::Result<MetricSet> {
    let (id, project) = (MetricSetId(row.get(0)?), ProjectId(row.get(1)?));
    Ok(MetricSet { id, project, name: name_in(row, 2)?, series: name_in(row, 4)?, revision: unsigned(row, 3)? })
}

fn metric(row: &Row<'_>) -> rusqlite::Result<Metric> {
    let query: String = row.get(3)?;
    let query = serde_json::from_str(&query).map_err(|e| corrupt(3, e))?;
    let (id, metric_set) = (MetricId(row.get(0)?), MetricSetId(row.get(1)?));
    let (name, series) = (name_in(row, 2)?, name_in(row, 5)?);
    Ok(Metric { id, metric_set, name, series, query: parse(&query)?, position: row.get(4)? })
}

impl View<'_> {
    /// The metric sets of a project, by name.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn metric_sets(&self, of: ProjectId) -> Result<Vec<MetricSet>, CatalogError> {
        let sql = "SELECT id, project, name, revision, series FROM metric_sets WHERE project = ?1 ORDER BY name";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_map([of.0], set)?.collect::<Result<_, _>>()?)
    }

    /// The metric set of a project called `name`.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn metric_set_named(&self, of: ProjectId, name: &str) -> Result<MetricSet, CatalogError> {
        let sql = "SELECT id, project, name, revision, series FROM metric_sets WHERE project = ?1 AND name = ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement.query_row(params![of.0, name], set).optional()?;
        found.ok_or_else(|| CatalogError::not_found(Kind::MetricSet, name))
    }

    /// The metric set `id`.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn metric_set(&self, id: MetricSetId) -> Result<MetricSet, CatalogError> {
        let sql = "SELECT id, project, name, revision, series FROM metric_sets WHERE id = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement.query_row([id.0], set).optional()?;
        found.ok_or_else(|| CatalogError::not_found(Kind::MetricSet, id))
    }

    /// The metrics of a set, in their order.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn metrics(&self, of: MetricSetId) -> Result<Vec<Metric>, CatalogError> {
        let sql = "SELECT id, metric_set, name, query, position, series FROM metrics WHERE metric_set = ?1 ORDER BY position, id";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_map([of.0], metric)?.collect::<Result<_, _>>()?)
    }

    /// The metric of a set called `name`.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn metric_named(&self, of: MetricSetId, name: &str) -> Result<Metric, CatalogError> {
        let found = self.metrics(of)?.into_iter().find(|m| m.name.as_str() == name);
        found.ok_or_else(|| CatalogError::not_found(Kind::Metric, name))
    }

    pub(crate) fn revisions(&self, of: MetricSetId) -> rusqlite::Result<Revisions> {
        let sql = "SELECT revision, since, metrics, series FROM set_revisions WHERE metric_set = ?1 ORDER BY revision";
        let mut statement = self.connection.prepare_cached(sql)?;
        let revision = |row: &Row<'_>| {
            let (number, since) = (unsigned(row, 0)?, super::tokens::moment(row, 1)?);
            Ok(Revision { number, since, series: name_in(row, 3)?, metrics: row.get(2)? })
        };
        let all = statement.query_map([of.0], revision)?.collect::<rusqlite::Result<_>>()?;
        let sql = "SELECT series FROM metric_sets WHERE id = ?1";
        let series = self.connection.prepare_cached(sql)?.query_row([of.0], |row| name_in(row, 0))?;
        Ok(Revisions { series, all })
    }
}

impl Edit<'_> {
    /// Makes sure that a project has a metric set called `name`.
    ///
    /// # Errors
    /// [`CatalogError::Name`], and [`CatalogError::NotFound`] if there is no such project.
    pub fn put_metric_set(&self, of: ProjectId, name: &str) -> Result<(MetricSet, Change), CatalogError> {
        let name = name_of(Kind::MetricSet, name)?;
        self.project(of)?;
        if let Ok(known) = self.metric_set_named(of, name.as_str()) {
            return Ok((known, Change::Unchanged));
        }
        self.no_other_set_sends(of, &name, None)?;
        let sql = "INSERT INTO metric_sets (project, name, series, revision, created) VALUES (?1, ?2, ?2, 0, ?3)";
        self.connection.execute(sql, params![of.0, name.as_str(), self.now_micros()])?;
        let id = MetricSetId(self.connection.last_insert_rowid());
        self.metrics_changed(id)?;
        Ok((self.metric_set(id)?, Change::Created))
    }

    /// Removes a metric set with its metrics. What was evaluated of it before is still delivered.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`], and [`CatalogError::Conflict`] while stores are connected to it: whoever reads those
    /// stores should not have to find out by missing data.
    pub fn delete_metric_set(&self, id: MetricSetId) -> Result<(), CatalogError> {
        let set = self.metric_set(id)?;
        let stores = self.stores_connected_to(id)?;
        if !stores.is_empty() {
            let why = format!("is connected to {}; disconnect it there first", stores.join(", "));
            return Err(CatalogError::conflict(Kind::MetricSet, set.name, why));
        }
        self.connection.execute("DELETE FROM cursors WHERE metric_set = ?1", [id.0])?;
        self.connection.execute("DELETE FROM totals WHERE metric_set = ?1", [id.0])?;
        self.connection.execute("DELETE FROM metric_sets WHERE id = ?1", [id.0])?;
        Ok(())
    }

    /// Makes sure that a set has a metric called `name` with this query, in Backtrace's JSON form. A new one goes to the end.
    ///
    /// # Errors
    /// [`CatalogError::Name`], [`CatalogError::Query`], and [`CatalogError::NotFound`] if there is no such set.
    pub fn put_metric(&self, of: MetricSetId, name: &str, query: &Json) -> Result<PutMetric, CatalogError> {
        let name = name_of(Kind::Metric, name)?;
        self.metric_set(of)?;
        let parsed = MetricQuery::parse(query);
        let parsed = parsed.map_err(|error| CatalogError::Query { name: name.to_string(), error })?;
        let dropped_time_frame = parsed.dropped_time_frame;
        let text = parsed.query.to_json().to_string();
        let known = self.metric_named(of, name.as_str()).ok();
        let (id, change) = match known {
            Some(known) if known.query == parsed.query => (known.id, Change::Unchanged),
            Some(known) => {
                let sql = "UPDATE metrics SET query = ?2 WHERE id = ?1";
                self.connection.execute(sql, params![known.id.0, text])?;
                (known.id, Change::Updated(vec!["query".to_owned()]))
            }
            None => {
                self.no_other_metric_sends(of, &name, None)?;
                let sql = "INSERT INTO metrics (metric_set, name, series, query, position, created) VALUES (?1, ?2, ?2, ?3, \
                           (SELECT coalesce(max(position) + 1, 0) FROM metrics WHERE metric_set = ?1), ?4)";
                self.connection.execute(sql, params![of.0, name.as_str(), text, self.now_micros()])?;
                (MetricId(self.connection.last_insert_rowid()), Change::Created)
            }
        };
        if change != Change::Unchanged {
            self.metrics_changed(of)?;
        }
        Ok(PutMetric { id, change, dropped_time_frame })
    }

    /// Removes a metric from its set.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn delete_metric(&self, of: MetricSetId, name: &str) -> Result<(), CatalogError> {
        let metric = self.metric_named(of, name)?;
        self.connection.execute("DELETE FROM metrics WHERE id = ?1", [metric.id.0])?;
        self.metrics_changed(of)
    }

    /// Begins the next revision of a set: what it consists of now is in force from now on.
    pub(super) fn metrics_changed(&self, id: MetricSetId) -> Result<(), CatalogError> {
        let metrics: Vec<_> = self.metrics(id)?.into_iter().map(|m| (m.series, m.query.to_json())).collect();
        let metrics = serde_json::to_string(&metrics).map_err(|e| corrupt(0, e))?;
        self.connection.execute("UPDATE metric_sets SET revision = revision + 1 WHERE id = ?1", [id.0])?;
        let sql = "INSERT INTO set_revisions (metric_set, revision, since, metrics, series) \
                   SELECT id, revision, ?2, ?3, series FROM metric_sets WHERE id = ?1";
        self.connection.execute(sql, params![id.0, self.now_micros(), metrics])?;
        Ok(())
    }
}
