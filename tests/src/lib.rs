//! What the end to end tests share: real servers and clients, the host as a child process, and an oracle that counts by
//! brute force what the sinks must hold.
//!
//! Nothing here uses code of the host: what a test expects is worked out a second time, from the events that were sent and the
//! arrival times that the host acknowledged, so a mistake of the host cannot hide in its own helper.
//!
//! The modules in the order in which a test uses them: [`scratch`] gives a directory and ports, [`servers`] and [`receiver`]
//! are what Tidegate talks to (with [`intake`]s that are strict where no real product can be had, and a [`gate`] before a real one that is to fail), [`tidegate`] runs the host and [`api`] speaks with it, [`generator`] makes events, [`oracle`]
//! says what must come out and [`spelling`] what a sink calls it, [`points`] compares. [`wait`] and [`process`] make failures readable.

pub mod api;
pub mod browser;
pub mod clients;
pub mod foreign;
pub mod gate;
pub mod generator;
pub mod grammar;
pub mod guests;
pub mod http;
pub mod intake;
pub mod lines;
pub mod minisign;
pub mod oracle;
pub mod points;
pub mod process;
pub mod receiver;
pub mod scratch;
pub mod servers;
pub mod spelling;
pub mod tidegate;
pub mod tls;
pub mod wait;

/// Writes a line that shows with a failed test (and with `--nocapture`): seeds, paths, progress.
#[allow(clippy::print_stderr)] // the test harness keeps it for failed tests
pub fn note(line: &str) {
    eprintln!("{line}");
}
