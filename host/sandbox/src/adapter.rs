//! A loaded adapter, and the three ways to call it: describe (once, when it is loaded), begin, render.
//!
//! Nothing of a call survives it. Each starts from the pre-linked component with an instance of its own, so an adapter cannot
//! carry one store's data into another's call, and a crash costs nothing but that call.

use crate::bindings::{pull, push};
use crate::conversation::{Conversation, Step, taken};
use crate::exchange::{Page, Snapshot};
use crate::fault::Fault;
use crate::host::columns::BatchHandle;
use crate::host::inputs::{ScrapeHandle, SettingsHandle, SnapshotHandle};
use crate::host::{Reach, State};
use crate::inspect::{self, Inspected};
use crate::limits::{Called, Limits, Usage};
use crate::load::LoadError;
use crate::run::Run;
use crate::sandbox::Sandbox;
use crate::wasi::{Prints, Stub};
use std::fmt;
use std::sync::Arc;
use tidegate_model::{Batch, BatchView, Description, Direction, Name, PullTraits, PushTraits, Settings, Window};
use wasmtime::component::InstancePre;

/// A component, linked and ready to be instantiated.
pub(crate) struct Entry {
    push: Option<push::PushAdapterPre<State>>,
    pull: Option<pull::PullAdapterPre<State>>,
}

impl Entry {
    /// Looks the exports up that `direction` says are there.
    pub(crate) fn new(pre: InstancePre<State>, direction: Direction) -> wasmtime::Result<Self> {
        let push = direction.pushes().then(|| push::PushAdapterPre::new(pre.clone())).transpose()?;
        let pull = direction.pulls().then(|| pull::PullAdapterPre::new(pre)).transpose()?;
        Ok(Self { push, pull })
    }
}

/// An adapter that can be called. Shared between threads; each call is on its own.
pub struct Adapter {
    sandbox: Arc<Sandbox>,
    entry: Entry,
    description: Arc<Description>,
    direction: Direction,
    contract: String,
    digest: [u8; 32],
    size: usize,
    stubs: Vec<Stub>,
    prints: Arc<Prints>,
}

impl fmt::Debug for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Adapter");
        out.field("name", &self.description.name).field("version", &self.description.version);
        out.field("digest", &hex::encode(self.digest)).finish_non_exhaustive()
    }
}

impl Adapter {
    /// Asks a component what it is.
    pub(crate) fn describe(
        sandbox: &Arc<Sandbox>,
        entry: Entry,
        inspected: Inspected,
        digest: [u8; 32],
        size: usize,
    ) -> Result<Self, LoadError> {
        let prints = Arc::<Prints>::default();
        let nothing =
            Reach { description: Arc::new(nameless()), settings: Arc::default(), prints: Arc::clone(&prints) };
        let mut run = Run::new(sandbox, nothing, &sandbox.options().describe).map_err(LoadError::Describe)?;
        let mut mismatch = None;
        let called = run.call(|store| {
            // Both ways in are opened, so that exports of the wrong type are found now and not at the first delivery.
            let pushes = entry.push.as_ref().map(|pre| pre.instance_pre().instantiate(&mut *store)).transpose()?;
            let instance = match (pushes, &entry.pull) {
                (Some(instance), _) => instance,
                (None, Some(pre)) => pre.instance_pre().instantiate(&mut *store)?,
                (None, None) => return Err(Fault::contract("it exports neither push nor pull").into()),
            };
            let push = entry.push.as_ref().map(|_| push::PushAdapter::new(&mut *store, &instance)).transpose();
            let pull = entry.pull.as_ref().map(|_| pull::PullAdapter::new(&mut *store, &instance)).transpose();
            match (push, pull) {
                (Ok(Some(push)), Ok(_)) => push.tidegate_adapter_about().call_describe(store),
                (Ok(None), Ok(Some(pull))) => pull.tidegate_adapter_about().call_describe(store),
                (Err(error), _) | (_, Err(error)) => {
                    mismatch = Some(inspect::types(&inspected.contract, &error));
                    Err(error)
                }
                (Ok(None), Ok(None)) => Err(Fault::contract("it exports neither push nor pull").into()),
            }
        });
        if let Some(mismatch) = mismatch {
            return Err(mismatch);
        }
        let document = called.result.map_err(LoadError::Describe)?;
        let description = Description::parse(&document).map_err(LoadError::Description)?;
        Ok(Self {
            sandbox: Arc::clone(sandbox),
            entry,
            description: Arc::new(description),
            direction: inspected.direction,
            contract: inspected.contract,
            digest,
            size,
            stubs: inspected.stubs,
            prints,
        })
    }

