//! Signing in and out as a browser does it, and the log of changes.

use super::{Server, told};
use reqwest::{Method, Response};
use serde_json::{Value as Json, json};

pub(super) const PASSWORD: &str = "canary horse battery";

/// A browser that is signed in.
pub(super) struct Browser<'s> {
    server: &'s Server,
    cookie: String,
    csrf: String,
}

impl<'s> Browser<'s> {
    pub(super) async fn of(server: &'s Server, response: Response) -> Self {
        let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
        for part in ["tidegate_session=", "; Path=/", "; HttpOnly", "; SameSite=Strict", "; Max-Age=604800"] {
            assert!(cookie.contains(part), "{part} in {cookie}");
        }
        let document = told(response).await.1;
        let cookie = cookie.split(';').next().unwrap().to_owned();
        Self { server, cookie, csrf: document["csrf"].as_str().unwrap().to_owned() }
    }

    pub(super) async fn send(&self, method: Method, path: &str, body: Json) -> (u16, Json) {
        let request = self.server.bare(method, &format!("/api/v1{path}")).header("cookie", &self.cookie);
        told(request.header("x-csrf-token", &self.csrf).body(body.to_string()).send().await.unwrap()).await
    }

    /// Puts something in the place of whatever there is.
    async fn replace(&self, path: &str, body: Json) -> (u16, Json) {
        let request = self.server.bare(Method::PUT, &format!("/api/v1{path}")).header("cookie", &self.cookie);
        let request = request.header("x-csrf-token", &self.csrf).header("if-match", "*");
        told(request.body(body.to_string()).send().await.unwrap()).await
    }
}

pub(super) async fn sign_in(server: &Server, user: &str, password: &str) -> Response {
    let body = json!({"user": user, "password": password}).to_string();
    server.bare(Method::POST, "/api/v1/session").body(body).send().await.unwrap()
}

