//! The log of changes promises who, when, what was there before and what is there now. Each route that changes something is held
//! against that, and no secret that went by may be found in it.

use super::accounts::{Browser, PASSWORD, set_up, sign_in};
use super::adapters::variant;
use super::rights::{fill, furnish, newest_line};
use super::{Server, told};
use crate::http::api::routes::{Route, table};
use reqwest::Method;
use serde_json::{Value as Json, json};

/// What a line shows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shows {
    /// A thing that was not there before.
    New,
    /// One that is not there any more.
    Gone,
    /// What it was, and what it is.
    Both,
    /// In words: a secret was changed, or something was done that leaves the definition as it is.
    Words,
    /// Who came and went, which is all that there is to say.
    Visit,
}

/// What each route leaves in the log: the object of its line, and what that shows. None for what only asks, or brings events.
fn leaves(route: &str) -> Option<(&'static str, Shows)> {
    use Shows::{Both, Gone, New, Visit, Words};
    let line = match route {
        "POST /setup" => ("user ada", New),
        "POST /session" | "DELETE /session" | "DELETE /sessions" => ("host", Visit),
        "PUT /password" => ("user ada", Words),
        "POST /users" => ("user made", New),
        "PUT /users/{user}" | "PUT /users/{user}/roles" => ("user eve", Both),
        "DELETE /users/{user}" => ("user eve", Gone),
        "PUT /users/{user}/password" => ("user eve", Words),
        "POST /tokens" => ("token made", New),
        "DELETE /tokens/{token}" => ("token spare", Gone),
        "POST /adapters" => ("adapter prometheus@", New),
        "DELETE /adapters/{adapter}" => ("adapter prometheus@", Gone),
        "POST /tenants" => ("tenant made", New),
        "DELETE /tenants/{tenant}" => ("tenant spare", Gone),
        "PUT /tenants/{tenant}/quotas" => ("tenant spare", Both),
        "POST /ledger/backup" => ("host", Words),
        "POST /apply" | "POST /projects" | "PUT /projects/{project}" => ("project made", New),
        "DELETE /projects/{project}" => ("project web", Gone),
        "PUT /projects/{project}/retention" => ("project web", Both),
        "POST /projects/{project}/submission-tokens" => ("submission-token web/", New),
        "DELETE /projects/{project}/submission-tokens/{id}" => ("submission-token web/", Gone),
        "PUT /projects/{project}/metric-sets/{set}" => ("metric-set web/made", New),
        "DELETE /projects/{project}/metric-sets/{set}" => ("metric-set web/crashes", Gone),
        "POST /projects/{project}/metric-sets/{set}/rename" => ("metric-set web/renamed", Both),
        "PUT /projects/{project}/metric-sets/{set}/metrics/{metric}" => ("metric web/crashes/errors", Both),
        "DELETE /projects/{project}/metric-sets/{set}/metrics/{metric}" => ("metric web/crashes/errors", Gone),
        "POST /projects/{project}/metric-sets/{set}/metrics/{metric}/move" => ("metric web/crashes/made", Both),
        "PUT /projects/{project}/stores/{store}" => ("metric-store web/page", Both),
        "DELETE /projects/{project}/stores/{store}" => ("metric-store web/page", Gone),
        "POST /projects/{project}/stores/{store}/rename" => ("metric-store web/renamed", Both),
        "POST /projects/{project}/stores/{store}/pause"
        | "POST /projects/{project}/stores/{store}/resume"
        | "POST /projects/{project}/stores/{store}/adapter/upgrade"
        | "POST /projects/{project}/stores/{store}/adapter/rollback" => ("metric-store web/page", Both),
        "POST /projects/{project}/stores/{store}/pull-token" => ("metric-store web/page", Words),
        "POST /projects/{project}/stores/{store}/test" | "POST /projects/{project}/stores/{store}/replay" => {
            ("metric-store web/push", Words)
        }
        "POST /ledger/verify"
        | "POST /projects/{project}/events"
        | "POST /projects/{project}/query"
        | "POST /projects/{project}/metric-preview"
        | "POST /projects/{project}/stores/{store}/adapter/diff"
        | "POST /projects/{project}/stores/{store}/check" => return None,
        other => panic!("{other}: say which line it leaves"),
    };
    Some(line)
}

