//! Tokens in memory, since one is looked up for every request that comes in.
//!
//! Keys are hashes: how far a lookup gets depends on the hash of what was presented, which tells an attacker nothing about the
//! tokens that exist. The trap is the edit that forgets to say what it touched, and leaves a revoked token open: so it is the
//! database that says it, by triggers, and only what was touched is read again.

use super::tokens::{TokenHash, hash_of, moment};
use super::{Access, Actor, CatalogError, Grant, Quotas, View, sealing};
use rusqlite::{Connection, OptionalExtension, Row};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use subtle::ConstantTimeEq;
use tidegate_model::{Instant, ProjectId, StoreId, TenantId};

/// The tables that the index is made of: which changes of a row count, which part they belong to, and which item of it is told.
const WATCHED: [(&str, &str, &str, &str); 7] = [
    ("tenants", "UPDATE", "names", "0"),
    ("projects", "UPDATE OF tenant, name", "names", "0"),
    ("users", "UPDATE", "people", "0"),
    ("roles", "UPDATE", "people", "0"),
    // When a session was last used is in memory, too.
    ("sessions", "UPDATE OF hash, user, created", "sessions", "0"),
    ("submission_tokens", "UPDATE", "submission", "0"),
    ("api_tokens", "UPDATE", "api", "0"),
];

/// What a token may do, and until when.
type Expiring = (Arc<Access>, Option<Instant>);

/// Parts are shared with the index before, as long as nothing in them was touched.
#[derive(Clone, Default)]
pub(super) struct Index {
    submission: Arc<HashMap<TokenHash, ProjectId>>,
    api: Arc<HashMap<TokenHash, Expiring>>,
    pull: Arc<PullUrls>,
    users: Arc<HashMap<i64, Arc<Access>>>,
    sessions: Arc<HashMap<TokenHash, Session>>,
    names: Arc<Names>,
}

#[derive(Clone, Default)]
struct PullUrls {
    stores: HashMap<TokenHash, StoreId>,
    hashes: HashMap<StoreId, TokenHash>,
}

#[derive(Default)]
struct Names {
    tenants: HashMap<String, TenantId>,
    projects: HashMap<TenantId, HashMap<String, ProjectId>>,
    owners: HashMap<ProjectId, TenantId>,
    quotas: HashMap<TenantId, Quotas>,
}

/// What a transaction has touched.
pub(super) type Touched = HashSet<(String, i64)>;

/// Has the connection note what its transactions touch. The notes are its own; a transaction that is taken back takes its notes
/// back. Triggers see what foreign keys remove, too.
pub(super) fn watch(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TEMP TABLE touched (part TEXT NOT NULL, item INTEGER NOT NULL, PRIMARY KEY (part, item)) WITHOUT ROWID",
    )?;
    let urls = ("stores", "UPDATE OF pull_token, deleted", "pull", "id");
    for (table, update, part, item) in WATCHED.into_iter().chain([urls]) {
        for (n, (event, row)) in [("INSERT", "NEW"), (update, "NEW"), ("DELETE", "OLD")].into_iter().enumerate() {
            let item = if item == "0" { item.to_owned() } else { format!("{row}.{item}") };
            connection.execute_batch(&format!(
                "CREATE TEMP TRIGGER touched_{table}_{n} AFTER {event} ON main.{table} \
                 BEGIN INSERT OR IGNORE INTO touched VALUES ('{part}', {item}); END"
            ))?;
        }
    }
    Ok(())
}

/// What was touched since this was asked last.
pub(super) fn touched(connection: &Connection) -> rusqlite::Result<Touched> {
    let mut statement = connection.prepare_cached("DELETE FROM temp.touched RETURNING part, item")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// A browser that is signed in.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) user: i64,
    pub(super) created: Instant,
    /// When it was last used, in microseconds. In the database it may be a minute older.
    seen: Arc<AtomicU64>,
}

impl Session {
    pub(super) fn seen(&self) -> Instant {
        Instant::from_micros(self.seen.load(Ordering::Relaxed))
    }

