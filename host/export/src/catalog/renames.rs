//! Renaming metrics and metric sets, and moving a metric to another set.
//!
//! The trap is the graph that ends: dashboards and alerts of other people ask for series by name. So a thing has two names, the
//! one that people see and the one that its series carry. A rename changes the first; the second follows only if that is asked
//! for, and then with the next window.

use super::error::name_of;
use super::{CatalogError, Edit, Kind, Metric, MetricSet};
use rusqlite::params;
use tidegate_model::{MetricId, MetricSetId, Name, ProjectId};

/// Whether series follow a rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Series {
    /// They keep their name, so that no graph ends.
    Stay,
    /// They carry the new name from the next window on.
    Follow,
}

impl Edit<'_> {
    /// Gives a metric set another name. Its stores stay connected. Where series follow, those in which the name of the set stands
    /// begin anew with the next window.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`]; [`CatalogError::Name`]; [`CatalogError::Conflict`] if the name is taken, or the series of
    /// another set carry it.
    pub fn rename_metric_set(&self, id: MetricSetId, name: &str, series: Series) -> Result<MetricSet, CatalogError> {
        let (set, name) = (self.metric_set(id)?, name_of(Kind::MetricSet, name)?);
        if set.name != name && self.metric_set_named(set.project, name.as_str()).is_ok() {
            return Err(CatalogError::conflict(Kind::MetricSet, name, "there is one of this name"));
        }
        let sent = if series == Series::Follow { &name } else { &set.series };
        self.no_other_set_sends(set.project, sent, Some(id))?;
        let sql = "UPDATE metric_sets SET name = ?2, series = ?3 WHERE id = ?1";
        self.connection.execute(sql, params![id.0, name.as_str(), sent.as_str()])?;
        if *sent != set.series {
            self.metrics_changed(id)?;
        }
        self.metric_set(id)
    }

    /// Gives a metric another name, puts it at the end of another set of its project, or both. The stores of the other set get it
    /// from the next window on, those of the old one no more; where the name of the set stands in series, they begin anew.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`]; [`CatalogError::Name`]; [`CatalogError::Conflict`] if there is a metric of that name already,
    /// the series of another one carry it, or the sets belong to two projects.
    pub fn move_metric(
        &self,
        of: MetricSetId,
        name: &str,
        to: MetricSetId,
        new: &str,
        series: Series,
    ) -> Result<Metric, CatalogError> {
        let (metric, from, target) = (self.metric_named(of, name)?, self.metric_set(of)?, self.metric_set(to)?);
        let new = name_of(Kind::Metric, new)?;
        if from.project != target.project {
            return Err(CatalogError::conflict(Kind::Metric, metric.name, "metrics stay in their project"));
        }
        let known = self.metric_named(to, new.as_str()).ok();
        if known.is_some_and(|known| known.id != metric.id) {
            let why = format!("{} has a metric of this name already", target.name);
            return Err(CatalogError::conflict(Kind::Metric, new, why));
        }
        let sent = if series == Series::Follow { &new } else { &metric.series };
        self.no_other_metric_sends(to, sent, Some(metric.id))?;
        let sql = "UPDATE metrics SET name = ?2, series = ?3, metric_set = ?4, position = iif(metric_set = ?4, position, \
                   (SELECT coalesce(max(position) + 1, 0) FROM metrics WHERE metric_set = ?4)) WHERE id = ?1";
        self.connection.execute(sql, params![metric.id.0, new.as_str(), sent.as_str(), to.0])?;
        if of != to {
            self.metrics_changed(of)?;
        }
        if of != to || *sent != metric.series {
            self.metrics_changed(to)?;
        }
        self.metric_named(to, new.as_str())
    }

    /// Two sets whose series carry one name could not be told apart by whoever reads them.
    pub(super) fn no_other_set_sends(
        &self,
        of: ProjectId,
        series: &Name,
        but: Option<MetricSetId>,
    ) -> Result<(), CatalogError> {
        let other = self.metric_sets(of)?.into_iter().find(|set| set.series == *series && Some(set.id) != but);
        other.map_or(Ok(()), |other| Err(CatalogError::conflict(Kind::MetricSet, series, taken(&other.name))))
    }

    /// The same for the metrics of a set.
    pub(super) fn no_other_metric_sends(
        &self,
        of: MetricSetId,
        series: &Name,
        but: Option<MetricId>,
    ) -> Result<(), CatalogError> {
        let other = self.metrics(of)?.into_iter().find(|metric| metric.series == *series && Some(metric.id) != but);
        other.map_or(Ok(()), |other| Err(CatalogError::conflict(Kind::Metric, series, taken(&other.name))))
    }
}

fn taken(by: &Name) -> String {
    format!("is the name that the series of {by:?} carry; rename those first, with their series")
}
