//! Pull pages: what a scraper gets when it reads a store's secret URL.
//!
//! The newest window of each connected set stands on a board, with totals beside it; posting is swapping a pointer, so a
//! scraper never sees half a window. A page is rendered once for what stands there and the headers that matter, however many
//! scrapers ask. What is too old is not shown: a frozen value looks like a healthy one.

use crate::config::{Config, ConfigError, Configs};
use crate::ledger::{Ledger, Shown, Track, without_live};
use crate::observe::Observed;
use crate::offload::{adapter_call, blocking};
use crate::trial::Trials;
use arc_swap::ArcSwap;
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidegate_model::{Batch, Clock, Instant, Period, StoreId, Window};
use tidegate_sandbox::{Called, Fault, Page, Snapshot};
use tokio::sync::OnceCell;
use tokio::time::Instant as Moment;

/// Request headers that an adapter sees; pages are kept for each combination of their values.
const HEADERS: [&str; 2] = ["accept", "x-reconnoiter-period"];
/// Longest value of such a header.
const MAX_HEADER_BYTES: usize = 4096;
/// Pages kept for one store.
const PAGES: usize = 8;
/// Periods after which a window is too old to be shown.
const STALE_PERIODS: u64 = 3;
/// A page that could not be made is not tried again sooner, however many scrapers ask.
const FAULT_PAUSE: Duration = Duration::from_secs(5);

/// The answer to a request for a pull page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullAnswer {
    /// The page.
    Page {
        /// Printable ASCII.
        content_type: String,
        /// The page in pieces, to be sent as one.
        body: Vec<Bytes>,
    },
    /// No such URL. The answer must tell nothing more: status 404, empty body.
    NotFound,
    /// The URL is right, the login is missing or wrong: status 401, empty body, and the header that asks for Basic.
    Unauthorized,
    /// There is nothing to show yet, for this reason: status 503.
    NotReady(String),
    /// What there is, is too old to be shown: status 503.
    Stale(String),
    /// The page could not be made, for this reason, which is for the log and not for the scraper: status 500.
    Failed(String),
}

/// One set's newest window as it stands on the board.
#[derive(Clone, Debug)]
struct Posted {
    /// Tells two postings apart.
    number: u64,
    batch: Arc<Batch>,
}

/// The newest windows of all sets that pull stores show.
#[derive(Default)]
pub(crate) struct Board {
    posted: ArcSwap<HashMap<Track, Posted>>,
    numbers: AtomicU64,
}

impl Board {
    /// Puts windows up.
    pub(crate) fn post(&self, shown: Vec<Shown>) {
        if shown.is_empty() {
            return;
        }
        self.posted.rcu(|posted| {
            let mut posted = HashMap::clone(posted);
            for item in &shown {
                let number = self.numbers.fetch_add(1, Ordering::Relaxed);
                posted.insert(item.track, Posted { number, batch: Arc::clone(&item.batch) });
            }
            posted
        });
    }

    /// Reads what stands on the board, or should, from the ledger: at the start, and after a record that failed half way.
    /// Blocks.
    pub(crate) fn load(&self, ledger: &Ledger, tracks: &[Track]) -> Result<(), crate::ledger::LedgerError> {
        let shown = tracks.iter().filter_map(|track| ledger.shown(*track).transpose());
        self.post(shown.collect::<Result<_, _>>()?);
        Ok(())
    }

    /// The newest window of a set on the board.
    pub(crate) fn newest(&self, track: Track) -> Option<Window> {
        self.posted.load().get(&track).map(|posted| posted.batch.window)
    }
}

/// What a page depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    /// The postings, and whether each is fresh enough to be shown.
    parts: Vec<(u64, bool)>,
    settings: u64,
    adapter: [u8; 32],
    headers: Vec<(String, String)>,
}

type Rendered = Result<Arc<Page>, (Fault, Moment)>;

/// The pages of one store.
#[derive(Default)]
struct Pages {
    kept: VecDeque<(Key, Arc<OnceCell<Rendered>>)>,
    read: u64,
    last_read: Option<Instant>,
    last_fault: Option<String>,
}

/// What is known of a pull store's readers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readers {
    pub(crate) pages: u64,
    pub(crate) last: Option<Instant>,
    pub(crate) fault: Option<String>,
}

/// Answers scrapers.
pub(crate) struct Pull {
    pub(crate) board: Arc<Board>,
    pub(crate) configs: Arc<Configs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observed: Arc<Observed>,
    pub(crate) trials: Arc<Trials>,
    stores: Mutex<HashMap<StoreId, Pages>>,
}

