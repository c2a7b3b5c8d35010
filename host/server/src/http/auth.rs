//! Who may use the management API, and for what. The one place that decides: each route says what it needs, and [`decide`] holds
//! that against the roles of whoever asks, who is known by an API token or by the session in a cookie.
//!
//! The trap is the handler that forgets to ask. Handlers get the server only through [`Call`], and a `Call` is only made here,
//! after the decision. What somebody may not see is answered as what is not there.

use super::condition::{self, Wanted, etag, named};
use super::problem::Problem;
use super::session;
use super::state::{App, Host, blocking};
use super::writer::{Pictures, Writer};
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use tidegate_export::catalog::{
    Access, Actor, CatalogError, DEFAULT_TENANT, Edit, Kind, Once, Project, Role, Subject, View,
};
use tidegate_model::{ProjectId, TenantId};

/// Names the tenant that a request is about, for those who have roles in several.
pub(crate) const TENANT_HEADER: &str = "tidegate-tenant";

/// What a route needs of whoever asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Need {
    /// Nothing: it is for those who are not signed in.
    Nobody,
    /// A valid token or session.
    Account,
    /// This role in some project of the tenant; the answer speaks of the visible projects alone.
    Somewhere(Role),
    /// This role in the project that the path names.
    Project(Role),
    /// This role in the whole tenant.
    Tenant(Role),
    /// To run the host.
    Operator,
}

/// What comes of a need.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Go on.
    Granted,
    /// The project is not theirs to see: it is as if it were not there.
    Hidden,
    /// They may know that it is there, and not do this.
    Refused,
}

/// Decides. `project` is the one that the path names, if there is one.
pub(crate) fn decide(need: Need, access: &Access, tenant: TenantId, project: Option<ProjectId>) -> Verdict {
    let holds = |holds: bool| if holds { Verdict::Granted } else { Verdict::Refused };
    match need {
        Need::Nobody | Need::Account => Verdict::Granted,
        Need::Somewhere(role) => holds(access.role_somewhere(tenant) >= Some(role)),
        Need::Tenant(role) => holds(access.role_over(tenant) >= Some(role)),
        Need::Operator => holds(access.operator),
        Need::Project(role) => match project.and_then(|p| access.role_in(tenant, p)) {
            None => Verdict::Hidden,
            Some(theirs) => holds(theirs >= role),
        },
    }
}

/// A route as its middleware knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// Below `/api/v1`.
    pub(crate) path: &'static str,
    /// What it needs.
    pub(crate) need: Need,
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// A request of somebody who may make it, and the server to do what it asks.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) host: Arc<Host>,
    access: Arc<Access>,
    tenant: TenantId,
    address: Option<IpAddr>,
    session: Option<Arc<str>>,
    wanted: Wanted,
    /// The create that this is, if it has a key.
    once: Option<Once>,
    /// The tag of what a change has left behind.
    left: Arc<OnceLock<HeaderValue>>,
}

impl Call {
    /// The tenant that the request is about.
    pub(crate) fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Who asks, for the log.
    pub(crate) fn by(&self) -> String {
        self.access.actor.to_string()
    }

    /// Who asks, and what they may do.
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// The cookie that they are signed in with, if it is a browser.
    pub(crate) fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// The number of the user, if it is a person.
    pub(crate) fn user(&self) -> Option<i64> {
        match self.access.actor {
            Actor::User { id, .. } => Some(id),
            Actor::Token { .. } => None,
        }
    }

    /// The same as a create with a key: what it makes is written down together with the key.
    pub(crate) fn once(mut self, once: Once) -> Self {
        self.once = Some(once);
        self
    }

    /// What they may do in a project of the tenant; none if it is not theirs to see.
    pub(crate) fn role_in(&self, project: ProjectId) -> Option<Role> {
        self.access.role_in(self.tenant, project)
    }

    /// Leaves the projects that are theirs to see.
    pub(crate) fn visible(&self, mut projects: Vec<Project>) -> Vec<Project> {
        projects.retain(|p| self.role_in(p.id).is_some());
        projects
    }

