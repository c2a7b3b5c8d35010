//! The exact bytes that a store would get next: made by the same code as the real ones, with credentials shown by their keys.
//!
//! Previewed is the last window that was evaluated; before there is one, the window in progress, as it is at the moment.
//! Nothing is sent, recorded or sealed.

use crate::budget::{Exhausted, Shares, TooLong};
use crate::catalog::{Catalog, CatalogError, Link};
use crate::config::{Config, ConfigError, Configs};
use crate::egress::masked;
use crate::export::admit_query;
use crate::ledger::{Ledger, LedgerError};
use crate::pull::relevant;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidegate_events::{EvaluationLimits, MetricSpec, Source, SourceError};
use tidegate_model::{
    Batch, BatchView, Clock, CpuTime, MetricBatch, MetricQuery, MetricSetId, Name, Period, ProjectId, StoreId, Window,
};
use tidegate_sandbox::{Action, Disposition, Fault, Limits, Snapshot, Step};

/// Most windows of one metric preview.
pub const MAX_PREVIEW_WINDOWS: u32 = 1000;

/// What a store would get next.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// The store.
    pub store: StoreId,
    /// One for each connected metric set; one in all for a pull store.
    pub parts: Vec<PreviewPart>,
}

/// One message or page.
#[derive(Clone, Debug, PartialEq)]
pub struct PreviewPart {
    /// The metric set that it is about; none for a page, which has all of them.
    pub metric_set: Option<Name>,
    /// The window whose values it has; for a page, the newest.
    pub window: Window,
    /// Whether that window is still in progress: the real message will have other values.
    pub in_progress: bool,
    /// The message.
    pub message: PreviewMessage,
}

/// What would go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PreviewMessage {
    /// An HTTP request; the first, if the adapter would make several.
    Request {
        /// Method and URL. A URL that is a credential is there as `<key>`.
        line: String,
        /// The headers, with credentials as `<key>`.
        headers: Vec<(String, String)>,
        /// Whether the body is compressed on the wire.
        gzip: bool,
        /// The body before compression.
        body: Bytes,
    },
    /// Bytes for a TCP endpoint.
    Stream {
        /// Host and port.
        to: String,
        /// The bytes.
        body: Bytes,
    },
    /// A pull page.
    Page {
        /// Its content type.
        content_type: String,
        /// The page.
        body: Bytes,
    },
    /// Nothing, for this reason.
    Nothing(String),
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The catalog does not have it, or cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The evaluation failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The adapter failed.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The tenant's questions of the last minute took all that they may.
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    /// This question alone took more than that.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// The store's adapter is missing, or does not take its settings.
    #[error("{0}")]
    Misconfigured(String),
    /// More was asked for than may be.
    #[error("a preview may have 1 to {MAX_PREVIEW_WINDOWS} windows, {0} were asked for")]
    TooMany(u32),
    /// The ledger has no such window, or not its values any more.
    #[error("{0}")]
    NoSuchWindow(String),
    /// A replay did not get through.
    #[error("the window was not sent: {0}")]
    NotSent(String),
    /// The ledger cannot be read, or a thread of the host died.
    #[error("{0}")]
    Internal(String),
}

impl From<LedgerError> for ExportError {
    fn from(error: LedgerError) -> Self {
        Self::Internal(error.to_string())
    }
}

/// Makes previews. Calls block.
pub(crate) struct Previewer {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) configs: Arc<Configs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) evaluation: EvaluationLimits,
    /// What the questions of each tenant have used.
    pub(crate) queries: Arc<Shares>,
}

/// A batch to preview.
struct Sample {
    batch: Arc<Batch>,
    in_progress: bool,
}

impl Previewer {
    pub(crate) fn store(&self, id: StoreId) -> Result<Preview, ExportError> {
        let config = self.configs.get(id).map_err(|error| match error {
            ConfigError::Gone => CatalogError::not_found(crate::catalog::Kind::Store, id).into(),
            ConfigError::Unfit(why) => ExportError::Misconfigured(why),
            ConfigError::Unreadable(why) => ExportError::Internal(why),
        })?;
        let mut current: BTreeMap<MetricSetId, &Link> = BTreeMap::new();
        for link in config.links.iter().filter(|l| l.until.is_none()) {
            current.insert(link.metric_set, link);
        }
        let mut samples = Vec::new();
        for link in current.into_values() {
            samples.push(self.sample(&config, link)?);
        }
        samples.sort_by(|a, b| a.batch.metric_set.cmp(&b.batch.metric_set));
        let parts = if config.store.pull {
            self.page(&config, samples)?
        } else {
            samples.into_iter().map(|sample| self.message(&config, sample)).collect::<Result<_, _>>()?
        };
        Ok(Preview { store: id, parts })
    }

