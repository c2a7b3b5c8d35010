//! What the child does: give up what it does not need, read a component, write machine code.
//!
//! The engine here is the host's in all that machine code depends on, but without a pool: reserving address space for instances
//! that never run would not fit into the child's limit.

use super::walls;
use crate::engine::{self, Allocation};
use crate::limits::SandboxOptions;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use wasmtime::Engine;

/// What the child is told, as its one argument.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    pub(crate) max_memory_bytes: usize,
    pub(crate) max_component_bytes: usize,
    pub(crate) allocation: Allocation,
    pub(crate) cpu_seconds: u64,
    pub(crate) memory_bytes: u64,
}

impl Job {
    /// Reads what [`argument`](Self::argument) wrote.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|e| e.to_string())
    }

    /// The argument for the child.
    pub(crate) fn argument(&self) -> io::Result<String> {
        serde_json::to_string(self).map_err(io::Error::other)
    }
}

/// Compiles what comes in at standard input, and writes to standard output: which walls stand (one byte), the length (eight bytes,
/// the least significant first), the machine code. This process can do nothing else afterwards.
///
/// # Errors
/// Why there is no machine code, for standard error.
pub fn run_job(job: &Job) -> Result<(), String> {
    let options = SandboxOptions { max_memory_bytes: job.max_memory_bytes, ..SandboxOptions::default() };
    let mut config = engine::settings(&options, job.allocation);
    // One thread, so that the walls need no door for more.
    config.parallel_compilation(false);
    let engine = Engine::new(&config).map_err(|e| format!("{e:#}"))?;
    // Everything that is needed is there: nothing that an attacker wrote has been read so far.
    let standing = walls::raise(job.cpu_seconds, job.memory_bytes, 0);
    let mut bytes = Vec::new();
    let limit = job.max_component_bytes as u64;
    io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(|e| format!("cannot read the component: {e}"))?;
    let artefact = engine.precompile_component(&bytes).map_err(|e| format!("{e:#}"))?;
    let mut out = io::stdout().lock();
    let length = (artefact.len() as u64).to_le_bytes();
    let written = [&[standing.bits()][..], &length, &artefact].iter().try_for_each(|part| out.write_all(part));
    written.and_then(|()| out.flush()).map_err(|e| format!("cannot write the machine code: {e}"))
}
