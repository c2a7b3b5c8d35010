//! Turns a component into machine code.
//!
//! A seam on purpose: the compiler promises nothing about the time and memory that malicious input costs it, so this step is to
//! move into a child process with limits. Callers see bytes go in and a component come out.

use crate::text::plain;
use wasmtime::Engine;
use wasmtime::component::Component;

/// Compiles `bytes`, which were inspected before.
///
/// # Errors
/// What the validator or the compiler says, made safe to show.
pub(crate) fn compile(engine: &Engine, bytes: &[u8]) -> Result<Component, String> {
    Component::new(engine, bytes).map_err(|error| plain(&format!("{error:#}")))
}