impl Pull {
    pub(crate) fn new(
        board: Arc<Board>,
        configs: Arc<Configs>,
        clock: Arc<dyn Clock>,
        observed: Arc<Observed>,
        trials: Arc<Trials>,
    ) -> Self {
        Self { board, configs, clock, observed, trials, stores: Mutex::default() }
    }

    /// The page of a store.
    pub(crate) async fn page(
        &self,
        store: StoreId,
        headers: Vec<(String, String)>,
        authorization: Option<&str>,
    ) -> PullAnswer {
        let answer = match self.answer(store, headers.clone(), authorization).await {
            // The version before it makes this page, at once.
            (_, true) => self.answer(store, headers, authorization).await.0,
            (answer, false) => answer,
        };
        let outcome = match &answer {
            PullAnswer::Page { .. } => "page",
            PullAnswer::NotFound => "not_found",
            PullAnswer::Unauthorized => "unauthorized",
            PullAnswer::NotReady(_) => "not_ready",
            PullAnswer::Stale(_) => "stale",
            PullAnswer::Failed(_) => "failed",
        };
        self.observed.pages.with_label_values(&[outcome]).inc();
        answer
    }

    /// The page, and whether it failed in a way that took the store back to the version before of its adapter.
    async fn answer(
        &self,
        store: StoreId,
        headers: Vec<(String, String)>,
        authorization: Option<&str>,
    ) -> (PullAnswer, bool) {
        let config = match self.config(store).await {
            Ok(config) => config,
            Err(answer) => return (answer, false),
        };
        match self.answer_of(&config, headers, authorization).await {
            Ok(answer) => (answer, false),
            Err(fault) => {
                let told = fault.to_string();
                self.note(store, |pages| pages.last_fault = Some(told.clone()));
                (PullAnswer::Failed(told), self.trials.ends(&config, &fault).await)
            }
        }
    }

    async fn config(&self, store: StoreId) -> Result<Arc<Config>, PullAnswer> {
        let configs = Arc::clone(&self.configs);
        match blocking(move || configs.get(store)).await {
            Ok(Ok(config)) => Ok(config),
            Ok(Err(ConfigError::Gone)) => Err(PullAnswer::NotFound),
            Ok(Err(ConfigError::Unfit(why) | ConfigError::Unreadable(why))) => Err(PullAnswer::Failed(why)),
            Err(error) => Err(PullAnswer::Failed(error.to_string())),
        }
    }

    async fn answer_of(
        &self,
        config: &Arc<Config>,
        headers: Vec<(String, String)>,
        authorization: Option<&str>,
    ) -> Result<PullAnswer, Fault> {
        let store = config.store.id;
        if !config.access.allows(authorization) {
            return Ok(PullAnswer::Unauthorized);
        }
        if config.store.paused {
            return Ok(PullAnswer::NotReady("the store is paused".to_owned()));
        }
        let now = self.clock.now();
        let parts = self.parts(config);
        let Some(newest) = parts.iter().map(|p| p.batch.window.end()).max() else {
            return Ok(PullAnswer::NotReady(not_ready(config, now)));
        };
        let fresh: Vec<bool> = parts.iter().map(|p| is_fresh(p.batch.window, now)).collect();
        if !fresh.contains(&true) {
            let age = now.seconds().saturating_sub(newest.seconds());
            let told = format!("the newest window ended {age} s ago, which is more than {STALE_PERIODS} periods");
            return Ok(PullAnswer::Stale(told));
        }
        let key = Key {
            parts: parts.iter().zip(&fresh).map(|(p, fresh)| (p.number, *fresh)).collect(),
            settings: config.store.revision,
            adapter: *config.adapter.digest(),
            headers: relevant(headers),
        };
        let shown = parts.into_iter().zip(fresh).map(|(p, fresh)| (p.batch, fresh)).collect();
        let page = self.rendered(config, key, shown).await?;
        self.note(store, |pages| {
            (pages.read, pages.last_read, pages.last_fault) = (pages.read + 1, Some(now), None);
        });
        Ok(PullAnswer::Page { content_type: page.content_type.clone(), body: page.body.clone() })
    }

