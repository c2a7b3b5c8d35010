//! What is left to chance: how long to wait before the next try. Seedable, so that a simulation can be run again.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// First wait after a failure.
const FIRST: Duration = Duration::from_secs(1);
/// Longest wait after failures, unless another is asked for.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);
/// Shortest wait: full jitter may draw none at all, which would be a hammer.
const SHORTEST: Duration = Duration::from_millis(100);

/// A source of random waits.
pub(crate) struct Chance {
    drawn: Mutex<StdRng>,
    longest: Duration,
}

impl Chance {
    pub(crate) fn new(seed: Option<u64>) -> Self {
        let seed = seed.or_else(|| getrandom::u64().ok()).unwrap_or_default();
        Self { drawn: Mutex::new(StdRng::seed_from_u64(seed)), longest: LONGEST }
    }

    /// The same with another longest wait.
    pub(crate) fn with_longest(self, longest: Duration) -> Self {
        Self { longest, ..self }
    }

    /// The longest wait after failures.
    pub(crate) fn longest(&self) -> Duration {
        self.longest
    }

    /// The wait after `failures` failures in a row: exponential to the longest, with full jitter, so that what failed together is
    /// not tried again together.
    pub(crate) fn backoff(&self, failures: u32) -> Duration {
        let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16));
        self.below(doubled.min(self.longest)).max(SHORTEST)
    }

    /// `wait` and up to a tenth more: never less than the other side asked for.
    pub(crate) fn at_least(&self, wait: Duration) -> Duration {
        wait + self.below(wait / 10)
    }

    fn below(&self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        let drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner).random_range(0..=most);
        Duration::from_micros(drawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_minute_and_never_shrink_to_nothing() {
        let chance = Chance::new(Some(7));
        for failures in 1..50 {
            let bound = Duration::from_secs(1 << (failures - 1).min(6)).min(LONGEST);
            for _ in 0..50 {
                let wait = chance.backoff(failures);
                assert!(wait >= SHORTEST && wait <= bound.max(SHORTEST), "{failures}: {wait:?}");
            }
        }
        assert!((0..50).any(|_| chance.backoff(20) > LONGEST / 2));
    }

    #[test]
    fn the_same_seed_draws_the_same_waits() {
        let draw = |seed| (0..9).map(|n| Chance::new(Some(seed)).backoff(n)).collect::<Vec<_>>();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn a_wait_that_was_asked_for_is_kept_with_a_little_more() {
        let chance = Chance::new(Some(7));
        for _ in 0..50 {
            let wait = chance.at_least(Duration::from_secs(30));
            assert!(wait >= Duration::from_secs(30) && wait <= Duration::from_secs(33));
        }
    }
}
