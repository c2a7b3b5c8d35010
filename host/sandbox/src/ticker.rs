//! Moves the engine's clock on, so that deadlines fall due.
//!
//! One thread serves every call of an engine; a timer for each call costs a hundred times as much. It holds the engine weakly
//! and ends with its owner.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;
use wasmtime::Engine;

/// Owns the thread: dropping it ends the thread within an instant.
#[derive(Debug)]
pub(crate) struct Ticker {
    _stop: Sender<()>,
}

impl Ticker {
    /// Starts to move the epoch of `engine` on by one in every `tick`.
    pub(crate) fn start(engine: &Engine, tick: Duration) -> io::Result<Self> {
        let weak = engine.weak();
        let (stop, stopped) = mpsc::channel();
        std::thread::Builder::new().name("sandbox-ticker".to_owned()).spawn(move || {
            while stopped.recv_timeout(tick) == Err(RecvTimeoutError::Timeout) {
                match weak.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => break,
                }
            }
        })?;
        Ok(Self { _stop: stop })
    }
}

/// Ticks after which a call of `time` is over. One more than fits, since the tick that is under way is already partly gone.
pub(crate) fn ticks(time: Duration, tick: Duration) -> u64 {
    let whole = time.as_micros().div_ceil(tick.as_micros().max(1));
    u64::try_from(whole).unwrap_or(u64::MAX >> 1).min(u64::MAX >> 1) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_shorter_than_its_time() {
        let tick = Duration::from_millis(5);
        assert_eq!(ticks(Duration::from_millis(10), tick), 3);
        assert_eq!(ticks(Duration::from_millis(11), tick), 4);
        assert_eq!(ticks(Duration::ZERO, tick), 1);
        assert!(ticks(Duration::MAX, Duration::ZERO) > 1 << 60);
    }

    #[test]
    fn the_thread_ends_with_its_owner() {
        let engine = Engine::default();
        let ticker = Ticker::start(&engine, Duration::from_millis(1)).unwrap();
        let weak = engine.weak();
        drop(ticker);
        drop(engine);
        // The thread holds the engine for the length of one tick at most; wait for it without a deadline of our own.
        while weak.upgrade().is_some() {
            std::thread::yield_now();
        }
    }
}
