//! Which adapters there are, and what they say of themselves.

use crate::http::auth::Call;
use crate::http::path::Path;
use crate::http::problem::Problem;
use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tidegate_sandbox::Registered;

fn summary(registered: &Registered) -> Value {
    let (adapter, description) = (&registered.adapter, registered.adapter.description());
    json!({
        "name": description.name,
        "version": description.version,
        "vendor": description.vendor,
        "summary": description.summary,
        "direction": adapter.direction(),
        "contract": adapter.contract(),
        "digest": format!("sha256:{}", hex::encode(adapter.digest())),
        "file": registered.file,
    })
}

/// All adapters.
pub(crate) async fn list(call: Call) -> Response {
    let adapters: Vec<Value> = call.host.registry.list().iter().map(summary).collect();
    Json(json!({"adapters": adapters})).into_response()
}

/// One adapter, with the schema of its settings and what it may reach.
pub(crate) async fn show(call: Call, Path(name): Path<String>) -> Result<Response, Problem> {
    let adapters = call.host.registry.list();
    let found = adapters.iter().find(|r| r.adapter.description().name == name).ok_or_else(|| {
        let names: Vec<_> = adapters.iter().map(|r| r.adapter.description().name.as_str()).collect();
        Problem::not_found(format_args!("there is no adapter {name:?}; there are: {}", names.join(", ")))
    })?;
    let mut document = summary(found);
    let description = found.adapter.description();
    document["documentation"] = json!(description.documentation);
    document["settings"] = json!(description.settings);
    document["endpoints"] = json!(description.endpoints);
    document["push"] = json!(description.push);
    document["pull"] = json!(description.pull);
    Ok(Json(document).into_response())
}
