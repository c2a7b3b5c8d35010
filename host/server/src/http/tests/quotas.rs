//! What a tenant may have, and what it is told when it wants more.

use super::{Server, UUID, report, told};
use reqwest::{Method, StatusCode};
use serde_json::{Value as Json, json};

/// A tenant called acme with these quotas, and a token for all of it.
async fn acme(server: &Server, quotas: Json) -> String {
    let (_, made) = server.send(Method::POST, "/tenants", json!({"name": "acme"})).await;
    let (status, set) = server.send(Method::PUT, "/tenants/acme/quotas", quotas).await;
    assert_eq!(status, 200, "{set}");
    made["token"].as_str().unwrap().to_owned()
}

async fn by(server: &Server, token: &str, method: Method, path: &str, body: Json) -> (u16, Json) {
    let request = server.bare(method, &format!("/api/v1{path}")).bearer_auth(token);
    told(request.body(body.to_string()).send().await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_project_or_store_too_many_is_refused_with_the_limit_and_what_is_there_stays() {
    let server = Server::start().await;
    let token = acme(&server, json!({"projects": 1, "metric_stores": 1})).await;
    let send = async |method, path: &str, body| by(&server, &token, method, path, body).await;
    assert_eq!(send(Method::POST, "/projects", json!({"name": "web"})).await.0, 201);
    let (status, told) = send(Method::POST, "/projects", json!({"name": "shop"})).await;
    let quota = json!({"quota": "projects", "limit": 1, "asked": 2});
    assert_eq!((status, &told["quota"]), (409, &quota), "{told}");
    assert!(told["detail"].as_str().unwrap().contains("may have 1 projects, and this would be number 2"), "{told}");
    let page = json!({"adapter": "prometheus"});
    assert_eq!(send(Method::PUT, "/projects/web/stores/a", page.clone()).await.0, 201);
    let (status, told) = send(Method::PUT, "/projects/web/stores/b", page.clone()).await;
    assert_eq!((status, &told["quota"]["quota"]), (409, &json!("metric stores")), "{told}");
    assert_eq!(
        send(Method::PUT, "/projects/web/stores/a", json!({"adapter": "prometheus", "period": 30})).await.0,
        200
    );
    // A document is no way around it, and is refused as a whole.
    let (status, told) = send(Method::POST, "/apply", json!({"projects": [{"name": "shop"}]})).await;
    assert_eq!((status, &told["place"]), (409, &json!("projects[0]")), "{told}");
    let (_, used) = send(Method::GET, "/quotas", json!({})).await;
    assert_eq!(
        (&used["projects"], &used["metric_stores"]),
        (&json!({"used": 1, "limit": 1, "set": 1}), &json!({"used": 1, "limit": 1, "set": 1}))
    );
    assert_eq!(send(Method::PUT, "/tenants/acme/quotas", json!({})).await.0, 403, "operators set them");
    // Others are not bound by it, and a greater quota lets it go on.
    server.project("web").await;
    server.project("shop").await;
    assert_eq!(server.send(Method::PUT, "/tenants/acme/quotas", json!({})).await.0, 200);
    assert_eq!(send(Method::POST, "/projects", json!({"name": "shop"})).await.0, 201);
    let metrics = server.bare(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("tidegate_tenant_used{quota=\"projects\",tenant=\"acme\"} 2"), "{metrics}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_adapters_are_set_while_the_server_runs_and_never_above_what_it_was_started_with() {
    let server = Server::start().await;
    let token = acme(&server, json!({})).await;
    let send = async |method, path: &str, body| by(&server, &token, method, path, body).await;
    assert_eq!(send(Method::POST, "/projects", json!({"name": "web"})).await.0, 201);
    assert_eq!(send(Method::PUT, "/projects/web/stores/a", json!({"adapter": "prometheus"})).await.0, 201);
    let limit = async |name: &str| {
        let (_, store) = send(Method::GET, "/projects/web/stores/a", json!({})).await;
        let limits = store["status"]["limits"].as_array().cloned().unwrap_or_default();
        limits.iter().find(|l| l["name"] == name).map_or(Json::Null, |l| l["limit"].clone())
    };
    assert_eq!((limit("memory").await, limit("handles").await), (json!(64 << 20), json!(50_000)));
    let quotas =
        json!({"adapter_memory": 16 << 20, "adapter_handles": 100, "adapter_log_lines": 3, "tenant_instances": 2});
    let (status, told) = server.send(Method::PUT, "/tenants/acme/quotas", quotas).await;
    assert_eq!((status, &told["adapter_memory"]["limit"]), (200, &json!(16 << 20)), "{told}");
    assert_eq!(told["tenant_instances"], json!({"used": 0, "limit": 2, "set": 2}));
    assert_eq!((limit("memory").await, limit("handles").await), (json!(16 << 20), json!(100)));
    assert_eq!((limit("log-lines").await, limit("tenant-instances").await), (json!(3), json!(2)));

    let (status, told) = server.send(Method::PUT, "/tenants/acme/quotas", json!({"adapter_memory": 65 << 20})).await;
    let quota = json!({"quota": "adapter_memory", "limit": 64 << 20, "asked": 65 << 20});
    assert_eq!((status, &told["quota"]), (422, &quota), "{told}");
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.contains("adapter_memory is 68157440; the server allows no more than 67108864"), "{told}");
    assert!(detail.contains("--adapter-memory"), "{told}");
    assert_eq!(limit("memory").await, json!(16 << 20), "what was refused changes nothing");

    // A component that is larger than the tenant's limit serves its stores no longer.
    assert_eq!(server.send(Method::PUT, "/tenants/acme/quotas", json!({"adapter_size": 1000})).await.0, 200);
    let (_, store) = send(Method::GET, "/projects/web/stores/a", json!({})).await;
    let problem = store["status"]["problem"].as_str().unwrap_or_default();
    assert!(
        problem.contains("the adapter \"prometheus\" has ") && problem.contains("the limit is 1000 bytes"),
        "{store}"
    );
    assert_eq!(server.send(Method::PUT, "/tenants/acme/quotas", json!({})).await.0, 200);
    assert_eq!(limit("memory").await, json!(64 << 20));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_version_of_an_adapter_too_many_is_refused_and_more_stores_of_those_in_use_are_not() {
    let server = Server::start().await;
    let token = acme(&server, json!({"adapters": 1})).await;
    let send = async |method, path: &str, body| by(&server, &token, method, path, body).await;
    assert_eq!(send(Method::POST, "/projects", json!({"name": "web"})).await.0, 201);
    let page = json!({"adapter": "prometheus"});
    assert_eq!(send(Method::PUT, "/projects/web/stores/a", page.clone()).await.0, 201);
    assert_eq!(send(Method::PUT, "/projects/web/stores/b", page.clone()).await.0, 201);
    let other = json!({"adapter": "graphite", "settings": {"host": "127.0.0.1"}});
    let (status, told) = send(Method::PUT, "/projects/web/stores/c", other.clone()).await;
    let quota = json!({"quota": "adapters", "limit": 1, "asked": 2});
    assert_eq!((status, &told["quota"]), (409, &quota), "{told}");
    assert!(told["detail"].as_str().unwrap().contains("may have 1 adapters, and this would be number 2"), "{told}");
    assert_eq!(send(Method::GET, "/projects/web/stores/c", json!({})).await.0, 404, "nothing of it stays");
    let (_, used) = send(Method::GET, "/quotas", json!({})).await;
    assert_eq!(used["adapters"], json!({"used": 1, "limit": 1, "set": 1}));
    assert_eq!(server.send(Method::PUT, "/tenants/acme/quotas", json!({"adapters": 2})).await.0, 200);
    assert_eq!(send(Method::PUT, "/projects/web/stores/c", other).await.0, 201);
    // A quota that is lower than what there is takes nothing away, and lets nothing be added.
    assert_eq!(server.send(Method::PUT, "/tenants/acme/quotas", json!({"adapters": 1})).await.0, 200);
    assert_eq!(send(Method::PUT, "/projects/web/stores/d", page).await.0, 201);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_beyond_the_rate_are_asked_to_come_back_and_other_tenants_go_on() {
    let server = Server::start().await;
    let token = acme(&server, json!({"events_per_second": 1})).await;
    let (_, made) = by(&server, &token, Method::POST, "/projects", json!({"name": "web"})).await;
    let bulk = async || {
        let request = server.bare(Method::POST, "/api/v1/projects/web/events").bearer_auth(&token);
        request.body("{\"a\":1}\n".repeat(100)).send().await.unwrap()
    };
    assert_eq!(bulk().await.status(), 200, "a batch comes in as a whole");
    let response = bulk().await;
    let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    let (status, refused) = told(response).await;
    assert!(status == 429 && (90..=100).contains(&wait), "{wait} {refused}");
    assert_eq!(
        (&refused["quota"]["limit"], &refused["taken"], &refused["from_line"]),
        (&json!(1), &json!(0), &json!(1))
    );
    assert!(refused["detail"].as_str().unwrap().contains("1 events per second"), "{refused}");
    let submission = made["submission_token"].as_str().unwrap();
    let post = |token: &str| {
        let request = server.bare(Method::POST, &format!("/post?format=json&token={token}"));
        request.body(report(UUID, json!({})).to_string()).send()
    };
    let response = post(submission).await.unwrap();
    assert!(response.status() == StatusCode::TOO_MANY_REQUESTS && response.headers().contains_key("retry-after"));
    let other = server.project("web").await;
    assert_eq!(post(&other).await.unwrap().status(), 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_beyond_the_cpu_time_of_a_minute_are_asked_to_come_back_and_other_tenants_are_answered() {
    let server = Server::start().await;
    let token = acme(&server, json!({"query_cpu": 1})).await;
    by(&server, &token, Method::POST, "/projects", json!({"name": "web"})).await;
    // A few segments, since a query is looked at between two of them.
    for part in 0..4 {
        let lines: String = (0..10_000).map(|n| format!("{{\"guid\":\"{part}-{n}\"}}\n")).collect();
        let request = server.bare(Method::POST, "/api/v1/projects/web/events").bearer_auth(&token);
        assert_eq!(request.body(lines).send().await.unwrap().status(), 200);
    }
    let query = json!({"group": ["guid"], "fold": {"guid": [["unique"], ["histogram"]]}});
    let ask = async |path: &str, body: &Json| {
        let request = server.bare(Method::POST, path).bearer_auth(&token);
        let response = request.body(body.to_string()).send().await.unwrap();
        let wait = response.headers().get("retry-after").map(|wait| wait.to_str().unwrap().parse::<u64>().unwrap());
        let (status, answer) = told(response).await;
        (status, answer, wait)
    };
    // Ten thousand groups take more than a millisecond, and waiting would not change that.
    let (status, ended, _) = ask("/api/v1/projects/web/query", &query).await;
    assert_eq!((status, &ended["quota"]["quota"], &ended["quota"]["limit"]), (422, &json!("query_cpu"), &json!(1)));
    assert!(ended["detail"].as_str().unwrap().contains("of CPU time and was ended"), "{ended}");
    // That has used up the minute, by whichever way somebody asks.
    let preview = json!({"query": {"fold": {"_tx": [["count"]]}}});
    for (path, body) in [("/api/v1/projects/web/query", &query), ("/api/v1/projects/web/metric-preview", &preview)] {
        let (status, refused, wait) = ask(path, body).await;
        assert!(status == 429 && wait.is_some_and(|wait| (1..=61).contains(&wait)), "{path}: {refused}");
        assert!(refused["quota"]["used"].as_u64() >= Some(1) && refused["quota"]["limit"] == 1, "{refused}");
        assert!(refused["detail"].as_str().unwrap().contains("its limit is 1 ms; ask again in "), "{refused}");
    }
    let backtrace = format!("/api/query?project=web&universe=acme&token={token}");
    let (status, refused, _) = ask(&backtrace, &query).await;
    assert_eq!((status, &refused["error"]["code"]), (200, &json!(429)), "{refused}");
    let (_, used) = by(&server, &token, Method::GET, "/quotas", json!({})).await;
    assert!(used["query_cpu"]["used"].as_u64() >= Some(1) && used["query_cpu"]["limit"] == 1, "{used}");

    server.project("web").await;
    assert_eq!(server.send(Method::POST, "/projects/web/query", query.clone()).await.0, 200, "others have their own");
    assert_eq!(server.send(Method::PUT, "/tenants/acme/quotas", json!({"query_cpu": 60_000})).await.0, 200);
    let (status, answer, _) = ask("/api/v1/projects/web/query", &query).await;
    assert_eq!((status, &answer["events"]), (200, &json!(40_000)), "{answer}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_beyond_the_stored_bytes_are_refused_with_both_figures() {
    let server = Server::start().await;
    let token = acme(&server, json!({"stored_megabytes": 0})).await;
    by(&server, &token, Method::POST, "/projects", json!({"name": "web"})).await;
    let request = server.bare(Method::POST, "/api/v1/projects/web/events").bearer_auth(&token);
    let (status, told) = told(request.body("{\"a\":1}\n").send().await.unwrap()).await;
    assert_eq!((status, &told["quota"]["limit"]), (507, &json!(0)), "{told}");
    assert!(told["detail"].as_str().unwrap().contains("may store 0 MB of events and has 0.0 MB"), "{told}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_tokens_and_pull_urls_of_one_tenant_open_nothing_of_another_with_the_same_names() {
    let server = Server::start().await;
    let theirs = acme(&server, json!({})).await;
    let mut pages = Vec::new();
    let mut submissions = Vec::new();
    for token in [&server.token, &theirs] {
        let (status, made) = by(&server, token, Method::POST, "/projects", json!({"name": "web"})).await;
        assert_eq!(status, 201, "names are free in each tenant");
        submissions.push(made["submission_token"].as_str().unwrap().to_owned());
        let page = json!({"adapter": "prometheus"});
        let (status, made) = by(&server, token, Method::PUT, "/projects/web/stores/page", page).await;
        assert_eq!(status, 201, "{made}");
        pages.push(made["status"]["pull_path"].as_str().unwrap().to_owned());
    }
    assert_ne!(pages[0], pages[1]);
    // What one renames or rotates is the other's no more and no less.
    let rotated = by(&server, &theirs, Method::POST, "/projects/web/stores/page/pull-token", json!({})).await;
    assert_eq!(rotated.0, 200);
    assert_eq!(server.bare(Method::GET, &pages[1]).send().await.unwrap().status(), 404);
    assert_ne!(server.bare(Method::GET, &pages[0]).send().await.unwrap().status(), 404);
    // An event goes where its token leads, and nowhere else.
    let request = server.bare(Method::POST, "/api/v1/projects/web/events").bearer_auth(&submissions[1]);
    let (status, answer) = told(request.body("{\"whose\":\"theirs\"}\n").send().await.unwrap()).await;
    assert_eq!(status, 200, "{answer}");
    let ours = server.get("/projects/web/attributes").await.1;
    let (_, seen) = by(&server, &theirs, Method::GET, "/projects/web/attributes", json!({})).await;
    assert!(!ours.to_string().contains("whose") && seen.to_string().contains("whose"), "{ours} {seen}");
    // Tokens of the same name are two.
    assert_eq!(by(&server, &theirs, Method::DELETE, "/tokens/admin", json!({})).await.0, 204);
    assert_eq!(by(&server, &theirs, Method::GET, "/projects", json!({})).await.0, 401);
    assert_eq!(server.get("/projects").await.0, 200);
    server.stop().await;
}
