//! Which adapters there are, in which versions, what they say of themselves, and which files are none.

use super::adapter_use::Uses;
use super::page::{Parameters, Rules};
use super::signatures;
use crate::http::auth::Call;
use crate::http::body::BodyReader;
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::http::state::{App, Host, blocking};
use crate::http::writer::Pictures;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use tidegate_export::catalog::{Store, Subject};
use tidegate_sandbox::{Adapter, Registered, Registry, SIGNATURE_SUFFIX, Signature};

/// One version. `default` is what a new store gets that gives the name alone.
pub(super) fn summary(registry: &Registry, registered: &Registered) -> Value {
    let (adapter, description) = (&registered.adapter, registered.adapter.description());
    let default = registry.get(&description.name).is_some_and(|d| d.digest() == adapter.digest());
    json!({
        "name": description.name,
        "version": description.version,
        "vendor": description.vendor,
        "summary": description.summary,
        "documentation": description.documentation,
        "direction": adapter.direction(),
        "contract": adapter.contract(),
        "digest": digest_text(adapter.digest()),
        "size": registered.size,
        "builtin": registered.builtin,
        "file": registered.files.first(),
        "offered": registered.offered(),
        "default": default,
        "signature": signatures::told(adapter.digest(), &registered.signature),
    })
}

/// What the log of changes shows of a version.
fn picture(registry: &Registry, registered: &Registered) -> Value {
    let mut picture = summary(registry, registered);
    picture["asks"] = json!(registered.adapter.asks());
    picture
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

/// What the list of adapters can do.
pub(crate) const LIST: Rules = Rules {
    list: "adapters",
    id: &["name", "version", "digest"],
    sorts: &["name", "version", "vendor", "size", "stores"],
    filters: &["name", "direction", "vendor", "builtin", "default", "offered", "signature.state", "signature.key"],
};

/// All versions of all adapters, and the files in the folder that are none.
pub(crate) async fn list(call: Call, parameters: Parameters) -> Result<Response, Problem> {
    let page = parameters.page(&LIST)?;
    let registry = &call.host.registry;
    let uses = Uses::of(&call).await?;
    let told = |registered: &Registered| {
        let mut document = summary(registry, registered);
        uses.tell(registered.adapter.digest(), &mut document);
        document
    };
    let adapters: Vec<Value> = registry.list().iter().map(told).collect();
    let refused = registry.refused().into_iter().map(|r| json!({"file": r.file, "reason": r.error.to_string()}));
    let refused: Vec<Value> = refused.collect();
    let more = json!({"refused": refused, "folder": call.host.adapter_dir, "signatures": signatures::policy(registry)});
    Ok(page.answer_with(page.cut(adapters), &more))
}

/// One adapter, with the schema of its settings and what it may reach.
pub(crate) async fn show(call: Call, Path(reference): Path<String>) -> Result<Response, Problem> {
    let found = resolve(&call.host.registry, &reference)?;
    let mut document = summary(&call.host.registry, &found);
    let description = found.adapter.description();
    let uses = Uses::of(&call).await?;
    uses.tell(found.adapter.digest(), &mut document);
    document["used_by"] = json!(uses.stores(found.adapter.digest()));
    document["asks"] = json!(found.adapter.asks());
    document["system"] = json!(found.adapter.stubs());
    document["settings"] = json!(description.settings);
    document["endpoints"] = json!(description.endpoints);
    document["push"] = json!(description.push);
    document["pull"] = json!(description.pull);
    Ok(Json(document).into_response())
}

/// The version that a store uses; none if it was made before there were versions.
pub(super) fn version_of(registry: &Registry, store: &Store) -> Value {
    let Some(pin) = &store.pin else { return Value::Null };
    let version = |digest: &[u8; 32]| registry.find(digest).map(|r| r.adapter.description().version.clone());
    let previous =
        pin.previous.as_ref().map(|digest| json!({"version": version(digest), "digest": digest_text(digest)}));
    json!({
        "version": version(&pin.digest),
        "digest": digest_text(&pin.digest),
        "previous": previous,
        "trial_until": pin.trial_until,
        "problem": pin.problem,
        "update": update(registry, store).map(|adapter| json!({
            "version": adapter.description().version, "digest": digest_text(adapter.digest()),
        })),
    })
}

/// What a new store would get instead of the version that this one uses.
pub(super) fn update(registry: &Registry, store: &Store) -> Option<Arc<Adapter>> {
    let pin = store.pin.as_ref()?;
    registry.get(&store.adapter).filter(|adapter| *adapter.digest() != pin.digest)
}

/// The query of an upload.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Upload {
    #[serde(default)]
    dry_run: bool,
    /// The text of the component's signature.
    signature: Option<String>,
}

