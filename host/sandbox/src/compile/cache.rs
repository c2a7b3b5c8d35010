//! What was compiled, kept by the hash of the component and the engine that it is for.
//!
//! A file is believed only if its seal holds. Everything else (cut off, changed, from another host, from an older engine) is as
//! good as absent: it is compiled again and replaced. The folder has a size; what was not used for longest goes first.

use super::seal::{Key, SEAL, private};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// Bytes that the folder may hold.
const MAX_BYTES: u64 = 2 << 30;
/// Files that it may hold.
const MAX_FILES: usize = 1000;
/// Bytes of one file: machine code is larger than what it was made from, but not without an end.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// What is kept of a component.
#[derive(Debug)]
pub(crate) enum Kept {
    /// Machine code.
    Artefact(Vec<u8>),
    /// Why there is none, as JSON.
    Refused(Vec<u8>),
}

impl Kept {
    fn parts(&self) -> (u8, &[u8]) {
        match self {
            Self::Artefact(bytes) => (0, bytes),
            Self::Refused(bytes) => (1, bytes),
        }
    }
}

/// Something that this host made. There are two ways to one: the compiler has just given it, or the seal of a file holds.
#[derive(Debug)]
pub(crate) struct Sealed(Kept);

impl Sealed {
    pub(crate) fn kept(&self) -> &Kept {
        &self.0
    }
}

/// A folder of sealed files.
pub(crate) struct Cache {
    folder: PathBuf,
    key: Key,
    max_bytes: u64,
    next: AtomicU64,
}

