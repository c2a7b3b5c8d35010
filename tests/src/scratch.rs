//! A directory of its own for each test, ports that nobody else uses, and where things lie.
//!
//! The trap is the port that is free when asked for and taken when used: the kernel gives out its ephemeral range to every
//! outgoing connection. So ports come from below that range and none is given twice by one process, which also lets a server be
//! restarted on the port that it had.

use crate::note;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

/// First and last port given out: below Linux's ephemeral range (32,768 and up).
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A directory that goes when the test ends; a failed test keeps it and says where it is.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A fresh directory, named after the test.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn new(test: &str) -> Self {
        let directory = tempfile::Builder::new().prefix(&format!("tidegate-{test}-")).tempdir();
        let path = directory.unwrap_or_else(|e| panic!("no scratch directory: {e}")).keep();
        Self { path }
    }

    /// The path of `name` inside.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The path of the folder `name` inside, which is made if it is not there.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(&path).unwrap_or_else(|e| panic!("cannot make {}: {e}", path.display()));
        path
    }

    /// Writes a file inside and gives its path.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() || std::env::var_os("TIDEGATE_TEST_KEEP").is_some() {
            note(&format!("logs and data of this test are kept in {}", self.path.display()));
        } else if let Err(error) = std::fs::remove_dir_all(&self.path) {
            note(&format!("{} could not be removed: {error}", self.path.display()));
        }
    }
}

/// A loopback port that nothing listens on and that is not given out again.
///
/// # Panics
/// If all of them are taken.
#[must_use]
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Two test processes at once start at different places.
    let shift = u16::try_from(std::process::id() % 397).unwrap_or(0).wrapping_mul(29);
    let length = PORTS.end - PORTS.start;
    for _ in 0..length {
        let turn = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + shift.wrapping_add(turn) % length;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free between {} and {}", PORTS.start, PORTS.end);
}

/// The root of the source tree.
#[must_use]
pub fn repository() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

/// The folder of cargo's output that this test runs from, for example `target/debug`.
///
/// # Panics
/// If the test was not started from cargo's output.
#[must_use]
pub fn build_folder() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_else(|e| panic!("cannot tell where this test runs from: {e}"));
    let folder = own.parent().and_then(Path::parent);
    folder.unwrap_or_else(|| panic!("{} is not in cargo's output", own.display())).to_owned()
}

/// Where `tests/setup.sh` puts the clients: the same rule as in that script.
///
/// # Panics
/// If there is no home directory to look in.
#[must_use]
pub fn client_cache() -> PathBuf {
    let named = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    named("TIDEGATE_TEST_CACHE")
        .or_else(|| {
            Some(named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")))?.join("tidegate/test-env"))
        })
        .unwrap_or_else(|| panic!("set TIDEGATE_TEST_CACHE or HOME, so that the clients can be found"))
}