    pub(super) fn see(&self, now: Instant) {
        self.seen.store(now.micros(), Ordering::Relaxed);
    }
}

impl Index {
    /// All of it.
    pub(super) fn load(view: &View<'_>) -> Result<Self, CatalogError> {
        let sql = "SELECT id FROM stores WHERE pull_token IS NOT NULL AND deleted IS NULL";
        let mut statement = view.connection.prepare_cached(sql)?;
        let urls = statement.query_map([], |row| Ok(("pull".to_owned(), row.get(0)?)))?;
        let parts = ["names", "people", "sessions", "submission", "api"].map(|part| Ok((part.to_owned(), 0)));
        Self::default().after(view, &parts.into_iter().chain(urls).collect::<Result<_, _>>()?)
    }

    /// As it is after a transaction that has touched this.
    pub(super) fn after(&self, view: &View<'_>, touched: &Touched) -> Result<Self, CatalogError> {
        let mut index = self.clone();
        let is_touched = |part: &str| touched.contains(&(part.to_owned(), 0));
        if is_touched("names") {
            index.names = Arc::new(names(view)?);
        }
        if is_touched("people") {
            index.users = Arc::new(users(view)?);
        }
        if is_touched("sessions") {
            index.sessions = Arc::new(sessions(view)?);
        }
        if is_touched("submission") {
            let mut statement = view.connection.prepare_cached("SELECT hash, project FROM submission_tokens")?;
            let token = |row: &Row<'_>| Ok((row.get(0)?, ProjectId(row.get(1)?)));
            index.submission = Arc::new(statement.query_map([], token)?.collect::<Result<_, _>>()?);
        }
        if is_touched("api") {
            let sql = "SELECT hash, tenant, name, operator, project, role, expires FROM api_tokens";
            let mut statement = view.connection.prepare_cached(sql)?;
            index.api = Arc::new(statement.query_map([], api_token)?.collect::<Result<_, _>>()?);
        }
        let mut urls = touched.iter().filter(|(part, _)| part == "pull").map(|(_, store)| StoreId(*store)).peekable();
        if urls.peek().is_some() {
            let pull = Arc::make_mut(&mut index.pull);
            for store in urls {
                pull.read(view, store)?;
            }
        }
        Ok(index)
    }

    pub(super) fn submission(&self, token: &str) -> Option<ProjectId> {
        find(&self.submission, token).copied()
    }

    pub(super) fn api(&self, token: &str, now: Instant) -> Option<Arc<Access>> {
        let (access, expires) = find(&self.api, token)?;
        expires.is_none_or(|at| now < at).then(|| Arc::clone(access))
    }

    pub(super) fn pull(&self, token: &str) -> Option<StoreId> {
        find(&self.pull.stores, token).copied()
    }

    pub(super) fn session(&self, token: &str) -> Option<&Session> {
        find(&self.sessions, token)
    }

    pub(super) fn user(&self, id: i64) -> Option<Arc<Access>> {
        self.users.get(&id).map(Arc::clone)
    }

    pub(super) fn tenant(&self, name: &str) -> Option<TenantId> {
        self.names.tenants.get(name).copied()
    }

    pub(super) fn quotas_of(&self, project: ProjectId) -> Option<(TenantId, Quotas)> {
        let tenant = self.names.owners.get(&project)?;
        Some((*tenant, self.names.quotas.get(tenant).copied().unwrap_or_default()))
    }

    pub(super) fn projects_of(&self, tenant: TenantId) -> Vec<ProjectId> {
        self.names.projects.get(&tenant).map(|projects| projects.values().copied().collect()).unwrap_or_default()
    }

    pub(super) fn project(&self, tenant: TenantId, name: &str) -> Option<ProjectId> {
        self.names.projects.get(&tenant)?.get(name).copied()
    }
}

