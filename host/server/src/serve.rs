//! A running server, from its options to its orderly end.
//!
//! The order matters. The lock comes first, so that nothing is touched that another server uses; submissions are let in last,
//! after the windows that an earlier run closed are sealed again. At the end it goes the other way: no new requests, then no
//! new events, then the deliveries.

use crate::backups::{self, Backups, Series};
use crate::changes::Changes;
use crate::data_dir::{DataDir, DataDirError};
use crate::drop_in::{self, DropIn, Signatures};
use crate::http::tls::Tls;
use crate::http::{App, Host, HttpLimits, TlsError, TlsFiles, listener, router};
use crate::tidy::Tidy;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tidegate_events::changes::ChangeLog;
use tidegate_events::{EventStore, EventStoreError, EventStoreOptions};
use tidegate_export::catalog::{Catalog, CatalogError, DEFAULT_TENANT, KeySource, OpenError, TokenSpec};
use tidegate_export::{Allowance, EgressPolicy, Export, ExportOptions, ExportSettings, StartError};
use tidegate_model::{Clock, Secret};
use tidegate_sandbox::{BuiltinError, CompileOptions, EngineError, SandboxOptions, Shelf};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

/// What a server is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// The key for the secrets in the catalog; without it, the file `tidegate.key` in the data directory.
    pub key: Option<KeySource>,
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Certificate and key; without them it is plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Where others reach the server, if that is not where it listens.
    pub public_url: Option<Url>,
    /// The folder into which adapters are dropped; without it, `adapters` in the data directory.
    pub adapter_dir: Option<PathBuf>,
    /// The folder with the public keys of those whose adapters are trusted; without it, `adapter-keys` in the data directory.
    pub adapter_keys: Option<PathBuf>,
    /// Whether adapters that none of them has signed are refused. Those inside the binary never are.
    pub require_signatures: bool,
    /// How often both folders are looked at.
    pub adapter_poll: Duration,
    /// Where compiled adapters are kept; in the data directory if not said.
    pub cache_dir: Option<PathBuf>,
    /// How adapters are compiled. A library has no program of its own to do it in, so by default it happens in this process.
    pub compile: CompileOptions,
    /// What stores may reach beyond public addresses.
    pub egress: EgressPolicy,
    /// Limits on requests.
    pub http: HttpLimits,
    /// Limits on adapters, for the stores of one tenant.
    pub adapters: Allowance,
    /// The same for single tenants, by name.
    pub tenants: BTreeMap<String, Allowance>,
    /// Bytes of an adapter's file.
    pub adapter_bytes: usize,
    /// Whether the memory of each call of an adapter goes back to the system in any case.
    pub fresh_adapter_memory: bool,
    /// The event store.
    pub events: EventStoreOptions,
    /// Schedule, deliveries and ledger.
    pub export: ExportSettings,
    /// Where backups are made; in the data directory if not said.
    pub backup_dir: Option<PathBuf>,
    /// How a series of backups is kept, if one is.
    pub backups: Option<Series>,
    /// Whether the changes between two backups of the series are kept, too.
    pub keep_changes: bool,
    /// How often old events are looked for.
    pub tidy_every: Duration,
    /// How long requests and deliveries under way may take to finish at the end.
    pub grace: Duration,
}

