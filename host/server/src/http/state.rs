//! What request handlers share.

use super::attempts::{Attempts, LoginLimits};
use super::idempotency::Creating;
use super::metrics::HttpMetrics;
use super::ops::EventMetrics;
use super::overload::{Gate, Pass};
use super::password::Passwords;
use super::problem::Problem;
use super::quotas::{TenantMetrics, Usage};
use crate::apply::{Adapters, Known};
use crate::backups::Backups;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tidegate_events::EventStore;
use tidegate_export::Export;
use tidegate_export::catalog::{Catalog, CatalogError, Edit, View};
use tidegate_model::EventLimits;
use tidegate_sandbox::{Adapter, Registry};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

/// Limits on requests. Each has a test that exceeds it.
#[derive(Clone, Debug)]
pub struct HttpLimits {
    /// What one event and one submission may carry.
    pub events: EventLimits,
    /// Bytes of a bulk, as sent and again after decompression; 1 GiB. It is not held in memory as a whole.
    pub bulk_bytes: usize,
    /// Bytes of one line of a bulk; 1 MiB.
    pub line_bytes: usize,
    /// Submissions under way at once; 256.
    pub submissions: usize,
    /// Bytes of bodies held in memory at once; 256 MiB.
    pub held_bytes: usize,
    /// Connections at once; 1024. More wait in the kernel's queue.
    pub connections: usize,
    /// How long a client may take to send the headers of a request, and to get going with the body; 30 s.
    pub patience: Duration,
    /// Bytes of a body of the management API; 4 MiB.
    pub api_bytes: usize,
    /// Queries answered at once; 4. Each may use `query_bytes`.
    pub queries: usize,
    /// Bytes of memory that one query may use for what it finds; 256 MiB.
    pub query_bytes: usize,
    /// How long a browser stays signed in without being used; 12 hours.
    pub session_idle: Duration,
    /// How long a browser stays signed in at all; 7 days.
    pub session_age: Duration,
    /// Wrong passwords.
    pub logins: LoginLimits,
}

impl HttpLimits {
    /// Idle time and age of sessions, in microseconds.
    pub(crate) fn session_micros(&self) -> (u64, u64) {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        (micros(self.session_idle), micros(self.session_age))
    }
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            events: EventLimits::default(),
            bulk_bytes: 1 << 30,
            line_bytes: 1 << 20,
            submissions: 256,
            held_bytes: 256 << 20,
            connections: 1024,
            patience: Duration::from_secs(30),
            api_bytes: 4 << 20,
            queries: 4,
            query_bytes: 256 << 20,
            session_idle: Duration::from_secs(12 * 3600),
            session_age: Duration::from_secs(7 * 86_400),
            logins: LoginLimits::default(),
        }
    }
}

/// The parts of a running server.
pub struct Host {
    /// What is wanted.
    pub catalog: Arc<Catalog>,
    /// The events.
    pub events: EventStore,
    /// Schedule, delivery and pages.
    pub export: Arc<Export>,
    /// The adapters.
    pub registry: Arc<Registry>,
    /// The folder into which they are dropped.
    pub adapter_dir: PathBuf,
    /// Where others reach the server.
    pub public_url: Url,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Makes copies of it.
    pub(crate) backups: Backups,
}

/// What request handlers share. Clones are the same.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    limits: HttpLimits,
    gate: Gate,
    queries: Arc<Semaphore>,
    passwords: Passwords,
    attempts: Attempts,
    creating: Creating,
    usage: Usage,
    tenant_metrics: TenantMetrics,
    metrics: Arc<HttpMetrics>,
    event_metrics: EventMetrics,
    registry: prometheus::Registry,
    host: OnceLock<Arc<Host>>,
    held: OnceLock<String>,
    started: std::time::Instant,
}

impl App {
    /// An app that is not ready yet; its counters go to `registry`.
    ///
    /// # Errors
    /// If the registry has counters of these names already.
    pub fn new(limits: HttpLimits, registry: prometheus::Registry) -> Result<Self, prometheus::Error> {
        let metrics = Arc::new(HttpMetrics::register(&registry)?);
        let event_metrics = EventMetrics::register(&registry)?;
        let tenant_metrics = TenantMetrics::register(&registry)?;
        let gate = Gate::new(limits.submissions, limits.held_bytes);
        let queries = Arc::new(Semaphore::new(limits.queries));
        let attempts = Attempts::new(limits.logins);
        let started = std::time::Instant::now();
        Ok(Self(Arc::new(Inner {
            limits,
            gate,
            queries,
            passwords: Passwords::default(),
            attempts,
            creating: Creating::default(),
            usage: Usage::default(),
            tenant_metrics,
            metrics,
            event_metrics,
            registry,
            host: OnceLock::new(),
            held: OnceLock::new(),
            started,
        })))
    }

