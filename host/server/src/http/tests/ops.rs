//! What operators and their tools look at.

use super::{Server, UUID, client, report};
use crate::http::{App, HttpLimits, router};
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpListener;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_ready_says_so_and_takes_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = App::new(HttpLimits::default(), prometheus::Registry::new()).unwrap();
    tokio::spawn(async move { axum::serve(listener, router(app)).await });
    let get = async |path: &str| client().get(format!("http://{address}{path}")).send().await.unwrap();
    assert_eq!(get("/healthz").await.status(), 200);
    assert_eq!(get("/metrics").await.status(), 200);
    for path in ["/readyz", "/api/v1/projects"] {
        let response = get(path).await;
        assert_eq!(
            (response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()),
            (503, "1"),
            "{path}"
        );
    }
    assert_eq!(get("/pull/x").await.status(), 503);
    let response = client().post(format!("http://{address}/post?token=x")).body("{}").send().await.unwrap();
    assert_eq!(response.status(), 503);
    assert!(response.text().await.unwrap().starts_with("{\"error\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_page_the_checks_and_the_metrics_need_no_token_and_tell_no_secret() {
    let server = Server::start().await;
    let token = server.project("web").await;
    for path in
        [format!("/post?token={token}"), "/universe/SECRETTOKEN/json".to_owned(), "/pull/SECRETTOKEN".to_owned()]
    {
        let _ = server.bare(Method::POST, &path).body(report(UUID, json!({})).to_string()).send().await.unwrap();
    }
    let index = server.bare(Method::GET, "/").send().await.unwrap();
    assert_eq!(index.headers()["content-type"], "text/plain; charset=utf-8");
    assert!(index.text().await.unwrap().contains("tidegate apply"));
    assert_eq!(server.bare(Method::GET, "/readyz").send().await.unwrap().text().await.unwrap(), "ready\n");
    let metrics = server.bare(Method::GET, "/metrics").send().await.unwrap();
    assert!(metrics.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    let text = metrics.text().await.unwrap();
    for line in [
        "tidegate_ingest_events_total 1",
        "tidegate_events_accepted_total 1",
        "tidegate_http_refused_total{reason=\"token\"} 1",
        "tidegate_http_requests_total{method=\"POST\",route=\"submission\",status=\"200\"} 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains(&token) && !text.contains("SECRETTOKEN"), "{text}");
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_a_problem_document_and_every_answer_has_its_safety_headers() {
    let server = Server::start().await;
    for (method, path, status) in [
        (Method::GET, "/nothing", 404),
        (Method::GET, "/post", 404),
        (Method::GET, "/u/t/json", 404),
        (Method::DELETE, "/healthz", 405),
    ] {
        let response = server.bare(method, path).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{path}");
        let headers = response.headers();
        assert_eq!(headers["content-type"], "application/problem+json", "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cache-control"], "no-store");
    }
    // Some scrapers store any JSON that they are given, so this route has no problem documents.
    let response = server.bare(Method::POST, "/pull/x").send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers().get("content-type")), (405, None));
    assert_eq!(response.headers()["allow"], "GET, HEAD");
    assert!(response.bytes().await.unwrap().is_empty());
    let response = server.request(Method::GET, "/nothing").send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.headers()["content-type"].to_str().unwrap()),
        (404, "application/problem+json")
    );
    server.running.stop().await;
}
