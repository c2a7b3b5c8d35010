//! The InfluxDB adapter as ordinary host code: the peer of the same code in the sandbox.

use influxdb::Influxdb;
use tidegate_adapter::testing::{BatchBuilder, MetricBuilder, PushStore, TestBatch};
use tidegate_model::Batch;

/// The adapter with settings, and a batch in the form that it is given natively.
pub(crate) struct Native {
    store: PushStore<Influxdb>,
    batch: TestBatch,
}

impl Native {
    /// The same rows as `batch`.
    pub(crate) fn of(batch: &Batch) -> Self {
        let mut builder = BatchBuilder::new(batch.project.as_str(), batch.metric_set.as_str())
            .window(batch.window.end().seconds(), batch.window.period().seconds());
        for metric in &batch.metrics {
            let names = metric.dimensions.iter().map(|d| d.name.as_str());
            let mut rows = MetricBuilder::new(metric.name.as_str(), names);
            for measure in &metric.measures {
                rows = rows.measure(measure.aggregate.as_str(), &measure.attribute);
            }
            for row in 0..metric.live_rows {
                let labels = (0..metric.dimensions.len()).map(|d| metric.dimension_text(d, row).unwrap_or_default());
                let values = metric.measures.iter().map(|m| m.values[row as usize]);
                rows = rows.row(labels, values.collect::<Vec<_>>());
            }
            builder = builder.metric(rows);
        }
        let typed = [("version", "1"), ("url", "http://localhost"), ("database", "m")];
        Self { store: PushStore::new(typed), batch: builder.build() }
    }

    /// A whole delivery to a server that takes everything; the bytes that it would have been sent.
    pub(crate) fn deliver(&self) -> u64 {
        self.store.encode(&self.batch).requests().map(|request| request.body.len() as u64).sum()
    }
}
