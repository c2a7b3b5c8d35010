//! The folder into which adapters are dropped while the host runs.
//!
//! Whoever may write to the folder is trusted to choose adapters, not to bring the host down or to have it read other files. So
//! the folder is opened as a capability: a link out of it leads nowhere. What is not a regular file is never waited for, what is
//! too large is never read, and what is still being written is left alone until it has come to rest. A file is read once: the
//! bytes that are hashed are the bytes that are inspected and compiled.
//!
//! The folder is polled. A notice from the kernel would be quicker by some tenths of a second, and does not come at all from
//! network file systems and from some container mounts, which is where adapters are dropped.

use crate::adapter::Adapter;
use crate::compile::CompileError;
use crate::fault::Fault;
use crate::load::LoadError;
use crate::registry::Registry;
use crate::signature::{self, SIGNATURE_SUFFIX, Trust};
use cap_fs_ext::OpenOptionsSyncExt;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, Metadata, OpenOptions};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A file that was changed longer ago than this has come to rest.
const RESTED: Duration = Duration::from_secs(2);
/// A younger one has if it looks the same for this long.
const SETTLE: Duration = Duration::from_millis(300);
/// Components that a folder may hold; more are refused by name. Each costs memory for as long as it lies there.
const MOST_FILES: usize = 256;
/// What failed for no fault of the file is tried again after this, and then after twice as long, up to [`LONGEST`].
const AGAIN: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);

/// What became of a file.
#[derive(Clone, Debug)]
pub enum News {
    /// It is an adapter, and on offer.
    Loaded(PathBuf, Arc<Adapter>),
    /// It is none.
    Refused(PathBuf, LoadError),
    /// It is there no more.
    Gone(PathBuf),
    /// Other keys count from now on.
    Keys(Arc<Trust>),
}

/// A folder that is looked at again and again.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// The folder of the keys whose signatures count.
    keys: Option<PathBuf>,
    files: BTreeMap<OsString, Seen>,
    /// Why the folder itself could not be read the last time.
    unreadable: bool,
}

/// The bytes of a component, and the text of its signature if there is one.
type Found = (Vec<u8>, Option<String>);

/// What a file looked like.
#[derive(Debug)]
struct Seen {
    stamp: Option<Stamp>,
    /// What its signature looked like.
    signature: Option<Stamp>,
    since: Instant,
    done: bool,
    /// How often it failed for no fault of its own, and when it is tried again.
    failed: u32,
    not_before: Instant,
}

impl Seen {
    fn new(stamp: Option<Stamp>, signature: Option<Stamp>, now: Instant) -> Self {
        Self { stamp, signature, since: now, done: false, failed: 0, not_before: now }
    }
}

/// Whether a failure says nothing of the file: all places are taken at the moment, or the process that compiles was ended.
fn passing(error: &LoadError) -> bool {
    matches!(
        error,
        LoadError::Describe(Fault::Busy { .. })
            | LoadError::Compile(CompileError::Busy { .. } | CompileError::Child(_))
    )
}

/// Two looks at a file that give the same stamp saw the same file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<std::time::SystemTime>,
    /// Changes whenever anything of the file does, whatever a copying program says of its time; and the file's number.
    changed: (i64, i64, u64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let changed = {
            use cap_std::fs::MetadataExt;
            (metadata.ctime(), metadata.ctime_nsec(), metadata.ino())
        };
        #[cfg(not(unix))]
        let changed = (0, 0, 0);
        Self { length: metadata.len(), modified: metadata.modified().ok().map(|m| m.into_std()), changed }
    }

    fn rested(&self) -> bool {
        let age = self.modified.and_then(|m| std::time::SystemTime::now().duration_since(m).ok());
        age.is_some_and(|age| age >= RESTED)
    }
}

