//! The adapters that stores can name: those inside the binary, and those in a folder.
//!
//! A bad file costs itself only. Where two adapters have one name, the newer version wins, whichever came first; of two with
//! the same version the first one stays. So a fixed adapter can be dropped into the folder without a new host, and the order of
//! files in a folder decides nothing.

use crate::adapter::Adapter;
use crate::builtin;
use crate::load::LoadError;
use crate::sandbox::Sandbox;
use crate::version::Version;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// An adapter and where it came from.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The adapter.
    pub adapter: Arc<Adapter>,
    /// The file; none if it is inside the binary.
    pub file: Option<PathBuf>,
}

/// The adapters by name.
#[derive(Debug)]
pub struct Registry {
    sandbox: Arc<Sandbox>,
    adapters: RwLock<BTreeMap<String, Registered>>,
}

/// An adapter inside the binary that could not be loaded: a defect of this build.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the built-in adapter {name} cannot be used: {error}")]
pub struct BuiltinError {
    /// Its package.
    pub name: &'static str,
    /// Why.
    pub error: LoadError,
}

impl Registry {
    /// An empty registry for adapters that run in `sandbox`.
    #[must_use]
    pub fn new(sandbox: Arc<Sandbox>) -> Self {
        Self { sandbox, adapters: RwLock::default() }
    }

    /// Where its adapters run.
    #[must_use]
    pub fn sandbox(&self) -> &Arc<Sandbox> {
        &self.sandbox
    }

    /// Loads the adapters inside the binary.
    ///
    /// # Errors
    /// [`BuiltinError`] for the first that cannot be used.
    pub fn add_builtin(&self) -> Result<(), BuiltinError> {
        for &(name, component) in builtin::COMPONENTS {
            let added = self.sandbox.load(component).and_then(|adapter| self.add(adapter, None));
            added.map_err(|error| BuiltinError { name, error })?;
        }
        Ok(())
    }

    /// Loads each `*.wasm` in `dir`, in the order of their names, and tells for each what came of it. A folder that cannot be
    /// read gives one error under its own path.
    pub fn add_folder(&self, dir: &Path) -> Vec<(PathBuf, Result<Arc<Adapter>, LoadError>)> {
        let files = match files(dir) {
            Ok(files) => files,
            Err(error) => return vec![(dir.to_owned(), Err(LoadError::Unreadable(error.to_string())))],
        };
        let load = |file: PathBuf| {
            let added = read(&file, self.sandbox.options().max_component_bytes)
                .and_then(|bytes| self.sandbox.load(&bytes))
                .and_then(|adapter| self.add(adapter, Some(file.clone())));
            (file, added)
        };
        files.into_iter().map(load).collect()
    }

    /// Makes `adapter` known under its name, unless one that is not older is there.
    ///
    /// # Errors
    /// [`LoadError::Superseded`] with both versions.
    pub fn add(&self, adapter: Arc<Adapter>, file: Option<PathBuf>) -> Result<Arc<Adapter>, LoadError> {
        let (name, version) = (adapter.description().name.clone(), adapter.description().version.clone());
        let mut adapters = self.adapters.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(present) = adapters.get(&name) {
            let present = present.adapter.description().version.clone();
            if !newer(&version, &present) {
                return Err(LoadError::Superseded { name, present, version });
            }
            tracing::info!(adapter = %name, %present, %version, "a newer version takes the place of a loaded adapter");
        }
        adapters.insert(name, Registered { adapter: Arc::clone(&adapter), file });
        Ok(adapter)
    }

    /// The adapter called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Adapter>> {
        let adapters = self.adapters.read().unwrap_or_else(PoisonError::into_inner);
        adapters.get(name).map(|r| Arc::clone(&r.adapter))
    }

    /// All adapters, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Registered> {
        self.adapters.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// Whether `version` is newer than `present`. What is no version is newer than nothing and older than everything.
fn newer(version: &str, present: &str) -> bool {
    match (Version::parse(version), Version::parse(present)) {
        (Some(version), Some(present)) => version > present,
        (version, _) => version.is_some(),
    }
}

fn files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("wasm")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads a regular file of at most `limit` bytes. Its kind is looked at before it is opened, since opening a pipe waits for a
/// writer; its size before it is read, and again while it is, since it may grow.
fn read(file: &Path, limit: usize) -> Result<Vec<u8>, LoadError> {
    let unreadable = |error: std::io::Error| LoadError::Unreadable(error.to_string());
    let kind = fs::symlink_metadata(file).map_err(unreadable)?.file_type();
    if !kind.is_file() {
        let found = match (kind.is_dir(), kind.is_symlink()) {
            (true, _) => "a folder",
            (_, true) => "a symbolic link",
            _ => "a device or pipe",
        };
        return Err(LoadError::NotAFile { found });
    }
    let mut opened = File::open(file).map_err(unreadable)?;
    let size = opened.metadata().map_err(unreadable)?.len();
    if size > limit as u64 {
        return Err(LoadError::TooLarge { size, limit });
    }
    let mut bytes = Vec::new();
    opened.by_ref().take(limit as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newer_version_wins_and_what_is_no_version_wins_over_nothing() {
        assert!(newer("1.1.0", "1.0.9"));
        assert!(!newer("1.0.0", "1.0.0"));
        assert!(!newer("1.0.0-rc1", "1.0.0"));
        assert!(newer("1.0.0", "unversioned"));
        assert!(!newer("unversioned", "1.0.0"));
        assert!(!newer("b", "a"));
    }
}
