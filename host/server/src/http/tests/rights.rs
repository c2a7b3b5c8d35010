//! Who may do what: each route of the table with somebody who may and somebody who may not, and a line in the log for each
//! change.

use super::{Server, told};
use crate::http::api::routes::{Route, table};
use crate::http::auth::Need;
use reqwest::Method;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use tidegate_export::catalog::Role;

/// Somebody with a token.
struct Somebody {
    name: &'static str,
    token: String,
    /// Their role in the project web, anywhere in the tenant, and over all of it.
    web: Option<Role>,
    somewhere: Option<Role>,
    tenant: Option<Role>,
    operator: bool,
}

impl Somebody {
    fn may(&self, need: Need) -> bool {
        match need {
            Need::Nobody | Need::Account => true,
            Need::Project(role) => self.operator || self.web >= Some(role),
            Need::Somewhere(role) => self.operator || self.somewhere >= Some(role),
            Need::Tenant(role) => self.operator || self.tenant >= Some(role),
            Need::Operator => self.operator,
        }
    }
}

async fn everybody(server: &Server) -> Vec<Somebody> {
    let mut all = Vec::new();
    let admin = Some(Role::Admin);
    for (name, project, role, (web, somewhere, tenant)) in [
        ("viewer of web", Some("web"), Role::Viewer, (Some(Role::Viewer), Some(Role::Viewer), None)),
        ("member of web", Some("web"), Role::Member, (Some(Role::Member), Some(Role::Member), None)),
        ("admin of web", Some("web"), Role::Admin, (admin, admin, None)),
        ("admin of other", Some("other"), Role::Admin, (None, admin, None)),
        ("viewer", None, Role::Viewer, (Some(Role::Viewer), Some(Role::Viewer), Some(Role::Viewer))),
        ("member", None, Role::Member, (Some(Role::Member), Some(Role::Member), Some(Role::Member))),
        ("admin", None, Role::Admin, (admin, admin, admin)),
    ] {
        let wish = json!({"name": format!("by {name}"), "project": project, "role": role});
        let (status, made) = server.send(Method::POST, "/tokens", wish).await;
        assert_eq!(status, 201, "{made}");
        let token = made["token"].as_str().unwrap().to_owned();
        all.push(Somebody { name, token, web, somewhere, tenant, operator: false });
    }
    let (_, acme) = server.send(Method::POST, "/tenants", json!({"name": "acme"})).await;
    let token = acme["token"].as_str().unwrap().to_owned();
    // Lists and things of a tenant are those of their own tenant for them.
    all.push(Somebody { name: "admin of acme", token, web: None, somewhere: admin, tenant: admin, operator: false });
    let token = server.token.clone();
    all.push(Somebody { name: "operator", token, web: admin, somewhere: admin, tenant: admin, operator: true });
    all
}

/// Things for the routes to work on, as they are before each of them. Gives the id of a submission token.
pub(super) async fn furnish(server: &Server, route: &Route) -> String {
    // Made anew each time: without quotas.
    for path in [
        "/tenants/spare",
        "/projects/made",
        "/tenants/made",
        "/tokens/made",
        "/users/made",
        "/users/eve",
        "/tokens/spare",
    ] {
        server.send(Method::DELETE, path, json!({})).await;
    }
    let web = "/projects/web";
    for gone in ["/stores/renamed", "/metric-sets/made", "/metric-sets/renamed", "/metric-sets/crashes/metrics/made"] {
        server.send(Method::DELETE, &format!("{web}{gone}"), json!({})).await;
    }
    let page = json!({"adapter": "prometheus", "paused": route.path.ends_with("/resume")});
    for (method, path, body) in [
        (Method::PUT, web.to_owned(), json!({})),
        (Method::PUT, "/projects/other".to_owned(), json!({})),
        (Method::PUT, format!("{web}/retention"), json!({})),
        (Method::PUT, format!("{web}/metric-sets/crashes"), json!({})),
        (
            Method::PUT,
            format!("{web}/metric-sets/crashes/metrics/errors"),
            json!({"query": {"fold": {"_tx": [["count"]]}}}),
        ),
        (Method::PUT, format!("{web}/stores/page"), page),
        (Method::POST, "/users".to_owned(), json!({"name": "eve", "roles": [{"role": "viewer"}]})),
        (Method::POST, "/tokens".to_owned(), json!({"name": "spare"})),
        (Method::POST, "/tenants".to_owned(), json!({"name": "spare"})),
    ] {
        let (status, told) = server.send(method.clone(), &path, body).await;
        assert!(matches!(status, 200 | 201 | 409), "{method} {path}: {status} {told}");
    }
    let (_, made) = server.send(Method::POST, &format!("{web}/submission-tokens"), json!({})).await;
    made["id"].to_string()
}