impl Folder {
    /// The folder at `path`. It need not be there yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, keys: None, files: BTreeMap::new(), unreadable: false }
    }

    /// The same, with the public keys in the folder `keys`, which is looked at, too.
    #[must_use]
    pub fn with_keys(self, keys: PathBuf) -> Self {
        Self { keys: Some(keys), ..self }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks once, and brings `registry` up to date. Files that are being written are left for the next time. Blocking: each
    /// new file is compiled, one after the other, so a hundred at once cost the deliveries one core at most.
    pub fn look(&mut self, registry: &Registry) -> Vec<News> {
        // Opened anew each time: what is at the path now counts, also after a mount or a rename.
        let listed = Dir::open_ambient_dir(&self.path, ambient_authority()).and_then(|dir| Ok((names(&dir)?, dir)));
        let (names, dir) = match listed {
            Ok(listed) => listed,
            Err(error) => return self.unreadable(registry, &error),
        };
        if std::mem::take(&mut self.unreadable) {
            registry.remove_file(&self.path);
        }
        let mut news = self.look_at_keys(registry);
        let gone: Vec<OsString> = self.files.keys().filter(|name| !names.contains(name)).cloned().collect();
        for name in gone {
            self.files.remove(&name);
            registry.remove_file(&self.path.join(&name));
            news.push(News::Gone(self.path.join(&name)));
        }
        for (at, name) in names.into_iter().enumerate() {
            let Some(found) = self.settled(&dir, &name, registry.sandbox().options().max_component_bytes) else {
                continue;
            };
            let file = self.path.join(&name);
            let (component, signature) = match found {
                _ if at >= MOST_FILES => {
                    (Err(LoadError::Unreadable(format!("the folder has more than {MOST_FILES} components"))), None)
                }
                Ok((component, signature)) => (Ok(component), signature),
                Err(error) => (Err(error), None),
            };
            let component = component.as_deref().map_err(Clone::clone);
            match registry.add_file(&file, component, signature.as_deref()) {
                Ok(adapter) => news.push(News::Loaded(file, adapter)),
                Err(error) => {
                    // Told once: the list of adapters has the reason for as long as it lasts.
                    if !passing(&error) || self.again(&name) {
                        news.push(News::Refused(file, error));
                    }
                }
            }
        }
        news
    }

    /// Looks until nothing is being written any more, but no longer than `patience`.
    pub fn settle(&mut self, registry: &Registry, patience: Duration) -> Vec<News> {
        let end = Instant::now() + patience;
        let mut news = self.look(registry);
        while self.files.values().any(|seen| !seen.done) && Instant::now() < end {
            std::thread::sleep(SETTLE / 4);
            news.extend(self.look(registry));
        }
        news
    }

    /// Has the keys count that are there now. If they are others, everything is judged again.
    fn look_at_keys(&mut self, registry: &Registry) -> Vec<News> {
        let Some(folder) = &self.keys else { return Vec::new() };
        let before = registry.trust();
        let now = Trust::read(folder, before.required());
        if *before == now {
            return Vec::new();
        }
        registry.set_trust(now);
        self.files.values_mut().for_each(|seen| seen.done = false);
        vec![News::Keys(registry.trust())]
    }

    fn unreadable(&mut self, registry: &Registry, error: &io::Error) -> Vec<News> {
        if std::mem::replace(&mut self.unreadable, true) {
            return Vec::new();
        }
        // What was loaded stays: a mount that is away for a moment must not take adapters from their stores.
        let error = LoadError::Unreadable(error.to_string());
        let _ = registry.add_file(&self.path, Err(error.clone()), None);
        vec![News::Refused(self.path.clone(), error)]
    }

    /// The bytes of a file that is new, or another than before, and has come to rest, and its signature if there is one; or what is
    /// wrong with it.
    fn settled(&mut self, dir: &Dir, name: &OsStr, limit: usize) -> Option<Result<Found, LoadError>> {
        let now = Instant::now();
        let looked = dir.metadata(name);
        let stamp = looked.as_ref().ok().map(Stamp::of);
        let beside = signature_name(name);
        let signed = dir.metadata(&beside).ok();
        let signature = signed.as_ref().map(Stamp::of);
        let seen = self.files.entry(name.to_owned());
        let seen = seen.or_insert_with(|| Seen::new(stamp.clone(), signature.clone(), now));
        if seen.stamp != stamp || seen.signature != signature {
            *seen = Seen::new(stamp.clone(), signature.clone(), now);
        }
        let metadata = match looked {
            _ if seen.done || now < seen.not_before => return None,
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_link(dir, name) => return None,
            Err(error) => {
                seen.done = true;
                let link = is_link(dir, name);
                let text = error.to_string();
                return Some(Err(if link { LoadError::Link(text) } else { LoadError::Unreadable(text) }));
            }
        };
        let rested = stamp?.rested() && signature.is_none_or(|signature| signature.rested());
        if metadata.is_file() && !rested && seen.since.elapsed() < SETTLE {
            return None;
        }
        let read = read(dir, name, &metadata, limit)
            .and_then(|bytes| Ok((bytes, signed.map(|seen| read_signature(dir, &beside, &seen)).transpose()?)));
        match read {
            Err(LoadError::Unsettled) => {
                seen.since = now;
                None
            }
            read => {
                seen.done = true;
                Some(read)
            }
        }
    }

    /// Has a file tried again after a while. True if it is the first time.
    fn again(&mut self, name: &OsStr) -> bool {
        let Some(seen) = self.files.get_mut(name) else { return true };
        let pause = AGAIN.saturating_mul(1 << seen.failed.min(16)).min(LONGEST);
        seen.done = false;
        seen.not_before = Instant::now() + pause;
        seen.failed = seen.failed.saturating_add(1);
        seen.failed == 1
    }
}

