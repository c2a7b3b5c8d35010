//! Why a call of an adapter failed, in words for the operator.
//!
//! A fault ends its instance: nothing is ever called again in a world that may be half way through something. The text names
//! the limit and what was asked of it, so the operator can tell a greedy adapter from a small limit.

use crate::text::plain;
use std::time::Duration;

/// A call of an adapter that failed. The instance is gone; the adapter itself can be called again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// It crashed.
    #[error("the adapter crashed: {reason}{}", at(frames))]
    Trap {
        /// What the engine says.
        reason: String,
        /// The innermost functions, innermost first, as far as the component names them.
        frames: Vec<String>,
    },
    /// It took too long.
    #[error("the adapter was stopped after {} ms; one call may take {} ms", spent.as_millis(), limit.as_millis())]
    Deadline {
        /// The limit.
        limit: Duration,
        /// How long it ran.
        spent: Duration,
    },
    /// It wanted more memory.
    #[error(
        "the adapter asked for {asked} bytes of memory; the limit is {limit} bytes for all its memories and tables"
    )]
    Memory {
        /// The limit in bytes.
        limit: usize,
        /// What it would have had.
        asked: usize,
    },
    /// It wrote too much.
    #[error("the adapter wrote {asked} bytes; the limit is {limit} bytes for one conversation or page")]
    Output {
        /// The limit in bytes.
        limit: u64,
        /// What it would have written.
        asked: u64,
    },
    /// Its conversation does not end.
    #[error("the adapter wanted action number {asked}; the limit is {limit} actions in one conversation")]
    Actions {
        /// The limit.
        limit: u32,
        /// The number of the action.
        asked: u32,
    },
    /// It holds too many host resources.
    #[error("the adapter wanted handle number {asked} to resources of the host; the limit is {limit} at once")]
    Handles {
        /// The limit.
        limit: u32,
        /// The number of the handle.
        asked: u32,
    },
    /// It, or all of its tenant's adapters together, had its share of the processor for now.
    #[error(
        "{whose} used {} ms of CPU time in the last minute; the limit is {} ms; it is called again in {} s",
        used.as_millis(), limit.as_millis(), wait.as_secs_f64().ceil()
    )]
    Cpu {
        /// The limit for a minute.
        limit: Duration,
        /// What was used in the last one.
        used: Duration,
        /// When there will be some again.
        wait: Duration,
        /// Whose limit it is, in words.
        whose: &'static str,
    },
    /// It used the host wrongly: an endpoint that it did not describe, a row that does not exist, a header that it may not set.
    #[error("the adapter broke the contract: {0}")]
    Contract(String),
    /// Its `render` answered with an error of its own.
    #[error("the adapter could not make the page: {0}")]
    Refused(String),
    /// Not the adapter's doing: every place for a running instance is taken. Try again soon.
    #[error("all {limit} places for running adapters are taken; try again")]
    Busy {
        /// The places.
        limit: u32,
    },
}

impl Fault {
    /// A breach of the contract; `what` must hold guest text only in escaped form.
    pub(crate) fn contract(what: impl Into<String>) -> Self {
        Self::Contract(what.into())
    }

    /// The refusal that the adapter gave, made safe to show.
    pub(crate) fn refused(reason: &str) -> Self {
        Self::Refused(plain(reason))
    }
}

fn at(frames: &[String]) -> String {
    if frames.is_empty() { String::new() } else { format!(" (in {})", frames.join(" < ")) }
}
