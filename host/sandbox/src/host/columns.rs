//! Batches as an adapter reads them: column by column, cut to the rows of the view.
//!
//! What a getter hands over is copied once, into the guest. A view's dictionary is the metric's whole dictionary, so a part may
//! hold entries that none of its rows uses; codes then mean the same in every part, and no dictionary is rebuilt.

use super::{State, packed};
use crate::bindings::push::tidegate::adapter::model::{self, Strings};
use crate::fault::Fault;
use std::ops::Range;
use std::sync::Arc;
use tidegate_model::{BatchView, Dimension, MeasureColumn, MetricBatch};
use wasmtime::component::Resource;

/// A batch, or a part of one.
#[derive(Debug, Clone)]
pub struct BatchHandle {
    pub(crate) view: Arc<BatchView>,
    check: bool,
}

impl BatchHandle {
    /// A batch to make something of.
    pub(crate) fn of(view: Arc<BatchView>) -> Self {
        Self { view, check: false }
    }

    /// A batch without metrics: the settings are to be checked.
    pub(crate) fn to_check(view: Arc<BatchView>) -> Self {
        Self { view, check: true }
    }
}

/// One metric of it, or of the batch that it is a part of.
#[derive(Debug, Clone)]
pub struct MetricHandle {
    view: Arc<BatchView>,
    metric: usize,
    /// The rows that are read; they exist.
    rows: Range<u32>,
}

/// One measure of that.
#[derive(Debug)]
pub struct MeasureHandle {
    of: MetricHandle,
    measure: usize,
}

/// The rows of metric `metric` that belong to `view`, whatever the view claims.
pub(super) fn rows_of(view: &BatchView, metric: usize) -> Range<u32> {
    let Some(batch) = view.batch.metrics.get(metric) else { return 0..0 };
    let rows = view.rows.get(metric).cloned().unwrap_or(0..0);
    let end = rows.end.min(batch.rows);
    rows.start.min(end)..end
}

/// The part of those that has values.
pub(super) fn live_rows_of(view: &BatchView, metric: usize) -> Range<u32> {
    live(&rows_of(view, metric), view.batch.metrics.get(metric).map_or(0, |m| m.live_rows))
}

/// The part of `rows` that is below `live_rows`.
fn live(rows: &Range<u32>, live_rows: u32) -> Range<u32> {
    let end = rows.end.min(live_rows);
    rows.start.min(end)..end
}

/// Live rows of metric `metric` in `view`: what a verdict may name.
pub(crate) fn live_rows(view: &BatchView, metric: usize) -> u32 {
    let live = live_rows_of(view, metric);
    live.end - live.start
}

/// These rows of a column; nothing if it is shorter.
pub(super) fn part<'c, T>(column: &'c [T], rows: &Range<u32>) -> &'c [T] {
    column.get(rows.start as usize..rows.end as usize).unwrap_or_default()
}

impl MetricHandle {
    fn batch(&self) -> wasmtime::Result<&MetricBatch> {
        let metric = self.view.batch.metrics.get(self.metric);
        metric.ok_or_else(|| Fault::contract(format!("metric {} does not exist", self.metric)).into())
    }

    fn live_rows(&self) -> wasmtime::Result<Range<u32>> {
        Ok(live(&self.rows, self.batch()?.live_rows))
    }

    fn dimension(&self, dimension: u32) -> wasmtime::Result<&Dimension> {
        let all = &self.batch()?.dimensions;
        all.get(dimension as usize).ok_or_else(|| {
            let there_are = all.len();
            Fault::contract(format!("asked for dimension {dimension} of a metric that has {there_are}")).into()
        })
    }
}

impl MeasureHandle {
    fn column(&self) -> wasmtime::Result<&MeasureColumn> {
        let measure = self.of.batch()?.measures.get(self.measure);
        measure.ok_or_else(|| Fault::contract(format!("measure {} does not exist", self.measure)).into())
    }
}

impl State {
    fn batch(&self, handle: &Resource<BatchHandle>) -> wasmtime::Result<&BatchView> {
        Ok(&self.table.get(handle)?.view)
    }

    fn metric(&self, handle: &Resource<MetricHandle>) -> wasmtime::Result<&MetricHandle> {
        Ok(self.table.get(handle)?)
    }

    fn measure(&self, handle: &Resource<MeasureHandle>) -> wasmtime::Result<&MeasureHandle> {
        Ok(self.table.get(handle)?)
    }
}

impl model::HostBatch for State {
    fn project(&mut self, this: Resource<BatchHandle>) -> wasmtime::Result<String> {
        Ok(self.batch(&this)?.batch.project.as_str().to_owned())
    }

    fn metric_set(&mut self, this: Resource<BatchHandle>) -> wasmtime::Result<String> {
        Ok(self.batch(&this)?.batch.metric_set.as_str().to_owned())
    }

    fn window_start(&mut self, this: Resource<BatchHandle>) -> wasmtime::Result<u64> {
        Ok(self.batch(&this)?.batch.window.start().seconds())
    }

