//! Adapters while the server runs: those inside the binary at the start, those of the folder as they come and go.
//!
//! A file is never more than a line in the log and in the list of adapters: whatever is wrong with it, the server starts and
//! goes on, and so do the stores.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tidegate_sandbox::{BuiltinError, CompileOptions, EngineError, Folder, News, Registry, Sandbox, SandboxOptions};
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

/// The adapters, and the folder that brings more.
#[derive(Debug)]
pub(crate) struct DropIn {
    registry: Arc<Registry>,
    folder: Folder,
}

impl DropIn {
    /// Loads the adapters inside the binary and those in `folder`, which is made if it is not there. Blocking.
    pub(crate) fn open(folder: PathBuf, compile: CompileOptions) -> Result<Self, OpenError> {
        let registry = Arc::new(Registry::new(Sandbox::new(SandboxOptions { compile, ..SandboxOptions::default() })?));
        registry.add_builtin()?;
        if let Err(error) = std::fs::create_dir_all(&folder) {
            tracing::warn!(folder = %folder.display(), %error, "the folder for adapters cannot be made");
        }
        let mut folder = Folder::new(folder);
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
    pub(crate) async fn watch(self, every: Duration, stop: CancellationToken) {
        let Self { registry, mut folder } = self;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
            let registry = Arc::clone(&registry);
            let looked = tokio::task::spawn_blocking(move || {
                tell(&folder.look(&registry));
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
            News::Gone(file) => tracing::info!(file = %file.display(), "the adapter's file is gone"),
        }
    }
}
