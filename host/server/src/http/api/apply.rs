//! `POST /api/v1/apply`: the whole configuration in one document.

use super::JsonBody;
use crate::apply::{self, ApplyError, Document, Noted, Sign};
use crate::http::auth::Call;
use crate::http::problem::Problem;
use crate::http::state::{RegistryAdapters, blocking};
use crate::http::writer::Pictures;
use axum::Json;
use axum::extract::Query;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;
use tidegate_export::catalog::{CatalogError, Edit};

/// What may be said in the query string.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    #[serde(default)]
    dry_run: bool,
}

/// Applies a document to the caller's tenant, or tells what that would do.
pub(crate) async fn apply(
    call: Call,
    options: Result<Query<Options>, axum::extract::rejection::QueryRejection>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let Query(Options { dry_run }) = options.map_err(|e| Problem::bad_request(e.body_text()))?;
    let document = Document::read(body).map_err(Problem::invalid)?;
    let (catalog, tenant) = (Arc::clone(&call.host.catalog), call.tenant());
    let adapters = RegistryAdapters(Arc::clone(&call.host.registry));
    let writer = call.writer();
    // In the same transaction: a line for each thing that is different now.
    let record = move |edit: &Edit<'_>, noted: Noted<'_>| {
        let action = if noted.sign == Sign::Added { "apply-create" } else { "apply-update" };
        let pictures = Pictures { of: noted.subject, before: noted.before, after: noted.after };
        writer.write(edit, action, pictures, noted.details)
    };
    let outcome = blocking(move || apply::apply(&catalog, tenant, &document, &adapters, dry_run, &record)).await?;
    let outcome = outcome.map_err(refused)?;
    if !dry_run {
        tracing::info!(by = call.by(), changes = outcome.changes.len(), "document applied");
        call.host.export.catalog_changed();
    }
    Ok(Json(outcome).into_response())
}

fn refused(error: ApplyError) -> Problem {
    match *error.cause {
        CatalogError::Storage(_) | CatalogError::Random(_) => Problem::internal(&error),
        CatalogError::Conflict { .. } | CatalogError::Quota { .. } => Problem::conflict(&error),
        _ => Problem::invalid(&error),
    }
    .with("place", error.place.into())
}
