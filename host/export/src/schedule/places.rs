//! Places for evaluations: they are CPU work and take memory, so few go on at once, however many projects are due.

use std::sync::{Condvar, Mutex, PoisonError};

/// The event store has one reader for each.
const AT_ONCE: u32 = 4;

/// The places that are left.
pub(crate) struct Places {
    left: Mutex<u32>,
    freed: Condvar,
}

impl Default for Places {
    fn default() -> Self {
        Self { left: Mutex::new(AT_ONCE), freed: Condvar::new() }
    }
}

/// A place; dropping it frees it.
pub(crate) struct Place<'p>(&'p Places);

impl Places {
    /// Waits for a place. Blocks.
    pub(crate) fn take(&self) -> Place<'_> {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = self.freed.wait_while(left, |left| *left == 0).unwrap_or_else(PoisonError::into_inner);
        *left -= 1;
        Place(self)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.0.left.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn no_more_evaluations_go_on_at_once_than_there_are_places_and_all_get_their_turn() {
        let (places, now, most) = (Places::default(), AtomicU32::new(0), AtomicU32::new(0));
        let turn = || {
            let _place = places.take();
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(std::time::Duration::from_millis(2));
            now.fetch_sub(1, Ordering::SeqCst);
        };
        std::thread::scope(|s| (0..20).for_each(|_| drop(s.spawn(turn))));
        assert_eq!(most.load(Ordering::SeqCst), AT_ONCE);
    }
}
