//! Numbers about the export itself, for the `/metrics` page of the host.

use prometheus::{Counter, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};
use std::time::Duration;
use tidegate_sandbox::{Fault, Usage};

/// Seconds between the end of a window and its record.
const LAG_BUCKETS: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 600.0];

/// Counters, gauges and histograms of one export.
pub(crate) struct Observed {
    pub(crate) lag: Histogram,
    pub(crate) windows: IntCounterVec,
    pub(crate) evaluations: IntCounter,
    pub(crate) deliveries: IntCounterVec,
    pub(crate) oldest: GaugeVec,
    pub(crate) sent_bytes: IntCounter,
    pub(crate) pages: IntCounterVec,
    faults: IntCounterVec,
    adapter_cpu: Counter,
}

impl Observed {
    /// Registers everything.
    ///
    /// # Errors
    /// If something of the same name is there already.
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let vector = |name: &str, help: &str, label: &str| {
            let vector = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(vector.clone()))?;
            Ok::<_, prometheus::Error>(vector)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let lag = HistogramOpts::new("tidegate_evaluation_lag_seconds", "From the end of a window to its record")
            .buckets(LAG_BUCKETS.to_vec());
        let lag = Histogram::with_opts(lag)?;
        registry.register(Box::new(lag.clone()))?;
        let oldest =
            Opts::new("tidegate_oldest_undelivered_seconds", "Age of the oldest window that waits for delivery");
        let oldest = GaugeVec::new(oldest, &["store"])?;
        registry.register(Box::new(oldest.clone()))?;
        let adapter_cpu = Counter::new("tidegate_adapter_cpu_seconds_total", "Time that adapters ran for")?;
        registry.register(Box::new(adapter_cpu.clone()))?;
        Ok(Self {
            lag,
            windows: vector("tidegate_windows_total", "Windows of metric sets, by what became of them", "outcome")?,
            evaluations: counter("tidegate_evaluations_total", "Passes over the events of a project and window")?,
            deliveries: vector("tidegate_deliveries_total", "Deliveries of windows to stores, by outcome", "outcome")?,
            oldest,
            sent_bytes: counter("tidegate_sent_bytes_total", "Bytes of bodies sent to stores")?,
            pages: vector("tidegate_pull_pages_total", "Requests for pull pages, by what they got", "outcome")?,
            faults: vector("tidegate_adapter_faults_total", "Calls of adapters that failed, by kind", "kind")?,
            adapter_cpu,
        })
    }

    pub(crate) fn used(&self, usage: &Usage) {
        self.adapter_cpu.inc_by(usage.cpu.as_secs_f64());
    }

    pub(crate) fn fault(&self, fault: &Fault) {
        let kind = match fault {
            Fault::Trap { .. } => "trap",
            Fault::Deadline { .. } => "deadline",
            Fault::Memory { .. } => "memory",
            Fault::Output { .. } => "output",
            Fault::Actions { .. } => "actions",
            Fault::Handles { .. } => "handles",
            Fault::Contract(_) => "contract",
            Fault::Refused(_) => "refused",
            Fault::Busy { .. } => "busy",
            _ => "other",
        };
        self.faults.with_label_values(&[kind]).inc();
    }

    pub(crate) fn lagged(&self, lag: Duration) {
        self.lag.observe(lag.as_secs_f64());
    }
}
