//! Who changed what: a line for each change, written in the transaction that makes the change, so that neither is there alone.
//!
//! What a thing looked like before and after comes from one place, [`View::portrait`], which reads tables that hold no secrets.

use super::tokens::moment;
use super::{CatalogError, Edit, Grant, View};
use rusqlite::{Row, params, params_from_iter, types::Value as Sql};
use serde_json::{Value as Json, json};
use std::net::IpAddr;
use tidegate_model::{Instant, StoreId, TenantId};

/// How long lines are kept: four hundred days, which covers a year and the audit after it.
const KEEP_MICROS: i64 = 400 * 86_400 * 1_000_000;
/// Old lines that are removed with each new one; more than one, so that they become fewer.
const PRUNE: i64 = 20;

/// What a line is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words say it; the texts are names")]
pub enum Subject {
    Host,
    Tenant(String),
    User(String),
    ApiToken(String),
    Project(String),
    SubmissionToken(String, String),
    MetricSet(String, String),
    Metric(String, String, String),
    Store(String, String),
    /// A version of an adapter, which is not in the catalog.
    Adapter(String),
}

impl Subject {
    /// How it is named in a line.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Host => "host".to_owned(),
            Self::Tenant(name) => format!("tenant {name}"),
            Self::User(name) => format!("user {name}"),
            Self::ApiToken(name) => format!("token {name}"),
            Self::Project(name) => format!("project {name}"),
            Self::SubmissionToken(project, id) => format!("submission-token {project}/{id}"),
            Self::MetricSet(project, set) => format!("metric-set {project}/{set}"),
            Self::Metric(project, set, metric) => format!("metric {project}/{set}/{metric}"),
            Self::Store(project, store) => format!("metric-store {project}/{store}"),
            Self::Adapter(version) => format!("adapter {version}"),
        }
    }
}

/// A change and who made it.
#[derive(Clone, Debug)]
pub struct AuditEntry<'a> {
    /// Whose thing it is; none for what belongs to the host.
    pub tenant: Option<TenantId>,
    /// Who did it, as in `user ada`.
    pub actor: &'a str,
    /// From where.
    pub address: Option<IpAddr>,
    /// A verb.
    pub action: &'a str,
    /// To what.
    pub subject: &'a Subject,
    /// What it looked like.
    pub before: Option<Json>,
    /// What it looks like.
    pub after: Option<Json>,
    /// What the pictures do not show: a credential that is another one now, say.
    pub details: &'a [String],
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "as in AuditEntry")]
pub struct AuditRecord {
    pub id: i64,
    pub at: Instant,
    pub tenant: Option<String>,
    pub actor: String,
    pub address: Option<String>,
    pub action: String,
    pub object: String,
    pub before: Option<Json>,
    pub after: Option<Json>,
    pub details: Vec<String>,
}

/// The kinds of things that lines are about, as they are named there.
pub const AUDIT_KINDS: [&str; 10] = [
    "adapter",
    "host",
    "metric",
    "metric-set",
    "metric-store",
    "project",
    "submission-token",
    "tenant",
    "token",
    "user",
];

/// Which lines are wanted.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Of this tenant alone.
    pub tenant: Option<TenantId>,
    /// By this actor, as in `user ada`, or `ada` whatever that is.
    pub actor: Option<String>,
    /// Of this verb.
    pub action: Option<String>,
    /// About things of this kind, as in `metric-store`.
    pub kind: Option<String>,
    /// About this thing, or those below it: `project web` is met by `metric-store web/central`, too. Without a kind in front, about whatever
    /// has this name.
    pub object: Option<String>,
    /// With all of these words in them, whatever the case and wherever: in who, what and from where, and in the pictures.
    pub words: Vec<String>,
    /// From this moment on.
    pub since: Option<Instant>,
    /// Before this moment.
    pub until: Option<Instant>,
    /// Behind this line in the order.
    pub after_id: Option<i64>,
    /// The oldest first; else the newest.
    pub oldest_first: bool,
    /// So many at most.
    pub limit: u32,
}

