//! The peers that Python runs: scripts in `peers/`, which print what they measured as JSON.

use anyhow::{Context, ensure};
use serde_json::Value as Json;
use std::ffi::OsStr;
use std::process::Command;

/// Runs a script with the test environment's Python, and reads what it prints.
///
/// # Errors
/// If it cannot be started, fails, or prints something else.
pub(crate) fn run(script: &str, arguments: &[&OsStr]) -> anyhow::Result<Json> {
    let python = std::env::var("TIDEGATE_BENCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let path = format!("{}/peers/{script}", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(&python).arg(path).args(arguments).output();
    let output = output.with_context(|| format!("starting {python}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{script} failed; `make setup` installs what it needs: {told}");
    Ok(serde_json::from_slice(&output.stdout)?)
}
