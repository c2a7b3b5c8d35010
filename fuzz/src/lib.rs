//! What strangers can hand in, mutated: nothing of it may make the host panic.
//!
//! A target is a plain function of bytes that fails by panicking, so any fuzzer can drive it. The one that comes along
//! ([`mutate`]) is deterministic: run number 17 of a target is the same everywhere, so a failure needs no file to be repeated.

pub mod mutate;
mod targets;

use mutate::Random;
use std::panic::catch_unwind;
use std::path::Path;

/// Something that reads bytes of strangers.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name; the folder of its inputs in `corpus`.
    pub name: &'static str,
    /// Reads one input. Panics if it is wrong about it.
    pub read: fn(&[u8]),
    /// Runs in each test of the whole, so that all of them together take seconds.
    pub runs: u64,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Target").field(&self.name).finish()
    }
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "component", read: targets::component, runs: 60 },
    Target { name: "report", read: targets::report, runs: 20_000 },
    Target { name: "line", read: targets::line, runs: 20_000 },
    Target { name: "query", read: targets::query, runs: 20_000 },
    Target { name: "settings", read: targets::settings, runs: 20_000 },
    Target { name: "description", read: targets::description, runs: 20_000 },
];

/// The inputs from which the mutations of `target` start.
///
/// # Panics
/// If there are none: a corpus that was lost would otherwise test nothing.
#[must_use]
pub fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let mut inputs = targets::built_in(target.name);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let mut files: Vec<_> = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    files.sort();
    inputs.extend(files.iter().filter_map(|file| std::fs::read(file).ok()));
    assert!(!inputs.is_empty(), "there is nothing in {}", folder.display());
    inputs
}

/// The input of one run: an input of the corpus as it is, for as many runs as there are, and mutations from then on.
#[must_use]
pub fn input(corpus: &[Vec<u8>], run: u64) -> Vec<u8> {
    match usize::try_from(run).ok().and_then(|run| corpus.get(run)) {
        Some(input) => input.clone(),
        None => mutate::mutated(corpus, &mut Random::new(run)),
    }
}

/// Does the runs `from..to` of a target; tells the first that panics, with its input.
///
/// # Errors
/// How to repeat it.
pub fn drive(target: &Target, from: u64, to: u64) -> Result<(), String> {
    let corpus = corpus(target);
    for run in from..to {
        let input = input(&corpus, run);
        if catch_unwind(|| (target.read)(&input)).is_err() {
            let shown = String::from_utf8_lossy(&input[..input.len().min(2000)]).into_owned();
            return Err(format!(
                "run {run} of {} panicked. Repeat it: TIDEGATE_FUZZ=\"{} {run}\" cargo test -p tidegate-fuzz\ninput of {} bytes: {shown:?}",
                target.name,
                target.name,
                input.len()
            ));
        }
    }
    Ok(())
}
