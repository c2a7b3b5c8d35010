//! A few compile at once, some wait, the rest is told to come back.
//!
//! A hundred components that are dropped at once must neither take all cores from the deliveries nor all threads from the server.

use super::CompileError;
use std::sync::{Condvar, Mutex, PoisonError};

/// Places for compiling and for waiting.
pub(crate) struct Slots {
    at_once: usize,
    waiting: usize,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    running: usize,
    waiting: usize,
}

impl Slots {
    pub(crate) fn new(at_once: usize, waiting: usize) -> Self {
        Self { at_once: at_once.max(1), waiting, state: Mutex::default(), freed: Condvar::new() }
    }

    /// Waits for a place, unless too many do.
    pub(crate) fn take(&self) -> Result<Slot<'_>, CompileError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.running >= self.at_once {
            if state.waiting >= self.waiting {
                return Err(CompileError::Busy { limit: self.waiting });
            }
            state.waiting += 1;
            while state.running >= self.at_once {
                state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.waiting -= 1;
        }
        state.running += 1;
        Ok(Slot(self))
    }
}

/// A taken place; dropping it gives it back.
pub(crate) struct Slot<'a>(&'a Slots);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).running -= 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    #[test]
    fn no_more_than_allowed_run_at_once_and_all_that_waited_get_their_turn() {
        let (slots, running, most) = (Slots::new(2, 100), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..50 {
                scope.spawn(|| {
                    let _slot = slots.take().unwrap();
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn who_would_wait_behind_too_many_is_told_how_many() {
        let slots = Slots::new(1, 0);
        let first = slots.take().unwrap();
        assert_eq!(slots.take().err(), Some(CompileError::Busy { limit: 0 }));
        drop(first);
        assert!(slots.take().is_ok());
    }
}