    /// From now on requests are handled. Has no effect the second time.
    pub fn ready(&self, host: Host) {
        let _ = self.0.host.set(Arc::new(host));
    }

    /// From now on every request is told that the server waits for a human, and why.
    pub(crate) fn hold(&self, why: String) {
        let _ = self.0.held.set(why);
    }

    pub(crate) fn limits(&self) -> &HttpLimits {
        &self.0.limits
    }

    pub(crate) fn metrics(&self) -> &Arc<HttpMetrics> {
        &self.0.metrics
    }

    pub(crate) fn event_metrics(&self) -> &EventMetrics {
        &self.0.event_metrics
    }

    pub(crate) fn registry(&self) -> &prometheus::Registry {
        &self.0.registry
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// Lets a query in, if not too many are under way.
    pub(crate) fn query_seat(&self) -> Option<OwnedSemaphorePermit> {
        let seat = Arc::clone(&self.0.queries).try_acquire_owned().ok();
        if seat.is_none() {
            self.0.metrics.refused("queries");
        }
        seat
    }

    pub(crate) fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    pub(crate) fn attempts(&self) -> &Attempts {
        &self.0.attempts
    }

    pub(crate) fn tenant_metrics(&self) -> &TenantMetrics {
        &self.0.tenant_metrics
    }

    /// What tenants use.
    pub(crate) fn usage(&self) -> &Usage {
        &self.0.usage
    }

    /// The creates that are under way.
    pub(crate) fn creating(&self) -> &Creating {
        &self.0.creating
    }

    /// Whether browsers reach the server by HTTPS alone.
    pub(crate) fn over_tls(&self) -> bool {
        self.0.host.get().is_some_and(|host| host.public_url.scheme() == "https")
    }

    pub(crate) fn uptime(&self) -> std::time::Duration {
        self.0.started.elapsed()
    }

    pub(crate) fn host(&self) -> Result<Arc<Host>, Problem> {
        let starting = || Problem::unavailable("the server is starting; try again in a second");
        if let Some(why) = self.0.held.get() {
            return Err(Problem::unavailable(why));
        }
        self.0.host.get().map(Arc::clone).ok_or_else(starting)
    }

    /// Lets a request in that carries data.
    pub(crate) fn enter(&self) -> Result<Pass, super::overload::Overload> {
        let entered = self.0.gate.enter();
        if entered.is_err() {
            self.0.metrics.refused("submissions");
        }
        entered
    }
}

impl Host {
    /// Reads the catalog, off the threads that serve requests.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&View<'_>) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, Problem> {
        let catalog = Arc::clone(&self.catalog);
        blocking(move || catalog.read(work)).await?.map_err(Problem::from)
    }

    /// Changes the catalog, and lets the schedule know.
    pub(crate) async fn edit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Edit<'_>) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, Problem> {
        let catalog = Arc::clone(&self.catalog);
        let done = blocking(move || catalog.edit(work)).await?.map_err(Problem::from)?;
        self.export.catalog_changed();
        Ok(done)
    }
}

/// Runs what blocks where it may.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(Problem::internal)
}

impl From<CatalogError> for Problem {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::NotFound { .. } => Self::not_found(error),
            CatalogError::Conflict { .. } => Self::conflict(error),
            CatalogError::Quota { what, limit, asked } => {
                let quota = serde_json::json!({"quota": what, "limit": limit, "asked": asked});
                Self::conflict(&error).with("quota", quota)
            }
            CatalogError::Stale { .. } => Self::new(axum::http::StatusCode::PRECONDITION_FAILED, error),
            CatalogError::Unconditional { .. } => Self::new(axum::http::StatusCode::PRECONDITION_REQUIRED, error),
            CatalogError::Storage(_) | CatalogError::Random(_) | CatalogError::Key(_) => Self::internal(error),
            _ => Self::invalid(error),
        }
    }
}

/// The registry, as `apply` wants to know it.
pub(crate) struct RegistryAdapters(pub(crate) Arc<Registry>);

fn known(adapter: &Adapter) -> Known {
    let (description, direction) = (adapter.description().clone(), adapter.direction());
    Known { description, direction, digest: *adapter.digest() }
}

impl Adapters for RegistryAdapters {
    fn find(&self, name: &str) -> Option<Known> {
        self.0.get(name).map(|adapter| known(&adapter))
    }

    fn version(&self, digest: &[u8; 32]) -> Option<Known> {
        self.0.find(digest).map(|found| known(&found.adapter))
    }

    fn names(&self) -> Vec<String> {
        self.0.names()
    }
}
