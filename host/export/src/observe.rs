//! Numbers about the export itself, for the `/metrics` page of the host.

use prometheus::core::Collector;
use prometheus::{Counter, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};
use std::time::Duration;
use tidegate_sandbox::{Fault, Usage};

/// Seconds between the end of a window and its record.
const LAG_BUCKETS: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 600.0];
/// Seconds between the end of a window and its arrival at a store.
const AGE_BUCKETS: [f64; 10] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 86_400.0];

/// Why a window did not arrive: the label `reason` of `tidegate_lost_windows_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It was not delivered before it was too old.
    TooOld,
    /// It was too old before it could be evaluated.
    NeverEvaluated,
    /// The store's queue was full.
    QueueFull,
    /// The ledger's record of it is damaged.
    Damaged,
    /// The store, or its adapter on its behalf, refused it for good.
    Refused,
    /// The adapter made other bytes of it than before.
    OtherBytes,
}

impl Loss {
    const ALL: [Self; 6] =
        [Self::TooOld, Self::NeverEvaluated, Self::QueueFull, Self::Damaged, Self::Refused, Self::OtherBytes];

    const fn labels(self) -> [&'static str; 2] {
        match self {
            Self::TooOld => ["expired", "too_old"],
            Self::NeverEvaluated => ["expired", "never_evaluated"],
            Self::QueueFull => ["expired", "queue_full"],
            Self::Damaged => ["expired", "damaged"],
            Self::Refused => ["rejected", "refused"],
            Self::OtherBytes => ["rejected", "other_bytes"],
        }
    }
}

/// Counters, gauges and histograms of one export.
pub(crate) struct Observed {
    pub(crate) lag: Histogram,
    pub(crate) age: Histogram,
    pub(crate) late: Histogram,
    pub(crate) windows: IntCounterVec,
    pub(crate) evaluations: IntCounter,
    pub(crate) deliveries: IntCounterVec,
    pub(crate) retries: IntCounterVec,
    pub(crate) oldest: GaugeVec,
    pub(crate) queue_bytes: GaugeVec,
    pub(crate) queue_windows: GaugeVec,
    pub(crate) breaker: GaugeVec,
    pub(crate) limit: GaugeVec,
    pub(crate) limit_used: GaugeVec,
    pub(crate) sent_bytes: IntCounter,
    pub(crate) pages: IntCounterVec,
    lost: IntCounterVec,
    faults: IntCounterVec,
    adapter_cpu: Counter,
    adapter_calls: IntCounterVec,
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    made: Result<C, prometheus::Error>,
) -> Result<C, prometheus::Error> {
    let made = made?;
    registry.register(Box::new(made.clone()))?;
    Ok(made)
}

impl Observed {
    /// Registers everything.
    ///
    /// # Errors
    /// If something of the same name is there already.
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let vector = |name: &str, help: &str, labels: &[&str]| {
            registered(registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let counter = |name: &str, help: &str| registered(registry, IntCounter::new(name, help));
        let by_store = |name: &str, help: &str| registered(registry, GaugeVec::new(Opts::new(name, help), &["store"]));
        let limits =
            |name: &str, help: &str| registered(registry, GaugeVec::new(Opts::new(name, help), &["store", "limit"]));
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            registered(registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
        };
        let ours = Self {
            lag: histogram("tidegate_evaluation_lag_seconds", "From the end of a window to its record", &LAG_BUCKETS)?,
            age: histogram(
                "tidegate_window_age_at_confirm_seconds",
                "From the end of a window to its arrival at a store",
                &AGE_BUCKETS,
            )?,
            late: histogram(
                "tidegate_delivery_lateness_seconds",
                "From the moment that was planned for a delivery to its first try",
                &LAG_BUCKETS,
            )?,
            windows: vector("tidegate_windows_total", "Windows of metric sets, by what became of them", &["outcome"])?,
            evaluations: counter("tidegate_evaluations_total", "Passes over the events of a project and window")?,
            deliveries: vector(
                "tidegate_deliveries_total",
                "Deliveries of windows to stores, by outcome",
                &["outcome"],
            )?,
            retries: vector("tidegate_retries_total", "Tries of deliveries that are repeated, by cause", &["cause"])?,
            oldest: by_store(
                "tidegate_oldest_undelivered_seconds",
                "Age of the oldest window that waits for delivery",
            )?,
            queue_bytes: by_store("tidegate_queue_bytes", "Bytes of the windows that wait for delivery, as stored")?,
            queue_windows: by_store("tidegate_queue_windows", "Windows that wait for delivery")?,
            breaker: by_store(
                "tidegate_breaker_state",
                "0 closed, 1 waiting after a failure, 2 open after several, 3 open until the credentials change",
            )?,
            limit: limits("tidegate_adapter_limit", "What the adapter of a store may use: ms, bytes or a number")?,
            limit_used: limits(
                "tidegate_adapter_limit_used",
                "What it used: the most of one call, or in the last minute, where the limit is of a minute",
            )?,
            sent_bytes: counter("tidegate_sent_bytes_total", "Bytes of bodies sent to stores")?,
            pages: vector("tidegate_pull_pages_total", "Requests for pull pages, by what they got", &["outcome"])?,
            lost: vector(
                "tidegate_lost_windows_total",
                "Windows that a store will never get, by how they ended and why",
                &["outcome", "reason"],
            )?,
            faults: vector("tidegate_adapter_faults_total", "Calls of adapters that failed, by kind", &["kind"])?,
            adapter_calls: vector(
                "tidegate_adapter_calls_total",
                "Calls of adapters, by whether they are made as usual or on the threads that step back",
                &["lane"],
            )?,
            adapter_cpu: registered(
                registry,
                Counter::new("tidegate_adapter_cpu_seconds_total", "Time that adapters ran for"),
            )?,
        };
        ours.begin_at_zero();
        Ok(ours)
    }

    /// Makes every series that an alert may ask for. One that begins with its first event has no increase to be seen.
    fn begin_at_zero(&self) {
        Loss::ALL.iter().for_each(|loss| self.lost(*loss, 0));
        let zero = |vector: &IntCounterVec, values: &[&str]| {
            values.iter().for_each(|value| vector.with_label_values(&[*value]).inc_by(0));
        };
        zero(&self.windows, &["evaluated", "failed", "expired"]);
        zero(&self.deliveries, &["confirmed", "rejected", "expired"]);
        zero(&self.retries, &["retry", "throttle", "credentials", "settings", "adapter"]);
        zero(&self.adapter_calls, &["usual", "slow"]);
        zero(&self.pages, &["page", "not_ready", "stale", "failed"]);
        zero(
            &self.faults,
            &["trap", "deadline", "memory", "output", "actions", "handles", "cpu", "contract", "refused", "busy"],
        );
    }

    pub(crate) fn used(&self, usage: &Usage, is_slow: bool) {
        self.adapter_calls.with_label_values(&[if is_slow { "slow" } else { "usual" }]).inc();
        self.adapter_cpu.inc_by(usage.cpu.as_secs_f64());
    }

    pub(crate) fn lost(&self, loss: Loss, windows: u64) {
        self.lost.with_label_values(&loss.labels()).inc_by(windows);
    }

    pub(crate) fn fault(&self, fault: &Fault) {
        let kind = match fault {
            Fault::Trap { .. } => "trap",
            Fault::Deadline { .. } => "deadline",
            Fault::Memory { .. } => "memory",
            Fault::Output { .. } => "output",
            Fault::Actions { .. } => "actions",
            Fault::Handles { .. } => "handles",
            Fault::Cpu { .. } => "cpu",
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