    /// What it says of itself.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Which ways it works, by what it exports.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// SHA-256 of the component.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Bytes of the component.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// The system interfaces that it imports, and what it finds in place of each. None for one that is made for the contract alone.
    #[must_use]
    pub fn stubs(&self) -> &[Stub] {
        &self.stubs
    }

    /// Version of the contract that it is made for, for example `1.0.0`.
    #[must_use]
    pub fn contract(&self) -> &str {
        &self.contract
    }

    /// Begins the delivery of `batch`. CPU work: call it from a thread that may block.
    ///
    /// The dictionaries that the adapter sees are those of the whole metric, also where the view is a part of the batch.
    pub fn begin(self: &Arc<Self>, settings: &Arc<Settings>, batch: BatchView, limits: &Limits) -> Called<Step> {
        self.converse(settings, BatchHandle::of(Arc::new(batch)), limits)
    }

    /// Begins a conversation in which the adapter asks the sink whether it takes the settings, and writes nothing to it. An
    /// adapter that is done without having asked has no such check. CPU work: call it from a thread that may block.
    pub fn check(
        self: &Arc<Self>,
        settings: &Arc<Settings>,
        project: Name,
        metric_set: Name,
        window: Window,
        limits: &Limits,
    ) -> Called<Step> {
        // No metrics: an adapter that does not know of checks sends nothing.
        let batch = Batch { project, metric_set, window, metrics: Vec::new() };
        self.converse(settings, BatchHandle::to_check(Arc::new(BatchView::whole(Arc::new(batch)))), limits)
    }

    fn converse(self: &Arc<Self>, settings: &Arc<Settings>, batch: BatchHandle, limits: &Limits) -> Called<Step> {
        let Some(pre) = &self.entry.push else { return failed(Fault::contract("it does not push")) };
        let mut run = match Run::new(&self.sandbox, self.reach(settings), limits) {
            Ok(run) => run,
            Err(fault) => return failed(fault),
        };
        let called = run.call(|store| {
            let adapter = pre.instantiate(&mut *store)?;
            let state = store.data_mut();
            state.set_view(Arc::clone(&batch.view));
            let settings = state.push(SettingsHandle)?;
            let batch = state.push(batch)?;
            let guest = adapter.tidegate_adapter_push().delivery();
            let delivery = guest.call_constructor(&mut *store, settings)?;
            let action = guest.call_begin(&mut *store, delivery, batch)?;
            Ok((taken(store.data_mut(), action)?, adapter, delivery))
        });
        let Called { result, usage } = called;
        let step = result.and_then(|(said, adapter, delivery)| {
            Conversation::new(Arc::clone(self), run, adapter, delivery).go_on(said)
        });
        Called { result: step, usage }
    }

    /// Makes the page of `snapshot`. CPU work: call it from a thread that may block.
    pub fn render(
        self: &Arc<Self>,
        settings: &Arc<Settings>,
        snapshot: Snapshot,
        scrape_headers: Vec<(String, String)>,
        limits: &Limits,
    ) -> Called<Page> {
        let Some(pre) = &self.entry.pull else { return failed(Fault::contract("it does not make pages")) };
        let mut run = match Run::new(&self.sandbox, self.reach(settings), limits) {
            Ok(run) => run,
            Err(fault) => return failed(fault),
        };
        let batches = snapshot.batches.into_iter().map(|b| Arc::new(BatchView::whole(b))).collect();
        let period = snapshot.period;
        run.call(|store| {
            let adapter = pre.instantiate(&mut *store)?;
            let state = store.data_mut();
            let settings = state.push(SettingsHandle)?;
            let snapshot = state.push(SnapshotHandle { batches, period })?;
            let scrape = state.push(ScrapeHandle(scrape_headers))?;
            match adapter.tidegate_adapter_pull().call_render(&mut *store, settings, snapshot, scrape)? {
                Ok(page) => Ok(store.data_mut().take(page)?.finish()),
                Err(reason) => Err(Fault::refused(&reason).into()),
            }
        })
    }

    fn reach(&self, settings: &Arc<Settings>) -> Reach {
        Reach {
            description: Arc::clone(&self.description),
            settings: Arc::clone(settings),
            prints: Arc::clone(&self.prints),
        }
    }
}

fn failed<T>(fault: Fault) -> Called<T> {
    Called { result: Err(fault), usage: Usage::default() }
}

/// Stands in for the description while there is none: no settings, no endpoints.
fn nameless() -> Description {
    Description {
        name: String::new(),
        version: String::new(),
        vendor: String::new(),
        summary: String::new(),
        documentation: String::new(),
        settings: Vec::new(),
        endpoints: Vec::new(),
        push: PushTraits::default(),
        pull: PullTraits::default(),
    }
}
