//! Small writes of many stores, committed together.
//!
//! Each delivery is noted before it is sent and again when it has arrived, on disk each time. A commit of its own for every
//! note would make ten thousand stores wait for twenty thousand syncs; so what comes while one commit is under way goes into
//! the next, in one transaction. Nobody is answered before the commit, and a piece that fails takes back itself only.
//!
//! Windows take the same way, and some are a thousand times as large as a note. So what is small goes first, and of what is large
//! only so much goes into one transaction that nobody waits long for it: who has large windows waits, and the others do not.

use super::{Ledger, LedgerError};
use crate::db::Db;
use crate::offload;
use rusqlite::Transaction;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Pieces of one transaction: nobody else can write meanwhile.
const AT_ONCE: usize = 256;
/// A piece of as many bytes is large.
const LARGE: usize = 16 << 10;
/// Bytes of large pieces after which a transaction takes no more of them; one is always taken.
pub(super) const BYTES_AT_ONCE: usize = 128 << 10;

/// What waits for the next commit.
#[derive(Default)]
pub(super) struct Pieces {
    waiting: Vec<Box<dyn Piece>>,
    is_writing: bool,
}

/// One of the writes in a transaction.
trait Piece: Send {
    /// About how much it writes; nothing for a note.
    fn bytes(&self) -> usize;
    /// Does it; true if it is to be kept.
    fn run(&mut self, t: &Transaction<'_>) -> bool;
    /// Tells whoever waits, once the transaction has ended.
    fn answer(self: Box<Self>, committed: Result<(), &rusqlite::Error>);
}

struct Work<T, F> {
    bytes: usize,
    work: Option<F>,
    done: Option<Result<T, LedgerError>>,
    waits: oneshot::Sender<Result<T, LedgerError>>,
}

impl<T, F> Piece for Work<T, F>
where
    T: Send,
    F: FnOnce(&Transaction<'_>) -> Result<T, LedgerError> + Send,
{
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn run(&mut self, t: &Transaction<'_>) -> bool {
        self.done = self.work.take().map(|work| work(t));
        matches!(self.done, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, committed: Result<(), &rusqlite::Error>) {
        let done = match (self.done, committed) {
            (Some(Err(own)), _) => Err(own),
            (_, Err(error)) => Err(LedgerError::Storage(again(error))),
            (Some(done), Ok(())) => done,
            (None, Ok(())) => Err(LedgerError::Damaged("a write was left out of its transaction".to_owned())),
        };
        // Whoever waited may be gone: the store was stopped.
        let _ = self.waits.send(done);
    }
}

/// The same error for each of those whom it concerns.
fn again(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(code, told) => rusqlite::Error::SqliteFailure(*code, told.clone()),
        other => {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR);
            rusqlite::Error::SqliteFailure(code, Some(other.to_string()))
        }
    }
}

impl Ledger {
    /// Writes with others in one transaction. On disk when this returns, or as if it had never been.
    ///
    /// # Errors
    /// What `work` returns, or why the transaction could not be committed.
    pub(crate) async fn together<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let cut = |error: String| LedgerError::Damaged(format!("a thread of the ledger died: {error}"));
        // One thread has nobody to share a commit with.
        if offload::is_alone() {
            let db = Arc::clone(&self.db);
            return offload::blocking(move || db.write(work)).await.map_err(|e| cut(e.to_string()))?;
        }
        let (waits, answer) = oneshot::channel();
        let piece = Box::new(Work { bytes: 0, work: Some(work), done: None, waits });
        self.add(piece);
        answer.await.map_err(|e| cut(e.to_string()))?
    }

