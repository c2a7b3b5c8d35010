//! The adapters that stores can name, in all their versions: those inside the binary, those in the folder, and those that are
//! kept only because stores still use them.
//!
//! A version is known by the digest of its bytes, never by what it says of itself: two files that both claim to be 1.0.0 are two
//! versions. The trap is the update that nobody asked for; so a newer version takes no store over, it is only what new stores
//! get. A bad file costs itself only, and is listed with the reason.

use crate::adapter::Adapter;
use crate::builtin;
use crate::load::LoadError;
use crate::sandbox::Sandbox;
use crate::shelf::Shelf;
use crate::signature::{Signature, Trust};
use crate::version::Version;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// One version of an adapter, and where it is.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The adapter.
    pub adapter: Arc<Adapter>,
    /// Whether it is inside the binary.
    pub builtin: bool,
    /// Its files in the folder; several have the same bytes.
    pub files: BTreeSet<PathBuf>,
    /// Bytes of the component.
    pub size: usize,
    /// Who vouches for it.
    pub signature: Signature,
}

impl Registered {
    /// Whether new stores can have it. A version that is neither in the binary nor in the folder any more is there for the
    /// stores that use it already.
    #[must_use]
    pub fn offered(&self) -> bool {
        self.builtin || !self.files.is_empty()
    }
}

/// A file that is no adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The file.
    pub file: PathBuf,
    /// Why.
    pub error: LoadError,
}

/// The adapters by digest.
#[derive(Debug)]
pub struct Registry {
    sandbox: Arc<Sandbox>,
    shelf: Option<Shelf>,
    trust: RwLock<Arc<Trust>>,
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    adapters: HashMap<[u8; 32], Registered>,
    refused: BTreeMap<PathBuf, LoadError>,
    /// Versions that stores use and that are to be had nowhere, and why.
    missing: HashMap<[u8; 32], String>,
}

/// An adapter inside the binary that could not be loaded: a defect of this build.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the built-in adapter {name} cannot be used: {error}")]
pub struct BuiltinError {
    /// Its package.
    pub name: &'static str,
    /// Why.
    pub error: LoadError,
}

/// A reference that does not say which adapter is meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reference:?} may be any of {}; say which by its digest", candidates.join(", "))]
pub struct AmbiguousAdapter {
    /// What was asked for.
    pub reference: String,
    /// What it may be.
    pub candidates: Vec<String>,
}

impl Registry {
    /// An empty registry for adapters that run in `sandbox`.
    #[must_use]
    pub fn new(sandbox: Arc<Sandbox>) -> Self {
        Self { sandbox, shelf: None, trust: RwLock::default(), known: RwLock::default() }
    }

    /// The same, with copies of its components on `shelf`.
    #[must_use]
    pub fn with_shelf(sandbox: Arc<Sandbox>, shelf: Shelf) -> Self {
        Self { shelf: Some(shelf), ..Self::new(sandbox) }
    }

