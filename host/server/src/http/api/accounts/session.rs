//! Signing in and out, and the first password of all.
//!
//! The trap is to tell more than "no": whether a name exists shows neither in the answer nor in the time that it takes.

use super::edit;
use crate::http::api::JsonBody;
use crate::http::auth::{self, Call, Peer};
use crate::http::problem::Problem;
use crate::http::session::{csrf, from_elsewhere, set_cookie};
use crate::http::state::{App, Host};
use crate::http::writer::{Pictures, Writer};
use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::IpAddr;
use std::time::Instant;
use tidegate_export::catalog::{Access, Actor, CatalogError, Subject};
use tidegate_model::{Secret, strict};

/// Where a request comes from.
pub(crate) struct From(Option<IpAddr>);

impl<S: Sync> FromRequestParts<S> for From {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get::<Peer>().map(|peer| peer.0)))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    user: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Setup {
    token: String,
    user: String,
    password: String,
}

fn read<T: for<'d> Deserialize<'d>>(body: Value) -> Result<T, Problem> {
    // The text of serde names members; with passwords around, nothing of their values may come along.
    strict::read(body).map_err(|error| {
        let told = error.to_string();
        let told = if told.starts_with("missing field") || told.starts_with("unknown field") {
            told
        } else {
            "expected text in each member".to_owned()
        };
        Problem::invalid(told)
    })
}

/// Another site must not sign a visitor in, under whatever name.
fn from_our_pages(headers: &HeaderMap) -> Result<(), Problem> {
    match from_elsewhere(headers) {
        true => Err(Problem::forbidden("this was asked for by a page of another site")),
        false => Ok(()),
    }
}

/// Signs a browser in.
pub(crate) async fn sign_in(
    State(app): State<App>,
    From(address): From,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    from_our_pages(&headers)?;
    let Credentials { user, password } = read(body)?;
    let (host, password) = (app.host()?, Secret::new(password));
    let limited = app.attempts().begin(&user, address, Instant::now());
    limited.map_err(|e| {
        app.metrics().refused("logins");
        Problem::too_many(&e, e.wait)
    })?;
    let name = user.clone();
    let found = host.read(move |view| view.password_hash(&name)).await?;
    let (id, hash) = found.map_or((None, None), |(id, hash)| (Some(id), Some(hash)));
    let fits = app.passwords().fits(password, hash).await?;
    let writer = Writer { tenant: None, actor: format!("user {user}"), address };
    let Some(id) = id.filter(|_| fits) else {
        app.metrics().refused("password");
        // A name can be anything here, also the password in the wrong field: only known names are written down.
        let known = host.read({
            let user = user.clone();
            move |view| Ok(view.user_named(&user).is_ok())
        });
        let writer = if known.await? { writer } else { Writer { actor: "unknown user".to_owned(), ..writer } };
        edit(&host, move |edit| writer.write(edit, "sign-in-failed", Pictures::none(Subject::Host), &[])).await?;
        return Err(Problem::unauthorized("user name or password is wrong"));
    };
    app.attempts().succeeded(&user, address);
    begin(&app, &host, id, writer, StatusCode::OK).await
}

/// Lets whoever has the link of the first start choose name and password of the first operator.
pub(crate) async fn set_up(
    State(app): State<App>,
    From(address): From,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    from_our_pages(&headers)?;
    let Setup { token, user, password } = read(body)?;
    let host = app.host()?;
    app.attempts().begin("", address, Instant::now()).map_err(|e| Problem::too_many(&e, e.wait))?;
    let hash = app.passwords().hash(&user, Secret::new(password)).await?;
    let writer = Writer { tenant: None, actor: format!("user {user}"), address };
    let by = writer.clone();
    let made = edit(&host, move |edit| {
        if !edit.use_setup_link(&token)? {
            return Ok(None);
        }
        let made = edit.create_user(&user, Some(&hash), true)?;
        let subject = Subject::User(user);
        let after = edit.portrait(tidegate_model::TenantId(0), &subject)?;
        by.write(edit, "set-up", Pictures { of: subject, before: None, after }, &[])?;
        Ok(Some(made.id))
    });
    let wrong = || {
        app.metrics().refused("setup");
        Problem::unauthorized("the link is not valid; it works once, and each start without users prints a new one")
    };
    let id = made.await?.ok_or_else(wrong)?;
    app.attempts().succeeded("", address);
    begin(&app, &host, id, writer, StatusCode::CREATED).await
}

