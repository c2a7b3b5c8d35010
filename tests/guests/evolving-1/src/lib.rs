//! Version 1 of an adapter: one line for each value.

#[path = "../../shared/evolving.rs"]
mod evolving;

use evolving::Evolving;
use tidegate_adapter::export_push;

/// What a line begins with.
const WORD: &str = "value";
/// Whether it crashes when a label says bomb.
const EXPLODES: bool = false;

export_push!(Evolving, name = "evolving");
