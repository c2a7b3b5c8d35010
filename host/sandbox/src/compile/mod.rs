//! From a component to machine code: out of the cache, or compiled in a process of its own.
//!
//! The compiler promises nothing about the time and memory that malicious input costs it, so bytes that nobody vouches for are
//! compiled by a child with limits (`child`, `job`, `walls`). What it gives is sealed with a key of this host and kept by content
//! and engine (`cache`, `seal`): loading machine code cannot be checked in any other way than by knowing who made it.

mod cache;
mod child;
mod job;
mod limits;
mod seal;
mod slots;
mod walls;

pub use job::{Job, run_job};
pub use limits::{CompileError, CompileLimits, CompileOptions};
pub use walls::{Probe, probe_walls};

use crate::engine::Allocation;
use crate::limits::SandboxOptions;
use crate::text::plain;
use cache::{Cache, Kept};
use limits::Refused;
use sha2::{Digest, Sha256};
use slots::Slots;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use wasmtime::Engine;
use wasmtime::component::Component;

/// What was done to have components ready, since the sandbox was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompileCounts {
    /// Compiled, also without success.
    pub compiled: u64,
    /// Taken from the cache.
    pub cached: u64,
    /// Files in the cache that were not what this host had put there, or were made for another engine.
    pub discarded: u64,
    /// Refused because of an earlier verdict on the same bytes.
    pub remembered: u64,
}