    /// Changes `subject` and writes that down, both or neither.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        action: &'static str,
        subject: Subject,
        work: impl FnOnce(&Edit<'_>) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, Problem> {
        self.change_and_tell(action, subject, move |edit| Ok((work(edit)?, Vec::new()))).await
    }

    /// Removes `subject` with all that is in it, and writes that down: a line for each part and one for itself.
    pub(crate) async fn remove<T: Send + 'static>(
        &self,
        subject: Subject,
        work: impl FnOnce(&Edit<'_>) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, Problem> {
        let (writer, tenant, whole) = (self.writer(), self.tenant, subject.clone());
        let remove = move |edit: &Edit<'_>| {
            writer.goes_with(edit, tenant, &whole)?;
            work(edit)
        };
        self.change("delete", subject, remove).await
    }

    /// As [`change`](Self::change), with what the pictures before and after do not show.
    pub(crate) async fn change_and_tell<T: Send + 'static>(
        &self,
        action: &'static str,
        subject: Subject,
        work: impl FnOnce(&Edit<'_>) -> Result<(T, Vec<String>), CatalogError> + Send + 'static,
    ) -> Result<T, Problem> {
        let after = subject.clone();
        self.change_from_to(action, subject, move |_| after, work).await
    }

    /// As [`change_and_tell`](Self::change_and_tell), for what is called otherwise afterwards: what it made, or renamed.
    pub(crate) async fn change_from_to<T: Send + 'static>(
        &self,
        action: &'static str,
        subject: Subject,
        then: impl FnOnce(&T) -> Subject + Send + 'static,
        work: impl FnOnce(&Edit<'_>) -> Result<(T, Vec<String>), CatalogError> + Send + 'static,
    ) -> Result<T, Problem> {
        let (writer, tenant) = (self.writer(), self.tenant);
        let (wanted, left, once) = (self.wanted.clone(), Arc::clone(&self.left), self.once);
        let audited = move |edit: &Edit<'_>| {
            let before = edit.portrait(tenant, &subject)?;
            wanted.check(&subject, before.as_ref())?;
            let (done, details) = work(edit)?;
            let subject = then(&done);
            let after = edit.portrait(tenant, &subject)?;
            wanted.check_replaced(&subject, before.as_ref(), after.as_ref())?;
            if let Some(once) = once {
                edit.note_request(&once)?;
            }
            if let Some(after) = &after {
                let _ = left.set(etag(after));
            }
            // What was put as it was is no change.
            let new = before.is_none() && after.is_some();
            if before != after || before.is_none() || !details.is_empty() {
                writer.write(edit, action, Pictures { of: subject.clone(), before, after }, &details)?;
            }
            if new {
                writer.came_with(edit, tenant, &subject)?;
            }
            Ok(done)
        };
        tracing::info!(by = %self.access.actor, action, "change");
        self.host.edit(audited).await
    }

    /// Writes down what was done to something that is not in the catalog.
    pub(crate) async fn note(
        &self,
        action: &'static str,
        pictures: Pictures,
        details: Vec<String>,
    ) -> Result<(), Problem> {
        let (writer, catalog) = (self.writer(), Arc::clone(&self.host.catalog));
        let write = move || catalog.edit_accounts(|edit| writer.write(edit, action, pictures, &details));
        Ok(blocking(write).await??)
    }

    /// The tag of a thing's definition; none if it is not there.
    async fn tag_of(&self, subject: Subject) -> Option<HeaderValue> {
        let tenant = self.tenant;
        self.host.read(move |view| view.portrait(tenant, &subject)).await.ok()?.as_ref().map(etag)
    }

    /// Writes lines of the audit log in the name of the caller.
    pub(crate) fn writer(&self) -> Writer {
        Writer { tenant: Some(self.tenant), actor: self.by(), address: self.address }
    }
}

/// Finds a project of the caller's tenant: another tenant's looks like one that is not there.
pub(crate) fn project(view: &View<'_>, tenant: TenantId, name: &str) -> Result<Project, CatalogError> {
    view.project_named(tenant, name)
}

