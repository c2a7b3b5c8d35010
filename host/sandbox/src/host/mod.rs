//! What an adapter can see and touch: host resources behind handles, nothing else.
//!
//! Each resource lives in the table of one instance and goes with it, so an adapter that never drops a handle leaks nothing.
//! Readers are in [`columns`] and [`inputs`]; what an adapter builds is in [`request`], [`verdict`] and [`page`].

pub(crate) mod body;
pub(crate) mod buffers;
pub(crate) mod columns;
pub(crate) mod inputs;
mod packed;
pub(crate) mod page;
pub(crate) mod request;
pub(crate) mod rules;
pub(crate) mod verdict;

use crate::bindings::push::tidegate::adapter::model;
use crate::fault::Fault;
use crate::limits::Limits;
use crate::meter::Meter;
use crate::wasi::{Console, Prints};
use buffers::Buffers;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidegate_model::{BatchView, Description, Settings};
use wasmtime::component::{HasSelf, Linker, Resource, ResourceTable, ResourceTableError};

/// Name of the interface that adapters import.
const MODEL: &str = "tidegate:adapter/model@1.0.0";

/// Reserved in the contract for later kinds of action: there is no way to make one.
#[derive(Debug)]
pub enum Effect {}

/// What a store allows its adapter: the endpoints of the description, the settings of the store.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    pub(crate) description: Arc<Description>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) prints: Arc<Prints>,
}

/// The host's side of one instance.
#[derive(Debug)]
pub(crate) struct State {
    table: ResourceTable,
    handles: u32,
    held: u32,
    handles_peak: u32,
    pub(crate) meter: Meter,
    pub(crate) console: Console,
    reach: Reach,
    view: Option<Arc<BatchView>>,
    buffers: Buffers,
    /// When the call under way began, by the clock and by the CPU time of its thread.
    pub(crate) began: (Instant, Duration),
}

impl State {
    /// A fresh side for one instance; `memory` is the limit in bytes.
    pub(crate) fn new(reach: Reach, limits: &Limits, memory: usize, buffers: Buffers) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles as usize);
        Self {
            table,
            handles: limits.handles,
            held: 0,
            handles_peak: 0,
            meter: Meter::new(memory, limits.output_bytes),
            console: Console::new(limits.log_lines),
            reach,
            view: None,
            buffers,
            began: (Instant::now(), Duration::ZERO),
        }
    }

    /// Puts a resource where the guest can be given a handle to it.
    pub(crate) fn push<T: Send + 'static>(&mut self, resource: T) -> wasmtime::Result<Resource<T>> {
        let pushed = self.table.push(resource).map_err(|error| match error {
            ResourceTableError::Full => {
                let asked = self.handles.saturating_add(1);
                wasmtime::Error::new(Fault::Handles { limit: self.handles, asked })
            }
            other => wasmtime::Error::new(other),
        })?;
        self.held = self.held.saturating_add(1);
        self.handles_peak = self.handles_peak.max(self.held);
        Ok(pushed)
    }

    /// Most resources that were held at once.
    pub(crate) fn handles_peak(&self) -> u32 {
        self.handles_peak
    }

    /// Takes a resource out; its handle is dead from here on.
    pub(crate) fn take<T: 'static>(&mut self, resource: Resource<T>) -> wasmtime::Result<T> {
        let taken = self.table.delete(resource)?;
        self.held = self.held.saturating_sub(1);
        Ok(taken)
    }

    /// Hands what was printed to the log.
    pub(crate) fn tell(&mut self) {
        let name = &self.reach.description.name;
        let name = if name.is_empty() { "(not described yet)" } else { name };
        self.console.tell(name, &self.reach.prints);
    }

    /// The view that this conversation is about; verdicts are checked against it.
    pub(crate) fn set_view(&mut self, view: Arc<BatchView>) {
        self.view = Some(view);
    }
}

impl model::Host for State {}

impl model::HostEffect for State {
    fn drop(&mut self, rep: Resource<Effect>) -> wasmtime::Result<()> {
        self.table.delete(rep).map(drop)?;
        Ok(())
    }
}

/// Gives `linker` everything that adapters may import.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    model::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    // The generated `write` functions are handed a copy. These look at the limit first, and copy once.
    linker.allow_shadowing(true);
    let mut instance = linker.instance(MODEL)?;
    instance.func_wrap("[method]request.write", body::write::<request::Draft>)?;
    instance.func_wrap("[method]tcp-stream.write", body::write::<request::StreamDraft>)?;
    instance.func_wrap("[method]page.write", body::write::<page::PageDraft>)?;
    linker.allow_shadowing(false);
    Ok(())
}
