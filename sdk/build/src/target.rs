//! The guests' target: is it installed, and if not, can rustup do it.
//!
//! A `targets` line in rust-toolchain.toml is not enough: rustup installs it only where automatic installation is on.

use crate::{BuildError, environment};
use std::path::Path;
use std::process::{Command, Stdio};

/// What adapters written in Rust are compiled for. It has no system interface at all, so a guest imports the contract and nothing
/// else.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Makes sure that the compiler used in `dir` can build for [`TARGET`].
pub(crate) fn ensure(dir: &Path) -> Result<(), BuildError> {
    if installed(dir)? {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    environment::clean(&mut rustup);
    rustup.current_dir(dir).args(["target", "add", TARGET]);
    // Whatever goes wrong here (no rustup, no network), the answer is the same: the command to type.
    let added = rustup.stdin(Stdio::null()).output().is_ok_and(|done| done.status.success());
    if added && installed(dir)? { Ok(()) } else { Err(BuildError::TargetMissing) }
}

/// Whether the standard library for the target is where the compiler looks for it.
fn installed(dir: &Path) -> Result<bool, BuildError> {
    let program = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let mut rustc = Command::new(&program);
    environment::clean(&mut rustc);
    rustc.current_dir(dir).args(["--print", "target-libdir", "--target", TARGET]);
    let done = rustc.stdin(Stdio::null()).output().map_err(|source| BuildError::Run { program, source })?;
    let folder = String::from_utf8_lossy(&done.stdout);
    let Ok(mut files) = std::fs::read_dir(folder.trim()) else { return Ok(false) };
    Ok(files.any(|file| file.is_ok_and(|f| f.file_name().to_string_lossy().starts_with("libcore-"))))
}
