//! Version 1 of an adapter whose page changes between versions: a line for each value.

#[path = "../../shared/paging.rs"]
mod paging;

use paging::Paging;
use tidegate_adapter::export_pull;

/// What its pages begin with.
const MADE_BY: &str = "made by version 1\n";
/// Whether it crashes when a label says bomb.
const EXPLODES: bool = false;

export_pull!(Paging, name = "paging");
