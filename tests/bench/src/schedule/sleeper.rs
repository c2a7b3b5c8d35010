//! What the machine does to a thread that wants nothing but to wake up in time: who else wants to, is late by as much at least.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const NAP: Duration = Duration::from_millis(5);

/// A thread that only sleeps, and notes how much longer than it wanted.
pub(super) struct Sleeper {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<f64>>,
}

impl Sleeper {
    pub(super) fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stops = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut late = Vec::new();
            while !stops.load(Ordering::Relaxed) {
                let began = Instant::now();
                std::thread::sleep(NAP);
                late.push(began.elapsed().saturating_sub(NAP).as_secs_f64() * 1000.0);
            }
            late
        });
        Self { stop, thread }
    }

    /// How late it was, each time, in milliseconds.
    pub(super) fn woken(self) -> Vec<f64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}
