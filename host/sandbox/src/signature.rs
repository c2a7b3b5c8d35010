//! Who vouches for an adapter's bytes: minisign signatures, and the public keys that this host trusts.
//!
//! The trap is a signature that says something although nobody checked it. So what is told of one is either proven by a key that the
//! operator put there, or says that it is not: a signature by a key that is not known here proves nothing, whatever it claims.
//! Signatures are looked at before anything of the component is compiled.

use crate::load::LoadError;
use crate::text::plain;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use minisign_verify::{Error, PublicKey, Signature as Minisign};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// What a signature's file is called: the name of the component's file, and this.
pub const SIGNATURE_SUFFIX: &str = ".minisig";
/// Bytes of a signature's or a key's file. Minisign writes some 300 into the one, of which a comment of at most 1,024 is the only part that
/// can be longer, and 113 into the other.
pub(crate) const MOST_BYTES: usize = 8 << 10;
/// Keys that a folder may hold.
const MOST_KEYS: usize = 256;

/// What is known of who vouches for a version. The later, the better.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signature {
    /// There is none.
    #[default]
    Unsigned,
    /// There is one, by a key that is not trusted here. Whether it fits cannot be told.
    UnknownKey {
        /// The key's number, as minisign writes it.
        key_id: String,
    },
    /// A trusted key has signed these bytes.
    Signed {
        /// The name of the key's file, without its ending: the vendor.
        key: String,
        /// The key's number, as minisign writes it.
        key_id: String,
        /// What the signer says of the file. Signed, too, and safe to show.
        comment: String,
    },
    /// It is inside the binary, or was inside one that used this data directory: whoever vouches for that vouches for it.
    PartOfTidegate,
}

impl Signature {
    /// Whether somebody vouches for the bytes whom this host trusts.
    #[must_use]
    pub fn trusted(&self) -> bool {
        matches!(self, Self::Signed { .. } | Self::PartOfTidegate)
    }
}

/// A public key that is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    /// The name of its file, without the ending.
    pub name: String,
    /// Its number, as minisign writes it.
    pub id: String,
    key: PublicKey,
}

/// The keys that are trusted, and whether only what they signed is taken in. By default there are none, and everything is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    keys: Vec<TrustedKey>,
    /// Files that are no keys, and why.
    refused: Vec<(PathBuf, LoadError)>,
    required: bool,
}