impl AuditFilter {
    /// Conditions, with what stands for their question marks.
    fn conditions(&self) -> Vec<(String, Vec<Sql>)> {
        let at = |moment: Option<Instant>| moment.map(|m| i64::try_from(m.micros()).unwrap_or(i64::MAX).into());
        let behind = if self.oldest_first { "id > ?" } else { "id < ?" };
        let name_of = |column: &str| format!("substr({column}, instr({column}, ' ') + 1)");
        let actor = format!("? IN (actor, {})", name_of("actor"));
        let kind = "substr(object, 1, instr(object || ' ', ' ') - 1) = ?".to_owned();
        let simple: [(String, Option<Sql>); 7] = [
            ("tenant = ?".to_owned(), self.tenant.map(|t| t.0.into())),
            (actor, self.actor.clone().map(Into::into)),
            ("action = ?".to_owned(), self.action.clone().map(Into::into)),
            (kind, self.kind.clone().map(Into::into)),
            ("at >= ?".to_owned(), at(self.since)),
            ("at < ?".to_owned(), at(self.until)),
            (behind.to_owned(), self.after_id.map(Into::into)),
        ];
        let mut all: Vec<(String, Vec<Sql>)> =
            simple.into_iter().filter_map(|(sql, value)| Some((sql, vec![value?]))).collect();
        if let Some(object) = &self.object {
            let name = name_of("object");
            let below = |of: &str| Sql::from(format!("{}/%", escaped(of)));
            let or = |condition: String, pattern: Sql| {
                (format!("(object = ? OR {condition} LIKE ? ESCAPE '\\')"), vec![object.clone().into(), pattern])
            };
            all.push(match object.split_once(' ').filter(|(kind, _)| AUDIT_KINDS.contains(kind)) {
                Some(("project", of)) => or(name, below(of)),
                Some(("metric-set", of)) => or("object".to_owned(), below(&format!("metric {of}"))),
                Some(_) => ("object = ?".to_owned(), vec![object.clone().into()]),
                None => (format!("{name} || '/' LIKE ? ESCAPE '\\'"), vec![below(object)]),
            });
        }
        for word in &self.words {
            let text = "actor || ' ' || action || ' ' || object || ' ' || details || ' ' || coalesce(tenant_name, '') || ' ' || \
                        coalesce(address, '') || ' ' || coalesce(before, '') || ' ' || coalesce(after, '')";
            all.push((format!("{text} LIKE ? ESCAPE '\\'"), vec![format!("%{}%", escaped(word)).into()]));
        }
        all
    }
}

