//! Spreads work over time: when a window is evaluated and sent, never what it covers or how it is stamped.
//!
//! Ten thousand windows end in the same moment. Done at once they would be late by as long as all of them take; each at a
//! moment of its own, none is late. How far they are spread depends on how many there are, so a small host does not wait for
//! nothing, and it is a quarter of the period at most. Moments follow from identities alone: the same ones each time, after a
//! restart, too.

use std::sync::atomic::{AtomicU64, Ordering};
use tidegate_model::{Period, ProjectId, StoreId};

/// Time in which one store's window should be done: a few times what it takes (1.3 to 1.5 ms of CPU time for a window of few rows, by
/// `make bench ONLY=schedule`), so that the machine has air and a window seldom waits for another.
const EACH_MICROS: u64 = 4000;
/// So few are done at once.
const AT_ONCE: u64 = 16;

/// How far the work of one host is spread.
#[derive(Debug, Default)]
pub(crate) struct Spread {
    /// Claims of stores on metric sets, over all projects.
    claims: AtomicU64,
}

impl Spread {
    pub(crate) fn set_claims(&self, claims: u64) {
        self.claims.store(claims, Ordering::Relaxed);
    }

    /// Microseconds after the end of a window at which it is evaluated. The same for all sets of a project, which share one
    /// pass over its events.
    pub(crate) fn of_project(&self, project: ProjectId, period: Period) -> u64 {
        part_of(most(self.claims.load(Ordering::Relaxed), period), project.0)
    }
}

/// Microseconds after the evaluation at which the window goes to one of the `stores` that get it.
pub(crate) fn of_store(store: StoreId, stores: usize, period: Period) -> u64 {
    part_of(most(stores as u64, period), store.0)
}

fn most(pieces: u64, period: Period) -> u64 {
    let quarter = u64::from(period.seconds()) * 1_000_000 / 4;
    pieces.saturating_sub(AT_ONCE).saturating_mul(EACH_MICROS).min(quarter)
}

/// The part of `most` that belongs to an identity. Multiples of the golden ratio, modulo 1, lie as evenly as can be, however
/// many there are (Knuth, The Art of Computer Programming, 6.4); identities are numbers in a row.
fn part_of(most: u64, identity: i64) -> u64 {
    let turned = u128::from(identity.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15));
    u64::try_from((u128::from(most) * turned) >> 64).unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(claims: u64, projects: i64, period: u32) -> Vec<u64> {
        let spread = Spread::default();
        spread.set_claims(claims);
        (1..=projects).map(|id| spread.of_project(ProjectId(id), Period::new(period).unwrap())).collect()
    }

    #[test]
    fn many_windows_are_spread_evenly_over_a_quarter_of_the_period_at_most() {
        let mut offsets = offsets(100_000, 1000, 60);
        assert!(offsets.iter().all(|o| *o < 15_000_000));
        offsets.sort_unstable();
        let widest = offsets.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(widest < 3 * 15_000, "no gap is much wider than the mean of 15 ms: {widest} us");
    }

    #[test]
    fn a_few_windows_are_not_held_back_for_nothing() {
        assert_eq!(offsets(16, 5, 60), [0; 5]);
        assert!(offsets(20, 5, 60).iter().all(|o| *o <= 16_000));
        assert_eq!(of_store(StoreId(77), 16, Period::default()), 0);
    }

    #[test]
    fn the_moment_of_a_project_or_store_stays_the_same() {
        assert_eq!(offsets(500, 50, 60), offsets(500, 50, 60));
        let two = |stores| [1, 2, 3].map(|id| of_store(StoreId(id), stores, Period::default()));
        assert_eq!(two(100), two(100));
        assert!(two(100).windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn the_shortest_period_is_spread_over_a_quarter_of_itself() {
        assert!(offsets(1_000_000, 1000, 1).iter().all(|o| *o < 250_000));
    }
}