impl Trust {
    /// The keys in `folder`, each a file `VENDOR.pub` as minisign writes it. A folder that is not there holds none. With `required`, what
    /// none of them has signed is refused.
    #[must_use]
    pub fn read(folder: &Path, required: bool) -> Self {
        let mut trust = Self { required, ..Self::default() };
        let files = match key_files(folder) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return trust,
            Err(error) => {
                trust.refused.push((folder.to_owned(), LoadError::Unreadable(error.to_string())));
                return trust;
            }
        };
        for (at, file) in files.into_iter().enumerate() {
            let key = match at {
                _ if at < MOST_KEYS => key_in(&file),
                _ => Err(format!("the folder has more than {MOST_KEYS} keys")),
            };
            match key {
                Ok(key) => trust.keys.push(key),
                Err(why) => trust.refused.push((file, LoadError::Key(why))),
            }
        }
        trust
    }

    /// The keys, by name.
    #[must_use]
    pub fn keys(&self) -> &[TrustedKey] {
        &self.keys
    }

    /// The files that are no keys, and why.
    #[must_use]
    pub fn refused(&self) -> &[(PathBuf, LoadError)] {
        &self.refused
    }

    /// Whether what no trusted key has signed is refused.
    #[must_use]
    pub fn required(&self) -> bool {
        self.required
    }

    /// What `signature`, the text of a signature's file, says of `component`.
    ///
    /// # Errors
    /// [`LoadError::Signature`] for one that does not fit, and [`LoadError::Unsigned`] where a fitting one by a trusted key is required.
    pub fn judge(&self, component: &[u8], signature: Option<&str>) -> Result<Signature, LoadError> {
        let found = match signature {
            None => Signature::Unsigned,
            Some(text) => self.read_signature(component, text).map_err(LoadError::Signature)?,
        };
        match &found {
            Signature::Unsigned if self.required => {
                Err(LoadError::Unsigned(format!("there is no signature beside it ({SIGNATURE_SUFFIX})")))
            }
            Signature::UnknownKey { key_id } if self.required => {
                Err(LoadError::Unsigned(format!("it is signed by the key {key_id}, which this host does not trust")))
            }
            _ => Ok(found),
        }
    }

    fn read_signature(&self, component: &[u8], text: &str) -> Result<Signature, String> {
        let signature = Minisign::decode(text).map_err(|error| match error {
            Error::UnsupportedAlgorithm => "it is made by an algorithm that minisign does not have".to_owned(),
            _ => "it is not what minisign writes: four lines, two of them comments".to_owned(),
        })?;
        let key_id = text.lines().nth(1).and_then(key_id).unwrap_or_default();
        let mut wrong = None;
        for trusted in &self.keys {
            match trusted.key.verify(component, &signature, false) {
                Ok(()) => {
                    let comment = plain(&signature.trusted_comment().replace('\t', "  "));
                    return Ok(Signature::Signed { key: trusted.name.clone(), key_id, comment });
                }
                Err(Error::UnexpectedKeyId) => {}
                Err(Error::UnexpectedAlgorithm) => {
                    wrong = Some("it is of the old kind, over the whole file; sign again with minisign 0.10 or later, or with -H".to_owned());
                }
                Err(_) => {
                    wrong = Some(format!(
                        "these are not the bytes that the key {} ({key_id}) signed; get both files from the vendor again",
                        trusted.name
                    ));
                }
            }
        }
        wrong.map_or(Ok(Signature::UnknownKey { key_id }), Err)
    }
}

/// The files of a folder that are called like keys, by name.
fn key_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let file = entry?.path();
        let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && file.extension().is_some_and(|e| e.eq_ignore_ascii_case("pub")) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// The key in a file: the two lines that minisign writes, or the second of them alone.
fn key_in(file: &Path) -> Result<TrustedKey, String> {
    let name = file.file_stem().map(|name| plain(&name.to_string_lossy())).unwrap_or_default();
    let text = text_of(file)?;
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    let key = PublicKey::from_base64(line).ok().zip(key_id(line));
    let (key, id) =
        key.ok_or("expected what minisign writes into minisign.pub: a comment, and a line that begins with RW")?;
    Ok(TrustedKey { name, id, key })
}