/// The components of a folder, by name. Hidden files are those that something is writing, or a mount's own.
fn names(dir: &Dir) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in dir.entries()? {
        let name = entry?.file_name();
        let component = Path::new(&name).extension().is_some_and(|e| e.eq_ignore_ascii_case("wasm"));
        if component && !name.as_encoded_bytes().starts_with(b".") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// What the file with the signature of the component `name` is called.
fn signature_name(name: &OsStr) -> OsString {
    let mut beside = name.to_owned();
    beside.push(SIGNATURE_SUFFIX);
    beside
}

/// The text of a signature. One that cannot be read is no signature that holds: whoever put it there meant something by it.
fn read_signature(dir: &Dir, name: &OsStr, seen: &Metadata) -> Result<String, LoadError> {
    match read(dir, name, seen, signature::MOST_BYTES) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| LoadError::Signature("it is not text".to_owned())),
        Err(LoadError::Unsettled) => Err(LoadError::Unsettled),
        Err(LoadError::TooLarge { size, limit }) => {
            Err(LoadError::Signature(format!("its file has {size} bytes; the limit is {limit} bytes")))
        }
        Err(error) => Err(LoadError::Signature(error.to_string())),
    }
}

fn is_link(dir: &Dir, name: &OsStr) -> bool {
    dir.symlink_metadata(name).is_ok_and(|m| m.is_symlink())
}

/// Reads a regular file of at most `limit` bytes that looks like `seen` before and after.
fn read(dir: &Dir, name: &OsStr, seen: &Metadata, limit: usize) -> Result<Vec<u8>, LoadError> {
    let unreadable = |error: io::Error| LoadError::Unreadable(error.to_string());
    regular(seen, limit)?;
    // It may have become a pipe since: opening one would wait for a writer.
    let mut options = OpenOptions::new();
    options.read(true).nonblock(true);
    let mut file: File = dir.open_with(name, &options).map_err(unreadable)?;
    let opened = file.metadata().map_err(unreadable)?;
    regular(&opened, limit)?;
    let mut bytes = Vec::new();
    file.by_ref().take(limit as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let after = file.metadata().map_err(unreadable)?;
    if Stamp::of(&after) != Stamp::of(seen) || bytes.len() as u64 != after.len() {
        return Err(LoadError::Unsettled);
    }
    Ok(bytes)
}

fn regular(metadata: &Metadata, limit: usize) -> Result<(), LoadError> {
    if metadata.is_dir() {
        return Err(LoadError::NotAFile { found: "a folder" });
    }
    if !metadata.is_file() {
        return Err(LoadError::NotAFile { found: "a device, socket or pipe" });
    }
    if metadata.len() > limit as u64 {
        return Err(LoadError::TooLarge { size: metadata.len(), limit });
    }
    Ok(())
}