impl PullUrls {
    /// Reads the URL of one store again.
    fn read(&mut self, view: &View<'_>, store: StoreId) -> Result<(), CatalogError> {
        if let Some(before) = self.hashes.remove(&store) {
            self.stores.remove(&before);
        }
        let sql = "SELECT pull_token FROM stores WHERE id = ?1 AND deleted IS NULL AND pull_token IS NOT NULL";
        let mut statement = view.connection.prepare_cached(sql)?;
        if let Some(sealed) = statement.query_row([store.0], |row| row.get::<_, String>(0)).optional()? {
            let hash = hash_of(&view.keys.open(&sealing::pull_token(store), &sealed)?);
            self.hashes.insert(store, hash);
            self.stores.insert(hash, store);
        }
        Ok(())
    }
}

fn names(view: &View<'_>) -> Result<Names, CatalogError> {
    let mut names = Names::default();
    for tenant in view.tenants()? {
        names.tenants.insert(tenant.name.to_string(), tenant.id);
        names.quotas.insert(tenant.id, view.quotas(tenant.id)?);
    }
    let mut statement = view.connection.prepare_cached("SELECT tenant, name, id FROM projects")?;
    let name = |row: &Row<'_>| Ok((TenantId(row.get(0)?), row.get(1)?, ProjectId(row.get(2)?)));
    for row in statement.query_map([], name)? {
        let (tenant, name, project) = row?;
        names.projects.entry(tenant).or_default().insert(name, project);
        names.owners.insert(project, tenant);
    }
    Ok(names)
}

fn users(view: &View<'_>) -> Result<HashMap<i64, Arc<Access>>, CatalogError> {
    let access = |user: super::User| {
        let grants = view.grants(user.id)?;
        // One tenant need not be named; of several, the first is meant.
        let home = grants.iter().map(|g| g.tenant).next();
        let actor = Actor::User { id: user.id, name: user.name.to_string() };
        Ok((user.id, Arc::new(Access { actor, operator: user.operator, home, grants })))
    };
    view.users()?.into_iter().map(access).collect()
}

fn sessions(view: &View<'_>) -> Result<HashMap<TokenHash, Session>, CatalogError> {
    let mut statement = view.connection.prepare_cached("SELECT hash, user, created, seen FROM sessions")?;
    let session = |row: &Row<'_>| {
        let seen = Arc::new(AtomicU64::new(moment(row, 3)?.micros()));
        Ok((row.get(0)?, Session { user: row.get(1)?, created: moment(row, 2)?, seen }))
    };
    Ok(statement.query_map([], session)?.collect::<Result<_, _>>()?)
}

fn api_token(row: &Row<'_>) -> rusqlite::Result<(TokenHash, Expiring)> {
    let tenant = TenantId(row.get(1)?);
    let project = row.get::<_, Option<i64>>(4)?.map(ProjectId);
    let grants = vec![Grant { tenant, project, role: super::users::role_in(row, 5)? }];
    let expires = row.get::<_, Option<i64>>(6)?.map(|_| moment(row, 6)).transpose()?;
    let access =
        Access { actor: Actor::Token { name: row.get(2)? }, operator: row.get(3)?, home: Some(tenant), grants };
    Ok((row.get(0)?, (Arc::new(access), expires)))
}

