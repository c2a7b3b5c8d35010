//! Adapters that misbehave, built from `tests/guests` into components; and the one that authors start from.

use crate::scratch::{build_folder, repository};
use std::path::{Path, PathBuf};
use tidegate_adapter_build::Build;

/// Builds `packages` of `tests/guests` and copies their components into `folder`.
///
/// # Panics
/// If they cannot be built; the text has what the compiler said.
pub fn install(packages: &[&str], folder: &Path) -> Vec<PathBuf> {
    built("tests/guests", "test-guests", packages, folder)
}

/// Builds `sdk/templates/collector` and copies the component into `folder`.
///
/// # Panics
/// If it cannot be built; the text has what the compiler said.
#[must_use]
pub fn template(folder: &Path) -> PathBuf {
    built("sdk/templates/collector", "test-template", &["collector"], folder).remove(0)
}

fn built(workspace: &str, target: &str, packages: &[&str], folder: &Path) -> Vec<PathBuf> {
    let build = Build::workspace(repository().join(workspace)).target_dir(build_folder().join(target));
    let built = build.run(packages).unwrap_or_else(|e| panic!("{e}"));
    let copy = |(package, component): (String, PathBuf)| {
        let to = folder.join(format!("{package}.wasm"));
        std::fs::copy(&component, &to).unwrap_or_else(|e| panic!("cannot copy {}: {e}", component.display()));
        to
    };
    built.into_iter().map(copy).collect()
}
