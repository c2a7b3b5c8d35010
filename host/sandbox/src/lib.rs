//! Runs adapters: engine, limits, host resources, inspection, registry.
//!
//! An adapter is code that the operator did not write. It gets an instance of its own for every conversation and every page, sees
//! only what the host hands it, acts on nothing by itself, and is stopped when it exceeds a limit; the next call starts clean.
//!
//! The way of a component: [`Sandbox::load`] inspects the bytes, compiles and links them and lets the adapter describe itself;
//! [`Registry`] keeps it under its name; [`Adapter::begin`] and [`Conversation::step`] lead a delivery, [`Adapter::render`]
//! makes a page.

mod action;
mod adapter;
mod asks;
mod bindings;
pub mod builtin;
mod compile;
mod conformance;
mod conversation;
mod engine;
mod exchange;
mod fault;
mod folder;
// The generated bindings re-export the types of resources, so these are `pub` inside.
#[allow(unreachable_pub)]
mod host;
mod inspect;
mod limits;
mod load;
mod meter;
mod pace;
mod pages;
mod registry;
mod run;
mod sandbox;
mod shelf;
mod signature;
mod text;
mod ticker;
mod version;
mod wasi;

pub use action::{Action, Credential, HttpRequest, Method, StreamBytes};
pub use adapter::Adapter;
pub use compile::{CompileCounts, CompileError, CompileLimits, CompileOptions, Job, Probe, probe_walls, run_job};
pub use conformance::{Conformance, Finding, conformance};
pub use conversation::{Conversation, Step};
pub use engine::EngineError;
pub use exchange::{Disposition, Outcome, Page, RejectedRows, Snapshot, Verdict};
pub use fault::Fault;
pub use folder::{Folder, News};
pub use limits::{Called, Limits, SandboxOptions, Usage};
pub use load::LoadError;
pub use pace::take_breaks;
pub use registry::{AmbiguousAdapter, BuiltinError, Refused, Registered, Registry};
pub use sandbox::Sandbox;
pub use shelf::Shelf;
pub use signature::{SIGNATURE_SUFFIX, Signature, Trust, TrustedKey};
pub use wasi::{Stub, StubEffect};
