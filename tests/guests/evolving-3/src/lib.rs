//! Version 3 of the same adapter: crashes when a label says bomb.

#[path = "../../shared/evolving.rs"]
mod evolving;

use evolving::Evolving;
use tidegate_adapter::export_push;

/// What a line begins with.
const WORD: &str = "value";
/// Whether it crashes when a label says bomb.
const EXPLODES: bool = true;

export_push!(Evolving, name = "evolving");
