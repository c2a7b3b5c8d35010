//! How a store is doing, for people: one word for tables, one sentence for whoever has to act on it.

use serde::Serialize;
use tidegate_model::{Direction, Instant, Name, StoreId};

/// The state of a store in one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreState {
    /// Nothing has been shared yet: the first window has not ended, or no metric set is connected.
    Waiting,
    /// Everything that is due has been shared.
    Ok,
    /// Deliveries are queued and nothing is known to stand in their way.
    Delivering,
    /// The last try failed; the next one is set.
    Retrying,
    /// Several tries in a row failed; one window is tried from time to time.
    Failing,
    /// The other side refuses the credentials: an admin has to change them.
    Credentials,
    /// The adapter crashed, or broke a limit or the contract.
    AdapterFault,
    /// The adapter is not there, or does not take the store's settings any more.
    Misconfigured,
    /// An admin has paused it.
    Paused,
    /// A pull store whose newest window is too old to be shown.
    Stale,
}

/// How a store is doing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoreStatus {
    /// The store.
    pub store: StoreId,
    /// Its name.
    pub name: Name,
    /// Whether the host sends or a scraper reads.
    pub direction: Direction,
    /// Its period in seconds.
    pub period_seconds: u32,
    /// One word.
    pub state: StoreState,
    /// One sentence; what to do, if something is to be done.
    pub summary: String,
    /// What went wrong last, if it has not gone well since.
    pub problem: Option<String>,
    /// When data last got out: the confirmation of a delivery, or a page that was read. None since the start if never (pull).
    pub last_shared: Option<Instant>,
    /// The end of the newest window that got out.
    pub last_window_end: Option<Instant>,
    /// When the window in progress ends.
    pub next_window_end: Instant,
    /// The end of the oldest window that is queued.
    pub oldest_undelivered: Option<Instant>,
    /// Deliveries by outcome; all zero for a pull store.
    pub deliveries: DeliveryCounts,
    /// Windows of connected metric sets whose evaluation failed and is tried again.
    pub failed_windows: u64,
    /// Rows of the newest evaluated windows.
    pub rows: u64,
    /// Path of the pull URL, a credential; none for a push store.
    pub pull_path: Option<String>,
    /// Pages that were read since the start.
    pub pages: u64,
}

/// Deliveries of a store since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeliveryCounts {
    /// Windows that wait for their turn.
    pub queued: u64,
    /// Windows that arrived, at least in part.
    pub confirmed: u64,
    /// Windows of which nothing was accepted.
    pub rejected: u64,
    /// Windows that became too old, or were never evaluated because they already were.
    pub expired: u64,
    /// Rows that arrived.
    pub accepted_rows: u64,
    /// Rows that were refused for good.
    pub rejected_rows: u64,
}
