//! The running export: schedule, deliverers and pull pages under one roof, with the questions that the server asks of them.

mod keep;
mod statuses;

use crate::budget::{Allowance, Budgets, Exhausted, QueryShare, Shares, TenantUse};
use crate::catalog::{Catalog, View, in_progress};
use crate::chance::Chance;
use crate::check::{StoreCheck, check};
use crate::config::Configs;
use crate::db::{CopyError, Verified, copy_database, verify_database};
use crate::deliver::{Converse, Healths, Shared, deliver};
use crate::egress::{Egress, EgressError, EgressOptions, Transport};
use crate::ledger::{
    Gap, Ledger, LedgerError, LedgerOptions, Outcome, StoreLedger, StoreWindow, Track, WindowFilter, WindowRecord,
};
use crate::look_back::LookBack;
use crate::observe::Observed;
use crate::offload;
use crate::options::ExportOptions;
use crate::preview::{ExportError, Preview, Previewer};
use crate::pull::{Board, Pull, PullAnswer};
use crate::replay::Replayer;
use crate::schedule::{Drive, News, Places, Schedule, Spread, Suspects, drive};
use crate::test_point::{self, TestPoint};
use crate::trial::{Comparison, Trials};
use keep::keep;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidegate_events::{EvaluationLimits, SourceError};
use tidegate_model::{
    Clock, Instant, MetricBatch, MetricQuery, MetricSetId, Period, ProjectId, StoreId, TenantId, Window,
};
use tidegate_sandbox::Adapter;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

/// Conversations at once of stores whose last try failed: half of the places that a sandbox has by default.
const DOUBTFUL: usize = 64;

/// Why the export cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The ledger cannot be read.
    #[error("{0}")]
    Ledger(String),
    /// The catalog cannot be read.
    #[error(transparent)]
    Catalog(#[from] crate::CatalogError),
    /// A project could not be sealed, so events could arrive in windows that are on record.
    #[error("the events could not be sealed up to the last evaluated window: {0}")]
    Seal(SourceError),
    /// The network client cannot be set up.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// The registry of metrics has metrics of the same names already.
    #[error("the export's own metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A thread of the host died.
    #[error("the start was cut off: {0}")]
    Cut(String),
}

impl From<LedgerError> for StartError {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error.to_string())
    }
}

/// The running export. Dropping it stops it at once, as a crash would; [`shutdown`](Self::shutdown) does it in order.
pub struct Export {
    catalog: Arc<Catalog>,
    ledger: Arc<Ledger>,
    configs: Arc<Configs>,
    clock: Arc<dyn Clock>,
    healths: Arc<Healths>,
    board: Arc<Board>,
    pull: Pull,
    previewer: Arc<Previewer>,
    converse: Converse,
    replayer: Replayer,
    evaluations: Arc<Shares>,
    queries: Arc<Shares>,
    problem: Arc<Mutex<Option<String>>>,
    nudge: watch::Sender<u64>,
    stop_schedule: watch::Sender<bool>,
    stop_delivery: watch::Sender<bool>,
    tasks: Mutex<Tasks>,
}

struct Tasks {
    schedule: Option<JoinHandle<()>>,
    delivery: Option<JoinHandle<()>>,
    keeper: JoinHandle<()>,
}

impl Drop for Export {
    fn drop(&mut self) {
        let tasks = self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner);
        tasks.schedule.iter().chain(&tasks.delivery).chain([&tasks.keeper]).for_each(JoinHandle::abort);
    }
}

