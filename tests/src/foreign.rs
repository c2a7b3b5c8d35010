//! Adapters that other toolchains make, from the sources in `sdk/templates` and `tests/guests`: JavaScript by componentize-js,
//! Python by componentize-py, Rust for wasm32-wasip2.
//!
//! The first two take ten seconds of a core each, so what they gave is kept in the clients' cache, under a name that is made of
//! everything that went in: sources, contract, the tools' own lists of versions.

use crate::process::run_well;
use crate::scratch::{build_folder, client_cache, repository};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// A component that is not made by the SDK's own build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// `sdk/templates/lines-js`.
    JavaScript,
    /// The same with the features that reach the network left in.
    JavaScriptWithHttp,
    /// `sdk/templates/lines-python`.
    Python,
    /// `sdk/templates/lines-wasip2`.
    Wasip2,
    /// `tests/guests/system`, which tries everything that a system offers.
    System,
}

impl Foreign {
    /// Makes the component, and puts a copy into `folder`.
    ///
    /// # Panics
    /// If a tool is not installed (the text has the command that installs it), or cannot do it.
    #[track_caller]
    pub fn install(self, folder: &Path) -> PathBuf {
        // Two tests may want the same one.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let component = match self {
            Self::JavaScript => javascript("lines-js", &[]),
            Self::JavaScriptWithHttp => javascript("lines-js-http", &["http", "fetch-event"]),
            Self::Python => python(),
            Self::Wasip2 => rust("lines-wasip2", &repository().join("sdk/templates/lines-wasip2")),
            Self::System => rust("system", &repository().join("tests/guests")),
        };
        let to = folder.join(component.file_name().unwrap_or_default());
        fs::copy(&component, &to).unwrap_or_else(|e| panic!("cannot copy {}: {e}", component.display()));
        to
    }
}

fn contract() -> PathBuf {
    repository().join("wit/v1")
}

fn javascript(name: &str, features: &[&str]) -> PathBuf {
    let (sources, tools) = (repository().join("sdk/templates/lines-js"), client_cache().join("componentize-js"));
    let tool = tools.join("node_modules/@bytecodealliance/componentize-js/package.json");
    assert!(tool.is_file(), "componentize-js is not installed ({} is missing). Run tests/setup.sh", tool.display());
    kept(name, &sources, &tools.join("made-from"), |to| {
        // Modules are looked for beside the script, and the sources are to stay as they are.
        let folder = to.with_extension("sources");
        fs::create_dir_all(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for file in ["lines.js", "build.mjs"] {
            fs::copy(sources.join(file), folder.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        }
        let modules = folder.join("node_modules");
        if !modules.exists() {
            std::os::unix::fs::symlink(tools.join("node_modules"), &modules).unwrap_or_else(|e| panic!("a link: {e}"));
        }
        let mut node = Command::new("node");
        node.current_dir(&folder).arg("build.mjs").arg(contract()).arg(to).args(features);
        let _ = run_well(&mut node);
        let _ = fs::remove_dir_all(&folder);
    })
}

fn python() -> PathBuf {
    let (sources, tools) = (repository().join("sdk/templates/lines-python"), client_cache().join("componentize-py"));
    let tool = tools.join("bin/componentize-py");
    assert!(tool.is_file(), "componentize-py is not installed ({} is missing). Run tests/setup.sh", tool.display());
    kept("lines-python", &sources, &tools.join("made-from"), |to| {
        let mut command = Command::new(&tool);
        // No bytecode beside the sources.
        command.current_dir(&sources).env("PYTHONDONTWRITEBYTECODE", "1");
        command.arg("-d").arg(contract()).args(["-w", "push-adapter", "componentize", "app", "-o"]).arg(to);
        let _ = run_well(&mut command);
    })
}

/// Cargo knows best what has changed.
fn rust(package: &str, workspace: &Path) -> PathBuf {
    let target = build_folder().join(format!("foreign-{package}"));
    let mut cargo = tidegate_adapter_build::cargo();
    cargo.current_dir(workspace).args(["build", "--release", "--lib", "--quiet", "--target", "wasm32-wasip2"]);
    cargo.args(["--package", package, "--target-dir"]).arg(&target);
    let _ = run_well(&mut cargo);
    let file = format!("{}.wasm", package.replace('-', "_"));
    target.join("wasm32-wasip2/release").join(file)
}

/// What `make` wrote for these sources, this contract and these versions of the tools, now or earlier.
fn kept(name: &str, sources: &Path, versions: &Path, make: impl FnOnce(&Path)) -> PathBuf {
    let mut sum = Sha256::new();
    let mut files: Vec<PathBuf> = [sources, contract().as_path()].into_iter().flat_map(files_of).collect();
    files.push(versions.to_owned());
    for file in files {
        let bytes = fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        sum.update(file.file_name().unwrap_or_default().as_encoded_bytes());
        sum.update((bytes.len() as u64).to_le_bytes());
        sum.update(bytes);
    }
    let digits: String = sum.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let folder = client_cache().join("components");
    fs::create_dir_all(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let component = folder.join(format!("{name}-{digits}.wasm"));
    if !component.is_file() {
        let new = folder.join(format!("{name}-{digits}.{}.new", std::process::id()));
        make(&new);
        fs::rename(&new, &component).unwrap_or_else(|e| panic!("{} was not made: {e}", new.display()));
    }
    component
}

/// The files of a folder that somebody wrote, by name.
fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|e| e.unwrap_or_else(|e| panic!("{e}")).path()).collect();
    files.retain(|file| file.is_file() && file.extension().is_none_or(|kind| kind != "wasm"));
    files.sort();
    files
}
