//! From a file in the adapter folder to an adapter on offer, while the folder is looked at as often as the server does.

use crate::report;
use anyhow::{Context, ensure};
use std::time::{Duration, Instant};
use tidegate_sandbox::{Folder, News, Registry, Sandbox, SandboxOptions, builtin};

/// How often the server looks.
const EVERY: Duration = Duration::from_millis(500);
/// What people will wait for without asking themselves whether it works.
const WANTED: f64 = 2.0;
const ROUNDS: u32 = 5;

pub(crate) fn run() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let (_, component) = builtin::COMPONENTS.iter().max_by_key(|(_, c)| c.len()).context("an adapter")?;
    let mut slowest = Duration::ZERO;
    for round in 0..ROUNDS {
        // Nothing is kept: each round compiles.
        let registry = Registry::new(Sandbox::new(SandboxOptions::default())?);
        let mut folder = Folder::new(scratch.path().to_owned());
        ensure!(folder.look(&registry).is_empty(), "the folder is empty");
        // Not in step with the looks.
        std::thread::sleep(EVERY / ROUNDS * round);
        let file = scratch.path().join("dropped.wasm");
        std::fs::write(&file, component)?;
        let dropped = Instant::now();
        while !folder.look(&registry).iter().any(|news| matches!(news, News::Loaded(..))) {
            ensure!(dropped.elapsed() < Duration::from_secs(60), "{:?}", registry.refused());
            std::thread::sleep(EVERY);
        }
        slowest = slowest.max(dropped.elapsed());
        std::fs::remove_file(file)?;
    }
    report("dropin_slowest", slowest.as_secs_f64(), "wanted", WANTED, "s");
    Ok(())
}