    /// The newest posting of each set that is connected to the store, by the name of the set.
    fn parts(&self, config: &Config) -> Vec<Posted> {
        let posted = self.board.posted.load();
        let mut newest: HashMap<i64, &Posted> = HashMap::new();
        // While a store changes its period, a set has two links; what is newer is shown.
        for link in &config.links {
            let Some(found) = posted.get(&(link.metric_set, link.period)) else { continue };
            let kept = newest.entry(link.metric_set.0).or_insert(found);
            if kept.batch.window.end() < found.batch.window.end() {
                *kept = found;
            }
        }
        let mut parts: Vec<Posted> = newest.into_values().cloned().collect();
        parts.sort_by(|a, b| a.batch.metric_set.cmp(&b.batch.metric_set));
        parts
    }

    /// The page for `key`: made once, whoever asks.
    async fn rendered(
        &self,
        config: &Arc<Config>,
        key: Key,
        shown: Vec<(Arc<Batch>, bool)>,
    ) -> Result<Arc<Page>, Fault> {
        let headers = key.headers.clone();
        let cell = self.cell(config.store.id, key);
        let made = cell.get_or_init(|| self.render(config, shown, headers)).await;
        made.clone().map_err(|(fault, _)| fault)
    }

    fn cell(&self, store: StoreId, key: Key) -> Arc<OnceCell<Rendered>> {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        let pages = stores.entry(store).or_default();
        let over = |cell: &OnceCell<Rendered>| match cell.get() {
            Some(Err((Fault::Busy { .. }, _))) => true,
            Some(Err((_, at))) => at.elapsed() >= FAULT_PAUSE,
            _ => false,
        };
        pages.kept.retain(|(_, cell)| !over(cell));
        if let Some((_, cell)) = pages.kept.iter().find(|(kept, _)| *kept == key) {
            return Arc::clone(cell);
        }
        // Pages of earlier windows are asked for by nobody.
        pages.kept.retain(|(kept, _)| kept.parts == key.parts);
        pages.kept.truncate(PAGES - 1);
        let cell = Arc::new(OnceCell::new());
        pages.kept.push_front((key, Arc::clone(&cell)));
        cell
    }

    async fn render(
        &self,
        config: &Arc<Config>,
        shown: Vec<(Arc<Batch>, bool)>,
        headers: Vec<(String, String)>,
    ) -> Rendered {
        let failed = |fault: Fault| {
            self.observed.fault(&fault);
            tracing::warn!("a pull page could not be made: {fault}");
            (fault, Moment::now())
        };
        let _place = config.account.enter().map_err(failed)?;
        let (account, config, period) = (Arc::clone(&config.account), Arc::clone(config), config.store.period);
        let is_slow = account.is_slow();
        let made = adapter_call(is_slow, move || {
            let batches = shown.into_iter().map(|(b, fresh)| if fresh { b } else { Arc::new(without_live(&b)) });
            config.adapter.render(
                &config.settings,
                Snapshot { batches: batches.collect(), period },
                headers,
                &config.account.allowance().call,
            )
        });
        let Called { result, usage } = match made.await {
            Ok(called) => called,
            Err(error) => return Err((Fault::Contract(format!("the page was cut off: {error}")), Moment::now())),
        };
        self.observed.used(&usage, is_slow);
        account.used(&usage, 0);
        result.map(Arc::new).map_err(failed)
    }

    fn note(&self, store: StoreId, change: impl FnOnce(&mut Pages)) {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        change(stores.entry(store).or_default());
    }

    pub(crate) fn readers(&self, store: StoreId) -> Readers {
        let stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        let readers = |p: &Pages| Readers { pages: p.read, last: p.last_read, fault: p.last_fault.clone() };
        stores.get(&store).map(readers).unwrap_or_default()
    }
}

/// Whether a window may still be shown as what is.
pub(crate) fn is_fresh(window: Window, now: Instant) -> bool {
    let bound = window.end().seconds() + STALE_PERIODS * u64::from(window.period().seconds());
    now.seconds() <= bound
}

fn not_ready(config: &Config, now: Instant) -> String {
    if config.links.is_empty() {
        return "no metric set is connected to the store".to_owned();
    }
    let end = next_end(config.store.period, now);
    format!("the first window ends in {} s", end.seconds().saturating_sub(now.seconds()))
}

/// When the window in progress ends.
pub(crate) fn next_end(period: Period, now: Instant) -> Instant {
    period.window_at(now).end()
}

/// The headers that a page may depend on, in one order.
pub(crate) fn relevant(headers: Vec<(String, String)>) -> Vec<(String, String)> {
    let lower = headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
    let mut kept: Vec<_> =
        lower.filter(|(name, value)| HEADERS.contains(&name.as_str()) && value.len() <= MAX_HEADER_BYTES).collect();
    kept.sort();
    kept.dedup_by(|a, b| a.0 == b.0);
    kept
}
