//! The server's own counters, beside those that the other parts register.

use super::overload::Gate;
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use std::time::Duration;
use tidegate_events::SourceError;
use tidegate_sandbox::Sandbox;

/// Counters of the HTTP side.
#[derive(Debug)]
pub(crate) struct HttpMetrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
    refused: IntCounterVec,
    taken: IntCounter,
    duplicates: IntCounter,
    rejected: IntCounter,
    under_way: IntGauge,
    held_bytes: IntGauge,
    queries: IntCounterVec,
    components: IntGaugeVec,
    instances: IntGauge,
    instances_limit: IntGauge,
}

impl HttpMetrics {
    /// Makes the counters and registers them.
    ///
    /// # Errors
    /// If one of the names is taken.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let ours = Self {
            requests: IntCounterVec::new(
                Opts::new("tidegate_http_requests_total", "Requests answered."),
                &["route", "method", "status"],
            )?,
            seconds: HistogramVec::new(
                HistogramOpts::new("tidegate_http_request_seconds", "Time to answer a request.")
                    .buckets(vec![0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0]),
                &["route"],
            )?,
            refused: IntCounterVec::new(
                Opts::new("tidegate_http_refused_total", "Requests refused, by reason."),
                &["reason"],
            )?,
            taken: IntCounter::new(
                "tidegate_ingest_events_total",
                "Events acknowledged, repeats of a uuid not counted.",
            )?,
            duplicates: IntCounter::new(
                "tidegate_ingest_duplicates_total",
                "Repeats of a uuid, answered and not stored.",
            )?,
            rejected: IntCounter::new("tidegate_ingest_rejected_total", "Reports and lines that could not be taken.")?,
            under_way: IntGauge::new("tidegate_ingest_requests_under_way", "Submissions under way.")?,
            held_bytes: IntGauge::new("tidegate_ingest_held_bytes", "Bytes of bodies held in memory.")?,
            queries: IntCounterVec::new(
                Opts::new("tidegate_queries_total", "Queries, by what became of them; ended: nobody waited any more."),
                &["outcome"],
            )?,
            components: IntGaugeVec::new(
                Opts::new(
                    "tidegate_components",
                    "Adapters since the start: compiled, taken from the cache, discarded from it, refused as before.",
                ),
                &["how"],
            )?,
            instances: IntGauge::new("tidegate_adapter_instances", "Deliveries and pages under way.")?,
            instances_limit: IntGauge::new("tidegate_adapter_instances_limit", "How many may be.")?,
        };
        registry.register(Box::new(ours.requests.clone()))?;
        registry.register(Box::new(ours.seconds.clone()))?;
        registry.register(Box::new(ours.refused.clone()))?;
        for counter in [&ours.taken, &ours.duplicates, &ours.rejected] {
            registry.register(Box::new(counter.clone()))?;
        }
        for outcome in ["answered", "ended", "refused", "failed"] {
            ours.queries.with_label_values(&[outcome]);
        }
        registry.register(Box::new(ours.queries.clone()))?;
        registry.register(Box::new(ours.components.clone()))?;
        for gauge in [&ours.under_way, &ours.held_bytes, &ours.instances, &ours.instances_limit] {
            registry.register(Box::new(gauge.clone()))?;
        }
        Ok(ours)
    }

    pub(crate) fn answered(&self, route: &str, method: &str, status: u16, took: Duration) {
        // A client can invent methods; a counter for each would be a way to fill our memory.
        let method =
            if matches!(method, "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "OPTIONS") { method } else { "other" };
        self.requests.with_label_values(&[route, method, &status.to_string()]).inc();
        self.seconds.with_label_values(&[route]).observe(took.as_secs_f64());
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    pub(crate) fn taken(&self, events: u64, duplicates: u64) {
        self.taken.inc_by(events);
        self.duplicates.inc_by(duplicates);
    }

    pub(crate) fn rejected(&self, events: u64) {
        self.rejected.inc_by(events);
    }

    /// Counts a query. An error of its own making is `refused`, one of the store `failed`.
    pub(crate) fn queried<T>(&self, result: &Result<T, SourceError>) {
        let outcome = match result {
            Ok(_) => "answered",
            Err(SourceError::Cancelled) => "ended",
            Err(SourceError::Budget { .. } | SourceError::Unanswerable { .. } | SourceError::NoQueries) => "refused",
            Err(_) => "failed",
        };
        self.queries.with_label_values(&[outcome]).inc();
    }

    /// Events acknowledged since the start.
    #[must_use]
    pub(crate) fn events_taken(&self) -> u64 {
        self.taken.get()
    }

    pub(crate) fn show_adapters(&self, sandbox: &Sandbox) {
        let counts = sandbox.compiled();
        let all = [
            ("compiled", counts.compiled),
            ("cached", counts.cached),
            ("discarded", counts.discarded),
            ("remembered", counts.remembered),
        ];
        for (how, count) in all {
            self.components.with_label_values(&[how]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.instances.set(sandbox.running().into());
        self.instances_limit.set(sandbox.options().max_instances.into());
    }

    pub(crate) fn show_load(&self, gate: &Gate) {
        let (requests, bytes) = gate.load();
        self.under_way.set(i64::try_from(requests).unwrap_or(i64::MAX));
        self.held_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}
