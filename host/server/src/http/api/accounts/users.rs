//! Users and their roles. Operators make and remove users; who administers a tenant gives roles in it to those who have one there.

use super::RoleDoc;
use crate::http::api::JsonBody;
use crate::http::api::page::{Parameters, Rules};
use crate::http::auth::Call;
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::http::state::App;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_export::catalog::{Access, CatalogError, Edit, Grant, Kind, Subject, User, View};
use tidegate_model::{Secret, TenantId, strict};

/// What the list of users can do.
pub(crate) const LIST: Rules =
    Rules { list: "users", id: &["name"], sorts: &["name", "created"], filters: &["operator", "can_sign_in"] };

/// A user as the caller may see them: operators see all roles, others those in their tenant.
fn user_json(view: &View<'_>, user: &User, access: &Access, tenant: TenantId) -> Result<Option<Value>, CatalogError> {
    let mut grants = view.grants(user.id)?;
    grants.retain(|grant| access.operator || grant.tenant == tenant);
    if grants.is_empty() && !access.operator {
        return Ok(None);
    }
    let roles = view.roles_json(&grants)?;
    Ok(Some(json!({
        "name": user.name, "operator": user.operator, "can_sign_in": user.has_password, "created": user.created, "roles": roles,
    })))
}

/// The users: all for an operator, else those who have a role in the tenant.
pub(crate) async fn list(call: Call, parameters: Parameters) -> Result<Response, Problem> {
    let page = parameters.page(&LIST)?;
    let (tenant, access) = (call.tenant(), call.access().clone());
    let users = call.host.read(move |view| {
        let users = view.users()?;
        let shown: Result<Vec<_>, _> = users.iter().map(|user| user_json(view, user, &access, tenant)).collect();
        Ok(shown?.into_iter().flatten().collect::<Vec<Value>>())
    });
    Ok(page.answer(users.await?))
}

fn document(view: &View<'_>, name: &str, access: &Access, tenant: TenantId) -> Result<Value, CatalogError> {
    let missing = || CatalogError::NotFound { kind: Kind::User, name: name.to_owned() };
    user_json(view, &view.user_named(name)?, access, tenant)?.ok_or_else(missing)
}

/// One user.
pub(crate) async fn show(call: Call, Path(name): Path<String>) -> Result<Response, Problem> {
    let (tenant, access) = (call.tenant(), call.access().clone());
    let user = call.host.read(move |view| document(view, &name, &access, tenant)).await?;
    Ok(Json(user).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    name: String,
    password: Option<String>,
    #[serde(default)]
    operator: bool,
    #[serde(default)]
    roles: Vec<RoleDoc>,
}

/// Makes a user.
pub(crate) async fn create(State(app): State<App>, call: Call, JsonBody(body): JsonBody) -> Result<Response, Problem> {
    let wish: NewUser = strict::read(body).map_err(Problem::invalid)?;
    let hash = match wish.password {
        Some(password) => Some(app.passwords().hash(&wish.name, Secret::new(password)).await?),
        None => None,
    };
    let (tenant, access, name) = (call.tenant(), call.access().clone(), wish.name.clone());
    let made = call.change("create", Subject::User(name), move |edit| {
        let user = edit.create_user(&wish.name, hash.as_ref(), wish.operator)?;
        let grants = wish.roles.iter().map(|role| role.grant(edit, tenant)).collect::<Result<Vec<_>, _>>()?;
        let mut tenants: Vec<TenantId> = grants.iter().map(|g| g.tenant).collect();
        tenants.sort_unstable();
        tenants.dedup();
        for tenant in tenants {
            let here: Vec<Grant> = grants.iter().filter(|g| g.tenant == tenant).copied().collect();
            edit.set_roles(&user, tenant, &here)?;
        }
        document(edit, user.name.as_str(), &access, tenant)
    });
    Ok((StatusCode::CREATED, Json(made.await?)).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    operator: bool,
}

/// Says whether a user runs the host.
pub(crate) async fn put(call: Call, Path(name): Path<String>, JsonBody(body): JsonBody) -> Result<Response, Problem> {
    let Changes { operator } = strict::read(body).map_err(Problem::invalid)?;
    let (tenant, access) = (call.tenant(), call.access().clone());
    let put = call.change("update", Subject::User(name.clone()), move |edit| {
        edit.set_operator(&edit.user_named(&name)?, operator)?;
        document(edit, &name, &access, tenant)
    });
    Ok(Json(put.await?).into_response())
}

/// Removes a user; their sessions end.
pub(crate) async fn delete(call: Call, Path(name): Path<String>) -> Result<Response, Problem> {
    let subject = Subject::User(name.clone());
    call.change("delete", subject, move |edit| edit.delete_user(&edit.user_named(&name)?)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Password {
    password: String,
}

/// Gives a user another password; their sessions end.
pub(crate) async fn set_password(
    State(app): State<App>,
    call: Call,
    Path(name): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let text = body.get("password").and_then(Value::as_str).is_some();
    let wish = text.then(|| strict::read::<Password>(body)).and_then(Result::ok);
    let wish = wish.ok_or_else(|| Problem::invalid("expected a document with one member, password, which is text"))?;
    let known = name.clone();
    let id = call.host.read(move |view| view.user_named(&known)).await?.id;
    let hash = app.passwords().hash(&name, Secret::new(wish.password)).await?;
    let set = call.change_and_tell("set-password", Subject::User(name), move |edit: &Edit<'_>| {
        edit.set_password(id, &hash)?;
        Ok(((), vec!["another password; all sessions ended".to_owned()]))
    });
    set.await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Roles {
    roles: Vec<RoleDoc>,
}

/// Gives a user these roles in the tenant, and no others there.
pub(crate) async fn set_roles(
    call: Call,
    Path(name): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let Roles { roles } = strict::read(body).map_err(Problem::invalid)?;
    let (tenant, access) = (call.tenant(), call.access().clone());
    let set = call.change("set-roles", Subject::User(name.clone()), move |edit| {
        // Somebody without a role here is not there for those who administer the tenant.
        document(edit, &name, &access, tenant)?;
        let user = edit.user_named(&name)?;
        let grants = roles.iter().map(|role| role.grant(edit, tenant)).collect::<Result<Vec<_>, _>>()?;
        if grants.iter().any(|grant| grant.tenant != tenant) {
            let why = "roles of another tenant are given in a request about that tenant".to_owned();
            return Err(CatalogError::Invalid { kind: Kind::User, name: name.clone(), why });
        }
        edit.set_roles(&user, tenant, &grants)?;
        let shown = view_after(edit, &user, &access, tenant)?;
        Ok(shown)
    });
    Ok(Json(set.await?).into_response())
}

/// The user after the roles were set: still shown to who took the last one.
fn view_after(view: &View<'_>, user: &User, access: &Access, tenant: TenantId) -> Result<Value, CatalogError> {
    let gone = json!({"name": user.name, "operator": user.operator, "can_sign_in": user.has_password, "created": user.created,
        "roles": []});
    Ok(user_json(view, user, access, tenant)?.unwrap_or(gone))
}
