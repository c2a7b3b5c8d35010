//! The ledger: what became of every window, and of every delivery of it. Calls block.
//!
//! A window, the deliveries of it, the cursor and the totals change in one transaction, so a crash at any point leaves either
//! all of them or none: a window that is recorded is counted once in the totals and queued once for each store, and one that
//! is not will be evaluated again and come out the same. What is refused here is a second result for the same window.

mod deliveries;
mod facts;
mod failures;
mod history;
mod inspect;
mod record;
mod retention;
#[cfg(test)]
mod tests;
mod together;
mod totals;
pub(crate) use totals::without_live;

pub(crate) use deliveries::{
    Finished, FirstAction, Job, Next, RowRejection, finish, note_first_action, note_of, try_later,
};
pub(crate) use facts::StoreFacts;
pub(crate) use failures::{Document, Failed, Tries};
pub use history::{Outcome, StoreWindow, WINDOW_OUTCOMES, WindowFilter};
pub use inspect::{DeliveryRecord, Gap, StoreLedger, WindowRecord};
pub(crate) use inspect::{NoPast, Past};
pub(crate) use record::{Aside, Evaluated, Recorded, Shown};
pub(crate) use retention::Horizons;

use crate::db::Db;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tidegate_model::{Instant, MetricSetId, Period, Window};
use totals::Sums;

/// A set at a period: what a cursor and totals belong to.
pub(crate) type Track = (MetricSetId, Period);

/// Why the ledger could not take or give something.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LedgerError {
    /// The database failed. Nothing was recorded.
    #[error("the ledger cannot be read or written: {0}")]
    Storage(#[from] rusqlite::Error),
    /// Bytes in it are not what was once written.
    #[error("the ledger holds damaged bytes ({0}); restore the data directory from a backup")]
    Damaged(String),
}

/// How the ledger is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LedgerOptions {
    /// Seconds of windows after which a series that has not been seen leaves the totals.
    pub(crate) idle_seconds: u64,
    /// Most series that the totals of one metric keep.
    pub(crate) total_series: usize,
}

/// The ledger in `tidegate.db`.
pub(crate) struct Ledger {
    db: Arc<Db>,
    options: LedgerOptions,
    /// The totals as they are on disk; forgotten whenever a transaction fails.
    totals: Arc<Mutex<HashMap<Track, HashMap<String, Sums>>>>,
    pieces: Mutex<together::Pieces>,
}

impl Ledger {
    /// The file that it is in.
    pub(crate) fn file(&self) -> std::path::PathBuf {
        self.db.file.clone()
    }

    pub(crate) fn new(db: Arc<Db>, options: LedgerOptions) -> Self {
        Self { db, options, totals: Arc::default(), pieces: Mutex::default() }
    }
}

pub(crate) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

fn micros(at: Instant) -> i64 {
    signed(at.micros())
}

fn window_in(row: &rusqlite::Row<'_>, start: usize, period: usize) -> rusqlite::Result<Window> {
    let period = Period::new(row.get(period)?).map_err(|e| crate::catalog::corrupt(start, e))?;
    let first = unsigned(row.get(start)?);
    Window::starting_at(first, period).ok_or_else(|| crate::catalog::corrupt(start, "a window that is not aligned"))
}
