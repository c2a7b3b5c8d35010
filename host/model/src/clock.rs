//! The wall clock as a trait, so that tests and simulations decide what time it is; and the clock that tells how long a thread was at
//! work, for what counts against a limit: elapsed time would have one tenant pay for the machine's other load.

use crate::window::Instant;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells the time. It may jump in either direction: who needs order must not take it from here.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Instant;
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Instant::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }
}

/// A clock that stands still until it is told otherwise.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn at(now: Instant) -> Self {
        Self(AtomicU64::new(now.micros()))
    }

    /// Jumps to `now`, forwards or backwards.
    pub fn set(&self, now: Instant) {
        self.0.store(now.micros(), Ordering::SeqCst);
    }

    /// Moves on by `seconds`.
    pub fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        Instant::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// CPU time of the thread at hand. It cannot be taken to another thread, which has a clock of its own.
#[derive(Debug)]
pub struct CpuTime {
    since: Duration,
    here: PhantomData<*const ()>,
}

impl CpuTime {
    /// Starts to count.
    #[must_use]
    pub fn start() -> Self {
        Self { since: thread_time(), here: PhantomData }
    }

    /// What this thread has worked since the start, or since this was last asked.
    pub fn lap(&mut self) -> Duration {
        let now = thread_time();
        now.saturating_sub(std::mem::replace(&mut self.since, now))
    }
}

/// What this thread has worked since it began. Only worth something beside another reading of the same thread.
#[must_use]
pub fn thread_cpu_time() -> Duration {
    thread_time()
}

#[cfg(unix)]
fn thread_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    // Neither is ever negative on this clock.
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Where threads have no clock, elapsed time stands in for theirs.
#[cfg(not(unix))]
fn thread_time() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Works until this thread has used `least` of CPU time.
    fn work(least: Duration) -> u64 {
        let (mut clock, mut done, mut sum) = (CpuTime::start(), Duration::ZERO, 0_u64);
        while done < least {
            sum = (0..10_000).fold(sum, |sum, n| std::hint::black_box(sum.wrapping_mul(31).wrapping_add(n)));
            done += clock.lap();
        }
        sum
    }

    #[test]
    fn what_counts_is_the_work_of_this_thread_and_neither_waiting_nor_the_work_of_others() {
        let mut clock = CpuTime::start();
        std::thread::sleep(Duration::from_millis(200));
        std::thread::spawn(|| work(Duration::from_millis(200))).join().unwrap();
        let idle = clock.lap();
        work(Duration::from_millis(50));
        let busy = clock.lap();
        assert!(idle < Duration::from_millis(50) && busy >= Duration::from_millis(50), "{idle:?} {busy:?}");
    }
}