/// The path with names in it, and a body that the route takes.
pub(super) fn fill(route: &Route, id: &str) -> (String, Json) {
    let set = if route.method == Method::PUT && route.path.ends_with("{set}") { "made" } else { "crashes" };
    let mut path = route.path.to_owned();
    for (parameter, value) in [
        ("{project}", "web"),
        ("{set}", set),
        ("{metric}", "errors"),
        ("{store}", "page"),
        ("{user}", "eve"),
        ("{token}", "spare"),
        ("{tenant}", "spare"),
        ("{adapter}", "influxdb"),
        ("{object}", "1"),
        ("{at}", "60"),
        ("{id}", id),
    ] {
        path = path.replace(parameter, value);
    }
    assert!(!path.contains('{'), "{path}: say what to put there");
    let body = match (route.method.as_str(), route.path) {
        ("PUT", "/tenants/{tenant}/quotas") => json!({"projects": 3}),
        ("PUT", "/users/{user}") => json!({"operator": true}),
        ("PUT", "/users/{user}/password") => json!({"password": "correct horse battery"}),
        ("PUT", "/users/{user}/roles") => json!({"roles": [{"role": "member"}]}),
        ("PUT", "/projects/{project}/retention") => json!({"days": 3}),
        ("PUT", path) if path.ends_with("{metric}") => json!({"query": {"fold": {"guid": [["unique"]]}}}),
        ("PUT", path) if path.ends_with("{store}") => json!({"adapter": "prometheus", "period": 30}),
        ("POST", path) if path.ends_with("/rename") => json!({"name": "renamed"}),
        ("POST", "/apply") => json!({"projects": [{"name": "made"}]}),
        ("POST", path) if path.ends_with("/query") => json!({"fold": {"_tx": [["count"]]}}),
        ("POST", path) if path.ends_with("/metric-preview") => json!({"query": {"fold": {"_tx": [["count"]]}}}),
        ("POST", path) if path.ends_with("/replay") => json!({"metric_set": "crashes", "at": 60}),
        ("POST", _) => json!({"name": "made"}),
        _ => json!({}),
    };
    (path, body)
}

async fn ask(server: &Server, route: &Route, path: &str, body: &Json, token: Option<&str>) -> (u16, Json) {
    let mut request = server.bare(route.method.clone(), &format!("/api/v1{path}"));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if route.method != Method::GET {
        request = request.body(body.to_string());
    }
    told(request.send().await.unwrap()).await
}

pub(super) async fn newest_line(server: &Server) -> Json {
    server.get("/audit?limit=1").await.1["audit"][0].clone()
}

/// Changing methods that change nothing in the catalog, or nothing with this furniture.
const NO_CHANGE: [&str; 15] = [
    "/adapters",
    "{adapter}",
    "/diff",
    "/upgrade",
    "/rollback",
    "/test",
    "/query",
    "/metric-preview",
    "/check",
    "/replay",
    "/verify",
    "/password",
    "/session",
    "/sessions",
    "/setup",
];

