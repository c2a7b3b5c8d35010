//! `GET /api/v1/audit`: who changed what. Operators read everything, others what belongs to their tenant.

use crate::http::api::log_page;
use crate::http::auth::Call;
use crate::http::problem::Problem;
use axum::Json;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_export::catalog::{AUDIT_KINDS, AuditFilter, AuditRecord};
use tidegate_model::{Instant, TenantId};

/// Words of a search.
const MOST_WORDS: usize = 16;

/// The orders that there are: the newest first, unless it is said otherwise.
pub(crate) const SORTS: [&str; 2] = ["-at", "at"];

/// Which lines.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    actor: Option<String>,
    action: Option<String>,
    kind: Option<String>,
    object: Option<String>,
    search: Option<String>,
    tenant: Option<String>,
    since: Option<u64>,
    until: Option<u64>,
    sort: Option<String>,
    cursor: Option<u64>,
    limit: Option<u32>,
}

impl Wish {
    /// The filter that it comes to, for lines of a tenant or of all.
    fn filter(self, tenant: Option<TenantId>, limit: u32) -> Result<AuditFilter, Problem> {
        log_page::one_of("kind", &AUDIT_KINDS, self.kind.as_deref())?;
        let oldest_first = log_page::oldest_first(&SORTS, self.sort.as_deref())?;
        let words: Vec<String> =
            self.search.unwrap_or_default().split_whitespace().take(MOST_WORDS + 1).map(ToOwned::to_owned).collect();
        if words.len() > MOST_WORDS {
            return Err(Problem::invalid(format_args!("search: expected {MOST_WORDS} words at most")));
        }
        let at = |seconds: Option<u64>| seconds.map(|s| Instant::from_micros(s.saturating_mul(1_000_000)));
        Ok(AuditFilter {
            tenant,
            actor: self.actor,
            action: self.action,
            kind: self.kind,
            object: self.object,
            words,
            since: at(self.since),
            until: at(self.until),
            after_id: self.cursor.map(|id| i64::try_from(id).unwrap_or(i64::MAX)),
            oldest_first,
            limit,
        })
    }
}

/// The log, newest first unless it is asked for otherwise.
pub(crate) async fn list(call: Call, wish: Result<Query<Wish>, QueryRejection>) -> Result<Response, Problem> {
    let Query(wish) = wish.map_err(|e| Problem::bad_request(e.body_text()))?;
    let limit = log_page::limit(wish.limit)?;
    let (operator, own) = (call.access().operator, call.tenant());
    let named = |tenant: &String| call.host.catalog.tenant_id(tenant).filter(|id| operator || *id == own);
    let tenant = match &wish.tenant {
        // A tenant that is not there has no lines.
        Some(tenant) => Some(named(tenant).unwrap_or(TenantId(0))),
        None if operator => None,
        None => Some(own),
    };
    // One more tells whether there are more.
    let filter = wish.filter(tenant, limit + 1)?;
    let mut lines = call.host.read(move |view| view.audit(&filter)).await?;
    let more = lines.len() > limit as usize;
    lines.truncate(limit as usize);
    let mut document = json!({"audit": lines.iter().map(line_json).collect::<Vec<Value>>()});
    if let Some(last) = lines.last().filter(|_| more) {
        document["next"] = json!(last.id.to_string());
    }
    Ok(Json(document).into_response())
}

fn line_json(line: &AuditRecord) -> Value {
    json!({
        "id": line.id, "at": line.at, "tenant": line.tenant, "actor": line.actor, "address": line.address,
        "action": line.action, "object": line.object, "before": line.before, "after": line.after, "details": line.details,
    })
}