/// What a line shows, by its members.
fn shown(line: &Json) -> Option<Shows> {
    let worded = line["details"].as_array().is_some_and(|details| !details.is_empty());
    match (&line["before"], &line["after"]) {
        (Json::Null, Json::Object(_)) => Some(Shows::New),
        (Json::Object(_), Json::Null) => Some(Shows::Gone),
        (Json::Object(before), Json::Object(after)) if before != after => Some(Shows::Both),
        _ if worded => Some(Shows::Words),
        _ if line["action"].as_str().is_some_and(|action| action.starts_with("sign-")) => Some(Shows::Visit),
        _ => None,
    }
}

/// The lines that are newer than one, the newest first.
async fn lines_after(server: &Server, id: i64) -> Vec<Json> {
    let lines = server.get("/audit?limit=1000").await.1;
    let lines = lines["audit"].as_array().unwrap().clone();
    lines.into_iter().take_while(|line| line["id"].as_i64() > Some(id)).collect()
}

async fn newest(server: &Server) -> i64 {
    newest_line(server).await["id"].as_i64().unwrap_or_default()
}

const CANARY: &str = "canary in a store";

/// A store that sends, beside the page of the furniture.
async fn push_store(server: &Server) {
    let settings =
        json!({"version": "1", "url": "http://127.0.0.1:9", "database": "d", "user": "u", "password": CANARY});
    let body = json!({"adapter": "influxdb", "settings": settings, "paused": true});
    let (status, told) = server.send(Method::PUT, "/projects/web/stores/push", body).await;
    assert!(matches!(status, 200 | 201), "{told}");
}

async fn upload(server: &Server, mark: &[u8]) -> (u16, Json) {
    told(server.request(Method::POST, "/adapters").body(variant("prometheus", mark)).send().await.unwrap()).await
}

/// Does what a route is for; the furniture is there.
async fn carry_out(server: &Server, route: &Route, id: &str, uploaded: &mut String) -> (u16, Json) {
    let (path, body) = fill(route, id);
    let signed_in = async || Browser::of(server, sign_in(server, "ada", PASSWORD).await).await;
    match (route.method.as_str(), route.path) {
        ("POST", "/session") => told(sign_in(server, "ada", PASSWORD).await).await,
        (_, "/session" | "/sessions") => signed_in().await.send(route.method.clone(), &path, body).await,
        (_, "/password") => {
            let body = json!({"current": PASSWORD, "password": PASSWORD});
            signed_in().await.send(route.method.clone(), &path, body).await
        }
        ("POST", "/adapters") => {
            let (status, made) = upload(server, b"one").await;
            made["digest"].as_str().unwrap_or_default().clone_into(uploaded);
            (status, made)
        }
        ("DELETE", "/adapters/{adapter}") => {
            server.send(Method::DELETE, &format!("/adapters/{uploaded}"), json!({})).await
        }
        (_, "/projects/{project}/stores/{store}/adapter/upgrade") => {
            let (_, other) = upload(server, b"two").await;
            let to = other["digest"].clone();
            let (status, asked) = server.send(Method::POST, &path, json!({"to": to})).await;
            assert_eq!(status, 409, "nobody has signed it, so somebody has to agree: {asked}");
            server.send(Method::POST, &path, json!({"to": to, "consent": asked["consent_needed"]})).await
        }
        ("PUT", "/projects/{project}") => server.send(Method::PUT, "/projects/made", body).await,
        (_, "/projects/{project}/stores/{store}/test") => {
            server.send(Method::POST, &path.replace("page", "push"), json!({})).await
        }
        (_, "/projects/{project}/stores/{store}/replay") => {
            let body = json!({"metric_set": "crashes", "at": 60, "send": true});
            server.send(Method::POST, &path.replace("page", "push"), body).await
        }
        _ => server.send(route.method.clone(), &path, body).await,
    }
}

