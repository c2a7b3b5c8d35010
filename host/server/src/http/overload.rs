//! How much work the server takes on at once. Beyond it a client is told to come back, which it can do safely, instead of
//! everyone's memory being used up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts of what is under way, and the limits on them. Clones share the counts.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    requests: AtomicUsize,
    bytes: AtomicUsize,
    max_requests: usize,
    max_bytes: usize,
}

/// Too much is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Overload {
    /// Requests that carry data.
    #[error("{limit} submissions are under way, as many as the server takes at once; try again in a second")]
    Requests {
        /// The limit.
        limit: usize,
    },
    /// Bytes of bodies held in memory.
    #[error(
        "bodies under way hold {held} bytes, and {asked} more would exceed the limit of {limit}; try again in a second"
    )]
    Bytes {
        /// The limit.
        limit: usize,
        /// What is held.
        held: usize,
        /// What was asked for.
        asked: usize,
    },
}

impl Gate {
    /// A gate that lets `max_requests` and `max_bytes` through at once.
    #[must_use]
    pub fn new(max_requests: usize, max_bytes: usize) -> Self {
        let (requests, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self(Arc::new(Counts { requests, bytes, max_requests, max_bytes }))
    }

    /// Lets one request in, until its pass is dropped.
    ///
    /// # Errors
    /// [`Overload::Requests`] if the limit is reached.
    pub fn enter(&self) -> Result<Pass, Overload> {
        let limit = self.0.max_requests;
        add(&self.0.requests, 1, limit).map_err(|_| Overload::Requests { limit })?;
        Ok(Pass { gate: self.clone(), bytes: 0 })
    }

    /// Requests under way and bytes held by them.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        (self.0.requests.load(Ordering::Relaxed), self.0.bytes.load(Ordering::Relaxed))
    }
}

/// The right to handle one request and to hold some bytes for it; given back when dropped.
#[derive(Debug)]
pub struct Pass {
    gate: Gate,
    bytes: usize,
}

impl Pass {
    /// Sets the number of bytes that the request holds.
    ///
    /// # Errors
    /// [`Overload::Bytes`] if that would exceed the limit for all requests; the request holds what it held before.
    pub fn hold(&mut self, bytes: usize) -> Result<(), Overload> {
        let counts = &self.gate.0;
        if let Some(asked) = bytes.checked_sub(self.bytes) {
            let limit = counts.max_bytes;
            add(&counts.bytes, asked, limit).map_err(|held| Overload::Bytes { limit, held, asked })?;
        } else {
            counts.bytes.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.0.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.gate.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Adds unless the sum would exceed `limit`; then tells what there is.
fn add(count: &AtomicUsize, amount: usize, limit: usize) -> Result<(), usize> {
    let more = |now: usize| now.checked_add(amount).filter(|sum| *sum <= limit);
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_beyond_the_limit_is_refused_until_another_ends() {
        let gate = Gate::new(1, 10);
        let first = gate.enter().unwrap();
        let refused = gate.enter().unwrap_err().to_string();
        assert!(refused.contains("1 submissions are under way"), "{refused}");
        drop(first);
        assert!(gate.enter().is_ok());
    }

    #[test]
    fn bytes_beyond_the_limit_are_refused_with_all_figures_and_given_back_at_the_end() {
        let gate = Gate::new(2, 10);
        let (mut a, mut b) = (gate.enter().unwrap(), gate.enter().unwrap());
        a.hold(6).unwrap();
        let refused = b.hold(5).unwrap_err();
        assert_eq!(refused, Overload::Bytes { limit: 10, held: 6, asked: 5 });
        a.hold(1).unwrap();
        b.hold(9).unwrap();
        drop((a, b));
        assert_eq!(gate.load(), (0, 0));
    }
}