impl View<'_> {
    /// What a thing looks like, without secrets; none if it is not there.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn portrait(&self, tenant: TenantId, subject: &Subject) -> Result<Option<Json>, CatalogError> {
        let found = match subject {
            Subject::Tenant(name) => {
                self.tenant_named(name).and_then(|t| Ok(json!({"name": t.name, "quotas": self.quotas(t.id)?})))
            }
            Subject::User(name) => self.user_named(name).and_then(|user| {
                let roles = self.roles_json(&self.grants(user.id)?)?;
                Ok(json!({"name": user.name, "operator": user.operator, "roles": roles}))
            }),
            Subject::ApiToken(name) => self.api_token_named(tenant, name).and_then(|token| {
                let project = token.project.map(|p| self.project(p)).transpose()?.map(|p| p.name);
                Ok(json!({"name": token.name, "operator": token.operator, "project": project, "role": token.role,
                    "expires": token.expires}))
            }),
            Subject::Project(name) => {
                self.project_named(tenant, name).map(|p| json!({"name": p.name, "retention": p.retention}))
            }
            Subject::SubmissionToken(project, id) => self.project_named(tenant, project).and_then(|p| {
                let tokens = self.submission_tokens(p.id)?;
                let token = tokens.into_iter().find(|t| t.id.to_string() == *id);
                let missing = || CatalogError::not_found(super::Kind::SubmissionToken, id);
                token.map(|t| json!({"id": t.id, "hint": t.hint})).ok_or_else(missing)
            }),
            Subject::MetricSet(project, set) => self.project_named(tenant, project).and_then(|p| {
                let set = self.metric_set_named(p.id, set)?;
                let metrics = self.metrics(set.id)?;
                let metrics: Vec<Json> =
                    metrics.iter().map(|m| json!({"name": m.name, "series": m.series, "query": m.query.to_json()})).collect();
                Ok(json!({"name": set.name, "series": set.series, "metrics": metrics}))
            }),
            Subject::Metric(project, set, metric) => self.project_named(tenant, project).and_then(|p| {
                let metric = self.metric_named(self.metric_set_named(p.id, set)?.id, metric)?;
                Ok(json!({"name": metric.name, "series": metric.series, "query": metric.query.to_json()}))
            }),
            Subject::Store(project, store) => self.project_named(tenant, project).and_then(|p| {
                let store = self.store_named(p.id, store)?;
                let version = store.pin.as_ref().map(|pin| format!("sha256:{}", hex::encode(pin.digest)));
                Ok(json!({"name": store.name, "adapter": store.adapter, "adapter_version": version, "period": store.period,
                    "settings": store.settings, "metric_sets": store.metric_sets, "paused": store.paused,
                    "draining": store.draining, "revision": store.revision}))
            }),
            Subject::Host | Subject::Adapter(_) => return Ok(None),
        };
        match found {
            Ok(picture) => Ok(Some(picture)),
            Err(CatalogError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What comes and goes with a thing, each with the tenant that it is of, in the order in which it is made.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn parts(&self, tenant: TenantId, subject: &Subject) -> Result<Vec<(TenantId, Subject)>, CatalogError> {
        let found = match subject {
            Subject::Tenant(name) => self.tenant_named(name).and_then(|of| {
                let tokens = self.api_tokens(of.id)?;
                Ok(tokens.into_iter().map(|token| (of.id, Subject::ApiToken(token.name.to_string()))).collect())
            }),
            Subject::Project(name) => self.project_named(tenant, name).and_then(|project| {
                let own = || project.name.to_string();
                let tokens = self.submission_tokens(project.id)?.into_iter();
                let mut parts: Vec<_> = tokens.map(|t| Subject::SubmissionToken(own(), t.id.to_string())).collect();
                for set in self.metric_sets(project.id)? {
                    parts.push(Subject::MetricSet(own(), set.name.to_string()));
                    let metrics = self.metrics(set.id)?.into_iter();
                    parts.extend(metrics.map(|m| Subject::Metric(own(), set.name.to_string(), m.name.to_string())));
                }
                let stores = self.stores(project.id)?.into_iter();
                parts.extend(stores.map(|store| Subject::Store(own(), store.name.to_string())));
                Ok(parts.into_iter().map(|part| (tenant, part)).collect())
            }),
            Subject::MetricSet(project, set) => self.project_named(tenant, project).and_then(|of| {
                let metrics = self.metrics(self.metric_set_named(of.id, set)?.id)?.into_iter();
                let metric = |name: String| Subject::Metric(project.clone(), set.clone(), name);
                Ok(metrics.map(|m| (tenant, metric(m.name.to_string()))).collect())
            }),
            _ => Ok(Vec::new()),
        };
        match found {
            Err(CatalogError::NotFound { .. }) => Ok(Vec::new()),
            other => other,
        }
    }

    /// Roles with the names of tenants and projects.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn roles_json(&self, grants: &[Grant]) -> Result<Vec<Json>, CatalogError> {
        let role = |grant: &Grant| {
            let project = grant.project.map(|p| self.project(p)).transpose()?.map(|p| p.name);
            Ok(json!({"tenant": self.tenant(grant.tenant)?.name, "project": project, "role": grant.role}))
        };
        grants.iter().map(role).collect()
    }

    /// Lines of the log.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn audit(&self, wanted: &AuditFilter) -> Result<Vec<AuditRecord>, CatalogError> {
        let mut sql = "SELECT id, at, tenant_name, actor, address, action, object, before, after, details FROM audit \
                       WHERE 1"
            .to_owned();
        let mut values: Vec<Sql> = Vec::new();
        for (condition, operands) in wanted.conditions() {
            sql += &format!(" AND {condition}");
            values.extend(operands);
        }
        let order = if wanted.oldest_first { "ASC" } else { "DESC" };
        sql += &format!(" ORDER BY id {order} LIMIT {}", wanted.limit);
        let mut statement = self.connection.prepare(&sql)?;
        Ok(statement.query_map(params_from_iter(values), record)?.collect::<Result<_, _>>()?)
    }
}