impl Export {
    /// Starts the export. When this returns, every project is sealed at the end of its newest window on record, so events may
    /// be taken in, and what pull pages had shown before is shown again.
    ///
    /// # Errors
    /// [`StartError`] says what is in the way.
    pub async fn start(options: ExportOptions) -> Result<Arc<Self>, StartError> {
        let settings = &options.settings;
        let observed = Arc::new(Observed::new(&options.metrics)?);
        let times =
            EgressOptions { connect: settings.connect_time, total: settings.request_time, ..Default::default() };
        let transport: Arc<dyn Transport> = match options.transport.clone() {
            Some(transport) => transport,
            None => Arc::new(Egress::new(options.egress.clone(), times)?),
        };
        let ledger_options =
            LedgerOptions { idle_seconds: settings.series_idle.as_secs(), total_series: settings.total_series };
        let ledger = Arc::new(Ledger::new(options.catalog.db(), ledger_options));
        let chance = Arc::new(Chance::new(options.seed).with_longest(settings.longest_wait));
        let evaluation =
            EvaluationLimits { groups: settings.groups, time: settings.metric_time, memory: settings.evaluation_bytes };
        let (evaluations, queries) = (Shares::of_evaluations(), Shares::of_queries());
        let look_back = LookBack::new(settings.look_back, Arc::clone(&options.registry));
        let board = Arc::new(Board::default());
        let (queued, queue) = mpsc::unbounded_channel();
        let schedule = Arc::new(Schedule {
            catalog: Arc::clone(&options.catalog),
            ledger: Arc::clone(&ledger),
            source: Arc::clone(&options.source),
            clock: Arc::clone(&options.clock),
            chance: Arc::clone(&chance),
            observed: Arc::clone(&observed),
            news: News { board: Arc::clone(&board), queued },
            look_back: look_back.clone(),
            limits: evaluation,
            places: Places::default(),
            shares: Arc::clone(&evaluations),
            spread: Spread::default(),
            suspects: Suspects::default(),
            sealed: Mutex::default(),
        });
        prepare(&schedule, &board).await?;
        let budgets = Budgets::new(options.allowance.clone(), options.tenants.clone());
        let configs = Arc::new(Configs::new(Arc::clone(&options.catalog), Arc::clone(&options.registry), budgets));
        let converse = Converse { transport, observed: Arc::clone(&observed) };
        let checks = converse.clone();
        let replayer = Replayer {
            ledger: Arc::clone(&ledger),
            configs: Arc::clone(&configs),
            converse: converse.clone(),
            clock: Arc::clone(&options.clock),
            parts: settings.parts,
        };
        let trials = Arc::new(Trials { catalog: Arc::clone(&options.catalog), clock: Arc::clone(&options.clock) });
        let shared = Arc::new(Shared {
            trials: Arc::clone(&trials),
            catalog: Arc::clone(&options.catalog),
            ledger: Arc::clone(&ledger),
            configs: Arc::clone(&configs),
            clock: Arc::clone(&options.clock),
            chance,
            observed: Arc::clone(&observed),
            converse,
            look_back,
            parts: settings.parts,
            tick: settings.tick,
            doubtful: Semaphore::new(DOUBTFUL),
        });
        let previewer = Arc::new(Previewer {
            catalog: Arc::clone(&options.catalog),
            ledger: Arc::clone(&ledger),
            source: options.source,
            configs: Arc::clone(&configs),
            clock: Arc::clone(&options.clock),
            evaluation,
            queries: Arc::clone(&queries),
        });
        let (healths, problem) = (Arc::new(Healths::default()), Arc::new(Mutex::new(None)));
        let (nudge, nudges) = watch::channel(0);
        let (stop_schedule, schedule_stops) = watch::channel(false);
        let (stop_delivery, delivery_stops) = watch::channel(false);
        let driven =
            Drive { schedule, nudges, stop: schedule_stops, tick: settings.tick, problem: Arc::clone(&problem) };
        let keeper = keep(Arc::clone(&shared), settings.clone());
        let delivery = deliver(shared, Arc::clone(&healths), queue, delivery_stops);
        let tasks = Tasks {
            schedule: Some(tokio::spawn(drive(driven))),
            delivery: Some(tokio::spawn(delivery)),
            keeper: tokio::spawn(keeper),
        };
        let (catalog, clock) = (options.catalog, options.clock);
        let pull = Pull::new(Arc::clone(&board), Arc::clone(&configs), Arc::clone(&clock), observed, trials);
        Ok(Arc::new(Self {
            catalog,
            ledger,
            configs,
            clock,
            healths,
            board,
            pull,
            previewer,
            replayer,
            evaluations,
            queries,
            problem,
            nudge,
            converse: checks,
            stop_schedule,
            stop_delivery,
            tasks: Mutex::new(tasks),
        }))
    }

    #[cfg(test)]
    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Has the schedule look at catalog and clock at once. Edits of the catalog do so by themselves.
    pub fn catalog_changed(&self) {
        self.nudge.send_modify(|n| *n += 1);
    }

    /// What a tenant may use at most, whatever its quotas say.
    #[must_use]
    pub fn ceiling(&self, tenant: &str) -> Allowance {
        self.configs.budgets().ceiling(tenant).clone()
    }

    /// What a tenant uses now.
    #[must_use]
    pub fn tenant_use(&self, id: TenantId, tenant: &str) -> TenantUse {
        let (evaluation, queries) = (self.evaluations.used(id), self.queries.used(id));
        TenantUse { evaluation, queries, ..self.configs.budgets().of_tenant(tenant) }
    }

