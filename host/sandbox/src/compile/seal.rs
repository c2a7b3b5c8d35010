//! The host's key, and the seal that it puts on what was compiled.
//!
//! Whoever can write a file into the cache must not thereby run machine code in the host. So each file carries a keyed hash over
//! what it is for and what is in it; the key is readable by the host's user alone, and a key that others could read is replaced.

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Bytes of a seal.
pub(crate) const SEAL: usize = 32;
const KEY: usize = 32;

/// The key of this host.
pub(crate) struct Key(hmac::Key);

impl Key {
    /// Reads the key in `folder`, or makes one.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let file = folder.join("key");
        if let Some(bytes) = usable(&file)? {
            return Ok(Self::of(&bytes));
        }
        let mut bytes = [0; KEY];
        SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("the system gives no random bytes"))?;
        let fresh = folder.join(format!("key.{}", std::process::id()));
        // One that a crash left behind.
        let _ = fs::remove_file(&fresh);
        private(&fresh)?.write_all(&bytes)?;
        // Of several that start at once with one folder, the first one's key counts.
        let linked = fs::hard_link(&fresh, &file);
        fs::remove_file(&fresh)?;
        match linked {
            Ok(()) => Ok(Self::of(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match usable(&file)? {
                Some(bytes) => Ok(Self::of(&bytes)),
                None => Err(io::Error::other("the key was damaged while it was made")),
            },
            Err(error) => Err(error),
        }
    }

    fn of(bytes: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// The seal of `content`, which was made from `digest` for the engine `fingerprint`. `kind` tells contents apart.
    pub(crate) fn seal(&self, kind: u8, digest: &[u8; 32], fingerprint: &[u8; 32], content: &[u8]) -> [u8; SEAL] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in head(kind, digest, fingerprint) {
            context.update(part);
        }
        context.update(content);
        let mut seal = [0; SEAL];
        seal.copy_from_slice(context.sign().as_ref());
        seal
    }

    /// Whether `seal` is the seal of these.
    pub(crate) fn holds(
        &self,
        seal: &[u8],
        kind: u8,
        digest: &[u8; 32],
        fingerprint: &[u8; 32],
        content: &[u8],
    ) -> bool {
        let expected = self.seal(kind, digest, fingerprint, content);
        // In constant time, although nobody is there to measure it.
        let difference = expected.iter().zip(seal).fold(0, |all, (a, b)| all | (a ^ b));
        seal.len() == SEAL && difference == 0
    }
}

/// What goes into the hash before the content. All parts have fixed lengths, so no two heads and contents give the same bytes.
fn head<'a>(kind: u8, digest: &'a [u8; 32], fingerprint: &'a [u8; 32]) -> [&'a [u8]; 4] {
    const KINDS: [&[u8]; 2] = [b"\0", b"\x01"];
    [b"tidegate artefact 1\0", KINDS[usize::from(kind != 0)], digest, fingerprint]
}

/// The key in `file`, if there is one of the right size that nobody else can read; what is not is removed.
fn usable(file: &Path) -> io::Result<Option<Vec<u8>>> {
    let metadata = match fs::symlink_metadata(file) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let reason = if !metadata.is_file() {
        "it is not a regular file"
    } else if metadata.len() != KEY as u64 {
        "it has the wrong size"
    } else if others_can_read(&metadata) {
        "others could read it"
    } else {
        return fs::read(file).map(Some);
    };
    tracing::warn!(file = %file.display(), reason, "the key that seals compiled adapters is replaced; they are compiled again");
    fs::remove_file(file)?;
    Ok(None)
}

#[cfg(unix)]
fn others_can_read(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn others_can_read(_: &fs::Metadata) -> bool {
    false
}

/// A new file that only this user can read.
pub(crate) fn private(file: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(file)
}
