//! Whether a store may be tried now. After a failure it waits, longer with each; after five in a row it is failing, and one
//! window is tried from time to time; when the credentials are refused, nothing is tried until they change.

use crate::chance::Chance;
use crate::schedule::later;
use std::time::Duration;
use tidegate_model::Instant;

/// Failures in a row after which a store counts as failing.
pub(crate) const FAILING: u32 = 5;
/// Longest wait that a sink can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(600);
/// How long a store whose credentials were refused is left alone, if they do not change.
const CREDENTIALS_WAIT: Duration = Duration::from_secs(300);

/// The breaker of one store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Breaker {
    failures: u32,
    wait: Option<Wait>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Wait {
    since: Instant,
    until: Instant,
    /// Ended by a change of the settings, if it is about them.
    settings: Option<u64>,
}

impl Breaker {
    /// Whether a try may be made under these settings; if not, when.
    pub(crate) fn ready(&self, now: Instant, settings: u64) -> Result<(), Instant> {
        let Some(wait) = &self.wait else { return Ok(()) };
        let changed = wait.settings.is_some_and(|refused| refused != settings);
        // A clock that was set back must not make the wait longer.
        if changed || now >= wait.until || now < wait.since { Ok(()) } else { Err(wait.until) }
    }

    /// A try failed. Tells when the next one is due.
    pub(crate) fn failed(&mut self, now: Instant, asked: Option<Duration>, chance: &Chance) -> Instant {
        self.failures = self.failures.saturating_add(1);
        let wait = match asked {
            // Whoever says "at once" each time would keep the host busy with tries.
            Some(asked) if !asked.is_zero() => chance.at_least(asked.min(LONGEST_ASKED)),
            _ => chance.backoff(self.failures),
        };
        self.wait_for(now, wait, None)
    }

    /// The credentials were refused.
    pub(crate) fn refused(&mut self, now: Instant, settings: u64) -> Instant {
        self.failures = self.failures.saturating_add(1);
        self.wait_for(now, CREDENTIALS_WAIT, Some(settings))
    }

    pub(crate) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// The end of the wait after a failure, if there is one.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.wait.as_ref().map(|wait| wait.until)
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    fn wait_for(&mut self, now: Instant, wait: Duration, settings: Option<u64>) -> Instant {
        let until = later(now, wait);
        self.wait = Some(Wait { since: now, until, settings });
        until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_seconds(seconds)
    }

    #[test]
    fn a_failure_makes_the_store_wait_and_a_success_lets_it_go_on() {
        let (mut breaker, chance) = (Breaker::default(), Chance::new(Some(1)));
        assert_eq!(breaker.ready(at(100), 1), Ok(()));
        let next = breaker.failed(at(100), None, &chance);
        assert!(next > at(100) && next <= at(101));
        assert_eq!(breaker.ready(at(100), 1), Err(next));
        assert_eq!(breaker.ready(next, 1), Ok(()));
        breaker.succeeded();
        assert_eq!((breaker.ready(at(100), 1), breaker.failures()), (Ok(()), 0));
    }

    #[test]
    fn the_sinks_own_wait_is_kept_up_to_ten_minutes() {
        let (mut breaker, chance) = (Breaker::default(), Chance::new(Some(1)));
        let next = breaker.failed(at(100), Some(Duration::from_secs(30)), &chance);
        assert!(next >= at(130) && next <= at(133), "{next:?}");
        let next = breaker.failed(at(100), Some(Duration::from_secs(86_400)), &chance);
        assert!(next >= at(700) && next <= at(760), "{next:?}");
    }

    #[test]
    fn whoever_asks_to_be_tried_again_at_once_is_tried_as_if_it_had_not_said_when() {
        let tries = |asked: Option<Duration>| {
            let (mut breaker, chance) = (Breaker::default(), Chance::new(Some(1)));
            (0..20).map(|_| breaker.failed(at(100), asked, &chance)).collect::<Vec<_>>()
        };
        assert_eq!(tries(Some(Duration::ZERO)), tries(None));
        assert!(tries(None).iter().all(|next| *next > at(100)));
    }

    #[test]
    fn refused_credentials_wait_for_other_settings_or_five_minutes() {
        let mut breaker = Breaker::default();
        breaker.refused(at(100), 1);
        assert_eq!(breaker.ready(at(399), 1), Err(at(400)));
        assert_eq!(breaker.ready(at(101), 2), Ok(()));
        assert_eq!(breaker.ready(at(400), 1), Ok(()));
    }

    #[test]
    fn a_clock_that_was_set_back_ends_the_wait() {
        let mut breaker = Breaker::default();
        breaker.refused(at(100_000), 1);
        assert_eq!(breaker.ready(at(96_400), 1), Ok(()));
    }
}