    /// Lets a question about a project in. What answering it takes is to be entered in what comes back.
    ///
    /// # Errors
    /// [`Exhausted`] if the tenant has used up what its questions may take in a minute.
    pub fn admit_query(&self, project: ProjectId) -> Result<QueryShare, Exhausted> {
        admit_query(&self.catalog, &self.queries, project)
    }

    /// Why windows are not recorded at the moment, if they are not: the disk is full, say. For a health page.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The moment from which on events of a project are owed to a store: nothing that arrived then or later may be removed.
    /// None if no store gets anything of the project. Blocks.
    ///
    /// # Errors
    /// [`ExportError::Internal`] if the ledger cannot be read.
    pub fn owed_since(&self, project: ProjectId) -> Result<Option<Instant>, ExportError> {
        Ok(self.ledger.owed_since(project)?)
    }

    /// The windows that a store got or was to get and that a filter leaves, newest first.
    ///
    /// # Errors
    /// [`ExportError::Internal`].
    pub async fn store_windows(&self, id: StoreId, wanted: WindowFilter) -> Result<Vec<StoreWindow>, ExportError> {
        let ledger = Arc::clone(&self.ledger);
        blocking(move || Ok(ledger.store_windows(id, &wanted)?)).await
    }

    /// The outcomes of the newest `most` windows of each store, oldest first; for small pictures beside a list.
    ///
    /// # Errors
    /// [`ExportError::Internal`].
    pub async fn recent_outcomes(&self, ids: Vec<StoreId>, most: u32) -> Result<Vec<Vec<Outcome>>, ExportError> {
        let ledger = Arc::clone(&self.ledger);
        blocking(move || Ok(ledger.recent_outcomes(&ids, most)?)).await
    }

    /// Sends one labelled point through a push store, and tells what came of it. The ledger has nothing of it.
    ///
    /// # Errors
    /// [`ExportError`]; [`ExportError::Misconfigured`] for a pull store.
    pub async fn test_store(&self, id: StoreId) -> Result<TestPoint, ExportError> {
        test_point::send(&self.catalog, &self.configs, &self.converse, &self.clock, id).await
    }

    /// What a store would get next, with credentials masked.
    ///
    /// # Errors
    /// [`ExportError`].
    pub async fn preview_store(&self, id: StoreId) -> Result<Preview, ExportError> {
        let previewer = Arc::clone(&self.previewer);
        blocking(move || previewer.store(id)).await
    }

    /// What a store would send with another version of its adapter, compared with what it sends now, over the windows on
    /// record. Nothing is sent.
    ///
    /// # Errors
    /// [`ExportError`].
    pub async fn compare_adapter(&self, id: StoreId, other: Arc<Adapter>) -> Result<Comparison, ExportError> {
        let previewer = Arc::clone(&self.previewer);
        blocking(move || previewer.compare(id, &other)).await
    }

    /// The values of a query in its last windows, oldest first; the last one is in progress. Nothing is recorded.
    ///
    /// # Errors
    /// [`ExportError`].
    pub async fn preview_metric(
        &self,
        project: ProjectId,
        query: MetricQuery,
        period: Period,
        windows: u32,
    ) -> Result<Vec<(Window, MetricBatch)>, ExportError> {
        let previewer = Arc::clone(&self.previewer);
        blocking(move || previewer.metric(project, query, period, windows)).await
    }

    /// Asks a push store's sink whether it takes the settings. Nothing is written to it.
    ///
    /// # Errors
    /// [`ExportError`]; [`ExportError::Misconfigured`] for a pull store.
    pub async fn check_store(&self, id: StoreId) -> Result<StoreCheck, ExportError> {
        check(&self.catalog, &self.configs, &self.converse, &self.clock, id).await
    }

    /// What the push stores of some projects are owed: who waits longest comes first.
    ///
    /// # Errors
    /// [`ExportError::Internal`].
    pub async fn ledger_status(&self, projects: Vec<ProjectId>) -> Result<Vec<StoreLedger>, ExportError> {
        let ledger = Arc::clone(&self.ledger);
        blocking(move || Ok(ledger.status(&projects)?)).await
    }

    /// What the stores of some projects will never get, and why; the newest last.
    ///
    /// # Errors
    /// [`ExportError::Internal`].
    pub async fn ledger_gaps(&self, projects: Vec<ProjectId>) -> Result<Vec<Gap>, ExportError> {
        let ledger = Arc::clone(&self.ledger);
        blocking(move || Ok(ledger.gaps(&projects)?)).await
    }