fn find<'i, T>(tokens: &'i HashMap<TokenHash, T>, presented: &str) -> Option<&'i T> {
    let hash = hash_of(presented);
    let (known, found) = tokens.get_key_value(&hash)?;
    bool::from(known.ct_eq(&hash)).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::super::{Catalog, DEFAULT_TENANT, Edit, Role, StoreSpec, TokenSpec};
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, json};
    use std::sync::Arc;
    use tidegate_model::{Description, Direction, ManualClock, Period};

    /// All that is in it, in an order.
    fn picture(index: &Index) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        all.extend(index.submission.iter().map(|entry| format!("submission {entry:?}")));
        all.extend(index.api.iter().map(|entry| format!("api {entry:?}")));
        all.extend(index.pull.stores.iter().map(|entry| format!("pull {entry:?}")));
        all.extend(index.pull.hashes.iter().map(|(store, hash)| format!("pull {:?}", (hash, store))));
        all.extend(index.users.iter().map(|entry| format!("user {entry:?}")));
        all.extend(index.sessions.iter().map(|(hash, s)| format!("session {hash:?} {} {:?}", s.user, s.created)));
        all.extend(index.names.tenants.iter().map(|entry| format!("tenant {entry:?}")));
        all.extend(index.names.owners.iter().map(|entry| format!("owner {entry:?}")));
        all.extend(index.names.quotas.iter().map(|entry| format!("quota {entry:?}")));
        let projects = index.names.projects.iter();
        all.extend(projects.flat_map(|(of, names)| names.iter().map(move |name| format!("project {of:?} {name:?}"))));
        all.sort();
        all
    }

    fn page() -> Description {
        Description::parse(&json!({"name": "page", "version": "1.0.0"}).to_string()).unwrap()
    }

    /// One edit of many kinds; what it cannot do, it leaves.
    fn change(edit: &Edit<'_>, kind: u8, n: u8) -> Result<(), CatalogError> {
        let tenant = edit.tenant_named(DEFAULT_TENANT)?.id;
        let name = format!("x{n}");
        let project = edit.project_named(tenant, &name).map(|p| p.id);
        let store = || project.as_ref().ok().and_then(|p| edit.store_named(*p, "s").ok()).map(|s| s.id);
        let user = edit.user_named(&name).ok();
        match kind {
            0 => drop(edit.create_tenant(&name)),
            1 => drop(edit.create_project(tenant, &name)),
            2 => drop(project.map(|p| edit.delete_project(p))),
            3 => drop(project.map(|p| edit.create_submission_token(p))),
            4 => drop(edit.create_api_token(tenant, &TokenSpec::admin(&name))),
            5 => drop(edit.delete_api_token(tenant, &name)),
            6 => drop(project.map(|p| {
                let (adapter, settings, direction) = (page(), Map::new(), Direction::Pull);
                let spec = StoreSpec {
                    adapter: &adapter,
                    direction,
                    pull: true,
                    period: Period::default(),
                    settings: &settings,
                    paused: n > 1,
                    metric_sets: &[],
                };
                edit.put_store(p, "s", &spec)
            })),
            7 => drop(store().map(|s| edit.rotate_pull_token(s))),
            8 => drop(store().map(|s| edit.delete_store(s))),
            9 => drop(edit.create_user(&name, None, n > 1)),
            10 => drop(user.map(|u| {
                let grants = [Grant { tenant, project: project.ok(), role: Role::Member }];
                edit.set_roles(&u, tenant, &grants)
            })),
            11 => drop(user.map(|u| edit.create_session(u.id, 1_000_000, 1_000_000))),
            12 => drop(user.map(|u| edit.end_sessions(u.id))),
            13 => drop(user.map(|u| edit.delete_user(&u))),
            14 => drop(edit.set_quotas(tenant, &Quotas { projects: Some(n.into()), ..Quotas::default() })),
            _ => drop(edit.tenant_named(&name).and_then(|t| edit.delete_tenant(t.id))),
        }
        // What fails as a whole leaves no trace in the index either.
        if n == 3 { Err(CatalogError::not_found(super::super::Kind::Tenant, "none")) } else { Ok(()) }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        /// The oracle is the index of a catalog that is opened anew.
        #[test]
        fn after_any_edits_the_index_is_what_a_restart_would_read(
            edits in prop::collection::vec((0_u8..16, 0_u8..4), 1..40),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("tidegate.db");
            let clock = Arc::new(ManualClock::at(Instant::from_seconds(1_000_000)));
            let catalog = Catalog::open(&file, clock.clone()).unwrap();
            for (kind, n) in edits {
                let before = picture(&catalog.index.load());
                if catalog.edit(|edit| change(edit, kind, n)).is_err() {
                    prop_assert_eq!(picture(&catalog.index.load()), before);
                }
            }
            let fresh = Catalog::open(&file, clock).unwrap();
            prop_assert_eq!(picture(&catalog.index.load()), picture(&fresh.index.load()));
        }
    }
}
