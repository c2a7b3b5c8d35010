//! Whether anybody is at work, for those who are to step back.
//!
//! Stores have their windows in waves, and between two waves there is time for all. The trap is to stand aside for ever on a host that is
//! never idle: so a break has an end whatever goes on.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long nobody has been at work when a wave is over. Within one there are gaps of a few milliseconds.
const QUIET: Duration = Duration::from_millis(10);
/// The longest break. A call works for a tick of 5 ms before the next, so it gets a sixth of a core, and at least as much of the ten
/// times its limit that it may last.
const LONGEST: Duration = Duration::from_millis(25);
/// How often to look: between two looks nobody needs to be woken.
const LOOK: Duration = Duration::from_millis(2);

static TRAFFIC: LazyLock<Traffic> = LazyLock::new(Traffic::default);

/// Who is at work, and since when nobody is.
struct Traffic {
    started: Instant,
    under_way: AtomicUsize,
    /// Microseconds after the start.
    ended: AtomicU64,
}

impl Default for Traffic {
    fn default() -> Self {
        Self { started: Instant::now(), under_way: AtomicUsize::new(0), ended: AtomicU64::new(0) }
    }
}

impl Traffic {
    fn micros(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn enter(&self) -> AtWork<'_> {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        AtWork(self)
    }

    fn is_quiet(&self) -> bool {
        let since = self.micros().saturating_sub(self.ended.load(Ordering::Relaxed));
        self.under_way.load(Ordering::Relaxed) == 0 && Duration::from_micros(since) >= QUIET
    }

    fn wait(&self) {
        let began = Instant::now();
        while !self.is_quiet() && began.elapsed() < LONGEST {
            std::thread::sleep(LOOK);
        }
    }
}

/// Somebody at work; dropping it ends that.
pub(super) struct AtWork<'t>(&'t Traffic);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.ended.store(self.0.micros(), Ordering::Relaxed);
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Work for which others step back begins.
pub(super) fn enter() -> AtWork<'static> {
    TRAFFIC.enter()
}

/// Blocks until a wave of work is over, or for the length of the longest break.
pub(super) fn wait_for_quiet() {
    TRAFFIC.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_quiet_a_moment_after_the_last_has_ended_and_a_break_ends_although_it_never_is() {
        let traffic = Traffic::default();
        std::thread::sleep(QUIET);
        assert!(traffic.is_quiet());
        let (first, second) = (traffic.enter(), traffic.enter());
        drop(first);
        std::thread::sleep(QUIET);
        assert!(!traffic.is_quiet());
        let began = Instant::now();
        traffic.wait();
        assert!(began.elapsed() >= LONGEST && !traffic.is_quiet());
        drop(second);
        let ended = Instant::now();
        traffic.wait();
        assert!(traffic.is_quiet() || ended.elapsed() >= LONGEST);
    }
}