/// The token of an `Authorization: Bearer` header.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Middleware of a route with a need.
pub(crate) async fn require(
    State((app, rule)): State<(App, Rule)>,
    path: RawPathParams,
    mut request: Request,
    next: Next,
) -> Response {
    if rule.need == Need::Nobody {
        return next.run(request).await;
    }
    let call = match admit(&app, rule.need, named(&path, "project"), &request) {
        Ok(call) => call,
        Err(problem) => return problem.into_response(),
    };
    let reads = *request.method() == Method::GET;
    request.extensions_mut().insert(call.clone());
    let mut response = next.run(request).await;
    if response.status().is_success() {
        let tag = match condition::subject(rule.path, &path).filter(|_| reads) {
            Some(subject) => call.tag_of(subject).await,
            None => call.left.get().cloned(),
        };
        if let Some(tag) = tag {
            response.headers_mut().insert(header::ETAG, tag);
        }
    }
    response
}

fn admit(app: &App, need: Need, named: Option<&str>, request: &Request) -> Result<Call, Problem> {
    let host = app.host()?;
    let (access, session) = identify(app, &host, request)?;
    let tenant = tenant_of(&host, &access, request.headers())?;
    let project = named.and_then(|name| host.catalog.project_id(tenant, name));
    match decide(need, &access, tenant, project) {
        Verdict::Granted => {}
        // In the very words for what is not there.
        Verdict::Hidden => return Err(no_project(named.unwrap_or_default())),
        Verdict::Refused => {
            app.metrics().refused("role");
            return Err(refused(need, &access));
        }
    }
    let address = request.extensions().get::<Peer>().map(|peer| peer.0);
    let (mut wanted, left) = (Wanted::of(request.headers()), Arc::default());
    if session.is_some() && *request.method() == Method::PUT {
        wanted = wanted.strictly();
    }
    Ok(Call { host, access, tenant, address, session, wanted, once: None, left })
}

/// Who asks: by the token in the header, or else by the session in the cookie.
fn identify(app: &App, host: &Host, request: &Request) -> Result<(Arc<Access>, Option<Arc<str>>), Problem> {
    let headers = request.headers();
    let unknown = |what: &str| {
        app.metrics().refused("token");
        Problem::unauthorized(what)
    };
    if let Some(token) = bearer(headers) {
        let access = host.catalog.api_access(token);
        let access =
            access.ok_or_else(|| unknown("the API token is not known; it may have expired or been revoked"))?;
        return Ok((access, None));
    }
    let cookie = session::cookie(headers).ok_or_else(|| {
        unknown("this needs an API token (send the header Authorization: Bearer <token>) or a session (sign in)")
    })?;
    let (idle, age) = app.limits().session_micros();
    let access = host.catalog.session_access(cookie, idle, age);
    let access = access.ok_or_else(|| unknown("the session has ended; sign in again"))?;
    // A browser sends cookies whoever made it ask; only our own pages know what belongs into this header.
    if !matches!(*request.method(), Method::GET | Method::HEAD) && !session::csrf_fits(headers, cookie) {
        app.metrics().refused("csrf");
        return Err(Problem::forbidden(
            "a change made with a session needs the header X-CSRF-Token, with what GET /api/v1/session tells",
        ));
    }
    Ok((access, Some(cookie.into())))
}

/// The tenant that is meant: the one that the header names, or the one that is theirs.
fn tenant_of(host: &Host, access: &Access, headers: &HeaderMap) -> Result<TenantId, Problem> {
    let Some(named) = headers.get(TENANT_HEADER) else { return Ok(home(host, access)) };
    let named = std::str::from_utf8(named.as_bytes()).unwrap_or_default();
    let found = host.catalog.tenant_id(named).filter(|id| access.role_somewhere(*id).is_some());
    found.ok_or_else(|| CatalogError::NotFound { kind: Kind::Tenant, name: named.to_owned() }.into())
}

/// The tenant that is meant if none is named.
pub(crate) fn home(host: &Host, access: &Access) -> TenantId {
    let first = || host.catalog.tenant_id(DEFAULT_TENANT).filter(|_| access.operator);
    // Somebody without any role has no tenant; no tenant has this number, so nothing is found in it.
    access.home.or_else(first).unwrap_or(TenantId(0))
}