    fn window_end(&mut self, this: Resource<BatchHandle>) -> wasmtime::Result<u64> {
        Ok(self.batch(&this)?.batch.window.end().seconds())
    }

    fn period(&mut self, this: Resource<BatchHandle>) -> wasmtime::Result<u32> {
        Ok(self.batch(&this)?.batch.window.period().seconds())
    }

    fn metrics(&mut self, this: Resource<BatchHandle>) -> wasmtime::Result<Vec<Resource<MetricHandle>>> {
        let view = Arc::clone(&self.table.get(&this)?.view);
        let handle = |metric| MetricHandle { view: Arc::clone(&view), metric, rows: rows_of(&view, metric) };
        (0..view.batch.metrics.len()).map(|metric| self.push(handle(metric))).collect()
    }

    fn check(&mut self, this: Resource<BatchHandle>) -> wasmtime::Result<bool> {
        Ok(self.table.get(&this)?.check)
    }

    fn packed(&mut self, this: Resource<BatchHandle>, most: u32) -> wasmtime::Result<Option<model::Columns>> {
        let BatchHandle { view, check } = self.table.get(&this)?;
        Ok(packed::columns(view, *check, most))
    }

    fn drop(&mut self, this: Resource<BatchHandle>) -> wasmtime::Result<()> {
        self.take(this).map(drop)
    }
}

impl model::HostMetric for State {
    fn name(&mut self, this: Resource<MetricHandle>) -> wasmtime::Result<String> {
        Ok(self.metric(&this)?.batch()?.name.as_str().to_owned())
    }

    fn rows(&mut self, this: Resource<MetricHandle>) -> wasmtime::Result<u32> {
        let rows = &self.metric(&this)?.rows;
        Ok(rows.end - rows.start)
    }

    fn live_rows(&mut self, this: Resource<MetricHandle>) -> wasmtime::Result<u32> {
        let rows = self.metric(&this)?.live_rows()?;
        Ok(rows.end - rows.start)
    }

    fn dimensions(&mut self, this: Resource<MetricHandle>) -> wasmtime::Result<Vec<String>> {
        Ok(self.metric(&this)?.batch()?.dimensions.iter().map(|d| d.name.clone()).collect())
    }

    fn dictionary(&mut self, this: Resource<MetricHandle>, dimension: u32) -> wasmtime::Result<Strings> {
        let (utf8, ends) = self.metric(&this)?.dimension(dimension)?.dictionary.parts();
        Ok(Strings { utf8: utf8.as_bytes().to_vec(), ends: ends.to_vec() })
    }

    fn codes(&mut self, this: Resource<MetricHandle>, dimension: u32) -> wasmtime::Result<Vec<u32>> {
        let this = self.metric(&this)?;
        Ok(part(&this.dimension(dimension)?.codes, &this.rows).to_vec())
    }

    fn measures(&mut self, this: Resource<MetricHandle>) -> wasmtime::Result<Vec<Resource<MeasureHandle>>> {
        let of = self.metric(&this)?.clone();
        let measures = of.batch()?.measures.len();
        (0..measures).map(|measure| self.push(MeasureHandle { of: of.clone(), measure })).collect()
    }

    fn whole(&mut self, this: Resource<MetricHandle>) -> wasmtime::Result<Resource<MetricHandle>> {
        let this = self.metric(&this)?;
        let rows = 0..this.batch()?.rows;
        let whole = MetricHandle { rows, ..this.clone() };
        self.push(whole)
    }

    fn first_row(&mut self, this: Resource<MetricHandle>) -> wasmtime::Result<u32> {
        Ok(self.metric(&this)?.rows.start)
    }

    fn drop(&mut self, this: Resource<MetricHandle>) -> wasmtime::Result<()> {
        self.take(this).map(drop)
    }
}

impl model::HostMeasure for State {
    fn attribute(&mut self, this: Resource<MeasureHandle>) -> wasmtime::Result<String> {
        Ok(self.measure(&this)?.column()?.attribute.clone())
    }

    fn aggregate(&mut self, this: Resource<MeasureHandle>) -> wasmtime::Result<String> {
        Ok(self.measure(&this)?.column()?.aggregate.as_str().to_owned())
    }

    fn additive(&mut self, this: Resource<MeasureHandle>) -> wasmtime::Result<bool> {
        Ok(self.measure(&this)?.column()?.aggregate.additive())
    }

    fn values(&mut self, this: Resource<MeasureHandle>) -> wasmtime::Result<Vec<f64>> {
        let this = self.measure(&this)?;
        Ok(part(&this.column()?.values, &this.of.live_rows()?).to_vec())
    }

    fn totals(&mut self, this: Resource<MeasureHandle>) -> wasmtime::Result<Option<Vec<f64>>> {
        let this = self.measure(&this)?;
        Ok(this.column()?.totals.as_ref().map(|totals| part(totals, &this.of.rows).to_vec()))
    }

    fn drop(&mut self, this: Resource<MeasureHandle>) -> wasmtime::Result<()> {
        self.take(this).map(drop)
    }
}
