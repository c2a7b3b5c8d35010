//! Who has something to do now that a window is on record: told at once, whatever else the pass that recorded it has to do.

use crate::deliver::Queued;
use crate::ledger::Recorded;
use crate::pull::Board;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Where it is told.
pub(crate) struct News {
    /// What pull pages show.
    pub(crate) board: Arc<Board>,
    /// Which stores have something to get, for the deliverers.
    pub(crate) queued: mpsc::UnboundedSender<Queued>,
}

impl News {
    pub(super) fn tell(&self, recorded: Recorded) {
        self.board.post(recorded.shown);
        if !recorded.queued.is_empty() {
            // Nobody listens any more when the host is going down.
            let _ = self.queued.send(recorded.queued);
        }
    }
}
