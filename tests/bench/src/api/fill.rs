//! A catalog with a thousand stores, half of which push and half of which are read, and a ledger in which each has windows.

use anyhow::Context;
use rusqlite::{Connection, params};
use serde_json::{Map, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tidegate_export::Catalog;
use tidegate_export::catalog::{CatalogError, DEFAULT_TENANT, StoreSpec, TokenSpec};
use tidegate_model::{Direction, Period};
use tidegate_sandbox::{Registry, Sandbox, SandboxOptions};

pub(super) const STORES: usize = 1_000;
pub(super) const PROJECTS: usize = 10;
/// Metric sets of a project; the stores share them.
const SETS: usize = 10;
/// Long, so that nothing is evaluated while the bench runs.
const PERIOD: u32 = 43_200;
/// Windows that each set has on record.
const WINDOWS: i64 = 60;

pub(super) fn catalog(catalog: &Catalog) -> anyhow::Result<()> {
    let registry = Registry::new(Sandbox::new(SandboxOptions::default())?);
    registry.add_builtin()?;
    let push = registry.get("influxdb").context("influxdb")?;
    let pull = registry.get("prometheus").context("prometheus")?;
    let settings = json!({"version": "1", "url": "http://127.0.0.1:9", "database": "m", "user": "u", "password": "p"});
    let (settings, nothing) = (settings.as_object().cloned().unwrap_or_default(), Map::new());
    let query = json!({"group": ["error.type"], "fold": {"_tx": [["count"]]}});
    // One edit for each store, as somebody makes them by the API; a page of users and tokens beside them.
    for n in 0..STORES {
        catalog.edit(|edit| {
            let tenant = edit.tenant_named(DEFAULT_TENANT)?.id;
            let project = format!("p{}", n % PROJECTS);
            let project = match edit.project_named(tenant, &project) {
                Ok(project) => project.id,
                Err(CatalogError::NotFound { .. }) => edit.create_project(tenant, &project)?.id,
                Err(error) => return Err(error),
            };
            let set = edit.put_metric_set(project, &format!("set-{}", n / PROJECTS % SETS))?.0.id;
            edit.put_metric(set, "errors", &query)?;
            let pushes = n % 2 == 0;
            let adapter = if pushes { &push } else { &pull };
            let spec = StoreSpec {
                adapter: adapter.description(),
                direction: if pushes { Direction::Push } else { Direction::Pull },
                pull: !pushes,
                period: Period::new(PERIOD).unwrap_or_default(),
                settings: if pushes { &settings } else { &nothing },
                paused: false,
                metric_sets: &[set],
            };
            let store = edit.put_store(project, &format!("to-{n}"), &spec)?.0.id;
            edit.pin_adapter(store, adapter.digest())?;
            if n % 20 == 0 {
                edit.create_user(&format!("user-{n}"), None, false)?;
                edit.create_api_token(tenant, &TokenSpec::admin(&format!("token-{n}")))?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Windows of each set, and what became of them for each push store: most arrived, some were lost, the newest of some wait.
pub(super) fn ledger(file: &std::path::Path) -> anyhow::Result<()> {
    let mut db = Connection::open(file)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let period = i64::from(PERIOD);
    let end = i64::try_from(now)? / period * period;
    let t = db.transaction()?;
    for back in (1..=WINDOWS).rev() {
        let start = end - back * period;
        t.execute(
            "INSERT OR IGNORE INTO windows (project, metric_set, revision, period, start, state, attempts, next_attempt, live_rows, recorded) \
             SELECT project, id, 1, ?1, ?2, 'evaluated', 1, 0, 20, (?2 + ?1) * 1000000 FROM metric_sets",
            params![period, start],
        )?;
        t.execute(
            "INSERT OR IGNORE INTO deliveries (store, window, window_end, state, attempts, next_attempt, problem, accepted_rows, updated) \
             SELECT l.store, w.id, w.start + w.period, CASE WHEN s.id % 7 = 0 THEN 'rejected' ELSE 'confirmed' END, 1, 0, \
             CASE WHEN s.id % 7 = 0 THEN 'refused' END, 20, (?2 + ?1) * 1000000 \
             FROM links l JOIN stores s ON s.id = l.store AND NOT s.pull JOIN windows w ON w.metric_set = l.metric_set AND w.period = l.period \
             WHERE w.start = ?2",
            params![period, start],
        )?;
    }
    t.execute(
        "INSERT OR REPLACE INTO delivery_sums SELECT store, state, count(*), sum(accepted_rows), 0 FROM deliveries GROUP BY store, state",
        [],
    )?;
    t.execute(
        "INSERT INTO audit (at, actor, action, object, before, after, details) SELECT created, 'user ada', 'put', \
         'metric-store p/' || name, settings, settings, '[]' FROM stores",
        [],
    )?;
    t.commit()?;
    Ok(())
}
