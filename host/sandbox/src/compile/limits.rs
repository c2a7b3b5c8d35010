//! What compiling may cost, and how it can fail.

use crate::limits::MIB;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// How components are compiled.
#[derive(Clone, Debug)]
pub struct CompileOptions {
    /// The program that is called as `PROGRAM compile JOB` to compile one component. Without one it happens in this process: right
    /// for components that come with the host, wrong for any other.
    pub program: Option<PathBuf>,
    /// Where what was compiled is kept.
    pub cache: Option<PathBuf>,
    /// What compiling one component may cost. They hold for the program; in this process only the size does.
    pub limits: CompileLimits,
    /// Components compiled at once; half of the cores, so that deliveries go on meanwhile.
    pub at_once: usize,
    /// Components that wait for that; 64. One more is answered with [`CompileError::Busy`].
    pub waiting: usize,
}

impl Default for CompileOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            program: None,
            cache: None,
            limits: CompileLimits::default(),
            at_once: (cores / 2).clamp(1, 4),
            waiting: 64,
        }
    }
}

/// What compiling one component may cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompileLimits {
    /// CPU time, in whole seconds; 60 s. An adapter in Python (18 MB) takes some 10 s.
    pub cpu: Duration,
    /// Time in all; 10 min, since a busy machine may give it little of its time.
    pub wall: Duration,
    /// Bytes of address space of the process; 2 GiB.
    pub memory_bytes: u64,
    /// Bytes of machine code; 256 MiB.
    pub artefact_bytes: u64,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            cpu: Duration::from_secs(60),
            wall: Duration::from_secs(600),
            memory_bytes: 2048 * MIB,
            artefact_bytes: 256 * MIB,
        }
    }
}

/// Why a component was not compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CompileError {
    /// The compiler says no: it is not valid, or wants what the engine does not have.
    #[error("{0}")]
    Refused(String),
    /// It takes too much CPU time.
    #[error("it takes more than {} s of CPU time, which is the limit", limit.as_secs())]
    Cpu {
        /// The limit.
        limit: Duration,
    },
    /// It takes too long.
    #[error("it was stopped after {} s, which is the limit", limit.as_secs())]
    Wall {
        /// The limit.
        limit: Duration,
    },
    /// It takes too much memory.
    #[error("the compiler needs more than {limit} bytes of memory for it, which is the limit")]
    Memory {
        /// The limit.
        limit: u64,
    },
    /// It becomes too large.
    #[error("it has more than {limit} bytes of machine code, which is the limit")]
    Artefact {
        /// The limit.
        limit: u64,
    },
    /// The compiler broke off.
    #[error("the compiler crashed: {0}")]
    Crashed(String),
    /// Not the component's doing: too many wait already. Try again later.
    #[error("{limit} components wait to be compiled; try again later")]
    Busy {
        /// How many may wait.
        limit: usize,
    },
    /// Not the component's doing: there is no process to be had.
    #[error("the process that compiles could not do its work: {0}")]
    Child(String),
}

impl CompileError {
    /// Whether the same bytes fare the same way while this process lives.
    pub(crate) fn lasts(&self) -> bool {
        !matches!(self, Self::Busy { .. } | Self::Child(_))
    }

    /// Whether they do so after a restart as well. A machine that was busy may have been the cause of what took too long.
    pub(crate) fn lasts_beyond_restart(&self) -> bool {
        self.lasts() && !matches!(self, Self::Wall { .. })
    }
}

/// A verdict as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Refused {
    pub(crate) limits: CompileLimits,
    pub(crate) error: CompileError,
}
