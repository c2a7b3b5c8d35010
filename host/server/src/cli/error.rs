//! What can go wrong in a command, in words for the person who typed it.

use std::fmt::Display;
use std::path::PathBuf;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The server could not be reached.
    #[error(
        "cannot reach {server}: {reason}\nIs it running? Start it with `tidegate serve`, or name another with --server."
    )]
    Unreachable {
        /// The URL that was tried.
        server: String,
        /// What the network said.
        reason: String,
    },
    /// The server does not know who asks, or does not let them do this.
    #[error(
        "{server} refused this: {detail}\nLog in with `tidegate login`, or give an API token by --token, --token-file or TIDEGATE_TOKEN; `tidegate token create` makes a new one."
    )]
    Token {
        /// The server.
        server: String,
        /// What it said.
        detail: String,
    },
    /// The server answered with an error.
    #[error("{detail} (HTTP {status})")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said.
        detail: String,
    },
    /// A file that cannot be read or does not hold what it should.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Whoever read the output has gone away; nothing to complain about.
    #[error("the output was closed")]
    OutputClosed,
    /// Anything else, in words.
    #[error("{0}")]
    Failed(String),
}

impl CliError {
    /// A failure with its cause.
    pub fn failed(what: &str, cause: impl Display) -> Self {
        Self::Failed(format!("{what}: {cause}"))
    }

    /// A file and what is wrong with it.
    pub fn file(path: impl Into<PathBuf>, reason: impl Display) -> Self {
        Self::File { path: path.into(), reason: reason.to_string() }
    }
}
