//! Copies of components by digest, so that a store keeps the version that it uses when the file is gone from the folder, or the
//! binary brings a newer one.
//!
//! What is read back is hashed again: a copy that was touched is no copy.

use crate::sandbox::Sandbox;
use crate::signature::SIGNATURE_SUFFIX;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A folder of copies that belongs to the host alone.
#[derive(Clone, Debug)]
pub struct Shelf {
    path: PathBuf,
}

impl Shelf {
    /// The shelf at `path`, which is made when something is put on it.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps a copy. On disk when this returns.
    ///
    /// # Errors
    /// What the system says.
    pub fn put(&self, component: &[u8]) -> io::Result<()> {
        let to = self.file(&Sandbox::digest(component));
        if to.exists() {
            return Ok(());
        }
        fs::create_dir_all(&self.path)?;
        let temporary = to.with_extension("new");
        let mut file = File::create(&temporary)?;
        file.write_all(component)?;
        file.sync_all()?;
        fs::rename(&temporary, &to)
    }

    /// Keeps the signature of a copy beside it.
    ///
    /// # Errors
    /// What the system says.
    pub fn put_signature(&self, digest: &[u8; 32], text: &str) -> io::Result<()> {
        let to = self.signature_file(digest);
        let temporary = to.with_extension("new");
        fs::write(&temporary, text)?;
        fs::rename(&temporary, &to)
    }

    /// The signature that was kept beside a copy.
    #[must_use]
    pub fn signature(&self, digest: &[u8; 32]) -> Option<String> {
        fs::read_to_string(self.signature_file(digest)).ok()
    }

    /// Notes that a copy is of a component inside the binary; the next binary may not have it any more.
    ///
    /// # Errors
    /// What the system says.
    pub fn note_builtin(&self, digest: &[u8; 32]) -> io::Result<()> {
        let note = self.builtin_note(digest);
        if note.exists() { Ok(()) } else { fs::write(note, []) }
    }

    /// Whether that was noted.
    #[must_use]
    pub fn was_builtin(&self, digest: &[u8; 32]) -> bool {
        self.builtin_note(digest).exists()
    }

    /// Whether there is a copy.
    #[must_use]
    pub fn has(&self, digest: &[u8; 32]) -> bool {
        self.file(digest).exists()
    }

    /// The component with this digest; none if there is no copy, or another one in its place.
    ///
    /// # Errors
    /// What the system says.
    pub fn get(&self, digest: &[u8; 32]) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.file(digest)) {
            Ok(bytes) if Sandbox::digest(&bytes) == *digest => Ok(Some(bytes)),
            Ok(_) => {
                let file = self.file(digest);
                tracing::error!(file = %file.display(), "the kept copy of an adapter was changed, so it is not used");
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes the copies that are not in `used`.
    ///
    /// # Errors
    /// What the system says.
    pub fn retain(&self, used: &HashSet<[u8; 32]>) -> io::Result<()> {
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        let used: HashSet<PathBuf> =
            used.iter().flat_map(|d| [self.file(d), self.signature_file(d), self.builtin_note(d)]).collect();
        for entry in entries {
            let file = entry?.path();
            if !used.contains(&file) {
                fs::remove_file(&file)?;
            }
        }
        Ok(())
    }

    fn file(&self, digest: &[u8; 32]) -> PathBuf {
        self.path.join(format!("{}.wasm", hex::encode(digest)))
    }

    fn builtin_note(&self, digest: &[u8; 32]) -> PathBuf {
        self.path.join(format!("{}.builtin", hex::encode(digest)))
    }

    fn signature_file(&self, digest: &[u8; 32]) -> PathBuf {
        self.path.join(format!("{}.wasm{SIGNATURE_SUFFIX}", hex::encode(digest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_by_its_digest_and_what_was_touched_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(dir.path().join("deep/shelf"));
        let (one, two) = (b"one".to_vec(), b"two".to_vec());
        let (first, second) = (Sandbox::digest(&one), Sandbox::digest(&two));
        assert_eq!(shelf.get(&first).unwrap(), None);
        shelf.retain(&HashSet::new()).unwrap();
        shelf.put(&one).unwrap();
        shelf.put(&two).unwrap();
        shelf.put(&one).unwrap();
        assert_eq!(shelf.get(&first).unwrap(), Some(one));
        fs::write(shelf.file(&second), b"another").unwrap();
        assert_eq!(shelf.get(&second).unwrap(), None);
        assert!(!shelf.was_builtin(&first));
        shelf.note_builtin(&first).unwrap();
        shelf.put_signature(&first, "by somebody").unwrap();
        shelf.put_signature(&second, "by somebody else").unwrap();
        shelf.retain(&[first].into()).unwrap();
        assert!(shelf.has(&first) && !shelf.has(&second));
        assert!(shelf.was_builtin(&first));
        assert_eq!((shelf.signature(&first).as_deref(), shelf.signature(&second)), (Some("by somebody"), None));
    }
}
