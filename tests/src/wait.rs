//! Waiting for something that another process does: polls until it is so or a deadline passes, and then says what it was like
//! last. No test sleeps for a fixed time and hopes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long to pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Calls `look` until it gives a value. After `limit` the test fails with `what` and the last thing that `look` said.
///
/// # Panics
/// When the limit has passed.
#[track_caller]
pub fn until<T>(what: &str, limit: Duration, look: impl FnMut() -> Result<T, String>) -> T {
    match within(limit, look) {
        Ok(value) => value,
        Err(last) => panic!("{what}: not so within {} s. {last}", limit.as_secs_f32()),
    }
}

/// As [`until`], but gives the last thing that `look` said instead of failing.
///
/// # Errors
/// The text of the last look, when the limit has passed.
pub fn within<T>(limit: Duration, mut look: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let end = Instant::now() + limit;
    loop {
        match look() {
            Ok(value) => return Ok(value),
            Err(last) if Instant::now() >= end => return Err(last),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// Sets a flag when it goes out of scope, also by a failure: a thread that runs until the flag is set would otherwise keep a failed
/// test from ending.
#[derive(Debug)]
pub struct StopAtEnd<'f>(pub &'f AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
