//! Which adapters there are, in which versions, what they say of themselves, and which files are none.

use crate::http::auth::Call;
use crate::http::path::Path;
use crate::http::problem::Problem;
use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tidegate_sandbox::{Registered, Registry};

/// One version. `default` is what a new store gets that gives the name alone.
pub(super) fn summary(registry: &Registry, registered: &Registered) -> Value {
    let (adapter, description) = (&registered.adapter, registered.adapter.description());
    let default = registry.get(&description.name).is_some_and(|d| d.digest() == adapter.digest());
    json!({
        "name": description.name,
        "version": description.version,
        "vendor": description.vendor,
        "summary": description.summary,
        "direction": adapter.direction(),
        "contract": adapter.contract(),
        "digest": digest_text(adapter.digest()),
        "size": registered.size,
        "builtin": registered.builtin,
        "file": registered.files.first(),
        "offered": registered.offered(),
        "default": default,
    })
}

/// `sha256:` and the digits.
pub(super) fn digest_text(digest: &[u8; 32]) -> String {
    format!("sha256:{}", hex::encode(digest))
}

/// The version that a path names: `influxdb`, `influxdb@1.2.0` or `sha256:...`.
pub(super) fn resolve(registry: &Registry, reference: &str) -> Result<Registered, Problem> {
    let found = registry.resolve(reference).map_err(Problem::conflict)?;
    found.ok_or_else(|| {
        let names = registry.names().join(", ");
        Problem::not_found(format_args!("there is no adapter {reference:?}; there are: {names}"))
    })
}

/// All versions of all adapters, and the files in the folder that are none.
pub(crate) async fn list(call: Call) -> Response {
    let registry = &call.host.registry;
    let adapters: Vec<Value> = registry.list().iter().map(|r| summary(registry, r)).collect();
    let refused = registry.refused().into_iter().map(|r| json!({"file": r.file, "reason": r.error.to_string()}));
    let refused: Vec<Value> = refused.collect();
    Json(json!({"adapters": adapters, "refused": refused, "folder": call.host.adapter_dir})).into_response()
}

/// One adapter, with the schema of its settings and what it may reach.
pub(crate) async fn show(call: Call, Path(reference): Path<String>) -> Result<Response, Problem> {
    let found = resolve(&call.host.registry, &reference)?;
    let mut document = summary(&call.host.registry, &found);
    let description = found.adapter.description();
    document["documentation"] = json!(description.documentation);
    document["settings"] = json!(description.settings);
    document["endpoints"] = json!(description.endpoints);
    document["push"] = json!(description.push);
    document["pull"] = json!(description.pull);
    Ok(Json(document).into_response())
}