    /// What became of the windows of a metric set that hold the second `at` since the epoch, and which of them are not over.
    ///
    /// # Errors
    /// [`ExportError::Internal`].
    pub async fn ledger_windows(
        &self,
        project: ProjectId,
        set: MetricSetId,
        at: u64,
    ) -> Result<(Vec<WindowRecord>, Vec<Window>), ExportError> {
        let (ledger, catalog, now) = (Arc::clone(&self.ledger), Arc::clone(&self.catalog), self.clock.now());
        blocking(move || {
            let links = catalog.read(|v| Ok(v.links_of_project(project)?))?;
            let open = in_progress(links.iter().filter(|link| link.metric_set == set), at, now);
            Ok((ledger.windows_at(set, at)?, open))
        })
        .await
    }

    /// Past windows again.
    #[must_use]
    pub fn replayer(&self) -> &Replayer {
        &self.replayer
    }

    /// Looks whether the ledger's file is sound.
    ///
    /// # Errors
    /// [`ExportError::Internal`] if it cannot be read at all.
    pub async fn verify(&self) -> Result<Verified, ExportError> {
        let file = self.ledger.file();
        blocking(move || verify_database(&file).map_err(|e: CopyError| ExportError::Internal(e.to_string()))).await
    }

    /// Copies catalog and ledger to a new file, while everything goes on.
    ///
    /// # Errors
    /// [`ExportError::Internal`] with what is in the way.
    pub async fn backup(&self, to: PathBuf) -> Result<(), ExportError> {
        let file = self.ledger.file();
        blocking(move || copy_database(&file, &to).map_err(|e| ExportError::Internal(e.to_string()))).await
    }

    /// The page behind the secret part of a pull URL, for a request with these headers; `authorization` is the one of that
    /// name.
    pub async fn pull(&self, token: &str, headers: Vec<(String, String)>, authorization: Option<&str>) -> PullAnswer {
        match self.catalog.store_of_pull_token(token) {
            Some(store) => self.pull.page(store, headers, authorization).await,
            None => PullAnswer::NotFound,
        }
    }

    /// Stops planning, delivers what is due for as long as `grace` lets it, and stops. What is left is delivered after the
    /// next start.
    pub async fn shutdown(&self, grace: Duration) {
        let (schedule, delivery) = {
            let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            tasks.keeper.abort();
            (tasks.schedule.take(), tasks.delivery.take())
        };
        let end = tokio::time::Instant::now() + grace;
        self.stop_schedule.send_replace(true);
        ended(schedule, end).await;
        self.stop_delivery.send_replace(true);
        ended(delivery, end).await;
    }
}

/// For a question about a project that is gone nobody pays; it finds nothing.
pub(crate) fn admit_query(
    catalog: &Catalog,
    queries: &Arc<Shares>,
    project: ProjectId,
) -> Result<QueryShare, Exhausted> {
    match catalog.quotas_of_project(project) {
        Some((tenant, quotas)) => queries.admit(tenant, quotas.query_cpu),
        None => Ok(QueryShare::free()),
    }
}

async fn ended(task: Option<JoinHandle<()>>, end: tokio::time::Instant) {
    let Some(mut task) = task else { return };
    if tokio::time::timeout_at(end, &mut task).await.is_err() {
        task.abort();
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ExportError> + Send + 'static,
) -> Result<T, ExportError> {
    offload::blocking(work).await.unwrap_or_else(|e| Err(ExportError::Internal(e.to_string())))
}

/// Seals what earlier runs had recorded, and puts up what pull pages had shown.
async fn prepare(schedule: &Arc<Schedule>, board: &Arc<Board>) -> Result<(), StartError> {
    let (schedule, board) = (Arc::clone(schedule), Arc::clone(board));
    let work = move || {
        schedule.seal_all()?.map_err(StartError::Seal)?;
        let links = schedule.catalog.read(|v: &View<'_>| Ok(v.links()?))?;
        let tracks: BTreeSet<Track> = links.iter().filter(|l| l.pull).map(|l| (l.metric_set, l.period)).collect();
        board.load(&schedule.ledger, &tracks.into_iter().collect::<Vec<_>>())?;
        Ok(())
    };
    offload::blocking(work).await.unwrap_or_else(|e| Err(StartError::Cut(e.to_string())))
}