/// Whatever a document tells once.
fn secrets_in(answer: &Json, into: &mut Vec<String>) {
    for member in ["token", "submission_token"] {
        into.extend(answer[member].as_str().map(ToOwned::to_owned));
    }
    into.extend(answer["pull"]["password"].as_str().map(ToOwned::to_owned));
    into.extend(answer["pull_path"].as_str().and_then(|path| path.rsplit('/').next()).map(ToOwned::to_owned));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_that_changes_something_leaves_a_line_with_what_there_was_and_what_there_is() {
    let server = Server::start().await;
    let mut secrets = vec![PASSWORD.to_owned(), CANARY.to_owned(), server.token.clone()];
    let (before, mut uploaded) = (newest(&server).await, String::new());
    set_up(&server).await;
    let mut routes: Vec<Route> = table().into_iter().filter(|route| route.method != Method::GET).collect();
    // It takes everything else with it.
    routes.sort_by_key(|route| route.method == Method::DELETE && route.path == "/projects/{project}");
    let mut seen = 0;
    for route in &routes {
        let named = format!("{} {}", route.method, route.path);
        let expected = leaves(&named);
        let (lines, status, answer) = if named == "POST /setup" {
            (lines_after(&server, before).await, 200, Json::Null)
        } else {
            let id = furnish(&server, route).await;
            push_store(&server).await;
            let before = newest(&server).await;
            let (status, answer) = carry_out(&server, route, &id, &mut uploaded).await;
            (lines_after(&server, before).await, status, answer)
        };
        secrets_in(&answer, &mut secrets);
        let Some((object, shows)) = expected else {
            assert_eq!(lines, [Json::Null; 0], "{named} changes nothing");
            continue;
        };
        // A test of a sink that is not there fails, and has been written down.
        assert!((200..300).contains(&status) || shows == Shows::Words, "{named}: {status} {answer}");
        for line in &lines {
            assert!(shown(line).is_some(), "{named} leaves a line that shows nothing: {line}");
            assert!(line["actor"].is_string() && line["at"].is_u64(), "{line}");
        }
        let about = |line: &&Json| line["object"].as_str().is_some_and(|o| o.starts_with(object));
        let fits = lines.iter().filter(about).any(|line| shown(line) == Some(shows));
        assert!(fits, "{named}: expected {shows:?} of {object}, found {}", json!(lines));
        seen += 1;
    }
    assert!(seen > 35, "{seen}");
    let all = server.get("/audit?limit=1000").await.1.to_string();
    for secret in secrets.iter().filter(|secret| secret.len() > 8) {
        assert!(!all.contains(secret.as_str()), "a secret is in the log");
    }
    assert!(secrets.len() > 8, "{} secrets", secrets.len());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_with_another_thing_has_a_line_of_its_own() {
    let server = Server::start().await;
    let apply = json!({"projects": [{"name": "web", "metric_sets": [{"name": "crashes", "metrics": [
        {"name": "errors", "query": {"fold": {"_tx": [["count"]]}}}]}],
        "metric_stores": [{"name": "page", "adapter": "prometheus", "metric_sets": ["crashes"]}]}]});
    assert_eq!(server.send(Method::POST, "/apply", apply).await.0, 200);
    let before = newest(&server).await;
    assert_eq!(server.send(Method::DELETE, "/projects/web", json!({})).await.0, 204);
    let told = |lines: Vec<Json>| -> Vec<(String, Option<Shows>)> {
        lines.iter().rev().map(|l| (l["object"].as_str().unwrap().to_owned(), shown(l))).collect()
    };
    let gone = [
        "submission-token web/1",
        "metric-set web/crashes",
        "metric web/crashes/errors",
        "metric-store web/page",
        "project web",
    ];
    assert_eq!(told(lines_after(&server, before).await), gone.map(|object| (object.to_owned(), Some(Shows::Gone))));
    // A tenant and a project come with a token.
    let before = newest(&server).await;
    server.send(Method::POST, "/tenants", json!({"name": "acme"})).await;
    server.send(Method::POST, "/projects", json!({"name": "shop"})).await;
    let made = ["tenant acme", "token admin", "project shop", "submission-token shop/2"];
    let lines = lines_after(&server, before).await;
    let of: Vec<&Json> = lines.iter().rev().map(|line| &line["tenant"]).collect();
    assert_eq!(of, [&Json::Null, &json!("acme"), &json!("default"), &json!("default")]);
    assert_eq!(told(lines), made.map(|object| (object.to_owned(), Some(Shows::New))));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn applying_a_document_shows_each_thing_before_and_after_and_no_secret() {
    let server = Server::start().await;
    let document = |period: u32, password: &str, aggregate: &str| {
        let settings =
            json!({"version": "1", "url": "http://127.0.0.1:9", "database": "d", "user": "u", "password": password});
        json!({"projects": [{"name": "web", "retention": {"days": period}, "submission_tokens": ["canary0123456789"],
            "metric_sets": [{"name": "crashes", "metrics": [{"name": "errors", "query": {"fold": {"guid": [[aggregate]]}}}]}],
            "metric_stores": [{"name": "central", "adapter": "influxdb", "period": period, "paused": true,
                "metric_sets": ["crashes"], "settings": settings}]}]})
    };
    let before = newest(&server).await;
    let rehearsed = server.send(Method::POST, "/apply?dry_run=true", document(60, "canary one", "unique")).await;
    assert_eq!(rehearsed.0, 200, "{}", rehearsed.1);
    assert_eq!(newest(&server).await, before, "a rehearsal leaves nothing");
    let (status, told) = server.send(Method::POST, "/apply", document(60, "canary one", "unique")).await;
    assert_eq!(status, 200, "{told}");
    let lines = lines_after(&server, before).await;
    let of = |line: &Json| {
        (line["object"].as_str().unwrap().to_owned(), line["action"].as_str().unwrap().to_owned(), shown(line))
    };
    let made = [
        "project web",
        "submission-token web/1",
        "metric-set web/crashes",
        "metric web/crashes/errors",
        "metric-store web/central",
    ];
    let expected = made.map(|object| (object.to_owned(), "apply-create".to_owned(), Some(Shows::New)));
    assert_eq!(lines.iter().rev().map(of).collect::<Vec<_>>(), expected);
    let before = newest(&server).await;
    server.send(Method::POST, "/apply", document(60, "canary one", "unique")).await;
    assert_eq!(newest(&server).await, before, "what is as it was leaves nothing");
    let (_, told) = server.send(Method::POST, "/apply", document(30, "canary two", "count")).await;
    let lines = lines_after(&server, before).await;
    let changed = ["project web", "metric web/crashes/errors", "metric-store web/central"];
    let expected = changed.map(|object| (object.to_owned(), "apply-update".to_owned(), Some(Shows::Both)));
    assert_eq!(lines.iter().rev().map(of).collect::<Vec<_>>(), expected, "{told}");
    let [store, metric, project] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!((&store["before"]["period"], &store["after"]["period"]), (&json!(60), &json!(30)));
    assert!(store["details"].as_array().unwrap().contains(&json!("settings.password: changed")), "{store}");
    let aggregate = |picture: &Json| picture["query"]["fold"]["guid"].clone();
    assert_eq!((aggregate(&metric["before"]), aggregate(&metric["after"])), (json!([["unique"]]), json!([["count"]])));
    assert_eq!(
        (&project["before"]["retention"]["days"], &project["after"]["retention"]["days"]),
        (&json!(60), &json!(30))
    );
    assert!(!server.get("/audit?limit=1000").await.1.to_string().contains("canary"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_tenant_tells_nothing_of_roles_elsewhere() {
    let server = Server::start().await;
    let (_, acme) = server.send(Method::POST, "/tenants", json!({"name": "acme"})).await;
    let roles = json!([{"tenant": "default", "role": "viewer"}, {"tenant": "acme", "role": "viewer"}]);
    let (status, told) = server.send(Method::POST, "/users", json!({"name": "eve", "roles": roles})).await;
    assert_eq!(status, 201, "{told}");
    let theirs = |method: Method, path: &str| {
        server.bare(method, &format!("/api/v1{path}")).bearer_auth(acme["token"].as_str().unwrap())
    };
    let body = json!({"roles": [{"role": "admin"}]}).to_string();
    assert_eq!(theirs(Method::PUT, "/users/eve/roles").body(body).send().await.unwrap().status(), 200);
    let (_, log) = super::told(theirs(Method::GET, "/audit").send().await.unwrap()).await;
    let line = &log["audit"][0];
    let role = |role: &str| json!([{"tenant": "acme", "project": null, "role": role}]);
    assert_eq!((&line["before"]["roles"], &line["after"]["roles"]), (&role("viewer"), &role("admin")), "{line}");
    assert!(!log.to_string().contains("default"), "{log}");
    server.stop().await;
}
