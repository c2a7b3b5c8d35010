//! Child processes that never outlive their test, with one log file each.
//!
//! A failure of an end to end test is mostly explained by what a child wrote, so each child prints the end of its log when it
//! goes away while the test is failing.

use crate::note;
use crate::wait;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

/// Lines of a log that are shown.
const TAIL: usize = 40;

/// A running child process. Dropping it kills it and waits for its end.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with both outputs appended to the file `log`.
    ///
    /// # Panics
    /// If it cannot be started; the text names the program.
    #[must_use]
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Self {
        let open = || {
            let file = OpenOptions::new().create(true).append(true).open(log);
            file.unwrap_or_else(|e| panic!("cannot write {}: {e}", log.display()))
        };
        command.stdin(Stdio::null()).stdout(open()).stderr(open());
        let child = command.spawn().unwrap_or_else(|e| panic!("{name}: cannot start {:?}: {e}", command.get_program()));
        Self { name: name.to_owned(), child, log: log.to_owned() }
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills at once (SIGKILL) and waits for the end.
    pub fn kill(&mut self) {
        // It may have ended by itself: then there is nothing to kill and `wait` gives what was.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks for an end (SIGTERM) and waits for it.
    ///
    /// # Panics
    /// If the process has not ended within `limit`.
    #[track_caller]
    pub fn terminate(&mut self, limit: Duration) -> ExitStatus {
        signal("TERM", self.child.id());
        let name = self.name.clone();
        wait::until(&format!("{name} ends after SIGTERM"), limit, || match self.ended() {
            Some(status) => Ok(status),
            None => Err("it still runs".to_owned()),
        })
    }

    /// Lets it stand still (SIGSTOP): its connections stay, and nothing answers.
    pub fn halt(&self) {
        signal("STOP", self.child.id());
    }

    /// Lets it go on after a [`halt`](Self::halt).
    pub fn go_on(&self) {
        signal("CONT", self.child.id());
    }

    /// The exit status, if the process has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits until `look` gives a value; fails at once when the process ends before that.
    ///
    /// # Panics
    /// When the limit has passed or the process has ended.
    #[track_caller]
    pub fn until<T>(&mut self, what: &str, limit: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
        wait::until(what, limit, || {
            if let Some(status) = self.ended() {
                panic!("{what}: {} ended before that, with {status}", self.name);
            }
            look()
        })
    }

    /// Everything that the process wrote so far.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
            note(&format!("--- the end of what {} wrote ({}):\n{tail}\n---", self.name, self.log.display()));
        }
    }
}

/// Sends a signal to a process that this test started.
fn signal(name: &str, pid: u32) {
    // The standard library can only kill; the shell's own `kill` needs neither a crate nor unsafe code.
    let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status();
    assert!(sent.is_ok_and(|s| s.success()), "cannot send SIG{name} to {pid}");
}

/// Runs a command to its end.
///
/// # Panics
/// If it cannot be started.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null());
    command.output().unwrap_or_else(|e| panic!("cannot start {:?}: {e}", command.get_program()))
}

/// Runs a command to its end and gives what it wrote to standard output.
///
/// # Panics
/// If it fails; the text has both outputs.
#[track_caller]
pub fn run_well(command: &mut Command) -> String {
    let output = run(command);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?} ended with {}\nstdout: {}\nstderr: {}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}