/// A text that LIKE takes as it stands.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

fn record(row: &Row<'_>) -> rusqlite::Result<AuditRecord> {
    let picture = |column| -> rusqlite::Result<Option<Json>> {
        let text: Option<String> = row.get(column)?;
        text.map(|t| serde_json::from_str(&t)).transpose().map_err(|e| super::corrupt(column, e))
    };
    let details: String = row.get(9)?;
    Ok(AuditRecord {
        id: row.get(0)?,
        at: moment(row, 1)?,
        tenant: row.get(2)?,
        actor: row.get(3)?,
        address: row.get(4)?,
        action: row.get(5)?,
        object: row.get(6)?,
        before: picture(7)?,
        after: picture(8)?,
        details: serde_json::from_str(&details).map_err(|e| super::corrupt(9, e))?,
    })
}

impl Edit<'_> {
    /// Does something to a store that nobody has asked for just now, and writes that down in the name of the host.
    ///
    /// # Errors
    /// What `work` returns, and [`CatalogError::Storage`].
    pub(crate) fn store_by_host<T>(
        &self,
        store: StoreId,
        action: &str,
        why: &str,
        work: impl FnOnce(&Self) -> Result<T, CatalogError>,
    ) -> Result<T, CatalogError> {
        let known = self.store(store)?;
        let project = self.project(known.project)?;
        let subject = Subject::Store(project.name.to_string(), known.name.to_string());
        self.by_host(project.tenant, action, &subject, why, work)
    }

    /// Does something in the name of the host, and writes down what the thing was before and after.
    ///
    /// # Errors
    /// What `work` returns, and [`CatalogError::Storage`].
    pub fn by_host<T>(
        &self,
        tenant: TenantId,
        action: &str,
        subject: &Subject,
        why: &str,
        work: impl FnOnce(&Self) -> Result<T, CatalogError>,
    ) -> Result<T, CatalogError> {
        let before = self.portrait(tenant, subject)?;
        let done = work(self)?;
        let after = self.portrait(tenant, subject)?;
        let (tenant, details) = (Some(tenant), &[why.to_owned()]);
        self.record(&AuditEntry { tenant, actor: "host", address: None, action, subject, before, after, details })?;
        Ok(done)
    }

    /// Writes a line.
    ///
    /// # Errors
    /// [`CatalogError::Storage`]: the change that it speaks of must not be made then.
    pub fn record(&self, entry: &AuditEntry<'_>) -> Result<(), CatalogError> {
        let tenant_name = entry.tenant.and_then(|id| self.tenant(id).ok()).map(|t| t.name.to_string());
        let text = |picture: &Option<Json>| picture.as_ref().map(ToString::to_string);
        let sql = "INSERT INTO audit (at, tenant, tenant_name, actor, address, action, object, before, after, details) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        self.connection.prepare_cached(sql)?.execute(params![
            self.now_micros(),
            entry.tenant.map(|t| t.0),
            tenant_name,
            entry.actor,
            entry.address.map(|a| a.to_string()),
            entry.action,
            entry.subject.words(),
            text(&entry.before),
            text(&entry.after),
            json!(entry.details).to_string(),
        ])?;
        let sql = "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ?1 ORDER BY at LIMIT ?2)";
        let old = self.now_micros().saturating_sub(KEEP_MICROS);
        self.connection.prepare_cached(sql)?.execute(params![old, PRUNE])?;
        Ok(())
    }
}