pub(super) async fn set_up(server: &Server) -> Browser<'_> {
    let link = server.running.setup_link().unwrap().expose().to_owned();
    assert!(link.starts_with(&server.url("/console/setup#")), "{link}");
    let token = link.split_once('#').unwrap().1;
    let body = json!({"token": token, "user": "ada", "password": PASSWORD});
    let ask = |body: &Json| server.bare(Method::POST, "/api/v1/setup").body(body.to_string()).send();
    let mut wrong = body.clone();
    wrong["token"] = json!("0".repeat(64));
    assert_eq!(ask(&wrong).await.unwrap().status(), 401);
    let mut weak = body.clone();
    weak["password"] = json!("short");
    assert_eq!(ask(&weak).await.unwrap().status(), 422, "and the link is still good");
    let response = ask(&body).await.unwrap();
    assert_eq!(response.status(), 201);
    let browser = Browser::of(server, response).await;
    assert_eq!(ask(&body).await.unwrap().status(), 401, "the link works once");
    browser
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_of_the_first_start_makes_an_operator_who_can_sign_in_and_out() {
    let server = Server::start().await;
    let first = set_up(&server).await;
    let (status, session) = first.send(Method::GET, "/session", json!({})).await;
    assert_eq!((status, &session["user"], &session["operator"]), (200, &json!("ada"), &json!(true)), "{session}");
    assert_eq!((&session["roles"], &session["csrf"]), (&json!([]), &json!(first.csrf)));
    let second = Browser::of(&server, sign_in(&server, "ada", PASSWORD).await).await;
    assert_eq!(second.send(Method::POST, "/projects", json!({"name": "web"})).await.0, 201);
    assert_eq!(second.send(Method::DELETE, "/session", json!({})).await.0, 204);
    assert_eq!(second.send(Method::GET, "/session", json!({})).await.0, 401);
    assert_eq!(first.send(Method::GET, "/session", json!({})).await.0, 200);
    let third = Browser::of(&server, sign_in(&server, "ada", PASSWORD).await).await;
    assert_eq!(third.send(Method::DELETE, "/sessions", json!({})).await.0, 204);
    for browser in [first, third] {
        assert_eq!(browser.send(Method::GET, "/session", json!({})).await.0, 401);
    }
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_replaces_something_in_a_browser_has_to_say_as_what_it_was_seen_and_a_program_need_not() {
    let server = Server::start().await;
    let browser = set_up(&server).await;
    server.project("web").await;
    let (path, page) = ("/projects/web/stores/page", |period: u64| json!({"adapter": "prometheus", "period": period}));
    let put = async |body: Json, header: Option<(&str, &str)>| {
        let mut request = server.bare(Method::PUT, &format!("/api/v1{path}")).header("cookie", &browser.cookie);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        request.header("x-csrf-token", &browser.csrf).body(body.to_string()).send().await.unwrap()
    };
    assert_eq!(put(page(60), None).await.status(), 201, "what is new replaces nothing");
    let (status, told) = told(put(page(30), None).await).await;
    assert_eq!((status, told["detail"].as_str().unwrap().contains("If-Match")), (428, true), "{told}");
    assert_eq!(server.get(path).await.1["period"], 60, "nothing was changed");
    let same = put(page(60), None).await;
    assert_eq!(same.status(), 200, "nor is anything replaced by the same");
    let tag = same.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(put(page(30), Some(("if-none-match", "*"))).await.status(), 412);
    assert_eq!(put(page(30), Some(("if-match", &tag))).await.status(), 200);
    assert_eq!(put(page(20), Some(("if-match", &tag))).await.status(), 412);
    assert_eq!(server.send(Method::PUT, path, page(10)).await.0, 200, "a program, by its token");
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_with_a_session_needs_the_token_that_only_our_pages_know() {
    let server = Server::start().await;
    let mut browser = set_up(&server).await;
    let right = std::mem::replace(&mut browser.csrf, "0".repeat(64));
    let (status, refused) = browser.send(Method::POST, "/projects", json!({"name": "web"})).await;
    assert_eq!((status, refused["detail"].to_string().contains("X-CSRF-Token")), (403, true), "{refused}");
    assert_eq!(browser.send(Method::GET, "/projects", json!({})).await.0, 200);
    browser.csrf = right;
    assert_eq!(browser.send(Method::POST, "/projects", json!({"name": "web"})).await.0, 201);
    // Another site signs nobody in, either.
    let elsewhere = server.bare(Method::POST, "/api/v1/session").header("sec-fetch-site", "cross-site");
    let body = json!({"user": "ada", "password": PASSWORD}).to_string();
    assert_eq!(elsewhere.body(body).send().await.unwrap().status(), 403);
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_name_and_a_wrong_password_are_answered_alike_and_after_ten_there_is_a_wait() {
    let server = Server::start().await;
    set_up(&server).await;
    let (status, unknown) = told(sign_in(&server, "nobody", PASSWORD).await).await;
    for _ in 0..10 {
        assert_eq!(told(sign_in(&server, "ada", "wrong").await).await, (status, unknown.clone()));
    }
    assert_eq!((status, &unknown["detail"]), (401, &json!("user name or password is wrong")));
    let response = sign_in(&server, "ada", PASSWORD).await;
    let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    let (status, told) = told(response).await;
    assert!(status == 429 && (1..=600).contains(&wait), "{status} {wait} {told}");
    assert!(told["detail"].as_str().unwrap().contains("10 wrong passwords for this name"), "{told}");
    assert_eq!(sign_in(&server, "nobody", PASSWORD).await.status(), 401, "others may go on");
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_all_sessions_and_the_old_one_opens_nothing() {
    let server = Server::start().await;
    let browser = set_up(&server).await;
    let new = "another horse battery";
    let (status, told) = browser.send(Method::PUT, "/password", json!({"current": "wrong", "password": new})).await;
    assert_eq!(status, 403, "{told}");
    assert_eq!(browser.send(Method::PUT, "/password", json!({"current": PASSWORD, "password": new})).await.0, 204);
    assert_eq!(browser.send(Method::GET, "/session", json!({})).await.0, 401);
    assert_eq!(sign_in(&server, "ada", PASSWORD).await.status(), 401);
    assert_eq!(sign_in(&server, "ada", new).await.status(), 200);
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_can_do_what_the_roles_say_from_the_next_request_on() {
    let server = Server::start().await;
    server.project("web").await;
    let user = json!({"name": "bob", "password": PASSWORD, "roles": [{"project": "web", "role": "viewer"}]});
    let (status, made) = server.send(Method::POST, "/users", user).await;
    assert_eq!((status, &made["roles"]), (201, &json!([{"tenant": "default", "project": "web", "role": "viewer"}])));
    let bob = Browser::of(&server, sign_in(&server, "bob", PASSWORD).await).await;
    let set = "/projects/web/metric-sets/crashes";
    assert_eq!(bob.send(Method::GET, "/projects/web", json!({})).await.0, 200);
    assert_eq!(bob.send(Method::PUT, set, json!({})).await.0, 403);
    assert_eq!(bob.send(Method::POST, "/projects/web/query", json!({})).await.0, 403);
    let roles = json!({"roles": [{"project": "web", "role": "admin"}]});
    assert_eq!(server.send(Method::PUT, "/users/bob/roles", roles).await.0, 200);
    assert_eq!(bob.send(Method::PUT, set, json!({})).await.0, 201);
    assert_eq!(server.send(Method::PUT, "/users/bob/password", json!({"password": "x"})).await.0, 422);
    assert_eq!(server.send(Method::DELETE, "/users/bob", json!({})).await.0, 204);
    assert_eq!(bob.send(Method::GET, "/projects/web", json!({})).await.0, 401);
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_administers_a_tenant_gives_roles_to_its_users_and_learns_of_no_others() {
    let server = Server::start().await;
    let (_, acme) = server.send(Method::POST, "/tenants", json!({"name": "acme"})).await;
    for (name, tenant) in [("theirs", "acme"), ("ours", "default")] {
        let user = json!({"name": name, "roles": [{"tenant": tenant, "role": "viewer"}]});
        assert_eq!(server.send(Method::POST, "/users", user).await.0, 201);
    }
    let send = async |method: Method, path: &str, body: Json| {
        let request = server.bare(method, &format!("/api/v1{path}")).bearer_auth(acme["token"].as_str().unwrap());
        told(request.body(body.to_string()).send().await.unwrap()).await
    };
    let (_, listed) = send(Method::GET, "/users", json!({})).await;
    assert_eq!((listed["users"].as_array().unwrap().len(), &listed["users"][0]["name"]), (1, &json!("theirs")));
    let roles = json!({"roles": [{"role": "admin"}]});
    assert_eq!(send(Method::PUT, "/users/theirs/roles", roles.clone()).await.0, 200);
    for (method, path) in [(Method::GET, "/users/ours"), (Method::PUT, "/users/ours/roles")] {
        let foreign = send(method.clone(), path, roles.clone()).await;
        let absent = send(method, &path.replace("ours", "none"), roles.clone()).await;
        assert_eq!((foreign.0, foreign.1.to_string()), (404, absent.1.to_string().replace("none", "ours")));
    }
    let elsewhere = json!({"roles": [{"tenant": "default", "role": "admin"}]});
    assert!(matches!(send(Method::PUT, "/users/theirs/roles", elsewhere).await.0, 404 | 422));
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_who_changed_what_from_what_to_what_and_no_secret() {
    let server = Server::start().await;
    let browser = set_up(&server).await;
    assert_eq!(browser.send(Method::POST, "/projects", json!({"name": "web"})).await.0, 201);
    let store = |period: u64, password: &str| {
        let settings =
            json!({"version": "1", "url": "http://127.0.0.1:9", "database": "m", "user": "w", "password": password});
        json!({"adapter": "influxdb", "period": period, "settings": settings})
    };
    let path = "/projects/web/stores/central";
    assert_eq!(browser.send(Method::PUT, path, store(60, "canary-one")).await.0, 201);
    assert_eq!(browser.replace(path, store(30, "canary-two")).await.0, 200);
    assert_eq!(browser.replace(path, store(30, "canary-two")).await.0, 200, "no change, no line");
    let (_, log) = browser.send(Method::GET, "/audit?object=metric-store%20web/central", json!({})).await;
    let lines = log["audit"].as_array().unwrap();
    assert_eq!(lines.len(), 2, "{log}");
    assert_eq!((&lines[0]["actor"], &lines[0]["tenant"]), (&json!("user ada"), &json!("default")));
    assert_eq!((&lines[0]["before"]["period"], &lines[0]["after"]["period"]), (&json!(60), &json!(30)));
    assert!(lines[0]["details"].to_string().contains("settings.password: changed"), "{log}");
    assert_eq!(lines[1]["before"], Json::Null);
    let (_, all) = browser.send(Method::GET, "/audit", json!({})).await;
    let actions: Vec<_> = all["audit"].as_array().unwrap().iter().map(|l| l["action"].as_str().unwrap()).collect();
    assert!(actions.ends_with(&["sign-in", "set-up"]), "{actions:?}");
    assert!(!all.to_string().contains("canary") && !all.to_string().contains(&browser.cookie[17..]), "{all}");
    let (_, page) = browser.send(Method::GET, "/audit?limit=2", json!({})).await;
    let next = page["next"].as_str().unwrap();
    let (_, rest) = browser.send(Method::GET, &format!("/audit?cursor={next}"), json!({})).await;
    assert_eq!(page["audit"].as_array().unwrap().len() + rest["audit"].as_array().unwrap().len(), actions.len());
    assert_eq!(rest["next"], Json::Null);
    // Each filter is the server's, so it counts for all lines and not for those of a page; cursors lead through what is left.
    let found = async |query: &str| -> Vec<String> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let (_, page) = browser.send(Method::GET, &format!("/audit?limit=1&{query}{cursor}"), json!({})).await;
            all.extend(
                page["audit"].as_array().unwrap().iter().map(|line| line["action"].as_str().unwrap().to_owned()),
            );
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    };
    assert_eq!(found("").await, actions);
    assert_eq!(found("sort=at").await, actions.iter().rev().copied().collect::<Vec<_>>());
    assert_eq!(found("kind=metric-store").await, ["put", "put"]);
    // The project, and the token that comes with it.
    assert_eq!(found("actor=ada&object=web&sort=at").await, ["create", "create", "put", "put"]);
    assert_eq!(found("search=INFLUXDB%20central").await, ["put", "put"]);
    assert_eq!((found("search=canary").await, found("until=1").await), (vec![], vec![]));
    for wrong in ["limit=0", "limit=1001", "limit=x", "nothing=1", "kind=moon", "sort=who"] {
        let (status, _) = browser.send(Method::GET, &format!("/audit?{wrong}"), json!({})).await;
        assert!(matches!(status, 400 | 422), "{wrong}: {status}");
    }
    server.running.stop().await;
}
