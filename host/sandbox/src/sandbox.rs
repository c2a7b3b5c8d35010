//! The sandbox: one engine, one pool, and the door by which adapters come in.

use crate::adapter::{Adapter, Entry};
use crate::compile::{CompileCounts, Compiler};
use crate::engine::{self, Allocation, EngineError};
use crate::fault::Fault;
use crate::host::buffers::Buffers;
use crate::host::{self, State};
use crate::inspect::{self, Inspected, inspect};
use crate::limits::SandboxOptions;
use crate::load::LoadError;
use crate::ticker::Ticker;
use crate::wasi;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use wasmtime::Engine;
use wasmtime::component::Linker;

/// Where adapters are compiled and run.
pub struct Sandbox {
    engine: Engine,
    linker: Linker<State>,
    compiler: Compiler,
    options: SandboxOptions,
    allocation: Allocation,
    taken: Arc<AtomicU32>,
    buffers: Buffers,
    _ticker: Ticker,
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Sandbox");
        out.field("options", &self.options).field("allocation", &self.allocation).field("taken", &self.taken);
        out.finish_non_exhaustive()
    }
}

impl Sandbox {
    /// Starts an engine. Where the machine cannot afford the pool's address space, a smaller form is taken, with a warning.
    ///
    /// # Errors
    /// [`EngineError`] if not even that works, or an option makes no sense.
    pub fn new(options: SandboxOptions) -> Result<Arc<Self>, EngineError> {
        let (engine, allocation) = engine::build(&options)?;
        let ticker = Ticker::start(&engine, options.tick)?;
        let mut linker = Linker::new(&engine);
        host::add_to_linker(&mut linker).map_err(|error| EngineError::Engine(format!("{error:#}")))?;
        let taken = Arc::default();
        let compiler = Compiler::new(&engine, &options, allocation);
        let buffers = Buffers::default();
        Ok(Arc::new(Self { engine, linker, compiler, options, allocation, taken, buffers, _ticker: ticker }))
    }

    /// Reads `component` and tells what stands in its way, as far as reading tells it. Nothing of it is compiled or run.
    ///
    /// # Errors
    /// [`LoadError`], as [`load`](Self::load) gives it.
    pub fn inspect(&self, component: &[u8]) -> Result<(), LoadError> {
        self.read(component).map(drop)
    }

    fn read(&self, component: &[u8]) -> Result<Inspected, LoadError> {
        let memory = self.options.describe.memory_bytes.min(self.options.max_memory_bytes);
        inspect(component, self.options.max_component_bytes, memory)
    }

    /// Inspects, compiles and links `component`, and asks it to describe itself. Takes tens of milliseconds for a small one and
    /// seconds for a large one; blocking.
    ///
    /// # Errors
    /// [`LoadError`] tells what the bytes are instead of an adapter, or which limit they exceed.
    pub fn load(self: &Arc<Self>, component: &[u8]) -> Result<Arc<Adapter>, LoadError> {
        let inspected = self.read(component)?;
        let digest = Self::digest(component);
        let compiled = self.compiler.component(component, &digest).map_err(LoadError::Compile)?;
        let wrong = |error: wasmtime::Error| inspect::types(&inspected.contract, &error);
        let pre = if inspected.stubs.is_empty() {
            self.linker.instantiate_pre(&compiled).map_err(wrong)?
        } else {
            // Stubs are made for what this very component imports; no other one finds them.
            let mut linker = self.linker.clone();
            wasi::link(&mut linker, &self.engine, &compiled).map_err(wrong)?;
            linker.instantiate_pre(&compiled).map_err(wrong)?
        };
        let entry = Entry::new(pre, inspected.direction).map_err(wrong)?;
        Adapter::describe(self, entry, inspected, digest, component.len()).map(Arc::new)
    }

    /// The digest by which `component` is known: of these very bytes.
    #[must_use]
    pub fn digest(component: &[u8]) -> [u8; 32] {
        Sha256::digest(component).into()
    }

    /// Conversations and pages that are under way.
    #[must_use]
    pub fn running(&self) -> u32 {
        self.taken.load(Ordering::Relaxed)
    }

    /// How many components were compiled, and how many came out of the cache.
    #[must_use]
    pub fn compiled(&self) -> CompileCounts {
        self.compiler.counts()
    }

    /// What the sandbox was made with.
    #[must_use]
    pub fn options(&self) -> &SandboxOptions {
        &self.options
    }

    /// Buffers for what adapters write.
    pub(crate) fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// A place for one more instance.
    pub(crate) fn place(&self) -> Result<Place, Fault> {
        let limit = self.options.max_instances;
        let more = |taken: u32| (taken < limit).then_some(taken + 1);
        match self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(Place(Arc::clone(&self.taken))),
            Err(_) => Err(Fault::Busy { limit }),
        }
    }
}

/// A taken place; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicU32>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
