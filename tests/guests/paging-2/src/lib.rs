//! Version 2 of the same adapter: crashes when a label says bomb.

#[path = "../../shared/paging.rs"]
mod paging;

use paging::Paging;
use tidegate_adapter::export_pull;

/// What its pages begin with.
const MADE_BY: &str = "made by version 2\n";
/// Whether it crashes when a label says bomb.
const EXPLODES: bool = true;

export_pull!(Paging, name = "paging");
