//! How much an adapter may use, and how much it used.

use crate::compile::CompileOptions;
use crate::fault::Fault;
use std::time::Duration;

pub(crate) const MIB: u64 = 1 << 20;

/// The size of the engine's pool and what it will look at at all. Fixed when the sandbox is made.
#[derive(Clone, Debug)]
pub struct SandboxOptions {
    /// Conversations and pages under way at once, in all stores together; 128. One more is answered with [`Fault::Busy`].
    pub max_instances: u32,
    /// Bytes of memory that one call can ever have, whatever its [`Limits`] say; 256 MiB. The pool reserves address space for it.
    pub max_memory_bytes: usize,
    /// Bytes of a component; 32 MiB. Python adapters have some 18 MB.
    pub max_component_bytes: usize,
    /// How often the deadline is looked at; 5 ms. A call ends at most two of these after its time.
    pub tick: Duration,
    /// Whether the memory of each call goes back to the system; if not, pages may stay to be overwritten where the kernel tells which were
    /// written and nothing is swapped out.
    pub fresh_memory: bool,
    /// What `describe` may use when an adapter is loaded.
    pub describe: Limits,
    /// How components are compiled; in this process, and nothing is kept.
    pub compile: CompileOptions,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            max_instances: 128,
            max_memory_bytes: 256 << 20,
            max_component_bytes: 32 << 20,
            tick: Duration::from_millis(5),
            fresh_memory: false,
            describe: Limits::default(),
            compile: CompileOptions::default(),
        }
    }
}

/// What one conversation or page may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// CPU time of one call, instantiation included; 1 s. It may last ten times as long.
    pub call_time: Duration,
    /// Bytes of all memories and tables together; 64 MiB.
    pub memory_bytes: usize,
    /// Bytes that a conversation or page may hand to the host: bodies, and with a flat charge for each, headers, parameters
    /// and reasons; 64 MiB.
    pub output_bytes: u64,
    /// Actions of one conversation; 64.
    pub actions: u32,
    /// Handles to host resources (metrics, measures, requests ...) held at once; 50,000.
    pub handles: u32,
    /// Lines that it may print to the log; 20. What is beyond is left out and counted, which is no fault.
    pub log_lines: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            call_time: Duration::from_secs(1),
            memory_bytes: 64 << 20,
            output_bytes: 64 << 20,
            actions: 64,
            handles: 50_000,
            log_lines: 20,
        }
    }
}

/// What a call used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time from the start of the call to its end.
    pub time: Duration,
    /// CPU time in between, which the deadline is about. It is less if the machine was short of cores, for which no adapter pays.
    pub cpu: Duration,
    /// Most bytes of memories and tables, since the instance was made.
    pub memory_peak: usize,
    /// Bytes handed to the host, since the conversation began.
    pub output_bytes: u64,
    /// Most handles to host resources held at once, since the conversation began.
    pub handles_peak: u32,
    /// Lines printed since the conversation began, also those that were left out.
    pub log_lines: u32,
}

/// What a call gave, and what it used, whether it went well or not.
#[derive(Debug)]
pub struct Called<T> {
    /// What it gave.
    pub result: Result<T, Fault>,
    /// What it used.
    pub usage: Usage,
}
