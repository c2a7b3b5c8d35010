//! The keys under which secrets lie in the database, and the sealing itself.
//!
//! Whoever copies the database, or a backup of it, gets no secret without the key, which lies in another file or in the
//! environment. A sealed text names its key and is bound to its place: moved to another store's row, it does not open. The trap is
//! the key that is made anew because the old one was not found, and with which nothing opens; so a key is made only when nothing
//! is sealed yet.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tidegate_model::Secret;
use zeroize::Zeroizing;

/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// What a line of a key file begins with.
const LINE: &str = "tidegate-key-1";
/// What a sealed text begins with.
const SEALED: &str = "sealed-1";

/// Where the keys are.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// In this file, which is made when nothing is sealed yet.
    File(PathBuf),
    /// Here: keys of 64 hexadecimal digits, the first to seal with, all to open with.
    Given(Secret),
}

/// Why there is no key to work with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// What is sealed was sealed with a key that is not there.
    #[error(
        "the secrets in {} are sealed with the key {wanted}, and {found}. Nothing was changed. Put that key back ({}); without it the \
         secrets are lost: restore a backup that has its key, or enter them again into an empty data directory",
        database.display(), source_text(source_of)
    )]
    Missing {
        /// The database.
        database: PathBuf,
        /// Which key, by its name.
        wanted: String,
        /// What is there instead.
        found: String,
        /// Where it was looked for.
        source_of: KeySource,
    },
    /// Something that is no key.
    #[error("{place}: expected keys of 64 hexadecimal digits, as `tidegate secrets new-key` prints them")]
    Form {
        /// Where.
        place: String,
    },
    /// The file cannot be read or written.
    #[error("the key file {}: {reason}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A text that does not open.
    #[error("{place} does not open with the key {key}; the database was changed by something else")]
    Broken {
        /// Where it is.
        place: String,
        /// The key that it names.
        key: String,
    },
    /// The system gave no random bytes.
    #[error("no random bytes: {0}")]
    Random(String),
}

fn source_text(source: &KeySource) -> String {
    match source {
        KeySource::File(file) => file.display().to_string(),
        KeySource::Given(_) => "TIDEGATE_KEY".to_owned(),
    }
}

/// The keys at hand.
pub struct Keyring {
    keys: Vec<Key>,
}

struct Key {
    name: String,
    key: LessSafeKey,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|k| &k.name)).finish()
    }
}

impl Key {
    fn new(bytes: &[u8]) -> Option<Self> {
        let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, bytes).ok()?);
        // A name that tells keys apart and nothing of the key.
        let name = hex::encode(&Sha256::digest([b"tidegate key name", bytes].concat())[..6]);
        Some(Self { name, key })
    }
}

impl Keyring {
    /// The keys of `source`; none if it is a file that is not there.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn read(source: &KeySource) -> Result<Option<Self>, KeyError> {
        let (text, place) = match source {
            KeySource::Given(text) => (Zeroizing::new(text.expose().to_owned()), "TIDEGATE_KEY".to_owned()),
            KeySource::File(file) => match fs::read_to_string(file) {
                Ok(text) => {
                    if others_may_enter(file) {
                        tracing::warn!(file = %file.display(), "other users can read the key file; chmod 600 it");
                    }
                    (Zeroizing::new(text), file.display().to_string())
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(KeyError::File { file: file.clone(), reason: error.to_string() }),
            },
        };
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let words =
            lines.flat_map(|line| line.split([' ', ',', '\t'])).filter(|word| !word.is_empty() && *word != LINE);
        let key = |word: &str| {
            let bytes = Zeroizing::new(hex::decode(word).ok()?);
            Key::new(&bytes).filter(|_| bytes.len() == KEY_BYTES)
        };
        let keys: Option<Vec<Key>> = words.map(key).collect();
        match keys {
            Some(keys) if !keys.is_empty() => Ok(Some(Self { keys })),
            _ => Err(KeyError::Form { place }),
        }
    }

