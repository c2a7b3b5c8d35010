//! Tidegate's side, as a process of its own: everything between the events and the sinks, with a catalog of many stores.

use anyhow::Context;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tidegate_events::{EventStore, EventStoreOptions};
use tidegate_export::catalog::{DEFAULT_TENANT, StoreSpec};
use tidegate_export::{Catalog, EgressPolicy, Export, ExportOptions};
use tidegate_model::{Event, Period, ProjectId, SystemClock, Value};
use tidegate_sandbox::{Registry, Sandbox, SandboxOptions};

/// Stores of one project; each has a metric set of its own.
pub(crate) const STORES_OF_A_PROJECT: usize = 10;

fn registry() -> anyhow::Result<Arc<Registry>> {
    let registry = Registry::new(Sandbox::new(SandboxOptions::default())?);
    registry.add_builtin()?;
    Ok(Arc::new(registry))
}

/// A catalog with one store for each of `names`, which write to a database of that name.
pub(crate) fn set_up(dir: &Path, port: u16, period: u32, names: &[String]) -> anyhow::Result<()> {
    let catalog = Catalog::open(&dir.join("tidegate.db"), Arc::new(SystemClock))?;
    let adapter = registry()?.get("influxdb").context("the built-in influxdb adapter")?;
    let nothing = serde_json::Map::new();
    let query = json!({"group": ["d"], "fold": {"_tx": [["count"]]}});
    catalog.edit(|edit| {
        let tenant = edit.tenant_named(DEFAULT_TENANT)?.id;
        for (number, names) in names.chunks(STORES_OF_A_PROJECT).enumerate() {
            let project = edit.create_project(tenant, &format!("p{number}"))?.id;
            for name in names {
                let set = edit.put_metric_set(project, name)?.0.id;
                edit.put_metric(set, "errors", &query)?;
                let url = format!("http://127.0.0.1:{port}");
                let settings = json!({"version": "1", "url": url, "database": name, "gzip": false});
                let spec = StoreSpec {
                    adapter: adapter.description(),
                    direction: adapter.direction(),
                    pull: false,
                    period: Period::new(period).unwrap_or_default(),
                    settings: settings.as_object().unwrap_or(&nothing),
                    paused: false,
                    metric_sets: &[set],
                };
                edit.put_store(project, name, &spec)?;
            }
        }
        Ok(())
    })?;
    Ok(())
}

/// Exports what is in `dir` until the process is killed; each project gets an event four times in a period.
pub(crate) fn serve(dir: &Path, period: u32) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let clock = Arc::new(SystemClock);
        let catalog = Arc::new(Catalog::open(&dir.join("tidegate.db"), clock.clone())?);
        let events = EventStore::open(&dir.join("events.db"), EventStoreOptions::default(), clock.clone())?;
        let projects: Vec<ProjectId> = catalog.read(|v| {
            let tenant = v.tenant_named(DEFAULT_TENANT)?.id;
            Ok(v.projects(tenant)?.into_iter().map(|p| p.id).collect())
        })?;
        let mut options = ExportOptions::new(catalog, Arc::new(events.clone()), registry()?, clock);
        options.egress = EgressPolicy::allowing(vec!["127.0.0.0/8".parse()?]);
        let _export = Export::start(options).await?;
        println!("ready");
        let pause = Duration::from_secs(u64::from(period)) / 4 / u32::try_from(projects.len())?;
        loop {
            for project in &projects {
                let event =
                    Event { attributes: vec![("d".to_owned(), Value::Str("v".to_owned()))], ..Event::default() };
                events.submit(*project, vec![event]).await?;
                tokio::time::sleep(pause).await;
            }
        }
    })
}