    /// The same for `bytes` of windows and a thread that may block; it does the writing itself if nobody else does.
    ///
    /// # Errors
    /// As for [`together`](Self::together).
    pub(super) fn together_here<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        if offload::is_alone() {
            return self.db.write(work).inspect_err(|_| self.forget_totals());
        }
        let (waits, mut answer) = oneshot::channel();
        if self.push(Box::new(Work { bytes, work: Some(work), done: None, waits })) {
            self.write_pieces();
            if let Ok(done) = answer.try_recv() {
                return done;
            }
        }
        answer
            .blocking_recv()
            .unwrap_or_else(|e| Err(LedgerError::Damaged(format!("a thread of the ledger died: {e}"))))
    }

    fn add(self: &Arc<Self>, piece: Box<dyn Piece>) {
        if self.push(piece) {
            let ledger = Arc::clone(self);
            drop(tokio::task::spawn_blocking(move || ledger.write_pieces()));
        }
    }

    /// True if nobody is writing: then the caller has to.
    fn push(&self, piece: Box<dyn Piece>) -> bool {
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        pieces.waiting.push(piece);
        !std::mem::replace(&mut pieces.is_writing, true)
    }

    /// Writes until nothing waits.
    fn write_pieces(&self) {
        // Also if a piece panics: or nobody would ever write again.
        let _free = Free(&self.pieces);
        loop {
            let mut pieces = {
                let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
                let next = next_of(&mut pieces.waiting);
                if next.is_empty() {
                    pieces.is_writing = false;
                    return;
                }
                next
            };
            let written = write(&self.db, &mut pieces);
            if written.is_err() {
                self.forget_totals();
            }
            pieces.into_iter().for_each(|piece| piece.answer(written.as_ref().copied()));
        }
    }
}

/// Takes out what the next transaction is made of: what is small in its order, then what is large in its order.
fn next_of(waiting: &mut Vec<Box<dyn Piece>>) -> Vec<Box<dyn Piece>> {
    let mut next: Vec<_> = waiting.extract_if(.., |piece| piece.bytes() < LARGE).take(AT_ONCE).collect();
    let mut room = BYTES_AT_ONCE;
    let fits = |piece: &mut Box<dyn Piece>| {
        let fits = piece.bytes() >= LARGE && room > 0;
        room = if fits { room.saturating_sub(piece.bytes()) } else { room };
        fits
    };
    next.extend(waiting.extract_if(.., fits));
    next
}

impl Ledger {
    /// Before anybody else records: what is in memory may have run ahead of the disk.
    fn forget_totals(&self) {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

struct Free<'p>(&'p Mutex<Pieces>);

impl Drop for Free<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).is_writing = false;
        }
    }
}

fn write(db: &Db, pieces: &mut [Box<dyn Piece>]) -> rusqlite::Result<()> {
    db.write(|t| {
        for piece in pieces {
            t.prepare_cached("SAVEPOINT piece")?.execute([])?;
            if !piece.run(t) {
                t.prepare_cached("ROLLBACK TO piece")?.execute([])?;
            }
            t.prepare_cached("RELEASE piece")?.execute([])?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Named(&'static str, usize);

    impl Piece for Named {
        fn bytes(&self) -> usize {
            self.1
        }

        fn run(&mut self, t: &Transaction<'_>) -> bool {
            t.execute("INSERT INTO tenants (name, created) VALUES (?1, 0)", [self.0]).is_ok()
        }

        fn answer(self: Box<Self>, _: Result<(), &rusqlite::Error>) {}
    }

    #[test]
    fn what_is_small_goes_first_and_a_transaction_takes_few_large_windows_and_at_least_one() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&dir.path().join("tidegate.db")).unwrap();
        let all = [("large-1", 1 << 20), ("large-2", LARGE), ("large-3", 1 << 20), ("note", 0), ("small", 900)];
        let mut waiting: Vec<Box<dyn Piece>> =
            all.iter().map(|(name, bytes)| Box::new(Named(name, *bytes)) as Box<dyn Piece>).collect();
        let mut transactions = Vec::new();
        while !waiting.is_empty() {
            let before = tenants(&db).len();
            write(&db, &mut next_of(&mut waiting)).unwrap();
            transactions.push(tenants(&db).split_off(before));
        }
        assert_eq!(transactions, [vec!["note", "small", "large-1"], vec!["large-2", "large-3"]]);
    }

    fn tenants(db: &Db) -> Vec<String> {
        let all = db.read(|c| {
            let mut statement = c.prepare("SELECT name FROM tenants WHERE created = 0 ORDER BY id")?;
            statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<_>, rusqlite::Error>>()
        });
        all.unwrap()
    }
}