    /// A new key as text.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn new_key() -> Result<Secret, KeyError> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(&mut *bytes).map_err(|e| KeyError::Random(e.to_string()))?;
        Ok(Secret::new(hex::encode(*bytes)))
    }

    /// Puts a new key into `file`, before those that are in it: from now on it seals, and they only open. On disk when this
    /// returns.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn add_new_key(file: &Path) -> Result<(), KeyError> {
        let told = |error: io::Error| KeyError::File { file: file.to_owned(), reason: error.to_string() };
        let old = match fs::read_to_string(file) {
            Ok(old) => Zeroizing::new(old),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Zeroizing::default(),
            Err(error) => return Err(told(error)),
        };
        let head = "# The first key seals the secrets in tidegate.db, all of them open. Keep a copy in a safe place, apart from backups.\n";
        let rest: String = old.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
        let text = Zeroizing::new(format!("{head}{LINE} {}\n{rest}", Self::new_key()?.expose()));
        let temporary = file.with_extension("key-new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let mut written = options.open(&temporary).map_err(told)?;
        written.write_all(text.as_bytes()).and_then(|()| written.sync_all()).map_err(told)?;
        fs::rename(&temporary, file).map_err(told)?;
        // The new name must be on disk before anything is sealed with the key.
        let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        #[cfg(unix)]
        fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(told)?;
        let _ = folder;
        Ok(())
    }

    /// The name of the key that seals.
    #[must_use]
    pub fn name(&self) -> &str {
        self.keys.first().map_or("", |key| key.name.as_str())
    }

    /// Whether there is a key of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key.name == name)
    }

    /// Seals `plain` for `place`.
    pub(crate) fn seal(&self, place: &str, plain: &str) -> Result<String, KeyError> {
        let Some(key) = self.keys.first() else { return Err(KeyError::Form { place: place.to_owned() }) };
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|e| KeyError::Random(e.to_string()))?;
        let mut text = plain.as_bytes().to_vec();
        let bound = Aad::from(place.as_bytes());
        key.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound, &mut text)
            .map_err(|_| KeyError::Random("a text too long to be sealed".to_owned()))?;
        let coded = STANDARD_NO_PAD.encode([&nonce[..], &text].concat());
        Ok(format!("{SEALED}.{}.{coded}", key.name))
    }

    /// Opens what was sealed for `place`.
    pub(crate) fn open(&self, place: &str, sealed: &str) -> Result<String, KeyError> {
        let mut parts = sealed.splitn(3, '.');
        let (kind, name, coded) = (parts.next(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let broken = || KeyError::Broken { place: place.to_owned(), key: name.to_owned() };
        let key = self.keys.iter().find(|key| key.name == name && kind == Some(SEALED)).ok_or_else(broken)?;
        let bytes = STANDARD_NO_PAD.decode(coded).map_err(|_| broken())?;
        let (nonce, text) = bytes.split_first_chunk::<NONCE_LEN>().ok_or_else(broken)?;
        let mut text = Zeroizing::new(text.to_vec());
        let plain = key
            .key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(place.as_bytes()), &mut text)
            .map_err(|_| broken())?;
        String::from_utf8(plain.to_vec()).map_err(|_| broken())
    }
}

/// Whether users other than the owner may do anything with a file or folder.
#[must_use]
pub fn others_may_enter(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ring(keys: &[&str]) -> Keyring {
        Keyring::read(&KeySource::Given(Secret::new(keys.join(",")))).unwrap().unwrap()
    }

    const A: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const B: &str = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    proptest! {
        #[test]
        fn what_is_sealed_opens_in_its_place_and_nowhere_else_and_not_when_it_was_touched(
            plain in ".{0,200}", at in any::<prop::sample::Index>(), flip in 1u8..127,
        ) {
            let keys = ring(&[A]);
            let sealed = keys.seal("store_secrets/1/password", &plain).unwrap();
            prop_assert_eq!(keys.open("store_secrets/1/password", &sealed).unwrap(), plain.clone());
            prop_assert!(keys.open("store_secrets/2/password", &sealed).is_err());
            prop_assert!(plain.len() < 8 || !sealed.contains(&plain));
            let mut touched = sealed.clone().into_bytes();
            let at = at.index(touched.len());
            touched[at] ^= flip;
            if let Ok(touched) = String::from_utf8(touched) {
                prop_assert!(keys.open("store_secrets/1/password", &touched).is_err());
            }
        }
    }

    #[test]
    fn the_same_text_is_sealed_differently_each_time() {
        let keys = ring(&[A]);
        assert_ne!(keys.seal("p", "x").unwrap(), keys.seal("p", "x").unwrap());
    }

    #[test]
    fn the_first_key_seals_and_all_of_them_open() {
        let (old, both, new) = (ring(&[A]), ring(&[B, A]), ring(&[B]));
        let sealed = old.seal("p", "x").unwrap();
        assert_eq!(both.open("p", &sealed).unwrap(), "x");
        assert!(new.open("p", &sealed).unwrap_err().to_string().contains("does not open"));
        assert_eq!(both.name(), new.name());
        assert!(both.has(old.name()) && !new.has(old.name()));
        assert!(new.open("p", &both.seal("p", "y").unwrap()).is_ok());
    }

    #[test]
    fn what_is_no_key_is_refused_with_the_form_and_without_its_text() {
        for wrong in ["", "abc", &A[2..], "zz0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"] {
            let told = Keyring::read(&KeySource::Given(Secret::new(wrong.to_owned()))).unwrap_err().to_string();
            assert!(told.contains("64 hexadecimal digits") && (wrong.is_empty() || !told.contains(wrong)), "{told}");
        }
        assert!(!format!("{:?}", ring(&[A])).contains(&A[..8]));
    }

    #[cfg(unix)]
    #[test]
    fn a_key_file_is_private_and_a_new_key_goes_before_the_old_one() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tidegate.key");
        let source = KeySource::File(file.clone());
        assert!(Keyring::read(&source).unwrap().is_none());
        Keyring::add_new_key(&file).unwrap();
        let first = Keyring::read(&source).unwrap().unwrap();
        Keyring::add_new_key(&file).unwrap();
        let second = Keyring::read(&source).unwrap().unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(second.has(first.name()) && second.name() != first.name() && second.keys.len() == 2);
    }
}
