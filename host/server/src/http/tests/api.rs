//! The management API.

use super::{Server, told};
use reqwest::Method;
use serde_json::{Value as Json, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_token_opens_nothing_of_the_api() {
    let server = Server::start().await;
    // It stands in web pages and apps.
    let token = server.project("web").await;
    for path in ["/status", "/projects", "/projects/web", "/none"] {
        let response = server.bare(Method::GET, &format!("/api/v1{path}")).bearer_auth(&token).send().await.unwrap();
        if path != "/none" {
            assert_eq!(response.headers()["www-authenticate"], "Bearer", "{path}");
        }
        assert_eq!(told(response).await.0, if path == "/none" { 404 } else { 401 }, "{path}");
    }
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_are_made_listed_and_removed_whatever_is_in_their_names() {
    let server = Server::start().await;
    server.project("a/b ?ä").await;
    let path = "/projects/a%2Fb%20%3F%C3%A4";
    let kept = json!({"days": null, "megabytes": null});
    let events = json!({"stored": 0, "segments": 0, "bytes": 0, "oldest_arrival": null});
    let shown = json!({"name": "a/b ?ä", "metric_sets": [], "metric_stores": [], "retention": kept, "events": events,
        "owed_since": null});
    assert_eq!(server.get(path).await, (200, shown));
    let (status, again) = server.send(Method::POST, "/projects", json!({"name": "a/b ?ä"})).await;
    assert_eq!(status, 409, "{again}");
    assert_eq!(server.send(Method::PUT, path, json!({})).await.0, 200);
    assert_eq!(server.send(Method::PUT, "/projects/new", json!({})).await.0, 201);
    let (status, wrong) = server.send(Method::POST, "/projects", json!({"name": "a\nb"})).await;
    assert_eq!(status, 422, "{wrong}");
    assert!(wrong["detail"].as_str().unwrap().contains("control characters"), "{wrong}");
    assert_eq!(server.send(Method::DELETE, path, json!({})).await.0, 204);
    let left = json!({"projects": [{"name": "new", "retention": kept, "events": events}], "total": 1});
    assert_eq!(server.get("/projects").await.1, left);
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_sees_nothing_of_another_and_only_the_operator_makes_tenants() {
    let server = Server::start().await;
    server.project("web").await;
    let (status, tenant) = server.send(Method::POST, "/tenants", json!({"name": "acme"})).await;
    assert_eq!(status, 201, "{tenant}");
    let theirs = tenant["token"].as_str().unwrap();
    let by = |method, path: &str| server.bare(method, &format!("/api/v1{path}")).bearer_auth(theirs);
    assert_eq!(
        told(by(Method::GET, "/projects").send().await.unwrap()).await,
        (200, json!({"projects": [], "total": 0}))
    );
    for (method, path) in
        [(Method::GET, "/projects/web"), (Method::DELETE, "/projects/web"), (Method::POST, "/projects/web/events")]
    {
        assert_eq!(by(method, path).body("{}").send().await.unwrap().status(), 404, "{path}");
    }
    assert_eq!(by(Method::GET, "/tenants").send().await.unwrap().status(), 403);
    assert_eq!(by(Method::POST, "/tenants").body("{\"name\":\"x\"}").send().await.unwrap().status(), 403);
    assert_eq!(server.send(Method::DELETE, "/tenants/default", json!({})).await.0, 409);
    assert_eq!(server.send(Method::DELETE, "/tenants/acme", json!({})).await.0, 204);
    assert_eq!(by(Method::GET, "/projects").send().await.unwrap().status(), 401);
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_told_once_listed_by_hint_and_can_be_revoked() {
    let server = Server::start().await;
    server.project("web").await;
    let (status, made) = server.send(Method::POST, "/tokens", json!({"name": "ci"})).await;
    assert_eq!(status, 201);
    let token = made["token"].as_str().unwrap();
    let listed = server.get("/tokens").await.1.to_string();
    assert!(listed.contains("\"ci\"") && !listed.contains(token), "{listed}");
    assert_eq!(server.send(Method::DELETE, "/tokens/ci", json!({})).await.0, 204);
    assert_eq!(server.bare(Method::GET, "/api/v1/projects").bearer_auth(token).send().await.unwrap().status(), 401);
    let path = "/projects/web/submission-tokens";
    let (_, made) = server.send(Method::POST, path, json!({})).await;
    let submission = made["token"].as_str().unwrap();
    let post = || server.bare(Method::POST, &format!("/post?token={submission}")).body("{}");
    assert_eq!(post().send().await.unwrap().status(), 200);
    let listed = server.get(path).await.1;
    assert!(
        listed["submission_tokens"].as_array().unwrap().len() == 2 && !listed.to_string().contains(submission),
        "{listed}"
    );
    assert_eq!(server.send(Method::DELETE, &format!("{path}/{}", made["id"]), json!({})).await.0, 204);
    assert_eq!(post().send().await.unwrap().status(), 403);
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metric_is_checked_and_a_time_frame_in_it_dropped_with_a_word() {
    let server = Server::start().await;
    server.project("web").await;
    let set = "/projects/web/metric-sets/crashes";
    let metric = format!("{set}/metrics/errors");
    let query = json!({"filter": [{"timestamp": [["at-least", 1]]}], "fold": {"_tx": [["count"]]}});
    assert_eq!(server.send(Method::PUT, &metric, json!({"query": query})).await.0, 404);
    assert_eq!(server.send(Method::PUT, set, json!({})).await.0, 201);
    let (status, put) = server.send(Method::PUT, &metric, json!({"query": query})).await;
    assert_eq!(status, 201, "{put}");
    assert_eq!(put["dropped_time_frame"].as_array().unwrap().len(), 1, "{put}");
    assert_eq!(put["query"], json!({"fold": {"_tx": [["count"]]}}));
    assert_eq!(server.send(Method::PUT, &metric, json!({"query": put["query"]})).await.0, 200);
    let (status, wrong) = server.send(Method::PUT, &metric, json!({"query": {"fold": {"a": [["histogram"]]}}})).await;
    assert_eq!(status, 422);
    assert!(wrong["detail"].as_str().unwrap().contains("histogram"), "{wrong}");
    let (status, wrong) = server.send(Method::PUT, &metric, json!({"query": {}, "qurey": 1})).await;
    assert_eq!((status, wrong["detail"].as_str().unwrap().contains("qurey")), (422, true), "{wrong}");
    assert_eq!(
        server.get(set).await.1["metrics"],
        json!([{"name": "errors", "series": "errors", "query": {"fold": {"_tx": [["count"]]}}}])
    );
    assert_eq!(server.send(Method::DELETE, &metric, json!({})).await.0, 204);
    assert_eq!(server.send(Method::DELETE, set, json!({})).await.0, 204);
    assert_eq!(server.get(set).await.0, 404);
    server.running.stop().await;
}

fn influxdb() -> Json {
    let settings =
        json!({"version": "1", "url": "http://127.0.0.1:9", "database": "m", "user": "w", "password": "hunter2"});
    json!({"adapter": "influxdb", "period": 60, "settings": settings, "metric_sets": []})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_checked_against_its_adapter_and_its_secrets_never_come_out() {
    let server = Server::start().await;
    server.project("web").await;
    let path = "/projects/web/stores/central";
    let (status, made) = server.send(Method::PUT, path, influxdb()).await;
    assert_eq!((status, &made["settings"]["password"]), (201, &json!("…")), "{made}");
    // Neither is it lost when it is left out, nor told when it changes.
    let mut change = influxdb();
    change["settings"].as_object_mut().unwrap().remove("password");
    change["settings"]["database"] = json!("n");
    let (status, changed) = server.send(Method::PUT, path, change).await;
    assert_eq!((status, &changed["changes"]), (200, &json!(["settings.database: \"m\" -> \"n\""])), "{changed}");
    let mut change = influxdb();
    change["settings"]["password"] = json!("hunter3");
    change["settings"]["database"] = json!("n");
    let (_, changed) = server.send(Method::PUT, path, change).await;
    assert_eq!(changed["changes"], json!(["settings.password: changed"]));
    for shown in [server.get(path).await.1, server.get("/stores").await.1, server.get("/projects/web/stores").await.1] {
        assert!(!shown.to_string().contains("hunter"), "{shown}");
    }
    for (member, value, part) in [
        ("adapter", json!("influx"), "there is no adapter \"influx\"; there are: "),
        ("period", json!(0), "a period is 1 to 86400 seconds"),
        ("metric_sets", json!(["none"]), "there is no metric set \"none\""),
        ("perod", json!(1), "perod: unknown field"),
        ("settings", json!({"version": "3"}), "version"),
        ("settings", json!({"version": "1", "url": "http://h", "password": {"env": "X"}}), "password"),
    ] {
        let mut wrong = influxdb();
        wrong[member] = value;
        let (status, told) = server.send(Method::PUT, "/projects/web/stores/other", wrong).await;
        assert!(matches!(status, 404 | 422), "{told}");
        assert!(told["detail"].as_str().unwrap().contains(part), "{told}");
    }
    assert_eq!(server.send(Method::POST, &format!("{path}/pause"), json!({})).await.0, 204);
    assert_eq!(server.get(path).await.1["paused"], true);
    assert_eq!(server.send(Method::POST, &format!("{path}/resume"), json!({})).await.0, 204);
    let (status, told) = server.send(Method::POST, &format!("{path}/pull-token"), json!({})).await;
    assert_eq!(status, 409, "{told}");
    assert_eq!(server.send(Method::DELETE, path, json!({})).await.0, 204);
    assert_eq!(server.get(path).await.0, 404);
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_applied_once_rehearsed_without_effect_and_refused_as_a_whole() {
    let server = Server::start().await;
    let mut store = influxdb();
    store["name"] = json!("central");
    store["metric_sets"] = json!(["crashes"]);
    let set = json!({"name": "crashes", "metrics": [{"name": "errors", "query": {"fold": {"_tx": [["count"]]}}}]});
    let document = json!({"projects": [{"name": "web", "metric_sets": [set], "metric_stores": [store]}]});
    let signs = |outcome: &Json| -> String {
        outcome["changes"].as_array().unwrap().iter().map(|c| c["sign"].as_str().unwrap()).collect()
    };
    let (status, dry) = server.send(Method::POST, "/apply?dry_run=true", document.clone()).await;
    assert_eq!((status, signs(&dry).as_str(), &dry["tokens"]), (200, "+++++", &json!([])), "{dry}");
    assert_eq!(server.get("/projects").await.1, json!({"projects": [], "total": 0}));
    let (_, first) = server.send(Method::POST, "/apply", document.clone()).await;
    assert_eq!((signs(&first).as_str(), first["tokens"].as_array().unwrap().len()), ("+++++", 1), "{first}");
    let token = first["tokens"][0]["token"].as_str().unwrap();
    assert_eq!(
        server.bare(Method::POST, &format!("/post?token={token}")).body("{}").send().await.unwrap().status(),
        200
    );
    let (_, second) = server.send(Method::POST, "/apply", document.clone()).await;
    assert_eq!(signs(&second), "====", "{second}");
    let mut wrong = document;
    wrong["projects"][0]["name"] = json!("other");
    wrong["projects"][0]["metric_stores"][0]["adapter"] = json!("none");
    let (status, told) = server.send(Method::POST, "/apply", wrong).await;
    assert_eq!((status, &told["place"]), (422, &json!("projects[0].metric_stores[0]")), "{told}");
    let (_, left) = server.get("/projects").await;
    assert_eq!(
        (left["projects"].as_array().unwrap().len(), &left["projects"][0]["name"]),
        (1, &json!("web")),
        "{left}"
    );
    let (status, told) = server.send(Method::POST, "/apply?dryrun=true", json!({})).await;
    assert_eq!(status, 400, "{told}");
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn adapters_tell_what_they_want_and_what_they_may_reach() {
    let server = Server::start().await;
    let (_, list) = server.get("/adapters").await;
    let names: Vec<_> = list["adapters"].as_array().unwrap().iter().map(|a| a["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"influxdb") && names.contains(&"prometheus"), "{list}");
    let (status, adapter) = server.get("/adapters/influxdb").await;
    assert_eq!((status, &adapter["direction"]), (200, &json!("push")), "{adapter}");
    assert!(adapter["digest"].as_str().unwrap().starts_with("sha256:") && adapter["contract"].is_string(), "{adapter}");
    assert!(
        !adapter["settings"].as_array().unwrap().is_empty() && !adapter["endpoints"].as_array().unwrap().is_empty()
    );
    let (status, told) = server.get("/adapters/none").await;
    assert_eq!((status, told["detail"].as_str().unwrap().contains("influxdb")), (404, true), "{told}");
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_can_be_tried_before_it_is_a_metric() {
    let server = Server::start().await;
    server.project("web").await;
    let lines = "{\"v\":\"a\",\"n\":1}\n{\"v\":\"a\",\"n\":3}\n{\"v\":\"b\"}\n";
    assert_eq!(server.request(Method::POST, "/projects/web/events").body(lines).send().await.unwrap().status(), 200);
    let query = json!({"group": ["v"], "fold": {"_tx": [["count"]], "n": [["mean"]]}});
    let wish = json!({"query": query, "period": 86_400, "windows": 2});
    let (status, shown) = server.send(Method::POST, "/projects/web/metric-preview", wish).await;
    assert_eq!((status, shown["windows"].as_array().map(Vec::len)), (200, Some(2)), "{shown}");
    // Midnight may pass in the middle of it, so the rows may be in either window.
    let rows: Vec<&Json> =
        shown["windows"].as_array().unwrap().iter().flat_map(|w| w["rows"].as_array().unwrap()).collect();
    assert_eq!(
        rows,
        [&json!({"group": ["a"], "values": [2.0, 2.0]}), &json!({"group": ["b"], "values": [1.0, null]})],
        "{shown}"
    );
    for (wish, part) in [
        (json!({"query": query, "windows": 1001}), "1 to 1000 windows"),
        (json!({"query": query, "period": 0}), "a period is 1 to 86400"),
        (json!({"query": {"fold": {}}}), "at least one aggregate"),
    ] {
        let (status, told) = server.send(Method::POST, "/projects/web/metric-preview", wish).await;
        assert_eq!((status, told["detail"].as_str().unwrap().contains(part)), (422, true), "{told}");
    }
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_attributes_of_a_project_are_told_with_their_types() {
    let server = Server::start().await;
    server.project("web").await;
    let lines = "{\"v\":\"a\",\"n\":1}\n{\"v\":\"b\",\"n\":1.5}\n";
    assert_eq!(server.request(Method::POST, "/projects/web/events").body(lines).send().await.unwrap().status(), 200);
    let (_, told) = server.get("/projects/web/attributes").await;
    let of = |name: &str| told["attributes"].as_array().unwrap().iter().find(|a| a["name"] == name).cloned().unwrap();
    assert_eq!(of("v")["types"], json!(["text"]), "{told}");
    assert!(of("n")["types"].as_array().unwrap().contains(&json!("float")), "{told}");
    assert_eq!(server.get("/projects/web/events/77").await.0, 404);
    assert_eq!(server.get("/projects/web/events/xyz").await.0, 400);
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_json_or_too_long_is_refused_without_being_repeated() {
    let server = Server::with(|o| o.http.api_bytes = 1_000).await;
    let send =
        async |body: String| told(server.request(Method::POST, "/projects").body(body).send().await.unwrap()).await;
    let (status, told) = send("{\"name\": hunter2".to_owned()).await;
    assert_eq!(status, 400);
    assert!(
        told["detail"].as_str().unwrap().starts_with("the body is not JSON: line 1")
            && !told.to_string().contains("hunter2")
    );
    let (status, told) = send("x".repeat(1_001)).await;
    assert_eq!(status, 413, "{told}");
    assert!(told["detail"].as_str().unwrap().contains("a body may have 1000 bytes"), "{told}");
    assert_eq!(send(String::new()).await.0, 400);
    assert_eq!(send("{}".to_owned()).await.0, 422);
    server.project("web").await;
    let (status, told) = server.send(Method::DELETE, "/projects/web/submission-tokens/first", json!({})).await;
    assert_eq!((status, told["status"].as_u64()), (400, Some(400)), "{told}");
    server.running.stop().await;
}