fn text_of(file: &Path) -> Result<String, String> {
    // Looked at before it is opened: opening a pipe would wait for a writer.
    let metadata = fs::metadata(file).map_err(|e| e.to_string())?;
    if !metadata.is_file() {
        return Err("this is no regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let opened = fs::File::open(file).map_err(|e| e.to_string())?;
    opened.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() > MOST_BYTES {
        return Err(format!("it is longer than {MOST_BYTES} bytes, which is the limit"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not text".to_owned())
}

/// The number of a key from the line of a key or of a signature: eight bytes behind the two that name the algorithm, the last first.
fn key_id(line: &str) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(line.trim()).ok()?;
    let id: [u8; 8] = bytes.get(2..10)?.try_into().ok()?;
    Some(format!("{:016X}", u64::from_le_bytes(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key and signature of the four bytes `test`, from minisign's own documentation of its verifier.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key\n\
        RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\n\
        trusted comment: timestamp:1633700835\tfile:test\tprehashed\n\
        wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==";
    /// The same key over the same bytes, without hashing them first.
    const OLD_KIND: &str = "untrusted comment: signature from minisign secret key\n\
        RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaVWuNrm73YiIiJbq71Wi+dP9eKL8OC351vwIasSSbXxwA=\n\
        trusted comment: timestamp:1555779966\tfile:test\n\
        QtKMXWyYcwdpZAlPF7tE2ENJkRd1ujvKjlj1m9RtHTBnZPa5WKU5uWRs5GoP5M/VqE81QFuMKI5k/SfNQUaOAA==";

    fn trust(required: bool) -> (tempfile::TempDir, Trust) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("acme.pub"), format!("untrusted comment: minisign public key\n{KEY}\n")).unwrap();
        let trust = Trust::read(folder.path(), required);
        (folder, trust)
    }

    #[test]
    fn what_a_trusted_key_signed_is_told_by_the_name_of_its_file_and_what_the_signer_says() {
        let (_folder, trust) = trust(true);
        assert_eq!((trust.keys()[0].name.as_str(), trust.keys()[0].id.as_str()), ("acme", "E7620F1842B4E81F"));
        let signed = trust.judge(b"test", Some(SIGNATURE)).unwrap();
        let Signature::Signed { key, key_id, comment } = signed else { panic!("{signed:?}") };
        assert_eq!((key.as_str(), key_id.as_str()), ("acme", "E7620F1842B4E81F"));
        assert_eq!(comment, "timestamp:1633700835  file:test  prehashed");
    }

    #[test]
    fn other_bytes_another_comment_and_the_old_kind_are_refused_with_the_reason() {
        let (_folder, trust) = trust(false);
        let told = |component: &[u8], text: &str| trust.judge(component, Some(text)).unwrap_err().to_string();
        assert!(told(b"Test", SIGNATURE).contains("not the bytes that the key acme (E7620F1842B4E81F) signed"));
        assert!(told(b"test", &SIGNATURE.replace("1633700835", "1633700836")).contains("not the bytes"));
        assert!(told(b"test", OLD_KIND).contains("sign again with minisign"));
        for text in ["", "hello", "a\nb\nc\nd", &SIGNATURE[..100]] {
            assert!(told(b"test", text).contains("not what minisign writes"), "{text}");
        }
    }

    #[test]
    fn nothing_and_a_key_that_is_not_known_are_taken_unless_signatures_are_required() {
        let nobody = Trust::default();
        assert_eq!(nobody.judge(b"x", None), Ok(Signature::Unsigned));
        let unknown = Signature::UnknownKey { key_id: "E7620F1842B4E81F".to_owned() };
        assert_eq!(nobody.judge(b"any bytes", Some(SIGNATURE)), Ok(unknown));
        let strict = Trust { required: true, ..Trust::default() };
        assert!(strict.judge(b"x", None).unwrap_err().to_string().contains("no signature beside it"));
        let told = strict.judge(b"test", Some(SIGNATURE)).unwrap_err().to_string();
        assert!(told.contains("key E7620F1842B4E81F, which this host does not trust"), "{told}");
    }

    #[test]
    fn a_file_that_is_no_key_is_told_and_costs_itself_only() {
        let (folder, _) = trust(false);
        fs::write(folder.path().join("bare.pub"), KEY).unwrap();
        fs::write(folder.path().join("text.pub"), "hello").unwrap();
        fs::write(folder.path().join("long.pub"), "x".repeat(MOST_BYTES + 1)).unwrap();
        fs::write(folder.path().join("notes.txt"), "hello").unwrap();
        fs::create_dir(folder.path().join("folder.pub")).unwrap();
        let trust = Trust::read(folder.path(), false);
        let names: Vec<&str> = trust.keys().iter().map(|key| key.name.as_str()).collect();
        assert_eq!(names, ["acme", "bare"]);
        let told: Vec<String> = trust.refused().iter().map(|(_, why)| why.to_string()).collect();
        assert_eq!(told.len(), 3);
        assert!(
            told[0].contains("no regular file") && told[1].contains("8192 bytes") && told[2].contains("begins with RW"),
            "{told:?}"
        );
        assert_eq!(Trust::read(&folder.path().join("nowhere"), false), Trust::default());
    }
}