/// The project that an API token sends events into.
pub(crate) fn project_to_fill(
    host: &Host,
    access: &Access,
    headers: &HeaderMap,
    name: &str,
) -> Result<ProjectId, Problem> {
    let tenant = tenant_of(host, access, headers)?;
    let (need, project) = (Need::Project(Role::Admin), host.catalog.project_id(tenant, name));
    match (decide(need, access, tenant, project), project) {
        (Verdict::Granted, Some(project)) => Ok(project),
        (Verdict::Refused, _) => Err(refused(need, access)),
        _ => Err(no_project(name)),
    }
}

fn no_project(name: &str) -> Problem {
    CatalogError::NotFound { kind: Kind::Project, name: name.to_owned() }.into()
}

fn refused(need: Need, access: &Access) -> Problem {
    let wanted = match need {
        Need::Operator => "only operators of the host may do this".to_owned(),
        Need::Tenant(role) => format!("this needs the role {role} in the whole tenant"),
        Need::Project(role) => format!("this needs the role {role} in the project"),
        Need::Somewhere(role) => format!("this needs the role {role} in a project of the tenant"),
        Need::Nobody | Need::Account => "this is not allowed".to_owned(),
    };
    let needs = match need {
        Need::Operator => json!("operator"),
        Need::Tenant(role) | Need::Project(role) | Need::Somewhere(role) => json!(role),
        Need::Nobody | Need::Account => json!(null),
    };
    Problem::forbidden(format_args!("{wanted}; {} has less", access.actor)).with("needs", needs)
}

impl FromRequestParts<App> for Call {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Problem> {
        parts
            .extensions
            .get()
            .cloned()
            .ok_or_else(|| Problem::internal("a handler of the API is outside of its authorisation"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_export::catalog::Grant;

    #[test]
    fn only_a_bearer_token_is_one() {
        let of = |value: &'static str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))]);
            bearer(&headers).map(ToOwned::to_owned)
        };
        assert_eq!(of("Bearer t"), Some("t".to_owned()));
        assert_eq!(of("bearer  t "), Some("t".to_owned()));
        assert_eq!(of("Basic t"), None);
        assert_eq!(of("t"), None);
    }

    #[test]
    fn each_need_is_met_from_its_role_on_and_hides_projects_from_those_without_any() {
        let (ours, theirs, web, other) = (TenantId(1), TenantId(2), ProjectId(1), ProjectId(2));
        let with = |project, role| Access {
            actor: Actor::Token { name: "t".to_owned() },
            operator: false,
            home: Some(ours),
            grants: vec![Grant { tenant: ours, project, role }],
        };
        for needed in Role::ALL {
            for given in Role::ALL {
                let expected = if given >= needed { Verdict::Granted } else { Verdict::Refused };
                let (whole, one) = (with(None, given), with(Some(web), given));
                assert_eq!(decide(Need::Project(needed), &whole, ours, Some(web)), expected);
                assert_eq!(decide(Need::Project(needed), &one, ours, Some(web)), expected);
                assert_eq!(decide(Need::Project(needed), &one, ours, Some(other)), Verdict::Hidden);
                assert_eq!(decide(Need::Project(needed), &one, ours, None), Verdict::Hidden);
                assert_eq!(decide(Need::Project(needed), &whole, theirs, Some(web)), Verdict::Hidden);
                assert_eq!(decide(Need::Tenant(needed), &whole, ours, None), expected);
                assert_eq!(decide(Need::Tenant(needed), &one, ours, None), Verdict::Refused);
                assert_eq!(decide(Need::Tenant(needed), &whole, theirs, None), Verdict::Refused);
                assert_eq!(decide(Need::Somewhere(needed), &one, ours, None), expected);
                assert_eq!(decide(Need::Somewhere(needed), &one, theirs, None), Verdict::Refused);
                assert_eq!(decide(Need::Operator, &whole, ours, None), Verdict::Refused);
            }
        }
    }
}
