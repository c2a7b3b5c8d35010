//! The data directory: private to its owner, and used by one server at a time.
//!
//! The trap is a second server on the same files: both would close the same windows. A lock that the system takes back when
//! the process dies, however it dies, rules it out.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tidegate_export::catalog::others_may_enter;

/// A data directory that this process has to itself.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    // Held for the lock on it.
    _lock: File,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process has it.
    #[error("another tidegate uses the data directory {}{}; stop it, or give this one its own by --data-dir", path.display(), process_of(*process))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The other process, if it is known.
        process: Option<u32>,
    },
    /// It is a file, or cannot be made, opened or locked.
    #[error("cannot use the data directory {}: {reason}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Some of its files were replaced by those of a backup, and others not.
    #[error(
        "a restore into the data directory {} broke off while files were being replaced, so it holds neither the old state nor the \
         backup's: run `tidegate ledger restore` again",
        path.display()
    )]
    HalfRestored {
        /// The directory.
        path: PathBuf,
    },
}

fn process_of(process: Option<u32>) -> String {
    process.map_or_else(String::new, |id| format!(" (process {id})"))
}

impl DataDir {
    /// Makes the directory if there is none, and locks it. What is written to its databases is not kept in the log of changes.
    ///
    /// # Errors
    /// [`DataDirError`] if another process has it, a restore into it was not finished, or the system refuses.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let data = Self::open_to_serve(path)?;
        data.take_lineage()?;
        Ok(data)
    }

    /// The same for whoever takes care of the log of changes.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub(crate) fn open_to_serve(path: &Path) -> Result<Self, DataDirError> {
        let data = Self::lock(path)?;
        if data.restore_mark().exists() {
            return Err(DataDirError::HalfRestored { path: path.to_owned() });
        }
        Ok(data)
    }

    /// The same for whoever replaces what is in it.
    ///
    /// # Errors
    /// [`DataDirError`] if another process has it, or the system refuses.
    pub(crate) fn open_to_restore(path: &Path) -> Result<Self, DataDirError> {
        let data = Self::lock(path)?;
        data.take_lineage()?;
        Ok(data)
    }

    /// Takes away what says that all changes of the databases are in the log of changes, and gives it. Whoever writes to them has to do
    /// that first.
    ///
    /// # Errors
    /// [`DataDirError::Io`] if that cannot be done for good.
    pub(crate) fn take_lineage(&self) -> Result<Option<String>, DataDirError> {
        let io = |e: std::io::Error| DataDirError::Io { path: self.lineage(), reason: e.to_string() };
        let lineage = match fs::read_to_string(self.lineage()) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.map_err(io)?,
        };
        fs::remove_file(self.lineage()).map_err(io)?;
        if cfg!(unix) {
            File::open(&self.path).and_then(|directory| directory.sync_all()).map_err(io)?;
        }
        Ok(Some(lineage))
    }

    fn lock(path: &Path) -> Result<Self, DataDirError> {
        let io = |e: std::io::Error| DataDirError::Io { path: path.to_owned(), reason: e.to_string() };
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::DirBuilderExt;
            builder.mode(0o700);
        }
        builder.create(path).map_err(io)?;
        if others_may_enter(path) {
            tracing::warn!(path = %path.display(), "other users can read the data directory, which holds credentials; chmod 700 it");
        }
        let mut lock =
            File::options().read(true).write(true).create(true).truncate(false).open(path.join("lock")).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let process = fs::read_to_string(path.join("lock")).ok().and_then(|t| t.trim().parse().ok());
                return Err(DataDirError::InUse { path: path.to_owned(), process });
            }
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(io)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    fn restore_mark(&self) -> PathBuf {
        self.path.join("restoring")
    }

    /// From here on nothing but another restore may open the directory ...
    pub(crate) fn mark_restore(&self) -> std::io::Result<()> {
        let mut mark = File::create(self.restore_mark())?;
        writeln!(mark, "While this file is here, the databases beside it are not those of one moment.")?;
        mark.sync_all()?;
        // The mark has to be there before the first file changes its name.
        if cfg!(unix) { File::open(&self.path)?.sync_all() } else { Ok(()) }
    }

    /// ... until it is whole again.
    pub(crate) fn unmark_restore(&self) -> std::io::Result<()> {
        fs::remove_file(self.restore_mark())
    }

    /// The events.
    #[must_use]
    pub fn events(&self) -> PathBuf {
        self.path.join("events.db")
    }

    /// The catalog and the ledger.
    #[must_use]
    pub fn catalog(&self) -> PathBuf {
        catalog_in(&self.path)
    }

    /// Where backups are made, unless another folder was named.
    #[must_use]
    pub fn backups(&self) -> PathBuf {
        self.path.join("backups")
    }

    /// Names the log of changes that has all changes of the databases; not there if none has.
    #[must_use]
    pub fn lineage(&self) -> PathBuf {
        self.path.join("lineage")
    }

    /// Where adapters are dropped, unless another folder was named.
    #[must_use]
    pub fn adapters(&self) -> PathBuf {
        self.path.join("adapters")
    }

    /// The public keys of those whose adapters are trusted, unless another folder was named.
    #[must_use]
    pub fn adapter_keys(&self) -> PathBuf {
        self.path.join("adapter-keys")
    }

    /// Compiled adapters, and the key that seals them. Can be removed at any time; what is missing is compiled again.
    #[must_use]
    pub fn compiled(&self) -> PathBuf {
        self.path.join("compiled")
    }

    /// Where copies of the adapters are kept that stores use.
    #[must_use]
    pub fn adapter_versions(&self) -> PathBuf {
        self.path.join("adapter-versions")
    }

    /// The key for the secrets in the catalog, unless it comes from elsewhere.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.catalog().with_extension("key")
    }

    /// Where the server says on which address it listens.
    #[must_use]
    pub fn address(&self) -> PathBuf {
        self.path.join("address")
    }

    /// Writes the address for others to find.
    ///
    /// # Errors
    /// [`DataDirError::Io`] if the file cannot be written.
    pub fn write_address(&self, address: SocketAddr) -> Result<(), DataDirError> {
        // Renamed into place, so that nobody reads half an address.
        let temporary = self.path.join("address.new");
        fs::write(&temporary, format!("{address}\n"))
            .and_then(|()| fs::rename(&temporary, self.address()))
            .map_err(|e| DataDirError::Io { path: self.path.clone(), reason: format!("address file: {e}") })
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Where the catalog is in a data directory.
#[must_use]
pub fn catalog_in(directory: &Path) -> PathBuf {
    directory.join("tidegate.db")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_in_use_is_refused_with_who_uses_it_and_free_again_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/data");
        let first = DataDir::open(&path).unwrap();
        let error = DataDir::open(&path).unwrap_err().to_string();
        assert!(
            error.contains(&format!("(process {})", std::process::id())) && error.contains("--data-dir"),
            "{error}"
        );
        drop(first);
        assert!(DataDir::open(&path).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_new_directory_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let data = DataDir::open(&path).unwrap();
        data.write_address("127.0.0.1:8460".parse().unwrap()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_to_string(data.address()).unwrap(), "127.0.0.1:8460\n");
    }

    #[test]
    fn a_file_in_the_place_of_the_directory_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = DataDir::open(file.path()).unwrap_err().to_string();
        assert!(error.starts_with("cannot use the data directory"), "{error}");
    }

    #[test]
    fn only_who_serves_with_the_log_of_changes_leaves_standing_that_it_has_everything() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let lineage = DataDir::open(&path).unwrap().lineage();
        let survives = |opens: &dyn Fn(&Path) -> Result<DataDir, DataDirError>| {
            fs::write(&lineage, "7\n").unwrap();
            opens(&path).unwrap();
            lineage.exists()
        };
        assert!(survives(&DataDir::open_to_serve));
        assert!(!survives(&DataDir::open) && !survives(&DataDir::open_to_restore));
        fs::write(&lineage, "7\n").unwrap();
        let data = DataDir::open_to_serve(&path).unwrap();
        assert_eq!(data.take_lineage().unwrap().as_deref(), Some("7\n"));
        assert_eq!(data.take_lineage().unwrap(), None);
    }
}