    /// The last windows of a query, oldest first; the last one is in progress.
    pub(crate) fn metric(
        &self,
        project: ProjectId,
        query: MetricQuery,
        period: Period,
        windows: u32,
    ) -> Result<Vec<(Window, MetricBatch)>, ExportError> {
        if !(1..=MAX_PREVIEW_WINDOWS).contains(&windows) {
            return Err(ExportError::TooMany(windows));
        }
        self.catalog.read(|v| v.project(project))?;
        let name = Name::new("preview").map_err(|e| ExportError::Internal(e.to_string()))?;
        let specs = [MetricSpec { name, query }];
        let last = period.window_at(self.clock.now()).start().seconds();
        let length = u64::from(period.seconds());
        let starts = (0..u64::from(windows)).rev().filter_map(|back| last.checked_sub(back * length));
        let windows = starts.filter_map(|start| Window::starting_at(start, period));
        let (mut share, mut cpu) = (admit_query(&self.catalog, &self.queries, project)?, CpuTime::start());
        let evaluated = windows.map(|window| {
            let evaluated = self.source.evaluate(project, window, &specs, &self.evaluation);
            share.took(cpu.lap())?;
            let mut batches = evaluated?;
            let batch = batches.pop().ok_or_else(|| ExportError::Internal("no result came".to_owned()))?;
            Ok((window, batch))
        });
        evaluated.collect()
    }

    /// The last evaluated window of a set, or else the window in progress.
    fn sample(&self, config: &Config, link: &Link) -> Result<Sample, ExportError> {
        let track = (link.metric_set, link.period);
        let last = if config.store.pull {
            self.ledger.shown(track)?.map(|shown| shown.batch)
        } else {
            self.ledger.newest_batch(track)?
        };
        if let Some(batch) = last {
            return Ok(Sample { batch, in_progress: false });
        }
        let window = link.period.window_at(self.clock.now());
        let (project, force) = self.catalog.read(|v| {
            let force = v.revisions(link.metric_set)?.metrics_for(window)?;
            Ok((v.project(link.project)?.name, force))
        })?;
        let metric_set = force.series;
        let specs: Vec<MetricSpec> =
            force.metrics.into_iter().map(|(name, query)| MetricSpec { name, query }).collect();
        let (mut share, mut cpu) = (admit_query(&self.catalog, &self.queries, link.project)?, CpuTime::start());
        let metrics = self.source.evaluate(link.project, window, &specs, &self.evaluation);
        share.took(cpu.lap())?;
        let metrics = metrics?;
        Ok(Sample { batch: Arc::new(Batch { project, metric_set, window, metrics }), in_progress: true })
    }

    fn message(&self, config: &Config, sample: Sample) -> Result<PreviewPart, ExportError> {
        let Sample { batch, in_progress } = sample;
        let (metric_set, window) = (Some(batch.metric_set.clone()), batch.window);
        let part = |message| PreviewPart { metric_set, window, in_progress, message };
        if batch.live_rows() == 0 {
            return Ok(part(PreviewMessage::Nothing("the window has no values".to_owned())));
        }
        let begin = |limits: &Limits| config.adapter.begin(&config.settings, BatchView::whole(batch), limits);
        Ok(part(shown(config, config.account.call(begin)?)))
    }

    fn page(&self, config: &Config, samples: Vec<Sample>) -> Result<Vec<PreviewPart>, ExportError> {
        let Some(newest) = samples.iter().map(|s| s.batch.window).max_by_key(|w| w.end()) else {
            return Ok(Vec::new());
        };
        let in_progress = samples.iter().any(|s| s.in_progress);
        let batches = samples.into_iter().map(|s| s.batch).collect();
        let snapshot = Snapshot { batches, period: config.store.period };
        let render = |limits: &Limits| config.adapter.render(&config.settings, snapshot, relevant(Vec::new()), limits);
        let page = config.account.call(render)?;
        let message = PreviewMessage::Page { content_type: page.content_type, body: joined(&page.body) };
        Ok(vec![PreviewPart { metric_set: None, window: newest, in_progress, message }])
    }
}

/// What an adapter wants done first, for people.
pub(crate) fn shown(config: &Config, step: Step) -> PreviewMessage {
    match step {
        Step::Act(_, action) => message_of(config, &action),
        Step::Done(verdict) => PreviewMessage::Nothing(match verdict.disposition {
            Disposition::Accepted => "the adapter has nothing to send".to_owned(),
            Disposition::Rejected(reason) | Disposition::Split(reason) | Disposition::Stop(reason) => reason,
            Disposition::Retry { reason, .. } => reason,
        }),
    }
}

/// An action, for people.
pub(crate) fn message_of(config: &Config, action: &Action) -> PreviewMessage {
    match action {
        Action::Send(request) => {
            let shown = masked::request(request, config.adapter.description(), &config.settings);
            let body = joined(&request.body);
            PreviewMessage::Request { line: shown.line, headers: shown.headers, gzip: request.gzip, body }
        }
        Action::SendStream(stream) => {
            let to = masked::stream(stream, config.adapter.description(), &config.settings);
            PreviewMessage::Stream { to, body: joined(&stream.body) }
        }
    }
}

fn joined(pieces: &[Bytes]) -> Bytes {
    if let [one] = pieces {
        return one.clone();
    }
    pieces.concat().into()
}
