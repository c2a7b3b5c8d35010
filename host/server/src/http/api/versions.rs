//! Which version of its adapter a store uses, and how it comes to use another one: looked at, compared, agreed to, changed, and
//! back again.

use super::adapters::{digest_text, resolve, summary, update, version_of};
use super::{JsonBody, signatures, stores};
use crate::http::auth::Call;
use crate::http::path::Path;
use crate::http::problem::Problem;
use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tidegate_export::catalog::{Store, Subject};
use tidegate_export::{Compared, Comparison};
use tidegate_model::strict;
use tidegate_sandbox::Adapter;

type StorePath = Path<(String, String)>;

/// Another version, and what has been agreed to.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    /// The version; what a new store would get if it is left out.
    to: Option<String>,
    /// The lines of `asks` that somebody has agreed to.
    #[serde(default)]
    consent: Vec<String>,
}

impl Wish {
    fn read(body: Value) -> Result<Self, Problem> {
        strict::read(body).map_err(Problem::invalid)
    }
}

async fn store_of(call: &Call, path: (String, String)) -> Result<Store, Problem> {
    let tenant = call.tenant();
    call.host.read(move |view| stores::find(view, tenant, &path).map(|(_, store)| store)).await
}

/// The version that is meant, which must be another than the one in use.
fn wanted(call: &Call, store: &Store, to: Option<&str>) -> Result<Arc<Adapter>, Problem> {
    let registry = &call.host.registry;
    let adapter = match to {
        Some(reference) => resolve(registry, reference)?.adapter,
        None => update(registry, store).ok_or_else(|| {
            Problem::conflict(format_args!("the store uses the newest version of {} that there is", store.adapter))
        })?,
    };
    if store.pin.as_ref().is_some_and(|pin| pin.digest == *adapter.digest()) {
        return Err(Problem::conflict("the store uses this version already"));
    }
    Ok(adapter)
}

/// The version that a store uses, and the others that there are of its adapter.
pub(crate) async fn show(call: Call, Path(path): StorePath) -> Result<Response, Problem> {
    let store = store_of(&call, path).await?;
    let registry = &call.host.registry;
    let current = store.pin.as_ref().and_then(|pin| registry.find(&pin.digest));
    let versions = registry.list().into_iter().filter(|r| r.adapter.description().name == store.adapter).map(|r| {
        let mut document = summary(registry, &r);
        let more = current.as_ref().map(|current| {
            let mut more = r.adapter.asks_beyond(&current.adapter);
            more.extend(signatures::less_trusted(current, &r));
            more
        });
        document["asks_more"] = json!(more);
        document["used"] = json!(current.as_ref().is_some_and(|c| c.adapter.digest() == r.adapter.digest()));
        document
    });
    let versions: Vec<Value> = versions.collect();
    let mut document = json!({"name": store.adapter, "versions": versions});
    if let (Some(all), Value::Object(of)) = (document.as_object_mut(), version_of(registry, &store)) {
        all.extend(of);
    }
    Ok(Json(document).into_response())
}

/// What a store would send with another version, over the windows on record.
pub(crate) async fn diff(call: Call, Path(path): StorePath, JsonBody(body): JsonBody) -> Result<Response, Problem> {
    let wish = Wish::read(body)?;
    let store = store_of(&call, path).await?;
    let adapter = wanted(&call, &store, wish.to.as_deref())?;
    let comparison = compared(&call, &store, &adapter).await?;
    Ok(Json(told(&adapter, &comparison)).into_response())
}

/// How another version compares with the one in use, in what it does and in who vouches for it.
async fn compared(call: &Call, store: &Store, adapter: &Arc<Adapter>) -> Result<Comparison, Problem> {
    let mut comparison = call.host.export.compare_adapter(store.id, Arc::clone(adapter)).await?;
    signatures::compare(&call.host, store, adapter, &mut comparison);
    Ok(comparison)
}

fn told(adapter: &Adapter, comparison: &Comparison) -> Value {
    let window = |w: &tidegate_export::ComparedWindow| {
        let (outcome, lines, reason) = match &w.outcome {
            Compared::Same => ("same", None, None),
            Compared::Different(lines) => ("different", Some(lines), None),
            Compared::NowFails(why) => ("now-fails", None, Some(why)),
            Compared::StillFails(why) => ("still-fails", None, Some(why)),
            Compared::NowWorks(why) => ("now-works", None, Some(why)),
        };
        json!({
            "metric_set": w.metric_set, "window_start": w.window.start(), "window_end": w.window.end(),
            "outcome": outcome, "lines": lines, "reason": reason,
        })
    };
    json!({
        "to": {"version": adapter.description().version, "digest": digest_text(adapter.digest())},
        "asks": comparison.asks,
        "objection": comparison.objection(),
        "windows": comparison.windows.iter().map(window).collect::<Vec<_>>(),
    })
}

/// Has a store use another version from its next batch on, if that version stands the windows on record and somebody has agreed
/// to all that it asks for beyond the one in use.
pub(crate) async fn upgrade(call: Call, Path(path): StorePath, JsonBody(body): JsonBody) -> Result<Response, Problem> {
    let wish = Wish::read(body)?;
    let store = store_of(&call, path.clone()).await?;
    let adapter = wanted(&call, &store, wish.to.as_deref())?;
    let comparison = compared(&call, &store, &adapter).await?;
    if let Some(objection) = comparison.objection() {
        return Err(Problem::conflict(format_args!("the store stays as it is: {objection}"))
            .with("comparison", told(&adapter, &comparison)));
    }
    let open: Vec<&String> = comparison.asks.iter().filter(|ask| !wish.consent.contains(ask)).collect();
    if !open.is_empty() {
        let lines: Vec<&str> = open.iter().map(|ask| ask.as_str()).collect();
        let detail = format!(
            "this version asks for more than the one in use, and nobody has agreed to it: {}",
            lines.join("; ")
        );
        return Err(Problem::conflict(detail).with("consent_needed", json!(open)));
    }
    let (id, to) = (store.id, *adapter.digest());
    let from = store.pin.as_ref().map(|pin| pin.digest);
    let details: Vec<String> = wish.consent.iter().map(|ask| format!("agreed to: {ask}")).collect();
    let subject = Subject::Store(path.0.clone(), path.1.clone());
    let change = call.change_and_tell("upgrade", subject, move |edit| {
        match from {
            Some(from) => edit.upgrade_adapter(id, &from, &to)?,
            None => edit.pin_adapter(id, &to)?,
        }
        Ok(((), details))
    });
    change.await?;
    let store = store_of(&call, path).await?;
    let mut document = version_of(&call.host.registry, &store);
    document["comparison"] = told(&adapter, &comparison);
    Ok(Json(document).into_response())
}

/// Has a store use the version before again.
pub(crate) async fn roll_back(call: Call, Path(path): StorePath) -> Result<Response, Problem> {
    let store = store_of(&call, path.clone()).await?;
    let (id, from) = (store.id, store.pin.as_ref().map(|pin| pin.digest).unwrap_or_default());
    let subject = Subject::Store(path.0.clone(), path.1.clone());
    call.change("roll-back", subject, move |edit| edit.roll_back_adapter(id, &from, None)).await?;
    let store = store_of(&call, path).await?;
    Ok(Json(version_of(&call.host.registry, &store)).into_response())
}