    /// Which signatures count.
    #[must_use]
    pub fn trust(&self) -> Arc<Trust> {
        Arc::clone(&self.trust.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has other signatures count from now on. What comes from files has to be added again, and what is only kept for its stores is looked at
    /// by the next [`keep`](Self::keep); until then such stores wait.
    pub fn set_trust(&self, trust: Trust) {
        let mut known = self.write();
        known.refused.retain(|_, error| !matches!(error, LoadError::Key(_)));
        known.refused.extend(trust.refused().iter().cloned());
        known.adapters.retain(|_, registered| registered.offered());
        *self.trust.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(trust);
    }

    /// Where its adapters run.
    #[must_use]
    pub fn sandbox(&self) -> &Arc<Sandbox> {
        &self.sandbox
    }

    /// Loads the adapters inside the binary.
    ///
    /// # Errors
    /// [`BuiltinError`] for the first that cannot be used.
    pub fn add_builtin(&self) -> Result<(), BuiltinError> {
        for &(name, component) in builtin::COMPONENTS {
            let adapter = self.load(component).map_err(|error| BuiltinError { name, error })?;
            let (files, size) = (BTreeSet::new(), component.len());
            let registered = Registered { adapter, builtin: true, files, size, signature: Signature::PartOfTidegate };
            self.write().merge(registered);
        }
        Ok(())
    }

    /// Loads `component`, unless its bytes are known already. It is not listed by that. Blocking.
    ///
    /// # Errors
    /// As for [`Sandbox::load`].
    pub fn load(&self, component: &[u8]) -> Result<Arc<Adapter>, LoadError> {
        match self.find(&Sandbox::digest(component)) {
            Some(known) => Ok(known.adapter),
            None => self.sandbox.load(component),
        }
    }

    /// Looks at who vouches for `component`, and loads it only then. It is not listed by that. Blocking.
    ///
    /// # Errors
    /// As for [`Trust::judge`] and [`Sandbox::load`].
    pub fn load_signed(
        &self,
        component: &[u8],
        signature: Option<&str>,
    ) -> Result<(Arc<Adapter>, Signature), LoadError> {
        let ours = self.ours(&Sandbox::digest(component));
        let judged = if ours { Signature::PartOfTidegate } else { self.trust().judge(component, signature)? };
        Ok((self.load(component)?, judged))
    }

    /// Loads the component that was read from `file` and offers it to stores; a file that is no adapter is listed with the
    /// reason, and what was loaded from it before is not offered any more. `signature` is the text of what lies beside it. Blocking.
    ///
    /// # Errors
    /// As for [`load_signed`](Self::load_signed).
    pub fn add_file(
        &self,
        file: &Path,
        component: Result<&[u8], LoadError>,
        signature: Option<&str>,
    ) -> Result<Arc<Adapter>, LoadError> {
        let digest = component.as_ref().ok().map(|bytes| Sandbox::digest(bytes));
        let loaded = component.and_then(|bytes| {
            let (adapter, judged) = self.load_signed(bytes, signature)?;
            // Before anybody can use it: the file may be gone the next moment.
            self.shelve(bytes, signature);
            Ok((adapter, judged, bytes.len()))
        });
        let mut known = self.write();
        known.leave(file);
        match loaded {
            Ok((adapter, signature, size)) => {
                let of = Arc::clone(&adapter);
                known.merge(Registered { adapter, builtin: false, files: [file.to_owned()].into(), size, signature });
                Ok(of)
            }
            Err(error) => {
                // Whether stores that use it may go on doing so is for `keep` to say, by the signature that they were given it with.
                if let (Some(digest), LoadError::Signature(_) | LoadError::Unsigned(_)) = (digest, &error) {
                    known.adapters.retain(|other, registered| registered.offered() || *other != digest);
                }
                known.refused.insert(file.to_owned(), error.clone());
                Err(error)
            }
        }
    }

    /// `file` is not there any more: what was loaded from it is not offered any more.
    pub fn remove_file(&self, file: &Path) {
        self.write().leave(file);
    }

    /// Has the versions in `used` at hand, those too that are in neither the binary nor the folder any more, and forgets the
    /// others of these. Tells which are to be had nowhere, and why. Blocking.
    pub fn keep(&self, used: &HashSet<[u8; 32]>) -> Vec<([u8; 32], String)> {
        self.write().adapters.retain(|digest, registered| registered.offered() || used.contains(digest));
        let mut missing = Vec::new();
        for digest in used {
            let kept = match self.find(digest) {
                Some(_) => Ok(()),
                None => self.take_from_shelf(digest),
            };
            missing.extend(kept.err().map(|why| (*digest, why)));
        }
        if let Some(shelf) = &self.shelf {
            for (_, component) in builtin::COMPONENTS.iter().filter(|(_, c)| used.contains(&Sandbox::digest(c))) {
                self.shelve(component, None);
            }
            let known: HashSet<[u8; 32]> = self.read().adapters.keys().chain(used).copied().collect();
            if let Err(error) = shelf.retain(&known) {
                tracing::warn!(%error, "copies of adapters that nobody uses could not be removed");
            }
        }
        self.write().missing = missing.iter().cloned().collect();
        missing
    }

    /// Why a version that stores use is to be had nowhere, if that was found by [`keep`](Self::keep).
    #[must_use]
    pub fn why_missing(&self, digest: &[u8; 32]) -> Option<String> {
        self.read().missing.get(digest).cloned()
    }

    /// Whether the component is inside the binary, or was inside an earlier one.
    fn ours(&self, digest: &[u8; 32]) -> bool {
        let known = self.find(digest).is_some_and(|known| known.builtin);
        known || self.shelf.as_ref().is_some_and(|shelf| shelf.was_builtin(digest))
    }

    fn take_from_shelf(&self, digest: &[u8; 32]) -> Result<(), String> {
        let shelf = self.shelf.as_ref().ok_or("there is no copy of it")?;
        let component = shelf.get(digest).map_err(|e| e.to_string())?.ok_or("there is no copy of it")?;
        let loaded = self.load_signed(&component, shelf.signature(digest).as_deref());
        let (adapter, signature) = loaded.map_err(|e| e.to_string())?;
        let (files, size) = (BTreeSet::new(), component.len());
        self.write().merge(Registered { adapter, builtin: false, files, size, signature });
        Ok(())
    }

    fn shelve(&self, component: &[u8], signature: Option<&str>) {
        let Some(shelf) = &self.shelf else { return };
        let digest = Sandbox::digest(component);
        let beside = || match (self.ours(&digest), signature) {
            (true, _) => shelf.note_builtin(&digest),
            (false, Some(text)) => shelf.put_signature(&digest, text),
            (false, None) => Ok(()),
        };
        if let Err(error) = shelf.put(component).and_then(|()| beside()) {
            tracing::warn!(%error, "no copy of an adapter could be kept; stores lose it with its file");
        }
    }

    /// What a new store gets that names `name`: the newest version on offer; of two that call themselves the same, the one
    /// inside the binary.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Adapter>> {
        self.read().newest(name).map(|r| Arc::clone(&r.adapter))
    }

    /// The version with this digest.
    #[must_use]
    pub fn find(&self, digest: &[u8; 32]) -> Option<Registered> {
        self.read().adapters.get(digest).cloned()
    }

    /// The version that `reference` means: `name` (what a new store would get), `name@version`, or a digest (`sha256:` and at
    /// least eight of its digits). None if there is no such version.
    ///
    /// # Errors
    /// [`AmbiguousAdapter`] if there are several.
    pub fn resolve(&self, reference: &str) -> Result<Option<Registered>, AmbiguousAdapter> {
        let known = self.read();
        let fits: Box<dyn Fn(&Registered) -> bool> = if let Some(digits) = reference.strip_prefix("sha256:") {
            if digits.len() < 8 {
                return Ok(None);
            }
            let digits = digits.to_ascii_lowercase();
            Box::new(move |r| hex::encode(r.adapter.digest()).starts_with(&digits))
        } else if let Some((name, version)) = reference.split_once('@') {
            Box::new(move |r| {
                let description = r.adapter.description();
                description.name == name && description.version == version
            })
        } else {
            let all = || known.adapters.values().filter(|r| r.adapter.description().name == reference);
            return Ok(known.newest(reference).or_else(|| all().max_by_key(|r| rank(r))).cloned());
        };
        let mut found: Vec<&Registered> = known.adapters.values().filter(|r| fits(r)).collect();
        // One that is on offer is meant rather than one that is only kept.
        if found.len() > 1 && found.iter().filter(|r| r.offered()).count() == 1 {
            found.retain(|r| r.offered());
        }
        if found.len() > 1 {
            let candidates = found.iter().map(|r| format!("sha256:{}", &hex::encode(r.adapter.digest())[..12]));
            let mut candidates: Vec<String> = candidates.collect();
            candidates.sort();
            return Err(AmbiguousAdapter { reference: reference.to_owned(), candidates });
        }
        Ok(found.pop().cloned())
    }

    /// All versions, by name, the newest first.
    #[must_use]
    pub fn list(&self) -> Vec<Registered> {
        let mut all: Vec<Registered> = self.read().adapters.values().cloned().collect();
        all.sort_by(|a, b| {
            let name = |r: &Registered| r.adapter.description().name.clone();
            name(a).cmp(&name(b)).then_with(|| rank(b).cmp(&rank(a)))
        });
        all
    }

    /// The names of the adapters on offer.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let known = self.read();
        let offered = known.adapters.values().filter(|r| r.offered());
        let mut names: Vec<String> = offered.map(|r| r.adapter.description().name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// The files that are no adapters, by path.
    #[must_use]
    pub fn refused(&self) -> Vec<Refused> {
        let of = |(file, error): (&PathBuf, &LoadError)| Refused { file: file.clone(), error: error.clone() };
        self.read().refused.iter().map(of).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn newest(&self, name: &str) -> Option<&Registered> {
        let offered = self.adapters.values().filter(|r| r.offered() && r.adapter.description().name == name);
        offered.max_by_key(|r| rank(r))
    }

    /// Adds a version, or a place to one that is known.
    fn merge(&mut self, new: Registered) {
        match self.adapters.get_mut(new.adapter.digest()) {
            None => drop(self.adapters.insert(*new.adapter.digest(), new)),
            Some(known) => {
                // Good for the bytes, wherever it lies; another one counts only if nothing better is there.
                if !known.offered() || new.signature > known.signature {
                    known.signature = new.signature;
                }
                known.builtin |= new.builtin;
                known.files.extend(new.files);
            }
        }
    }

    /// Nothing is known of `file` from here on.
    fn leave(&mut self, file: &Path) {
        self.refused.remove(file);
        for registered in self.adapters.values_mut() {
            registered.files.remove(file);
        }
    }
}

/// What makes one version count for more than another of the same name. What is no version is older than everything; digests
/// come last, so that the answer is the same whatever order things were found in.
fn rank(registered: &Registered) -> (Option<Version>, bool, bool, [u8; 32]) {
    let version = Version::parse(&registered.adapter.description().version);
    (version, registered.builtin, registered.offered(), *registered.adapter.digest())
}
