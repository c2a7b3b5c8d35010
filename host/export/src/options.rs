//! What an [`Export`](crate::Export) is made of.

use crate::budget::Allowance;
use crate::catalog::Catalog;
use crate::chance::LONGEST;
use crate::egress::Transport;
use crate::egress::policy::EgressPolicy;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tidegate_events::{EvaluationLimits, Source};
use tidegate_model::Clock;
use tidegate_sandbox::Registry;

/// Figures of the schedule, the deliveries and the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportSettings {
    /// Age at which a window that has not arrived expires; 24 h.
    pub look_back: Duration,
    /// Bytes of windows, as stored, that may wait for one store; 256 MiB. Beyond, its oldest windows expire.
    pub queue_bytes: u64,
    /// How long batches are kept after every store has them; 24 h.
    pub keep_batches: Duration,
    /// How long the record of a window and its deliveries is kept; 30 days. What they came to in all is kept for good.
    pub keep_records: Duration,
    /// Windows without a series after which its totals are forgotten; 24 h.
    pub series_idle: Duration,
    /// Most series that the totals of one metric keep; 50,000.
    pub total_series: usize,
    /// Most rows of one metric; 10,000.
    pub groups: u32,
    /// Longest that the evaluation of one metric over one window may take; 10 s. Beyond, it fails, and is tried again later.
    pub metric_time: Duration,
    /// Bytes of memory that the metrics of one metric set may take to be evaluated; 512 MiB.
    pub evaluation_bytes: usize,
    /// Until a connection to a sink stands; 10 s.
    pub connect_time: Duration,
    /// A request to a sink, from the look-up of its name to the last byte of the answer; 30 s.
    pub request_time: Duration,
    /// Conversations with an adapter in one try to deliver a window, when it has to be split; 4096.
    pub parts: u32,
    /// Longest wait between two tries of what fails, unless the other side asks for a longer one; 60 s.
    pub longest_wait: Duration,
    /// How often the clock is looked at while nothing is due; 250 ms.
    pub tick: Duration,
}

impl Default for ExportSettings {
    fn default() -> Self {
        let day = Duration::from_secs(86_400);
        Self {
            look_back: day,
            queue_bytes: 256 << 20,
            keep_batches: day,
            keep_records: 30 * day,
            series_idle: day,
            total_series: 50_000,
            groups: 10_000,
            metric_time: Duration::from_secs(10),
            evaluation_bytes: EvaluationLimits::default().memory,
            connect_time: Duration::from_secs(10),
            request_time: Duration::from_secs(30),
            parts: 4096,
            longest_wait: LONGEST,
            tick: Duration::from_millis(250),
        }
    }
}

/// What an [`Export`](crate::Export) works with.
#[derive(Clone)]
#[non_exhaustive]
pub struct ExportOptions {
    /// What is to be exported; holds the ledger too.
    pub catalog: Arc<Catalog>,
    /// Where metrics are evaluated.
    pub source: Arc<dyn Source>,
    /// The adapters.
    pub registry: Arc<Registry>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Which addresses stores may reach.
    pub egress: EgressPolicy,
    /// What adapters may use for the stores of one tenant.
    pub allowance: Allowance,
    /// The same for single tenants, by name.
    pub tenants: BTreeMap<String, Allowance>,
    /// Where the numbers about the export itself go.
    pub metrics: prometheus::Registry,
    /// Figures.
    pub settings: ExportSettings,
    /// Makes every choice that is left to chance repeatable.
    pub seed: Option<u64>,
    /// Stands in for the network.
    pub(crate) transport: Option<Arc<dyn Transport>>,
}

impl ExportOptions {
    /// Everything else by default: public addresses only, a registry of metrics of its own.
    #[must_use]
    pub fn new(catalog: Arc<Catalog>, source: Arc<dyn Source>, registry: Arc<Registry>, clock: Arc<dyn Clock>) -> Self {
        Self {
            catalog,
            source,
            registry,
            clock,
            egress: EgressPolicy::default(),
            allowance: Allowance::default(),
            tenants: BTreeMap::new(),
            metrics: prometheus::Registry::new(),
            settings: ExportSettings::default(),
            seed: None,
            transport: None,
        }
    }
}
