//! Adapters as ordinary host code: the peer of the same code in the sandbox.

use circonus::Circonus;
use datadog::Datadog;
use grafana::Grafana;
use graphite::Graphite;
use influxdb::Influxdb;
use prometheus_adapter::Prometheus;
use std::sync::Arc;
use tidegate_adapter::PushAdapter;
use tidegate_adapter::testing::{Action, BatchBuilder, MetricBuilder, PullStore, PushStore, TestBatch};
use tidegate_model::Batch;

/// Settings as an admin would type them.
pub(crate) type Typed = &'static [(&'static str, &'static str)];

/// A whole delivery, or a page, in native code; the bytes that it gave.
pub(crate) type Deliver = Box<dyn Fn(&TestBatch) -> u64>;

/// One adapter in one of its forms.
pub(crate) struct Subject {
    /// What lines of the report begin with.
    pub(crate) name: &'static str,
    /// The adapter's name in the registry.
    pub(crate) adapter: &'static str,
    /// The settings of both sides.
    pub(crate) typed: Typed,
    /// Whether it is read.
    pub(crate) pull: bool,
    /// The same in native code.
    pub(crate) native: fn(Typed) -> Deliver,
}

fn push<A: PushAdapter>(typed: Typed) -> Deliver {
    let store = PushStore::<A>::new(typed.iter().copied());
    let length = |action: &Action| match action {
        Action::Request(request) => request.body.len() as u64,
        Action::Stream(stream) => stream.body.len() as u64,
    };
    Box::new(move |batch| store.encode(batch).sent.iter().map(length).sum())
}

fn page<A: tidegate_adapter::PullAdapter>(typed: Typed) -> Deliver {
    let store = Arc::new(PullStore::<A>::new(typed.iter().copied()));
    Box::new(move |batch| store.render(std::slice::from_ref(batch), &[]).map_or(0, |page| page.body.len() as u64))
}

/// Every adapter of the binary.
pub(crate) const SUBJECTS: &[Subject] = &[
    Subject {
        name: "influxdb",
        adapter: "influxdb",
        typed: &[("version", "1"), ("url", "http://localhost"), ("database", "m")],
        pull: false,
        native: push::<Influxdb>,
    },
    Subject {
        name: "graphite",
        adapter: "graphite",
        typed: &[("host", "localhost")],
        pull: false,
        native: push::<Graphite>,
    },
    Subject {
        name: "grafana_json",
        adapter: "grafana",
        typed: &[("cluster", "dedicated"), ("url", "http://localhost"), ("key", "k")],
        pull: false,
        native: push::<Grafana>,
    },
    Subject {
        name: "datadog_json",
        adapter: "datadog",
        typed: &[("site", "custom"), ("url", "http://localhost"), ("api_key", "k")],
        pull: false,
        native: push::<Datadog>,
    },
    Subject {
        name: "circonus_json",
        adapter: "circonus",
        typed: &[("submission_url", "http://localhost/submit")],
        pull: false,
        native: push::<Circonus>,
    },
    Subject { name: "circonus_page", adapter: "circonus", typed: &[], pull: true, native: page::<Circonus> },
    Subject { name: "prometheus", adapter: "prometheus", typed: &[], pull: true, native: page::<Prometheus> },
];

/// The same rows as `batch`, in the form that native adapters are given.
pub(crate) fn batch(batch: &Batch) -> TestBatch {
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
    builder.build()
}
