//! Runs adapters: engine, limits, host resources, inspection, registry.
//!
//! An adapter is code that the operator did not write. It gets an instance of its own for every conversation and page, sees
//! only what the contract hands it, acts on nothing by itself, and is stopped when it exceeds a limit; the next call starts
//! clean.

mod action;
mod exchange;
mod fault;
mod limits;
mod text;

pub use action::{Action, Credential, HttpRequest, Method, StreamBytes};
pub use exchange::{Disposition, Outcome, Page, RejectedRows, Snapshot, Verdict};
pub use fault::Fault;
pub use limits::{Called, Limits, SandboxOptions, Usage};
