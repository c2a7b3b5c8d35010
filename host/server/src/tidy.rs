//! Removes events that their project keeps no longer, and those of deleted projects.
//!
//! The trap is an event that a store is still owed: the export side knows from when on events are owed, and it is asked anew
//! for each project, just before anything goes.

use std::sync::Arc;
use std::time::Duration;
use tidegate_events::{EventStore, Horizon};
use tidegate_export::Export;
use tidegate_export::catalog::{Catalog, Project};
use tidegate_model::{Clock, Instant, Retention};
use tokio_util::sync::CancellationToken;

const SECONDS_OF_A_DAY: u64 = 86_400;

/// What it takes to tidy up.
pub(crate) struct Tidy {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) events: EventStore,
    pub(crate) export: Arc<Export>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Tidy {
    /// Looks for old events until `stop`.
    pub(crate) async fn run(self, every: Duration, stop: CancellationToken) {
        let tidy = Arc::new(self);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
            let (once, end) = (Arc::clone(&tidy), stop.clone());
            let done = tokio::task::spawn_blocking(move || once.once(&end)).await;
            if let Ok(Err(error)) | Err(error) = done.map_err(|error| error.to_string()) {
                tracing::warn!("old events are kept for now: {error}");
            }
        }
    }

    /// Looks at every project once.
    fn once(&self, stop: &CancellationToken) -> Result<(), String> {
        // First what is stored, then what is wanted: a project that is made in between is not taken for a deleted one.
        let (stored, _) = self.events.usages().map_err(|error| error.to_string())?;
        let wanted = self.catalog.read(|view| {
            let mut projects = Vec::new();
            for tenant in view.tenants()? {
                projects.extend(view.projects(tenant.id)?);
            }
            Ok(projects)
        });
        let wanted = wanted.map_err(|error| error.to_string())?;
        for usage in stored {
            let project = wanted.iter().find(|project| project.id == usage.project);
            let (mut events, mut bytes) = (0, 0);
            while !stop.is_cancelled() {
                let removed = match project {
                    Some(project) => self.retain(project)?,
                    None => self.events.forget(usage.project).map_err(|error| error.to_string())?,
                };
                if removed.events == 0 {
                    break;
                }
                (events, bytes) = (events + removed.events, bytes + removed.bytes);
            }
            if events > 0 {
                tracing::info!(project = usage.project.0, events, bytes, "old events were removed");
            }
        }
        Ok(())
    }

    fn retain(&self, project: &Project) -> Result<tidegate_events::Removed, String> {
        let owed = self.export.owed_since(project.id).map_err(|error| error.to_string())?;
        let Retention { days, megabytes } = project.retention;
        let ago = |days: u64| self.clock.now().seconds().saturating_sub(days.saturating_mul(SECONDS_OF_A_DAY));
        let age = days.map(|days| Instant::from_seconds(ago(days.get().into())));
        let bytes = megabytes.map(|megabytes| megabytes.get().saturating_mul(1_000_000));
        self.events.retain(project.id, &Horizon { age, bytes, owed }).map_err(|error| error.to_string())
    }
}
