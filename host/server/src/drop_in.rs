//! Adapters while the server runs: those inside the binary at the start, those of the folder as they come and go.
//!
//! A file is never more than a line in the log and in the list of adapters: whatever is wrong with it, the server starts and
//! goes on, and so do the stores.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tidegate_export::catalog::{Catalog, CatalogError};
use tidegate_sandbox::{BuiltinError, EngineError, Folder, News, Registry, Sandbox, SandboxOptions, Shelf, Trust};
use tokio_util::sync::CancellationToken;

/// How long the start waits for files that are just being copied.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why there are no adapters at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// One inside the binary.
    #[error(transparent)]
    Builtin(#[from] BuiltinError),
}

/// Whose signatures count.
#[derive(Debug)]
pub(crate) struct Signatures {
    /// The folder with the public keys.
    pub(crate) folder: PathBuf,
    /// Whether what none of them has signed is refused.
    pub(crate) required: bool,
}

/// The adapters, and the folder that brings more.
#[derive(Debug)]
pub(crate) struct DropIn {
    registry: Arc<Registry>,
    folder: Folder,
}

impl DropIn {
    /// Loads the adapters inside the binary and those in `folder`, which is made if it is not there. Blocking.
    /// Copies of what stores use are on `shelf`; whose signatures count says `keys`.
    pub(crate) fn open(
        folder: PathBuf,
        shelf: Shelf,
        keys: &Signatures,
        sandbox: SandboxOptions,
    ) -> Result<Self, OpenError> {
        let registry = Arc::new(Registry::with_shelf(Sandbox::new(sandbox)?, shelf));
        registry.set_trust(Trust::read(&keys.folder, keys.required));
        tell(&[News::Keys(registry.trust())]);
        registry.add_builtin()?;
        if let Err(error) = std::fs::create_dir_all(&folder) {
            tracing::warn!(folder = %folder.display(), %error, "the folder for adapters cannot be made");
        }
        let mut folder = Folder::new(folder).with_keys(keys.folder.clone());
        tell(&folder.settle(&registry, PATIENCE));
        Ok(Self { registry, folder })
    }

    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Looks at the folder again and again, until `stop`.
    pub(crate) async fn watch(self, every: Duration, catalog: Arc<Catalog>, stop: CancellationToken) {
        let Self { registry, mut folder } = self;
        let mut edits = catalog.edits();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
            let (registry, catalog) = (Arc::clone(&registry), Arc::clone(&catalog));
            let edited = edits.has_changed().unwrap_or(false);
            edits.mark_unchanged();
            let looked = tokio::task::spawn_blocking(move || {
                let news = folder.look(&registry);
                tell(&news);
                if edited || !news.is_empty() {
                    let keys = news.iter().any(|one| matches!(one, News::Keys(_)));
                    keep_used(&registry, &catalog, keys);
                }
                folder
            });
            folder = match looked.await {
                Ok(folder) => folder,
                Err(error) => {
                    tracing::error!(%error, "the folder for adapters is not watched any more; start the server again");
                    return;
                }
            };
        }
    }
}

/// Has the stores that use no version yet use the newest, and has every version at hand that a store uses. Blocking.
///
/// # Errors
/// If the catalog cannot be read.
pub(crate) fn attach(registry: &Registry, catalog: &Catalog) -> Result<(), CatalogError> {
    if catalog.read(|v| v.any_unpinned())? {
        let pinned = catalog.edit(|e| e.pin_unpinned(|name| registry.get(name).map(|adapter| *adapter.digest())));
        match pinned {
            Ok(stores) => tracing::info!(stores, "stores keep the versions of adapters that they use now"),
            // The disk may be full. Such stores get what new ones would, and are tried again at the next start.
            Err(error) => tracing::warn!(%error, "which versions of adapters the stores use could not be recorded"),
        }
    }
    tell_missing(registry.keep(&catalog.read(|v| v.pinned())?));
    Ok(())
}

fn tell_missing(missing: Vec<([u8; 32], String)>) {
    for (digest, why) in missing {
        let digest = hex::encode(digest);
        tracing::error!(digest, "a version of an adapter that stores use is missing, and they wait: {why}");
    }
}

/// The same while the server runs; what is missing is told again if the keys have changed, and with its stores in any case.
fn keep_used(registry: &Registry, catalog: &Catalog, keys: bool) {
    match catalog.read(|v| v.pinned()) {
        Ok(used) => {
            let missing = registry.keep(&used);
            if keys {
                tell_missing(missing);
            }
        }
        Err(error) => tracing::warn!(%error, "which versions of adapters are used is looked at later"),
    }
}

fn tell(news: &[News]) {
    for one in news {
        match one {
            News::Loaded(file, adapter) => {
                let (description, digest) = (adapter.description(), hex::encode(adapter.digest()));
                let (name, version) = (&description.name, &description.version);
                tracing::info!(file = %file.display(), name, version, digest, "adapter loaded");
            }
            News::Refused(file, error) => {
                tracing::error!(file = %file.display(), %error, "this adapter cannot be used");
            }
            News::Keys(trust) => tell_keys(trust),
            News::Gone(file) => tracing::info!(file = %file.display(), "the adapter's file is gone"),
        }
    }
}

fn tell_keys(trust: &Trust) {
    for (file, error) in trust.refused() {
        tracing::error!(file = %file.display(), %error, "this file is not trusted as a key");
    }
    let keys: Vec<String> = trust.keys().iter().map(|key| format!("{} ({})", key.name, key.id)).collect();
    if !keys.is_empty() || trust.required() {
        tracing::info!(
            required = trust.required(),
            "signatures of adapters by these keys are trusted: {}",
            keys.join(", ")
        );
    }
}