impl Options {
    /// The defaults, for a data directory.
    #[must_use]
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            key: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 8460)),
            tls: None,
            public_url: None,
            adapter_dir: None,
            adapter_keys: None,
            require_signatures: false,
            adapter_poll: Duration::from_millis(500),
            cache_dir: None,
            compile: CompileOptions::default(),
            egress: EgressPolicy::default(),
            http: HttpLimits::default(),
            adapters: Allowance::default(),
            tenants: BTreeMap::new(),
            adapter_bytes: SandboxOptions::default().max_component_bytes,
            fresh_adapter_memory: false,
            events: EventStoreOptions::default(),
            export: ExportSettings::default(),
            backup_dir: None,
            backups: None,
            keep_changes: true,
            tidy_every: Duration::from_secs(60),
            grace: Duration::from_secs(10),
        }
    }
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data directory.
    #[error(transparent)]
    Data(#[from] DataDirError),
    /// The address.
    #[error("cannot listen on {address}: {cause}; name another by --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        cause: std::io::Error,
    },
    /// Certificate or key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The event store.
    #[error(transparent)]
    Events(#[from] EventStoreError),
    /// The catalog's file.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A database is damaged. Requests are answered 503 with the reason for as long as this is kept.
    #[error("{error}")]
    Damaged {
        /// What is wrong, and what to do.
        error: Box<Self>,
        /// Answers requests until it is let go.
        held: Held,
    },
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The engine that runs adapters.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// An adapter inside the binary.
    #[error(transparent)]
    Builtin(#[from] BuiltinError),
    /// Schedule and delivery.
    #[error(transparent)]
    Export(#[from] StartError),
    /// The counters.
    #[error("the server's own metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A part of the start broke off.
    #[error("the start broke off: {0}")]
    Broke(String),
}

/// A server that cannot start and tells so.
#[derive(Debug)]
pub struct Held {
    stop: CancellationToken,
    served: JoinHandle<bool>,
}

impl Held {
    /// Stops answering.
    pub async fn stop(self) {
        self.stop.cancel();
        let _ = self.served.await;
    }
}

/// A server that runs. Stop it by [`stop`](Self::stop); dropping it stops nothing.
pub struct Running {
    address: SocketAddr,
    public_url: Url,
    first_token: Option<Secret>,
    setup_link: Option<Secret>,
    app: App,
    catalog: Arc<Catalog>,
    events: EventStore,
    export: Arc<Export>,
    stop: CancellationToken,
    served: JoinHandle<bool>,
    tidied: JoinHandle<()>,
    changes: Option<Changes>,
    data: DataDir,
    grace: Duration,
}

impl Running {
    /// Starts a server; when this returns, it takes events and exports metrics.
    ///
    /// # Errors
    /// [`ServeError`] in words for whoever typed the options.
    pub async fn start(options: Options, clock: Arc<dyn Clock>) -> Result<Self, ServeError> {
        // The first provider wins; a second call would only say that there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tls = options.tls.clone().map(Tls::load).transpose()?;
        let data = DataDir::open_to_serve(&options.data_dir)?;
        let listening = |cause| ServeError::Listen { address: options.listen, cause };
        let listener = TcpListener::bind(options.listen).await.map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        let counters = prometheus::Registry::new();
        let app = App::new(options.http.clone(), counters.clone())?;
        let folder = options.backup_dir.clone().unwrap_or_else(|| data.backups());
        let numbers = backups::Numbers::register(&counters, &folder, options.backups)?;
        let changes = match options.backups.filter(|_| options.keep_changes) {
            Some(_) => Some(Changes::open(&data, &folder, Arc::clone(&clock), &counters)?),
            None => data.take_lineage().map(|_| None)?,
        };
        let stop = CancellationToken::new();
        let public_url = match &options.public_url {
            Some(url) => url.clone(),
            None => seen_at(address, tls.is_some())?,
        };
        if let Some(tls) = &tls {
            tokio::spawn(Arc::clone(tls).watch(stop.clone()));
        }
        let (http, routes, end, grace) = (options.http.clone(), router(app.clone()), stop.clone(), options.grace);
        let served = tokio::spawn(async move { listener::serve(listener, routes, tls, &http, end, grace).await });
        let tidy_clock = Arc::clone(&clock);
        let log = changes.as_ref().map(Changes::log);
        let parts = Parts::open(&data, &options, clock, counters, log).await;
        let Parts { catalog, events, export, drop_in, first_token, setup } = match parts {
            Ok(parts) => parts,
            Err(
                damaged @ (ServeError::Open(OpenError::Damaged { .. })
                | ServeError::Events(EventStoreError::Damaged { .. })),
            ) => {
                // Ending would have a supervisor start it again and again; it stays, and says what is wrong to whoever asks.
                app.hold(damaged.to_string());
                data.write_address(address)?;
                return Err(ServeError::Damaged { error: Box::new(damaged), held: Held { stop, served } });
            }
            Err(error) => {
                stop.cancel();
                return Err(error);
            }
        };
        let left_in = folder.clone();
        let _ = tokio::task::spawn_blocking(move || backups::remove_unfinished(&left_in)).await;
        let log = changes.as_ref().map(Changes::log);
        let backups = Backups { folder, events: data.events(), export: Arc::clone(&export), numbers, changes: log };
        if let Some(changes) = &changes {
            tokio::spawn(changes.clone().keep(stop.clone()));
        }
        if let Some(series) = options.backups {
            tokio::spawn(backups.clone().keep(series, stop.clone()));
        }
        let host = Host {
            catalog: Arc::clone(&catalog),
            events: events.clone(),
            export: Arc::clone(&export),
            registry: Arc::clone(drop_in.registry()),
            adapter_dir: drop_in.path().to_owned(),
            public_url: public_url.clone(),
            data_dir: data.path().to_owned(),
            backups,
        };
        let tidy = Tidy {
            catalog: Arc::clone(&catalog),
            events: events.clone(),
            export: Arc::clone(&export),
            clock: tidy_clock,
        };
        let tidied = tokio::spawn(tidy.run(options.tidy_every, stop.clone()));
        tokio::spawn(drop_in.watch(options.adapter_poll, Arc::clone(&catalog), stop.clone()));
        app.ready(host);
        data.write_address(address)?;
        let grace = options.grace;
        let setup_link = setup.map(|token| setup_link(&public_url, &token));
        Ok(Self {
            address,
            public_url,
            first_token,
            setup_link,
            app,
            catalog,
            events,
            export,
            stop,
            served,
            tidied,
            changes,
            data,
            grace,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where others reach it: what was said, or else where it listens.
    #[must_use]
    pub fn public_url(&self) -> &Url {
        &self.public_url
    }

    /// The API token that was made because there was none. Nobody can read it again.
    #[must_use]
    pub fn first_token(&self) -> Option<&Secret> {
        self.first_token.as_ref()
    }

    /// Where the first operator chooses a password, as long as there are no users. It works once, until the next start.
    #[must_use]
    pub fn setup_link(&self) -> Option<&Secret> {
        self.setup_link.as_ref()
    }

    /// The catalog.
    #[must_use]
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Events acknowledged since the start.
    #[must_use]
    pub fn events_taken(&self) -> u64 {
        self.app.metrics().events_taken()
    }

    /// Stops in order. Tells whether every request under way could finish in time.
    pub async fn stop(self) -> bool {
        self.stop.cancel();
        let finished = self.served.await.unwrap_or(false);
        if let Err(error) = self.tidied.await {
            tracing::error!(%error, "removing old events was cut off; it is taken up again at the next start");
        }
        let events = self.events;
        if let Err(error) = tokio::task::spawn_blocking(move || events.close()).await {
            tracing::error!(%error, "the event store could not be closed in order");
        }
        self.export.shutdown(self.grace).await;
        // What was committed last; what comes behind it is taken at the next start.
        if let Some(changes) = self.changes
            && tokio::time::timeout(self.grace, changes.look()).await.is_err()
        {
            tracing::warn!("the last changes could not be kept in time; they are at the next start");
        }
        // The address leads nowhere from now on.
        if let Err(error) = std::fs::remove_file(self.data.address()) {
            tracing::debug!(%error, "the address file could not be removed");
        }
        finished
    }
}

/// What has to be open before requests are handled.
struct Parts {
    catalog: Arc<Catalog>,
    events: EventStore,
    export: Arc<Export>,
    drop_in: DropIn,
    first_token: Option<Secret>,
    setup: Option<Secret>,
}

impl From<drop_in::OpenError> for ServeError {
    fn from(error: drop_in::OpenError) -> Self {
        match error {
            drop_in::OpenError::Engine(error) => Self::Engine(error),
            drop_in::OpenError::Builtin(error) => Self::Builtin(error),
        }
    }
}

impl Parts {
    async fn open(
        data: &DataDir,
        options: &Options,
        clock: Arc<dyn Clock>,
        counters: prometheus::Registry,
        changes: Option<Arc<ChangeLog>>,
    ) -> Result<Self, ServeError> {
        // Files and adapters are opened side by side: both take a moment and neither needs the other.
        let dropped = options.adapter_dir.clone().unwrap_or_else(|| data.adapters());
        let cache = options.cache_dir.clone().unwrap_or_else(|| data.compiled());
        let compile = CompileOptions { cache: Some(cache), ..options.compile.clone() };
        let sandbox = SandboxOptions {
            compile,
            max_component_bytes: options.adapter_bytes,
            fresh_memory: options.fresh_adapter_memory,
            ..SandboxOptions::default()
        };
        let shelf = Shelf::new(data.adapter_versions());
        let keys = Signatures {
            folder: options.adapter_keys.clone().unwrap_or_else(|| data.adapter_keys()),
            required: options.require_signatures,
        };
        let adapters = tokio::task::spawn_blocking(move || DropIn::open(dropped, shelf, &keys, sandbox));
        let (catalog_file, events_file) = (data.catalog(), data.events());
        let key = options.key.clone().unwrap_or_else(|| KeySource::File(data.key()));
        let (event_clock, catalog_clock) = (Arc::clone(&clock), Arc::clone(&clock));
        let event_options = EventStoreOptions { changes: changes.clone(), ..options.events.clone() };
        let files = tokio::task::spawn_blocking(move || {
            let catalog = Catalog::open_followed(&catalog_file, &key, catalog_clock, changes)?;
            let events = EventStore::open(&events_file, event_options, event_clock)?;
            let first_token = first_token(&catalog)?;
            let setup = setup_token(&catalog)?;
            Ok::<_, ServeError>((Arc::new(catalog), events, first_token, setup))
        });
        let broke = |e: tokio::task::JoinError| ServeError::Broke(e.to_string());
        let (catalog, events, first_token, setup) = files.await.map_err(broke)??;
        let drop_in = adapters.await.map_err(broke)??;
        let registry = Arc::clone(drop_in.registry());
        let (attached, to) = (Arc::clone(&registry), Arc::clone(&catalog));
        tokio::task::spawn_blocking(move || drop_in::attach(&attached, &to)).await.map_err(broke)??;
        let source = Arc::new(events.clone());
        let mut wanted = ExportOptions::new(Arc::clone(&catalog), source, Arc::clone(&registry), clock);
        wanted.egress = options.egress.clone();
        wanted.allowance = options.adapters.clone();
        wanted.tenants = options.tenants.clone();
        wanted.settings = options.export.clone();
        wanted.metrics = counters;
        let export = Export::start(wanted).await?;
        Ok(Self { catalog, events, export, drop_in, first_token, setup })
    }
}

/// Where a server that listens at `address` is seen from this machine.
fn seen_at(address: SocketAddr, tls: bool) -> Result<Url, ServeError> {
    let ip = address.ip();
    let host = match ip {
        _ if ip.is_unspecified() => "localhost".to_owned(),
        IpAddr::V6(v6) => format!("[{v6}]"),
        IpAddr::V4(v4) => v4.to_string(),
    };
    let text = format!("{}://{host}:{}/", if tls { "https" } else { "http" }, address.port());
    Url::parse(&text).map_err(|error| ServeError::Broke(format!("{text}: {error}")))
}

/// A catalog that nobody could get into gets a token.
fn first_token(catalog: &Catalog) -> Result<Option<Secret>, CatalogError> {
    catalog.edit(|edit| {
        let tenant = edit.tenant_named(DEFAULT_TENANT)?;
        if edit.api_tokens(tenant.id)?.is_empty() {
            edit.create_api_token(tenant.id, &TokenSpec::operator("admin")).map(Some)
        } else {
            Ok(None)
        }
    })
}

/// As long as nobody has an account, each start makes a link to make the first.
fn setup_token(catalog: &Catalog) -> Result<Option<Secret>, CatalogError> {
    // A host that was set up is not written to: it must come up with a full disk, too.
    if !catalog.read(|view| view.users())?.is_empty() {
        return Ok(None);
    }
    catalog.edit_accounts(|edit| edit.create_setup_link())
}

/// The token stands behind `#`, which browsers send to nobody.
fn setup_link(public_url: &Url, token: &Secret) -> Secret {
    let base = public_url.as_str().trim_end_matches('/');
    Secret::new(format!("{base}/console/setup#{}", token.expose()))
}