async fn begin(app: &App, host: &Host, user: i64, writer: Writer, status: StatusCode) -> Result<Response, Problem> {
    let (idle, age) = app.limits().session_micros();
    let token = edit(host, move |edit| {
        let token = edit.create_session(user, idle, age)?;
        writer.write(edit, "sign-in", Pictures::none(Subject::Host), &[])?;
        Ok(token)
    });
    let token = token.await?;
    let access = host.catalog.session_access(token.expose(), idle, age);
    let access = access.ok_or_else(|| Problem::unauthorized("the account was removed meanwhile"))?;
    let document = document(host, &access, Some(token.expose())).await?;
    let cookie = set_cookie(app, Some(token.expose()));
    Ok((status, [(header::SET_COOKIE, cookie)], Json(document)).into_response())
}

/// Who is signed in, as the API tells it.
async fn document(host: &Host, access: &Access, session: Option<&str>) -> Result<Value, Problem> {
    let (grants, home) = (access.grants.clone(), auth::home(host, access));
    // A tenant or project that was removed a moment ago is none.
    let there = |error| matches!(error, CatalogError::NotFound { .. }).then_some(()).ok_or(error);
    let read = host.read(move |view| {
        let roles = view.roles_json(&grants).or_else(|error| there(error).map(|()| Vec::new()))?;
        let tenant = view.tenant(home).map(|tenant| Some(tenant.name)).or_else(|error| there(error).map(|()| None))?;
        Ok((roles, tenant))
    });
    let (roles, tenant) = read.await?;
    let (user, token) = match &access.actor {
        Actor::User { name, .. } => (Some(name), None),
        Actor::Token { name } => (None, Some(name)),
    };
    Ok(json!({
        "user": user, "token": token, "operator": access.operator, "tenant": tenant, "roles": roles, "csrf": session.map(csrf),
    }))
}

/// Who asks, and what they may do.
pub(crate) async fn show(call: Call) -> Result<Response, Problem> {
    Ok(Json(document(&call.host, call.access(), call.session()).await?).into_response())
}

fn signed_out(app: &App) -> Response {
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, set_cookie(app, None))]).into_response()
}

/// Signs this browser out.
pub(crate) async fn sign_out(State(app): State<App>, call: Call) -> Result<Response, Problem> {
    let session = call.session().ok_or_else(not_signed_in)?.to_owned();
    let writer = call.writer();
    edit(&call.host, move |edit| {
        edit.end_session(&session)?;
        writer.write(edit, "sign-out", Pictures::none(Subject::Host), &[])
    })
    .await?;
    Ok(signed_out(&app))
}

/// Signs the caller out in all browsers.
pub(crate) async fn sign_out_everywhere(State(app): State<App>, call: Call) -> Result<Response, Problem> {
    let user = call.user().ok_or_else(not_signed_in)?;
    let writer = call.writer();
    edit(&call.host, move |edit| {
        edit.end_sessions(user)?;
        writer.write(edit, "sign-out-everywhere", Pictures::none(Subject::Host), &[])
    })
    .await?;
    Ok(signed_out(&app))
}

fn not_signed_in() -> Problem {
    Problem::conflict("this was asked for with an API token, which is not signed in; revoke it to end its use")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    current: String,
    password: String,
}

/// Gives the caller another password, which ends all of their sessions.
pub(crate) async fn change_password(
    State(app): State<App>,
    call: Call,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let NewPassword { current, password } = read(body)?;
    let Actor::User { id, name } = call.access().actor.clone() else { return Err(not_signed_in()) };
    let writer = call.writer();
    // Who has found an open browser must not be able to try passwords without end.
    app.attempts().begin(&name, writer.address, Instant::now()).map_err(|e| Problem::too_many(&e, e.wait))?;
    let wanted = name.clone();
    let hash = call.host.read(move |view| view.password_hash(&wanted)).await?.map(|(_, hash)| hash);
    if !app.passwords().fits(Secret::new(current), hash).await? {
        return Err(Problem::forbidden("current: this is not the password"));
    }
    app.attempts().succeeded(&name, writer.address);
    let hash = app.passwords().hash(&name, Secret::new(password)).await?;
    edit(&call.host, move |edit| {
        edit.set_password(id, &hash)?;
        let details = ["another password; all sessions ended".to_owned()];
        writer.write(edit, "set-password", Pictures::none(Subject::User(name)), &details)
    })
    .await?;
    Ok(signed_out(&app))
}