/// Puts the component that is the body into the folder; with `?dry_run=true`, only says what would come of it.
pub(crate) async fn install(
    call: Call,
    State(app): State<App>,
    wish: Result<Query<Upload>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Query(Upload { dry_run, signature }) = wish.map_err(|e| Problem::invalid(e.body_text()))?;
    let signature = signatures::text_of(signature)?;
    let (head, body) = request.into_parts();
    let limit = call.host.registry.sandbox().options().max_component_bytes;
    let reader = BodyReader::new(&head.headers, body, limit, app.limits().patience);
    let mut pass = app.enter().map_err(Problem::unavailable)?;
    let whole = async { reader?.all(&mut pass).await };
    let component = whole.await.map_err(|e| Problem::new(e.status(), e))?;
    let host = Arc::clone(&call.host);
    let (adapter, size) = (Arc::clone(&host), component.len());
    let taken = blocking(move || {
        let known = adapter.registry.find(&Sha256::digest(&component).into());
        let before = known.map(|known| picture(&adapter.registry, &known));
        taken(&adapter, &component, signature.as_deref(), dry_run).map(|taken| (taken, before))
    });
    let ((adapter, signature), before) = taken.await??;
    let description = adapter.description();
    let registered = host.registry.find(adapter.digest());
    let after = registered.as_ref().map(|registered| picture(&host.registry, registered));
    // The same bytes again are no change.
    if !dry_run && before != after {
        let of = Subject::Adapter(format!("{}@{}", description.name, description.version));
        call.note("install", Pictures { of, before, after }, Vec::new()).await?;
    }
    let (asks, system) = (adapter.asks(), json!(adapter.stubs()));
    let files = Default::default();
    let registered = registered.unwrap_or(Registered { adapter, builtin: false, files, size, signature });
    let mut document = summary(&host.registry, &registered);
    document["asks"] = json!(asks);
    document["system"] = system;
    let status = if dry_run { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(document)).into_response())
}

/// Loads a component that somebody may have signed, and puts both into the folder unless that was only to be tried.
fn taken(
    host: &Host,
    component: &Bytes,
    signature: Option<&str>,
    dry_run: bool,
) -> Result<(Arc<Adapter>, Signature), Problem> {
    let (adapter, judged) = host.registry.load_signed(component, signature).map_err(Problem::invalid)?;
    let known = host.registry.find(adapter.digest()).filter(Registered::offered);
    // The same bytes again change something only if more is known of who vouches for them.
    if dry_run || known.as_ref().is_some_and(|known| judged <= known.signature) {
        return Ok((adapter, judged));
    }
    let file = known.and_then(|known| known.files.first().cloned());
    let file = file.unwrap_or_else(|| host.adapter_dir.join(file_name(&adapter)));
    // The signature first: the folder is being watched, and a component without it may be one that is refused.
    let signed = signature.map_or(Ok(()), |text| put(&signature_of(&file), text.as_bytes()));
    signed.and_then(|()| put(&file, component)).map_err(|error| {
        let folder = host.adapter_dir.display();
        Problem::conflict(format_args!("it cannot be put into the adapter folder {folder}: {error}"))
    })?;
    let adapter = host.registry.add_file(&file, Ok(component), signature).map_err(Problem::invalid)?;
    Ok((adapter, judged))
}

/// Where the signature of a component's file is.
fn signature_of(file: &FsPath) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(SIGNATURE_SUFFIX);
    name.into()
}

/// What the adapter calls itself and the beginning of its digest, so that versions do not overwrite each other.
fn file_name(adapter: &Adapter) -> String {
    let description = adapter.description();
    let fine = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' };
    let version: String = description.version.chars().take(32).map(fine).collect();
    format!("{}-{version}-{}.wasm", description.name, &hex::encode(adapter.digest())[..12])
}

/// Whole, or not at all: the folder is being watched.
fn put(file: &FsPath, component: &[u8]) -> io::Result<()> {
    let temporary = file.with_file_name(format!(".{}.new", file.file_name().unwrap_or_default().to_string_lossy()));
    let mut written = File::create(&temporary)?;
    written.write_all(component).and_then(|()| written.sync_all()).and_then(|()| fs::rename(&temporary, file))
}

/// Removes the files of a version from the folder. A version that stores use, or can go back to, stays.
pub(crate) async fn remove(call: Call, Path(reference): Path<String>) -> Result<Response, Problem> {
    let found = resolve(&call.host.registry, &reference)?;
    let digest = *found.adapter.digest();
    if found.builtin {
        return Err(Problem::conflict("it is inside the binary and cannot be removed"));
    }
    let (tenant, users) = (call.tenant(), call.host.read(move |view| view.users_of(&digest)).await?);
    if !users.is_empty() {
        let own: Vec<&str> = users.iter().filter(|(of, _)| *of == tenant).map(|(_, name)| name.as_str()).collect();
        let others = users.len() - own.len();
        let more = if others > 0 { format!(", {others} of other tenants") } else { String::new() };
        let told = format!("stores use it, or can go back to it ({}{more}): {}", users.len(), own.join(", "));
        return Err(Problem::conflict(told).with("stores", json!(own)));
    }
    let description = found.adapter.description();
    let of = Subject::Adapter(format!("{}@{}", description.name, description.version));
    let before = Some(picture(&call.host.registry, &found));
    call.note("remove", Pictures { of, before, after: None }, Vec::new()).await?;
    let host = Arc::clone(&call.host);
    blocking(move || {
        let used = host.catalog.read(|view| view.pinned())?;
        for file in &found.files {
            for one in [file.clone(), signature_of(file)] {
                match fs::remove_file(&one) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(Problem::conflict(format_args!("{} cannot be removed: {error}", one.display())));
                    }
                    _ => {}
                }
            }
            host.registry.remove_file(file);
        }
        host.registry.keep(&used);
        Ok(())
    })
    .await??;
    Ok(StatusCode::NO_CONTENT.into_response())
}
