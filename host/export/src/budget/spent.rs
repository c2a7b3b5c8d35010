//! CPU time of the last minute, second by second.

use super::MINUTE;
use std::collections::VecDeque;
use std::time::Duration;

/// CPU time by second, of the last minute.
#[derive(Default)]
pub(crate) struct Spent {
    seconds: VecDeque<(u64, Duration)>,
    sum: Duration,
}

impl Spent {
    fn forget(&mut self, now: Duration) {
        let from = now.as_secs().saturating_sub(MINUTE.as_secs());
        while let Some((_, spent)) = self.seconds.front().filter(|(second, _)| *second < from) {
            self.sum = self.sum.saturating_sub(*spent);
            self.seconds.pop_front();
        }
    }

    /// What was used in the last minute.
    pub(crate) fn used(&mut self, now: Duration) -> Duration {
        self.forget(now);
        self.sum
    }

    pub(crate) fn add(&mut self, now: Duration, spent: Duration) {
        self.forget(now);
        self.sum += spent;
        match self.seconds.back_mut() {
            Some((second, sum)) if *second == now.as_secs() => *sum += spent,
            _ => self.seconds.push_back((now.as_secs(), spent)),
        }
    }

    /// Whether there is some of `limit` left; if not, what was used and when there will be.
    pub(crate) fn check(&mut self, now: Duration, limit: Duration) -> Result<(), (Duration, Duration)> {
        self.forget(now);
        if self.sum < limit {
            return Ok(());
        }
        let mut left = self.sum;
        for (second, spent) in &self.seconds {
            left = left.saturating_sub(*spent);
            if left < limit {
                let free = Duration::from_secs(second + MINUTE.as_secs() + 1);
                return Err((self.sum, free.saturating_sub(now)));
            }
        }
        Err((self.sum, MINUTE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_counts_is_the_last_minute(calls in prop::collection::vec((0u64..20_000, 0u64..800), 0..80)) {
            let (mut spent, mut now, mut all) = (Spent::default(), 0, Vec::new());
            let limit = Duration::from_secs(3);
            for (pause, millis) in calls {
                now += pause;
                let time = Duration::from_millis(now);
                spent.add(time, Duration::from_millis(millis));
                all.push((now / 1000, millis));
                let from = (now / 1000).saturating_sub(60);
                let sum: u64 = all.iter().filter(|(second, _)| *second >= from).map(|(_, millis)| millis).sum();
                match spent.check(time, limit) {
                    Ok(()) => prop_assert!(sum < 3000),
                    Err((used, wait)) => {
                        prop_assert_eq!(used, Duration::from_millis(sum));
                        prop_assert!(sum >= 3000 && wait <= Duration::from_secs(62));
                        // After that wait and not a second sooner there is some left.
                        let mut later = Spent { seconds: spent.seconds.clone(), sum: spent.sum };
                        prop_assert!(later.check(time + wait, limit).is_ok());
                        let mut sooner = Spent { seconds: spent.seconds.clone(), sum: spent.sum };
                        prop_assert!(sooner.check(time + wait.saturating_sub(Duration::from_millis(1)), limit).is_err());
                    }
                }
            }
        }
    }
}
