//! What strangers can hand in, mutated: nothing of it may make the host panic.
//!
//! A target is a plain function of bytes that fails by panicking. Two fuzzers drive them: one that comes along ([`mutate`]) and is
//! deterministic, so run number 17 of a target is the same everywhere and a failure needs no file to be repeated; and libFuzzer,
//! which sees what code an input reaches (`guided`, a workspace of its own). Both start from the files in `corpus`.

#[cfg(feature = "engine")]
mod guests;
pub mod mutate;
mod parsers;
mod server;

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
    /// Inputs that are made and not kept as files.
    pub made: fn() -> Vec<Vec<u8>>,
    /// Runs in each test of the whole, so that all of them together take seconds.
    pub runs: u64,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Target").field(&self.name).finish()
    }
}

const fn parser(name: &'static str, read: fn(&[u8])) -> Target {
    Target { name, read, made: Vec::new, runs: 20_000 }
}

/// All of them.
pub const TARGETS: &[Target] = &[
    parser("report", parsers::report),
    parser("line", parsers::line),
    parser("bulk", parsers::bulk),
    parser("form", parsers::form),
    parser("url", parsers::url),
    parser("inflate", parsers::inflate),
    parser("query", parsers::query),
    parser("stored", parsers::stored),
    parser("document", parsers::document),
    parser("settings", parsers::settings),
    parser("description", parsers::description),
    #[cfg(feature = "engine")]
    Target { name: "inspection", read: guests::inspection, made: guests::components, runs: 2_000 },
    #[cfg(feature = "engine")]
    Target { name: "component", read: guests::component, made: guests::components, runs: 60 },
    #[cfg(feature = "engine")]
    Target { name: "calls", read: guests::calls, made: Vec::new, runs: 4_000 },
    #[cfg(feature = "engine")]
    Target { name: "columns", read: guests::columns, made: Vec::new, runs: 4_000 },
];

/// The target of that name.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn target(name: &str) -> &'static Target {
    let found = TARGETS.iter().find(|target| target.name == name);
    found.unwrap_or_else(|| panic!("there is no target {name:?}; those that run components need the feature engine"))
}

/// The inputs from which the mutations of `target` start.
///
/// # Panics
/// If there are none: a corpus that was lost would otherwise test nothing.
#[must_use]
pub fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let mut inputs = (target.made)();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let mut files: Vec<_> = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    files.sort();
    inputs.extend(files.iter().filter_map(|file| std::fs::read(file).ok()));
    assert!(!inputs.is_empty(), "there is nothing in {}", folder.display());
    inputs
}

/// Inputs that are made and as long as this are left to the fuzzer that comes along: the one that learns wants small ones.
const SEED_BYTES: usize = 64 << 10;

/// Writes the inputs that are made into the folder that `TIDEGATE_FUZZ_SEEDS` names, for the fuzzer that learns, which starts from
/// files. A component is not found by chance.
///
/// # Panics
/// If they cannot be written.
pub fn lay_down(target: &Target) {
    let Some(folder) = std::env::var_os("TIDEGATE_FUZZ_SEEDS") else { return };
    let small = (target.made)().into_iter().filter(|input| input.len() < SEED_BYTES);
    for (number, input) in small.enumerate() {
        let file = Path::new(&folder).join(format!("made-{number}"));
        std::fs::write(&file, input).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
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