#[tokio::test(flavor = "multi_thread")]
async fn each_route_lets_those_pass_who_may_and_nobody_else_and_each_change_is_written_down() {
    let server = Server::start().await;
    // What clients send events with opens nothing else, and it does send events.
    let submission = server.project("web").await;
    let bulk = server.bare(Method::POST, "/api/v1/projects/web/events").bearer_auth(&submission).body("{}");
    assert_eq!(bulk.send().await.unwrap().status(), 200);
    server.project("other").await;
    let elsewhere = server.bare(Method::POST, "/api/v1/projects/other/events").bearer_auth(&submission).body("{}");
    assert!(matches!(elsewhere.send().await.unwrap().status().as_u16(), 401 | 403 | 404));
    let everybody = everybody(&server).await;
    let (mut allowed, mut denied) = (BTreeSet::new(), BTreeSet::new());
    let mut routes: Vec<Route> = table().into_iter().filter(|route| route.need != Need::Nobody).collect();
    // Tokens for a project go with it, so this comes last.
    routes.sort_by_key(|route| route.method == Method::DELETE && route.path == "/projects/{project}");
    for route in &routes {
        let named = format!("{} {}", route.method, route.path);
        let id = furnish(&server, route).await;
        let (path, body) = fill(route, &id);
        for token in [None, Some("tg_wrong"), Some(submission.as_str())] {
            assert_eq!(ask(&server, route, &path, &body, token).await.0, 401, "{named}");
        }
        // Those who may not come first, while everything is still there.
        for somebody in everybody.iter().filter(|s| !s.may(route.need)) {
            let (status, answer) = ask(&server, route, &path, &body, Some(&somebody.token)).await;
            let hidden = matches!(route.need, Need::Project(_)) && somebody.web.is_none();
            assert_eq!(status, if hidden { 404 } else { 403 }, "{named} by {}: {answer}", somebody.name);
            if hidden {
                let elsewhere = path.replace("/projects/web", "/projects/none");
                let absent = ask(&server, route, &elsewhere, &body, Some(&somebody.token)).await;
                let expected = absent.1.to_string().replace("none", "web");
                assert_eq!((status, answer.to_string()), (absent.0, expected), "{named} by {}", somebody.name);
            }
            denied.insert(named.clone());
        }
        for somebody in everybody.iter().filter(|s| s.may(route.need) && s.name != "admin of acme") {
            let id = if route.method == Method::GET { id.clone() } else { furnish(&server, route).await };
            let (path, body) = fill(route, &id);
            let before = newest_line(&server).await["id"].as_i64();
            let (status, answer) = ask(&server, route, &path, &body, Some(&somebody.token)).await;
            let by = somebody.name;
            assert!(!matches!(status, 401 | 403 | 405), "{named} by {by}: {status} {answer}");
            assert_ne!(answer["detail"], json!("there is no project \"web\""), "{named} by {by}");
            allowed.insert(named.clone());
            let changes = route.method != Method::GET && !NO_CHANGE.iter().any(|end| route.path.ends_with(end));
            // The project of this route is there already.
            if changes && named != "PUT /projects/{project}" {
                assert!((200..300).contains(&status), "{named} by {by}: {status} {answer}");
                let line = newest_line(&server).await;
                assert!(line["id"].as_i64() > before, "{named} by {by} is not in the log");
                let actor = if somebody.operator { "token admin".to_owned() } else { format!("token by {by}") };
                assert_eq!((&line["actor"], &line["address"]), (&json!(actor), &json!("127.0.0.1")), "{named}: {line}");
            }
        }
    }
    let all = || table().into_iter().filter(|r| r.need != Need::Nobody);
    assert_eq!(allowed.len(), all().count(), "somebody may do each");
    // What is for everybody with a role somewhere is denied to those without any: see below.
    let for_all = |need: Need| matches!(need, Need::Account | Need::Somewhere(Role::Viewer));
    for route in all().filter(|route| !for_all(route.need)) {
        assert!(denied.contains(&format!("{} {}", route.method, route.path)), "{} {}", route.method, route.path);
    }
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_with_a_role_in_one_project_see_that_one_in_every_list_and_no_pull_url() {
    let server = Server::start().await;
    for project in ["web", "other"] {
        server.project(project).await;
        let (status, told) = server
            .send(Method::PUT, &format!("/projects/{project}/stores/page"), json!({"adapter": "prometheus"}))
            .await;
        assert_eq!(status, 201, "{told}");
    }
    let (_, made) =
        server.send(Method::POST, "/tokens", json!({"name": "v", "project": "web", "role": "viewer"})).await;
    let get = async |path: &str| {
        let request = server.bare(Method::GET, &format!("/api/v1{path}")).bearer_auth(made["token"].as_str().unwrap());
        told(request.send().await.unwrap()).await
    };
    let (_, status) = get("/status").await;
    assert_eq!((&status["projects"], &status["metric_stores"]), (&json!(1), &json!(1)), "{status}");
    for path in ["/projects", "/stores", "/ledger", "/ledger/gaps", "/projects/web/stores/page", "/projects/web/stores"]
    {
        let (status, answer) = get(path).await;
        assert_eq!(status, 200, "{path}: {answer}");
        let text = answer.to_string();
        assert!(!text.contains("other") && !text.contains("/pull/"), "{path}: {text}");
    }
    assert!(server.get("/stores").await.1.to_string().contains("/pull/"), "an admin sees them");
    assert_eq!(get("/projects/web/stores/page?reveal=true").await.0, 403);
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_can_do_no_more_than_who_makes_it() {
    let server = Server::start().await;
    let (_, made) = server.send(Method::POST, "/tokens", json!({"name": "tenant admin"})).await;
    let make = async |wish: Json| {
        let request = server.bare(Method::POST, "/api/v1/tokens").bearer_auth(made["token"].as_str().unwrap());
        told(request.body(wish.to_string()).send().await.unwrap()).await
    };
    assert_eq!(make(json!({"name": "a", "operator": true})).await.0, 403);
    assert_eq!(make(json!({"name": "a", "role": "viewer", "expires_in": 60})).await.0, 201);
    assert_eq!(make(json!({"name": "b", "project": "none"})).await.0, 404);
    assert_eq!(make(json!({"name": "b", "expires_in": 0})).await.0, 422);
    let request = server.bare(Method::DELETE, "/api/v1/tokens/admin").bearer_auth(made["token"].as_str().unwrap());
    assert_eq!(request.send().await.unwrap().status(), 409, "the operator's token stays");
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_speaks_for_the_tenant_that_the_header_names_and_others_only_for_their_own() {
    let server = Server::start().await;
    server.project("web").await;
    let (_, acme) = server.send(Method::POST, "/tenants", json!({"name": "acme"})).await;
    let projects = async |token: &str, tenant: &str| {
        let request = server.bare(Method::GET, "/api/v1/projects").bearer_auth(token).header("Tidegate-Tenant", tenant);
        told(request.send().await.unwrap()).await
    };
    assert_eq!(projects(&server.token, "acme").await, (200, json!({"projects": [], "total": 0})));
    assert_eq!(projects(&server.token, "default").await.1["projects"].as_array().unwrap().len(), 1);
    let theirs = acme["token"].as_str().unwrap();
    assert_eq!(projects(theirs, "acme").await.0, 200);
    let (status, foreign) = projects(theirs, "default").await;
    let (_, absent) = projects(theirs, "defauld").await;
    assert_eq!((status, foreign.to_string()), (404, absent.to_string().replace("defauld", "default")));
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_role_anywhere_sees_no_list_and_who_is_signed_in_only_what_is_for_all() {
    let server = Server::start().await;
    let guest = json!({"user": "guest", "password": "correct horse battery"});
    let made = json!({"name": "guest", "password": "correct horse battery"});
    assert_eq!(server.send(Method::POST, "/users", made).await.0, 201);
    let session = server.bare(Method::POST, "/api/v1/session").body(guest.to_string()).send().await.unwrap();
    let cookie = session.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let mut asked = 0;
    for route in table().iter().filter(|route| route.method == Method::GET && route.need != Need::Nobody) {
        let (path, _) = fill(route, "1");
        let request = server.bare(Method::GET, &format!("/api/v1{path}")).header("cookie", &cookie);
        let (status, answer) = told(request.send().await.unwrap()).await;
        let expected = match route.need {
            Need::Account => 200,
            Need::Project(_) => 404,
            _ => 403,
        };
        assert_eq!(status, expected, "{path}: {answer}");
        asked += 1;
    }
    assert!(asked > 20, "{asked}");
    server.running.stop().await;
}
