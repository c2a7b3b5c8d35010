//! The real Backtrace clients, in environments that `tests/setup.sh` makes.

use crate::process::run;
use crate::scratch::{client_cache, repository};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A client that is really installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// backtracepython, from PyPI.
    Python,
    /// @backtrace/node, from npm.
    Node,
}

impl Client {
    /// The word that its script puts into the attribute `client`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Node => "node",
        }
    }

    /// Lets it report one error to `url`; `token` is none if the URL has it. `database` is a folder for reports that outlive the
    /// process (Node only).
    ///
    /// # Panics
    /// If the client is not installed; the text is the command that installs it.
    #[must_use]
    pub fn report(self, url: &str, token: Option<&str>, kind: &str, database: Option<&Path>) -> Output {
        let cache = client_cache();
        let scripts = repository().join("tests/clients");
        let mut command = match self {
            Self::Python => {
                let python = present(cache.join("python/bin/python"), "backtracepython");
                let mut command = Command::new(python);
                command.arg(scripts.join("python/report.py"));
                command
            }
            Self::Node => {
                present(cache.join("node/node_modules/@backtrace/node/package.json"), "@backtrace/node");
                let mut command = Command::new("node");
                command.env("TIDEGATE_TEST_NODE", cache.join("node")).arg(scripts.join("node/report.mjs"));
                command
            }
        };
        if let Some(database) = database {
            command.env("TIDEGATE_TEST_DATABASE", database);
        }
        run(command.args([url, token.unwrap_or("-"), kind]))
    }
}

/// `python` of the environment that `tests/setup.sh` makes.
///
/// # Panics
/// If it is not there; the text is the command that makes it.
#[must_use]
pub fn python() -> PathBuf {
    present(client_cache().join("python/bin/python"), "the Python environment")
}

/// The program that sends with Circonus' own client for Go; it wants the Data Submission URL.
///
/// # Panics
/// If it is not there; the text is the command that makes it.
#[must_use]
pub fn circonus_producer() -> PathBuf {
    present(client_cache().join("circonus/producer"), "Circonus' own client")
}

fn present(path: PathBuf, what: &str) -> PathBuf {
    assert!(path.is_file(), "{what} is not installed ({} is missing). Run tests/setup.sh", path.display());
    path
}
