//! From a batch to the monitoring systems: what is exported (catalog), when (schedule), what came of it (ledger), and how it
//! gets out (push delivery, pull pages, egress).
//!
//! The way of the data, in the order of the modules: [`catalog`] says what is wanted; the schedule evaluates each window once
//! and records it in the ledger with one delivery for each store that wants it; the deliverers drain those queues through
//! adapters and the egress; pull pages are made of the same windows. Everything that must survive is in one SQLite file.

mod access;
mod budget;
pub mod catalog;
mod chance;
mod check;
mod config;
mod db;
mod deliver;
mod egress;
mod export;
mod ledger;
mod look_back;
mod observe;
mod offload;
mod options;
mod preview;
mod pull;
mod replay;
mod schedule;
mod status;
mod test_point;
#[cfg(test)]
mod tests;
mod trial;

pub use budget::{Allowance, Exhausted, LimitUse, QueryShare, TenantUse, TooLong};
pub use catalog::{Catalog, CatalogError};
pub use check::StoreCheck;
pub use db::{CopyError, Verified, copy_database, verify_database};
pub use egress::EgressError;
pub use egress::policy::{Denied, EgressPolicy};
pub use export::{Export, StartError};
pub use ledger::{DeliveryRecord, Gap, Outcome, StoreLedger, StoreWindow, WINDOW_OUTCOMES, WindowFilter, WindowRecord};
pub use options::{ExportOptions, ExportSettings};
pub use preview::{ExportError, MAX_PREVIEW_WINDOWS, Preview, PreviewMessage, PreviewPart};
pub use pull::PullAnswer;
pub use replay::{Replay, Replayer, Replays, SameBytes};
pub use status::{DeliveryCounts, FoldedGroups, STORE_STATES, StoreState, StoreStatus};
pub use test_point::TestPoint;
pub use trial::{Compared, ComparedWindow, Comparison};