impl Cache {
    /// Opens or makes the folder.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::DirBuilderExt;
            builder.mode(0o700);
        }
        builder.create(folder)?;
        Ok(Self { folder: folder.to_owned(), key: Key::open(folder)?, max_bytes: MAX_BYTES, next: AtomicU64::new(0) })
    }

    /// What was kept for these; an error says what is wrong with the file that is there instead.
    pub(crate) fn get(&self, digest: &[u8; 32], fingerprint: &[u8; 32]) -> Result<Option<Sealed>, String> {
        let path = self.path(digest, fingerprint);
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
            return Err("not a regular file of a sensible size".to_owned());
        }
        let mut bytes = fs::read(&path).map_err(|e| e.to_string())?;
        if bytes.len() <= SEAL {
            return Err("it is cut off".to_owned());
        }
        // In place: an adapter in Python has 35 MB of machine code, and fresh memory for a copy costs more than reading it.
        let head: Vec<u8> = bytes.drain(..=SEAL).collect();
        let (content, (seal, kind)) = (bytes, (&head[..SEAL], head[SEAL]));
        if kind > 1 || !self.key.holds(seal, kind, digest, fingerprint, &content) {
            return Err("its seal does not hold".to_owned());
        }
        // How lately it was used decides what stays; a folder that does not take this down only forgets that.
        let _ = File::options().append(true).open(&path).and_then(|f| f.set_modified(SystemTime::now()));
        Ok(Some(Sealed(if kind == 0 { Kept::Artefact(content) } else { Kept::Refused(content) })))
    }

    /// Removes what is kept for these.
    pub(crate) fn discard(&self, digest: &[u8; 32], fingerprint: &[u8; 32]) {
        // If it cannot be removed, it is overwritten when the component was compiled.
        let _ = fs::remove_file(self.path(digest, fingerprint));
    }

    /// Keeps what the compiler has just given. A full disk costs the cache and nothing else.
    pub(crate) fn put(&self, digest: &[u8; 32], fingerprint: &[u8; 32], kept: Kept) -> Sealed {
        if let Err(error) = self.write(digest, fingerprint, &kept) {
            tracing::warn!(folder = %self.folder.display(), %error, "a compiled adapter cannot be kept; the next start compiles it again");
        }
        Sealed(kept)
    }

    /// What the compiler has just given, where nothing is kept.
    pub(crate) fn pass(kept: Kept) -> Sealed {
        Sealed(kept)
    }

    fn write(&self, digest: &[u8; 32], fingerprint: &[u8; 32], kept: &Kept) -> io::Result<()> {
        let (kind, content) = kept.parts();
        let seal = self.key.seal(kind, digest, fingerprint, content);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let fresh = self.folder.join(format!("new.{}.{number}", std::process::id()));
        let _ = fs::remove_file(&fresh);
        let mut file = private(&fresh)?;
        let written = [&seal[..], &[kind], content].iter().try_for_each(|part| file.write_all(part));
        // Renamed into place, so that nobody reads half of it.
        let done = written.and_then(|()| fs::rename(&fresh, self.path(digest, fingerprint)));
        if done.is_err() {
            let _ = fs::remove_file(&fresh);
        }
        done?;
        self.tidy()
    }

    fn path(&self, digest: &[u8; 32], fingerprint: &[u8; 32]) -> PathBuf {
        // Both in full would be longer than some file systems take.
        self.folder.join(format!("{}-{}", hex::encode(digest), hex::encode(&fingerprint[..8])))
    }

    /// Removes what was not used for longest until the rest fits.
    fn tidy(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_file() && entry.file_name() != "key" {
                files.push((metadata.modified()?, metadata.len(), entry.path()));
            }
        }
        files.sort();
        let mut bytes: u64 = files.iter().map(|(_, length, _)| length).sum();
        let mut count = files.len();
        // The newest stays whatever its size.
        for (_, length, path) in files.iter().take(files.len().saturating_sub(1)) {
            if bytes <= self.max_bytes && count <= MAX_FILES {
                break;
            }
            fs::remove_file(path)?;
            bytes -= length;
            count -= 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: [u8; 32] = [1; 32];
    const B: [u8; 32] = [2; 32];

    fn artefact(sealed: Option<Sealed>) -> Option<Vec<u8>> {
        match sealed?.0 {
            Kept::Artefact(bytes) => Some(bytes),
            Kept::Refused(_) => None,
        }
    }

    fn cache() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("artefacts")).unwrap();
        (folder, cache)
    }

    #[test]
    fn what_was_kept_comes_back_for_the_same_component_and_engine_only() {
        let (_folder, cache) = cache();
        cache.put(&A, &B, Kept::Artefact(b"code".to_vec()));
        assert_eq!(artefact(cache.get(&A, &B).unwrap()).unwrap(), b"code");
        assert!(cache.get(&B, &B).unwrap().is_none() && cache.get(&A, &A).unwrap().is_none());
        // A file under the name of another one is told from it by its seal.
        fs::rename(cache.path(&A, &B), cache.path(&B, &B)).unwrap();
        assert_eq!(cache.get(&B, &B).unwrap_err(), "its seal does not hold");
    }

    #[test]
    fn a_verdict_cannot_be_passed_off_as_machine_code() {
        let (_folder, cache) = cache();
        cache.put(&A, &B, Kept::Refused(b"no".to_vec()));
        assert!(matches!(cache.get(&A, &B).unwrap().unwrap().kept(), Kept::Refused(text) if text == b"no"));
        let mut bytes = fs::read(cache.path(&A, &B)).unwrap();
        bytes[SEAL] = 0;
        fs::write(cache.path(&A, &B), bytes).unwrap();
        assert_eq!(cache.get(&A, &B).unwrap_err(), "its seal does not hold");
    }

    #[test]
    fn a_file_from_another_host_is_not_believed() {
        let (_one, ours) = cache();
        let (_other, theirs) = cache();
        theirs.put(&A, &B, Kept::Artefact(b"code".to_vec()));
        fs::copy(theirs.path(&A, &B), ours.path(&A, &B)).unwrap();
        assert_eq!(ours.get(&A, &B).unwrap_err(), "its seal does not hold");
    }

    proptest! {
        #[test]
        fn no_change_of_a_file_goes_unnoticed(at in 0usize..60, flip in 1u8.., cut in 0usize..60) {
            let (_folder, cache) = cache();
            cache.put(&A, &B, Kept::Artefact(b"some machine code in here".to_vec()));
            let good = fs::read(cache.path(&A, &B)).unwrap();
            let mut bytes = good.clone();
            let at = at % bytes.len();
            bytes[at] ^= flip;
            fs::write(cache.path(&A, &B), &bytes).unwrap();
            prop_assert!(cache.get(&A, &B).is_err());
            if cut < good.len() {
                fs::write(cache.path(&A, &B), &good[..cut]).unwrap();
                prop_assert!(cache.get(&A, &B).is_err());
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_could_read_is_replaced_and_what_it_sealed_is_not_believed() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, cache) = cache();
        let path = folder.path().join("artefacts");
        let mode = |file: &Path| fs::metadata(file).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("key"))), (0o700, 0o600));
        cache.put(&A, &B, Kept::Artefact(b"code".to_vec()));
        assert!(Cache::open(&path).unwrap().get(&A, &B).unwrap().is_some());
        fs::set_permissions(path.join("key"), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Cache::open(&path).unwrap().get(&A, &B).is_err());
        assert_eq!(mode(&path.join("key")), 0o600);
    }

    #[test]
    fn a_full_folder_loses_what_was_not_used_for_longest() {
        let (_folder, mut cache) = cache();
        cache.max_bytes = 250;
        let used = |n: u8| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(n.into());
        for n in 1..=3 {
            cache.put(&[n; 32], &B, Kept::Artefact(vec![n; 50]));
            let file = File::options().append(true).open(cache.path(&[n; 32], &B)).unwrap();
            file.set_modified(used(n)).unwrap();
        }
        // Using the first one makes the second one the oldest.
        assert!(cache.get(&[1; 32], &B).unwrap().is_some());
        cache.put(&[4; 32], &B, Kept::Artefact(vec![4; 50]));
        let there: Vec<u8> = (1..=4).filter(|&n| cache.get(&[n; 32], &B).unwrap().is_some()).collect();
        assert_eq!(there, [1, 3, 4]);
    }
}
