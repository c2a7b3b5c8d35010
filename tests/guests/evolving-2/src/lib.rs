//! Version 2 of the same adapter: the same values in other words.

#[path = "../../shared/evolving.rs"]
mod evolving;

use evolving::Evolving;
use tidegate_adapter::export_push;

/// What a line begins with.
const WORD: &str = "amount";
/// Whether it crashes when a label says bomb.
const EXPLODES: bool = false;

export_push!(Evolving, name = "evolving");
