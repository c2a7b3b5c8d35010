//! Debian's `minisign`, the program with which vendors sign: what the host proves of signatures, it proves of somebody else's.

use crate::process::run_well;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A pair of keys of a vendor.
#[derive(Debug)]
pub struct Vendor {
    secret: PathBuf,
    public: PathBuf,
}

impl Vendor {
    /// Makes the pair in `folder`, without a password.
    ///
    /// # Panics
    /// If minisign is not installed.
    #[must_use]
    #[track_caller]
    pub fn new(folder: &Path, name: &str) -> Self {
        let made = Self { secret: folder.join(format!("{name}.sec")), public: folder.join(format!("{name}.pub")) };
        let mut command = minisign(&["-G", "-W"]);
        let _ = run_well(command.arg("-p").arg(&made.public).arg("-s").arg(&made.secret));
        made
    }

    /// Signs `file` into `to`, with a comment.
    ///
    /// # Panics
    /// If minisign does not.
    #[track_caller]
    pub fn sign(&self, file: &Path, to: &Path, comment: &str) {
        let mut command = minisign(&["-S", "-t", comment]);
        let _ = run_well(command.arg("-s").arg(&self.secret).arg("-m").arg(file).arg("-x").arg(to));
    }

    /// Signs `file` into the file beside it.
    ///
    /// # Panics
    /// If minisign does not.
    #[track_caller]
    pub fn sign_beside(&self, file: &Path, comment: &str) {
        self.sign(file, &beside(file), comment);
    }

    /// The file with the public key.
    #[must_use]
    pub fn public(&self) -> &Path {
        &self.public
    }

    /// The number of the key, as minisign itself says it.
    ///
    /// # Panics
    /// If the file with the public key is gone.
    #[must_use]
    pub fn id(&self) -> String {
        let text = std::fs::read_to_string(&self.public).expect("the public key");
        text.lines().next().and_then(|line| line.rsplit(' ').next()).expect("a comment").to_owned()
    }
}

/// Where the signature of a file lies.
#[must_use]
pub fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}

fn minisign(arguments: &[&str]) -> Command {
    let found =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|f| f.join("minisign").is_file());
    assert!(found, "minisign is not installed. Run tests/setup.sh");
    let mut command = Command::new("minisign");
    command.args(arguments);
    command
}
