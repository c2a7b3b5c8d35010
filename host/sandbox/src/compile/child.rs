//! The host's side of the child: start it with nothing but the bytes, wait no longer than allowed, tell why it ended.

use super::job::Job;
use super::walls::Standing;
use super::{CompileError, CompileLimits};
use crate::text::plain;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of the child's messages that are read.
const TOLD_BYTES: u64 = 64 << 10;
/// What the child writes before the machine code.
const HEAD_BYTES: usize = 9;

/// Compiles `bytes` in a process of their own.
pub(crate) fn compile(
    program: &Path,
    job: &Job,
    limits: &CompileLimits,
    bytes: &[u8],
) -> Result<Vec<u8>, CompileError> {
    let lost = |what: &str, error: io::Error| CompileError::Child(format!("{what}: {error}"));
    let mut child = start(program, job).map_err(|e| lost(&format!("cannot start {}", program.display()), e))?;
    let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (ended, written, told) = thread::scope(|scope| {
        // Whoever is limited to a few bytes reads on nevertheless, so that the child can end.
        let output = scope.spawn(move || read(output, limits.artefact_bytes + HEAD_BYTES as u64 + 1));
        let errors = scope.spawn(move || read(errors, TOLD_BYTES));
        // An early end of the child shows in how it ended, and not here.
        scope.spawn(move || input.map(|mut input| input.write_all(bytes)));
        let ended = wait(&mut child, limits.wall);
        (ended, output.join().unwrap_or_default(), errors.join().unwrap_or_default())
    });
    let told = String::from_utf8_lossy(&told);
    match ended.map_err(|e| lost("it cannot be waited for", e))? {
        None => Err(CompileError::Wall { limit: limits.wall }),
        Some(status) if status.success() => artefact(written, limits),
        Some(status) => Err(verdict(status, &told, limits)),
    }
}

fn start(program: &Path, job: &Job) -> io::Result<Child> {
    let mut command = Command::new(program);
    // No environment, and no descriptors beside these three.
    keep_descriptors();
    command.arg("compile").arg(job.argument()?).env_clear();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    #[cfg(unix)]
    command.current_dir("/");
    command.spawn()
}

/// Marks all descriptors to be closed on exec, beside the standard ones. The standard library opens every one like that; those that this
/// process was started with (by a shell, a supervisor) may be of another kind.
#[cfg(target_os = "linux")]
fn keep_descriptors() {
    #[expect(unsafe_code, reason = "no crate in use here has a safe way to say it")]
    // SAFETY: the call takes numbers only, and closes nothing: it sets a flag that no code of this process relies on being unset.
    // A kernel that does not know it (before Linux 5.11) refuses; the filter of calls lets the child read none of them anyway.
    let _ = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

#[cfg(not(target_os = "linux"))]
fn keep_descriptors() {}

fn read(from: Option<impl Read>, limit: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Some(mut from) = from else { return bytes };
    let _ = from.by_ref().take(limit).read_to_end(&mut bytes);
    let _ = io::copy(&mut from, &mut io::sink());
    bytes
}

/// How it ended; none if it was ended because its time was up.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// The machine code in what the child wrote.
fn artefact(mut written: Vec<u8>, limits: &CompileLimits) -> Result<Vec<u8>, CompileError> {
    if written.len() < HEAD_BYTES {
        return Err(CompileError::Child("it gave nothing back".to_owned()));
    }
    let artefact = written.split_off(HEAD_BYTES);
    let told = written[1..].iter().rev().fold(0u64, |all, &byte| all << 8 | u64::from(byte));
    if told > limits.artefact_bytes {
        return Err(CompileError::Artefact { limit: limits.artefact_bytes });
    }
    if told != artefact.len() as u64 {
        return Err(CompileError::Child(format!("it gave {} bytes of {told}", artefact.len())));
    }
    warn_once(Standing::of(written[0]));
    Ok(artefact)
}

fn warn_once(standing: Standing) {
    static TOLD: Once = Once::new();
    if !(standing.limits && standing.calls) {
        TOLD.call_once(|| {
            tracing::warn!(
                limits = standing.limits,
                calls = standing.calls,
                "this system does not confine the process that compiles adapters in every way; see `tidegate compile --probe`"
            );
        });
    }
}

/// Why a child that failed did so.
fn verdict(status: ExitStatus, told: &str, limits: &CompileLimits) -> CompileError {
    // The line that the allocator ends a process with; the rest is what a wish beyond reason looks like.
    if told.contains("memory allocation of") || told.contains("capacity overflow") || told.contains("os error 12") {
        return CompileError::Memory { limit: limits.memory_bytes };
    }
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        const SIGKILL: i32 = 9;
        const SIGXCPU: i32 = 24;
        if let Some(signal) = status.signal() {
            return match signal {
                SIGXCPU => CompileError::Cpu { limit: limits.cpu },
                // Nobody else than the system ends it so: because of its CPU time, or for want of memory.
                SIGKILL => CompileError::Child("the system ended it".to_owned()),
                _ => CompileError::Crashed(plain(&format!("{status}; {}", first_line(told)))),
            };
        }
    }
    match status.code() {
        Some(1) => CompileError::Refused(plain(told.trim().trim_start_matches("tidegate: "))),
        Some(2) => CompileError::Child(plain(first_line(told))),
        _ => CompileError::Crashed(plain(&format!("{status}; {}", first_line(told)))),
    }
}

fn first_line(text: &str) -> &str {
    text.trim().lines().next().unwrap_or_default()
}