/// Makes components ready to run.
pub(crate) struct Compiler {
    engine: Engine,
    fingerprint: [u8; 32],
    job: Job,
    options: CompileOptions,
    cache: Option<Cache>,
    /// Verdicts that hold for as long as this process lives.
    verdicts: Mutex<HashMap<[u8; 32], CompileError>>,
    slots: Slots,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    compiled: AtomicU64,
    cached: AtomicU64,
    discarded: AtomicU64,
    remembered: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Compiler {
    /// For components that run in `engine`.
    pub(crate) fn new(engine: &Engine, options: &SandboxOptions, allocation: Allocation) -> Self {
        let compile = options.compile.clone();
        let cache = compile.cache.as_ref().and_then(|folder| match Cache::open(folder) {
            Ok(cache) => Some(cache),
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "compiled adapters cannot be kept; each start compiles them again");
                None
            }
        });
        let job = Job {
            max_memory_bytes: options.max_memory_bytes,
            max_component_bytes: options.max_component_bytes,
            allocation,
            cpu_seconds: compile.limits.cpu.as_secs().max(1),
            memory_bytes: compile.limits.memory_bytes,
        };
        Self {
            engine: engine.clone(),
            fingerprint: fingerprint(engine),
            job,
            cache,
            verdicts: Mutex::default(),
            slots: Slots::new(compile.at_once, compile.waiting),
            counts: Counts::default(),
            options: compile,
        }
    }

    /// The component of `bytes`, whose SHA-256 is `digest`. Blocking: milliseconds out of the cache, seconds if a large one has to
    /// be compiled, and longer if others are first.
    pub(crate) fn component(&self, bytes: &[u8], digest: &[u8; 32]) -> Result<Component, CompileError> {
        if let Some(known) = self.known(digest) {
            return known;
        }
        let _slot = self.slots.take()?;
        // Somebody else may have compiled the same bytes meanwhile.
        if let Some(known) = self.known(digest) {
            return known;
        }
        count(&self.counts.compiled);
        let component = self.compile(bytes, digest);
        if let Err(error) = &component {
            self.remember(digest, error);
        }
        component
    }

    /// What was done so far.
    pub(crate) fn counts(&self) -> CompileCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CompileCounts {
            compiled: read(&self.counts.compiled),
            cached: read(&self.counts.cached),
            discarded: read(&self.counts.discarded),
            remembered: read(&self.counts.remembered),
        }
    }

    fn compile(&self, bytes: &[u8], digest: &[u8; 32]) -> Result<Component, CompileError> {
        let refused = |error: wasmtime::Error| CompileError::Refused(plain(&format!("{error:#}")));
        let artefact = match (&self.options.program, &self.cache) {
            (None, None) => return Component::new(&self.engine, bytes).map_err(refused),
            (None, Some(_)) => self.engine.precompile_component(bytes).map_err(refused)?,
            (Some(program), _) => child::compile(program, &self.job, &self.options.limits, bytes)?,
        };
        let kept = Kept::Artefact(artefact);
        let sealed = match &self.cache {
            Some(cache) => cache.put(digest, &self.fingerprint, kept),
            None => Cache::pass(kept),
        };
        self.load(&sealed).map_err(refused)
    }

    /// What is known of these bytes: a component, or a verdict.
    fn known(&self, digest: &[u8; 32]) -> Option<Result<Component, CompileError>> {
        let verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(verdict) = verdicts.get(digest) {
            count(&self.counts.remembered);
            return Some(Err(verdict.clone()));
        }
        drop(verdicts);
        let cache = self.cache.as_ref()?;
        let discard = |reason: &str| {
            count(&self.counts.discarded);
            cache.discard(digest, &self.fingerprint);
            let component = hex::encode(digest);
            tracing::warn!(component, reason, "what the cache has of an adapter cannot be used; compiling it again");
        };
        let sealed = match cache.get(digest, &self.fingerprint) {
            Ok(sealed) => sealed?,
            Err(reason) => {
                discard(&reason);
                return None;
            }
        };
        match sealed.kept() {
            Kept::Refused(text) => {
                let refused: Refused = serde_json::from_slice(text).ok()?;
                // Other limits may lead to another verdict.
                let holds = refused.limits == self.options.limits;
                holds.then(|| {
                    count(&self.counts.remembered);
                    Err(refused.error)
                })
            }
            Kept::Artefact(_) => match self.load(&sealed) {
                Ok(component) => {
                    count(&self.counts.cached);
                    Some(Ok(component))
                }
                Err(error) => {
                    discard(&format!("{error:#}"));
                    None
                }
            },
        }
    }

    /// Remembers what will be the same the next time.
    fn remember(&self, digest: &[u8; 32], error: &CompileError) {
        if !error.lasts() {
            return;
        }
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever drops in millions of components gets them looked at again, and costs no more memory.
        if verdicts.len() >= 10_000 {
            verdicts.clear();
        }
        verdicts.insert(*digest, error.clone());
        drop(verdicts);
        let Some(cache) = self.cache.as_ref().filter(|_| error.lasts_beyond_restart()) else { return };
        let refused = Refused { limits: self.options.limits.clone(), error: error.clone() };
        if let Ok(text) = serde_json::to_vec(&refused) {
            cache.put(digest, &self.fingerprint, Kept::Refused(text));
        }
    }

    /// The one place at which machine code is taken for what it says it is.
    #[allow(
        unsafe_code,
        reason = "machine code cannot be checked; that this host made it can, and `Sealed` says that it was"
    )]
    fn load(&self, sealed: &cache::Sealed) -> wasmtime::Result<Component> {
        let Kept::Artefact(artefact) = sealed.kept() else {
            return Err(wasmtime::Error::msg("a verdict is no machine code"));
        };
        // SAFETY: the bytes are the output of this compiler for this engine. A `Sealed` is made only from what the compiler has
        // just given, or from a file whose MAC, by a key that only this host can read, holds for these bytes, the hash of the
        // component and the fingerprint of the engine.
        unsafe { Component::deserialize(&self.engine, artefact) }
    }
}

/// SHA-256 over everything in an engine that machine code depends on: version, settings, processor.
fn fingerprint(engine: &Engine) -> [u8; 32] {
    struct Sum(Sha256);
    impl Hasher for Sum {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut sum = Sum(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut sum);
    sum.0.finalize().into()
}
