//! Builds adapter sources into WebAssembly components.
//!
//! A cargo workspace of guests is built for `wasm32-unknown-unknown` by a nested cargo and each module is wrapped into a
//! component. The trap is the surrounding build: its flags, wrappers and target directory would leak into the nested one, so the
//! environment is cleaned first and the nested build always has a target directory of its own (a shared one would deadlock on
//! cargo's lock when this runs inside a build script).

mod component;
mod dependencies;
mod environment;
mod room;
mod target;

pub use component::{ComponentError, wrap};
pub use environment::cargo;
pub use room::with_room;
pub use target::TARGET;

use std::path::{Path, PathBuf};
use std::process::Stdio;

/// A build of guest packages. Create it with [`Build::workspace`].
#[derive(Clone, Debug)]
pub struct Build {
    manifest_dir: PathBuf,
    target_dir: PathBuf,
}

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The compiler cannot build for the guests' target, and rustup could not change that.
    #[error("the target {TARGET} is not installed; install it with: rustup target add {TARGET}")]
    TargetMissing,
    /// A program could not be started at all.
    #[error("could not run {program}: {source}")]
    Run {
        /// What was to be run.
        program: String,
        /// Why it was not.
        source: std::io::Error,
    },
    /// Cargo built, and failed.
    #[error("building {packages} in {} failed ({status}):\n{output}", manifest_dir.display())]
    Cargo {
        /// The packages, comma separated.
        packages: String,
        /// The workspace.
        manifest_dir: PathBuf,
        /// How cargo ended.
        status: std::process::ExitStatus,
        /// All that cargo and the compiler said.
        output: String,
    },
    /// The package built without giving a module.
    #[error("package {package} gave no {}; it must be a library with crate-type \"cdylib\" that is named like the package", module.display())]
    NoModule {
        /// The package.
        package: String,
        /// The file that was expected.
        module: PathBuf,
    },
    /// The module is not one of an adapter.
    #[error("package {package}: {source}")]
    Component {
        /// The package.
        package: String,
        /// What is wrong with it.
        source: ComponentError,
    },
    /// Reading or writing a file failed.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Cargo runs in the workspace's folder, where a relative path would mean another place. A path that cannot be made absolute
/// stays as it is, and cargo says what is wrong with it.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

impl Build {
    /// A build of packages of the cargo workspace at `manifest_dir` (the folder of its `Cargo.toml`). Its `release` profile is
    /// used, so optimisation is the workspace's own affair. Files go to `manifest_dir/target` unless
    /// [`target_dir`](Self::target_dir) says otherwise.
    #[must_use]
    pub fn workspace(manifest_dir: impl Into<PathBuf>) -> Self {
        let manifest_dir = absolute(manifest_dir.into());
        let target_dir = manifest_dir.join("target");
        Self { manifest_dir, target_dir }
    }

    /// Puts all that is built into `dir`, which must not be the target directory of a cargo that is waiting for this build. What
    /// is still there from the last time is reused, so keep it between builds.
    #[must_use]
    pub fn target_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.target_dir = absolute(dir.into());
        self
    }

    /// Builds `packages` and gives each one's name and the path of its component, in the same order. A component whose bytes did
    /// not change is not written again, so its modification time stays.
    ///
    /// # Errors
    /// [`BuildError`]; a failed compilation carries the compiler's whole output.
    pub fn run(&self, packages: &[&str]) -> Result<Vec<(String, PathBuf)>, BuildError> {
        target::ensure(&self.manifest_dir)?;
        self.cargo(packages)?;
        let folder = self.target_dir.join("components");
        std::fs::create_dir_all(&folder).map_err(at(&folder))?;
        packages.iter().map(|package| Ok(((*package).to_owned(), self.component(&folder, package)?))).collect()
    }

    /// Every file that went into the last build of `packages`, for `cargo::rerun-if-changed` in a build script: sources of the
    /// packages and of the path dependencies they use, manifests, the lock file.
    ///
    /// # Errors
    /// [`BuildError::File`] if the packages were not built yet.
    pub fn inputs(&self, packages: &[&str]) -> Result<Vec<PathBuf>, BuildError> {
        let mut files = vec![self.manifest_dir.join("Cargo.toml"), self.manifest_dir.join("Cargo.lock")];
        for package in packages {
            let list = self.module(package).with_extension("d");
            let text = std::fs::read_to_string(&list).map_err(at(&list))?;
            files.extend(dependencies::files(&text));
        }
        let manifests: Vec<_> = files.iter().filter_map(|file| dependencies::manifest_of(file)).collect();
        files.extend(manifests);
        files.sort();
        files.dedup();
        Ok(files)
    }

    fn module(&self, package: &str) -> PathBuf {
        let file = format!("{}.wasm", package.replace('-', "_"));
        self.target_dir.join(TARGET).join("release").join(file)
    }

    fn cargo(&self, packages: &[&str]) -> Result<(), BuildError> {
        let mut cargo = environment::cargo();
        cargo.current_dir(&self.manifest_dir).args(["build", "--release", "--lib", "--quiet", "--color", "never"]);
        cargo.args(["--target", TARGET, "--target-dir"]).arg(&self.target_dir);
        for package in packages {
            cargo.args(["--package", package]);
        }
        let done = cargo.stdin(Stdio::null()).output();
        let done = done.map_err(|source| BuildError::Run { program: "cargo".to_owned(), source })?;
        if done.status.success() {
            return Ok(());
        }
        let output = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        let manifest_dir = self.manifest_dir.clone();
        Err(BuildError::Cargo { packages: packages.join(", "), manifest_dir, status: done.status, output })
    }

    fn component(&self, folder: &Path, package: &str) -> Result<PathBuf, BuildError> {
        let module = self.module(package);
        if !module.is_file() {
            return Err(BuildError::NoModule { package: package.to_owned(), module });
        }
        let bytes = std::fs::read(&module).map_err(at(&module))?;
        let component = wrap(&bytes).map_err(|source| BuildError::Component { package: package.to_owned(), source })?;
        let path = folder.join(format!("{package}.wasm"));
        if std::fs::read(&path).is_ok_and(|old| old == component) {
            return Ok(path);
        }
        std::fs::write(&path, component).map_err(at(&path))?;
        Ok(path)
    }
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> BuildError {
    |source| BuildError::File { path: path.to_owned(), source }
}
