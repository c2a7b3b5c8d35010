//! Periods and windows. A window's start is a multiple of its period since the epoch in UTC, so two stores with the same
//! period share windows, and daylight saving and leap seconds change nothing.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU32;

/// A moment in microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instant(u64);

impl Instant {
    /// From microseconds since the epoch.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// From whole seconds since the epoch; saturates.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 / 1_000_000
    }
}

/// How often a store is fed, in seconds: 1 to 86,400.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Period(NonZeroU32);

/// Longest period: one day.
pub const MAX_PERIOD_SECONDS: u32 = 86_400;

/// A number of seconds that cannot be a period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a period is 1 to {MAX_PERIOD_SECONDS} seconds, {0} is not")]
pub struct PeriodError(pub u32);

impl Period {
    /// A period of `seconds`.
    ///
    /// # Errors
    /// [`PeriodError`] if it is 0 or longer than a day.
    pub fn new(seconds: u32) -> Result<Self, PeriodError> {
        match NonZeroU32::new(seconds) {
            Some(s) if seconds <= MAX_PERIOD_SECONDS => Ok(Self(s)),
            _ => Err(PeriodError(seconds)),
        }
    }

    /// The length in seconds.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.0.get()
    }

    /// The window that `at` falls into.
    #[must_use]
    pub fn window_at(self, at: Instant) -> Window {
        let length = u64::from(self.seconds());
        Window { start: at.seconds() / length * length, period: self }
    }
}

impl Default for Period {
    /// One minute, as metric stores have unless told otherwise.
    fn default() -> Self {
        Self(NonZeroU32::new(60).unwrap_or(NonZeroU32::MIN))
    }
}

impl TryFrom<u32> for Period {
    type Error = PeriodError;
    fn try_from(seconds: u32) -> Result<Self, PeriodError> {
        Self::new(seconds)
    }
}

impl From<Period> for u32 {
    fn from(period: Period) -> u32 {
        period.seconds()
    }
}

/// A half-open span of arrival time, `[start, end)`, that begins at a multiple of its period.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Window {
    start: u64,
    period: Period,
}

impl Window {
    /// The window of `period` that starts at the Unix second `start`; none if that is not a multiple of the period, or so far away
    /// that no [`Instant`] can say when the window ends.
    #[must_use]
    pub fn starting_at(start: u64, period: Period) -> Option<Self> {
        let end = start.checked_add(u64::from(period.seconds()))?;
        let can_be_said = Instant::from_seconds(end).seconds() == end;
        (can_be_said && start.is_multiple_of(u64::from(period.seconds()))).then_some(Self { start, period })
    }

    /// First moment inside.
    #[must_use]
    pub fn start(self) -> Instant {
        Instant::from_seconds(self.start)
    }

    /// First moment after.
    #[must_use]
    pub fn end(self) -> Instant {
        Instant::from_seconds(self.start.saturating_add(u64::from(self.period.seconds())))
    }

    /// The length.
    #[must_use]
    pub fn period(self) -> Period {
        self.period
    }

    /// The window right after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self { start: self.end().seconds(), period: self.period }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start, self.end().seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_window_that_is_not_a_multiple_of_its_period_cannot_be_made() {
        let minute = Period::default();
        assert!(Window::starting_at(120, minute).is_some());
        assert!(Window::starting_at(121, minute).is_none());
    }

    #[test]
    fn a_window_that_ends_after_the_last_moment_there_is_cannot_be_made() {
        let second = Period::new(1).unwrap();
        let last = u64::MAX / 1_000_000;
        let window = Window::starting_at(last - 1, second).unwrap();
        assert_eq!((window.start().seconds(), window.end().seconds()), (last - 1, last));
        for start in [last, last + 1, u64::MAX - 1, u64::MAX] {
            assert_eq!(Window::starting_at(start, second), None, "{start}");
        }
    }

    #[test]
    fn a_period_of_zero_or_over_a_day_is_refused_with_the_range() {
        assert!(Period::new(86_400).is_ok());
        for seconds in [0, 86_401] {
            let error = Period::new(seconds).unwrap_err().to_string();
            assert_eq!(error, format!("a period is 1 to 86400 seconds, {seconds} is not"));
        }
    }

    proptest! {
        #[test]
        fn windows_of_a_period_tile_time_without_gap_or_overlap(
            seconds in 1u32..=86_400, at in 0u64..4_000_000_000_000_000,
        ) {
            let period = Period::new(seconds).unwrap();
            let at = Instant::from_micros(at);
            let window = period.window_at(at);
            prop_assert!(window.start() <= at && at < window.end());
            prop_assert_eq!(window.next().start(), window.end());
            prop_assert_eq!(Window::starting_at(window.start().seconds(), period), Some(window));
        }
    }
}
