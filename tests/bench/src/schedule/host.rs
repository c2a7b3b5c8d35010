//! Tidegate's side, as a process of its own: everything between the events and the sinks, with a catalog of many stores.

use super::crimes::{self, Crime};
use crate::changes::Kept;
use anyhow::Context;
use serde_json::{Value as Json, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tidegate_events::{EventStore, EventStoreOptions};
use tidegate_export::catalog::{CatalogError, DEFAULT_TENANT, Edit, KeySource, StoreSpec};
use tidegate_export::{Catalog, EgressPolicy, Export, ExportOptions};
use tidegate_model::{Event, Period, ProjectId, SystemClock, Value};
use tidegate_sandbox::{Adapter, Registry, Sandbox, SandboxOptions};

/// Stores of one project; each has a metric set of its own.
pub(crate) const STORES_OF_A_PROJECT: usize = 10;

/// The adapters inside the binary, and the one in `dir` that commits crimes, if it is there.
fn registry(dir: &Path) -> anyhow::Result<Arc<Registry>> {
    let registry = Registry::new(Sandbox::new(SandboxOptions::default())?);
    registry.add_builtin()?;
    let evil = crimes::component(dir);
    if evil.exists() {
        registry.add_file(&evil, Ok(&std::fs::read(&evil)?), None)?;
    }
    Ok(Arc::new(registry))
}

/// A catalog with one store for each of `names`, which write to a database of that name, and one of another tenant for each of
/// `crimes`.
pub(crate) fn set_up(dir: &Path, port: u16, period: u32, names: &[String], crimes: &[Crime]) -> anyhow::Result<()> {
    if !crimes.is_empty() {
        crimes::build(dir)?;
    }
    let catalog = Catalog::open(&dir.join("tidegate.db"), Arc::new(SystemClock))?;
    let registry = registry(dir)?;
    let url = format!("http://127.0.0.1:{port}");
    let writer = registry.get("influxdb").context("the built-in influxdb adapter")?;
    let write_to = |name: &str| json!({"version": "1", "url": url, "database": name, "gzip": false});
    let period = Period::new(period).unwrap_or_default();
    catalog.edit(|edit| {
        let tenant = edit.tenant_named(DEFAULT_TENANT)?.id;
        for (number, names) in names.chunks(STORES_OF_A_PROJECT).enumerate() {
            let project = edit.create_project(tenant, &format!("p{number}"))?.id;
            names.iter().try_for_each(|name| store(edit, project, name, &writer, period, &write_to(name)))?;
        }
        if crimes.is_empty() {
            return Ok(());
        }
        let tenant = edit.create_tenant("hostile")?.id;
        let project = edit.create_project(tenant, crimes::PROJECT)?.id;
        for (number, crime) in crimes.iter().enumerate() {
            let name = format!("hostile-{number}");
            match crime {
                Crime::Sink(database) => store(edit, project, &name, &writer, period, &write_to(database))?,
                Crime::Adapter(deed) => {
                    let Some(evil) = registry.get("evil") else { continue };
                    store(edit, project, &name, &evil, period, &json!({"crime": deed, "url": url}))?;
                }
            }
        }
        Ok(())
    })?;
    Ok(())
}

/// A store with a metric set of its own.
fn store(
    edit: &Edit<'_>,
    project: ProjectId,
    name: &str,
    adapter: &Adapter,
    period: Period,
    settings: &Json,
) -> Result<(), CatalogError> {
    let query = json!({"group": ["d"], "fold": {"_tx": [["count"]]}});
    let set = edit.put_metric_set(project, name)?.0.id;
    edit.put_metric(set, "errors", &query)?;
    let nothing = serde_json::Map::new();
    let spec = StoreSpec {
        adapter: adapter.description(),
        direction: adapter.direction(),
        pull: false,
        period,
        settings: settings.as_object().unwrap_or(&nothing),
        paused: false,
        metric_sets: &[set],
    };
    edit.put_store(project, name, &spec)?;
    Ok(())
}

/// Exports what is in `dir` until the process is killed; each project gets an event four times in a period, and that of the
/// hostile tenant a flood of them, no two in one group. All changes are kept if that is wanted.
pub(crate) fn serve(dir: &Path, period: u32, keep_changes: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let clock = Arc::new(SystemClock);
        let (log, key) = (keep_changes.then(|| Kept::log(dir)), KeySource::File(dir.join("tidegate.key")));
        let catalog = Catalog::open_followed(&dir.join("tidegate.db"), &key, clock.clone(), log.clone())?;
        let catalog = Arc::new(catalog);
        let options = EventStoreOptions { changes: log.clone(), ..EventStoreOptions::default() };
        let events = EventStore::open(&dir.join("events.db"), options, clock.clone())?;
        let _kept = log.map(Kept::begin).transpose()?;
        let projects: Vec<ProjectId> = catalog.read(|v| {
            let tenant = v.tenant_named(DEFAULT_TENANT)?.id;
            Ok(v.projects(tenant)?.into_iter().map(|p| p.id).collect())
        })?;
        let hostile = catalog.read(|v| {
            let tenant = v.tenants()?.into_iter().find(|t| t.name.as_str() == "hostile");
            let projects = tenant.map(|t| v.projects(t.id)).transpose()?;
            Ok(projects.into_iter().flatten().next().map(|p| p.id))
        })?;
        let mut options = ExportOptions::new(catalog, Arc::new(events.clone()), registry(dir)?, clock);
        options.egress = EgressPolicy::allowing(vec!["127.0.0.0/8".parse()?]);
        let _export = Export::start(options).await?;
        println!("ready");
        if let Some(project) = hostile {
            tokio::spawn(crimes::flood(events.clone(), project));
        }
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
