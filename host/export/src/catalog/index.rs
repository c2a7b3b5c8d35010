//! Tokens in memory, since one is looked up for every request that comes in.
//!
//! Keys are hashes: how far a lookup gets depends on the hash of what was presented, which tells an attacker nothing about the
//! tokens that exist.

use super::tokens::{TokenHash, hash_of, moment};
use super::{Access, Actor, CatalogError, Grant, Quotas, View, sealing};
use rusqlite::Row;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use subtle::ConstantTimeEq;
use tidegate_model::{Instant, ProjectId, StoreId, TenantId};

#[derive(Default)]
pub(super) struct Index {
    submission: HashMap<TokenHash, ProjectId>,
    api: HashMap<TokenHash, (Arc<Access>, Option<Instant>)>,
    pull: HashMap<TokenHash, StoreId>,
    users: HashMap<i64, Arc<Access>>,
    sessions: HashMap<TokenHash, Session>,
    tenants: HashMap<String, TenantId>,
    projects: HashMap<TenantId, HashMap<String, ProjectId>>,
    owners: HashMap<ProjectId, TenantId>,
    quotas: HashMap<TenantId, Quotas>,
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
    pub(super) fn load(view: &View<'_>) -> Result<Self, CatalogError> {
        let mut index = Self::default();
        index.load_names(view)?;
        index.load_people(view)?;
        let mut statement = view.connection.prepare_cached("SELECT hash, project FROM submission_tokens")?;
        for row in statement.query_map([], |row| Ok((row.get(0)?, ProjectId(row.get(1)?))))? {
            let (hash, project) = row?;
            index.submission.insert(hash, project);
        }
        let sql = "SELECT hash, tenant, name, operator, project, role, expires FROM api_tokens";
        let mut statement = view.connection.prepare_cached(sql)?;
        for row in statement.query_map([], api_token)? {
            let (hash, access, expires) = row?;
            index.api.insert(hash, (Arc::new(access), expires));
        }
        let sql = "SELECT pull_token, id FROM stores WHERE pull_token IS NOT NULL AND deleted IS NULL";
        let mut statement = view.connection.prepare_cached(sql)?;
        for row in statement.query_map([], |row| Ok((row.get::<_, String>(0)?, StoreId(row.get(1)?))))? {
            let (sealed, store) = row?;
            let token = view.keys.open(&sealing::pull_token(store), &sealed)?;
            index.pull.insert(hash_of(&token), store);
        }
        Ok(index)
    }

    fn load_names(&mut self, view: &View<'_>) -> Result<(), CatalogError> {
        for tenant in view.tenants()? {
            self.tenants.insert(tenant.name.to_string(), tenant.id);
            self.quotas.insert(tenant.id, view.quotas(tenant.id)?);
        }
        let mut statement = view.connection.prepare_cached("SELECT tenant, name, id FROM projects")?;
        let name = |row: &Row<'_>| Ok((TenantId(row.get(0)?), row.get(1)?, ProjectId(row.get(2)?)));
        for row in statement.query_map([], name)? {
            let (tenant, name, project) = row?;
            self.projects.entry(tenant).or_default().insert(name, project);
            self.owners.insert(project, tenant);
        }
        Ok(())
    }

    fn load_people(&mut self, view: &View<'_>) -> Result<(), CatalogError> {
        for user in view.users()? {
            let grants = view.grants(user.id)?;
            let mut tenants = grants.iter().map(|g| g.tenant);
            // One tenant need not be named; of several, the first is meant.
            let home = tenants.next();
            let actor = Actor::User { id: user.id, name: user.name.to_string() };
            self.users.insert(user.id, Arc::new(Access { actor, operator: user.operator, home, grants }));
        }
        let mut statement = view.connection.prepare_cached("SELECT hash, user, created, seen FROM sessions")?;
        let session = |row: &Row<'_>| {
            let seen = Arc::new(AtomicU64::new(moment(row, 3)?.micros()));
            Ok((row.get(0)?, Session { user: row.get(1)?, created: moment(row, 2)?, seen }))
        };
        for row in statement.query_map([], session)? {
            let (hash, session) = row?;
            self.sessions.insert(hash, session);
        }
        Ok(())
    }

    pub(super) fn submission(&self, token: &str) -> Option<ProjectId> {
        find(&self.submission, token).copied()
    }

    pub(super) fn api(&self, token: &str, now: Instant) -> Option<Arc<Access>> {
        let (access, expires) = find(&self.api, token)?;
        expires.is_none_or(|at| now < at).then(|| Arc::clone(access))
    }

    pub(super) fn pull(&self, token: &str) -> Option<StoreId> {
        find(&self.pull, token).copied()
    }

    pub(super) fn session(&self, token: &str) -> Option<&Session> {
        find(&self.sessions, token)
    }

    pub(super) fn user(&self, id: i64) -> Option<Arc<Access>> {
        self.users.get(&id).map(Arc::clone)
    }

    pub(super) fn tenant(&self, name: &str) -> Option<TenantId> {
        self.tenants.get(name).copied()
    }

    pub(super) fn quotas_of(&self, project: ProjectId) -> Option<(TenantId, Quotas)> {
        let tenant = self.owners.get(&project)?;
        Some((*tenant, self.quotas.get(tenant).copied().unwrap_or_default()))
    }

    pub(super) fn projects_of(&self, tenant: TenantId) -> Vec<ProjectId> {
        self.projects.get(&tenant).map(|projects| projects.values().copied().collect()).unwrap_or_default()
    }

    pub(super) fn project(&self, tenant: TenantId, name: &str) -> Option<ProjectId> {
        self.projects.get(&tenant)?.get(name).copied()
    }
}

fn api_token(row: &Row<'_>) -> rusqlite::Result<(TokenHash, Access, Option<Instant>)> {
    let tenant = TenantId(row.get(1)?);
    let project = row.get::<_, Option<i64>>(4)?.map(ProjectId);
    let grants = vec![Grant { tenant, project, role: super::users::role_in(row, 5)? }];
    let expires = row.get::<_, Option<i64>>(6)?.map(|_| moment(row, 6)).transpose()?;
    let access =
        Access { actor: Actor::Token { name: row.get(2)? }, operator: row.get(3)?, home: Some(tenant), grants };
    Ok((row.get(0)?, access, expires))
}

fn find<'i, T>(tokens: &'i HashMap<TokenHash, T>, presented: &str) -> Option<&'i T> {
    let hash = hash_of(presented);
    let (known, found) = tokens.get_key_value(&hash)?;
    bool::from(known.ct_eq(&hash)).then_some(found)
}
