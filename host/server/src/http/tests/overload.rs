//! What happens when there is too much to do, or too little time.

use super::{Server, UUID, report, told};
use reqwest::Method;
use serde_json::json;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A submission of which a part was sent.
async fn half_a_submission(server: &Server, token: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.running.address()).await.unwrap();
    let (half, length) = (&body[..body.len() / 2], body.len());
    let head = format!(
        "POST /post?token={token} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(format!("{head}{half}").as_bytes()).await.unwrap();
    stream
}

async fn under_way(server: &Server, wanted: &str) {
    for _ in 0..500 {
        let metrics = server.bare(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
        if metrics.contains(&format!("tidegate_ingest_requests_under_way {wanted}\n")) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("there are never {wanted} submissions under way");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_too_many_is_asked_to_come_back_and_the_one_under_way_is_taken() {
    let server = Server::with(|o| o.http.submissions = 1).await;
    let token = server.project("web").await;
    let body = report(UUID, json!({})).to_string();
    let mut first = half_a_submission(&server, &token, &body).await;
    under_way(&server, "1").await;
    let refused = server.bare(Method::POST, &format!("/post?token={token}")).body("{}").send().await.unwrap();
    assert_eq!(refused.headers()["retry-after"], "1");
    let (status, answer) = told(refused).await;
    assert_eq!(status, 503);
    assert!(answer["error"]["message"].as_str().unwrap().contains("1 submissions are under way"), "{answer}");
    let refused = server.request(Method::POST, "/projects/web/events").body("{}\n").send().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    first.write_all(&body.as_bytes()[body.len() / 2..]).await.unwrap();
    let mut answer = String::new();
    first.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    under_way(&server, "0").await;
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_beyond_the_memory_for_all_of_them_are_asked_to_come_back() {
    let server = Server::with(|o| o.http.held_bytes = 1_000).await;
    let token = server.project("web").await;
    let large = report(UUID, json!({"a": "x".repeat(2_000)})).to_string();
    let (status, answer) =
        told(server.bare(Method::POST, &format!("/post?token={token}")).body(large).send().await.unwrap()).await;
    assert_eq!(status, 503);
    assert!(answer["error"]["message"].as_str().unwrap().contains("limit of 1000"), "{answer}");
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_falls_silent_is_not_waited_for() {
    let server = Server::with(|o| o.http.patience = std::time::Duration::from_millis(300)).await;
    let token = server.project("web").await;
    let mut body = half_a_submission(&server, &token, &report(UUID, json!({})).to_string()).await;
    let mut answer = String::new();
    body.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("the body comes too slowly: "), "{answer}");
    let mut headers = TcpStream::connect(server.running.address()).await.unwrap();
    headers.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Half").await.unwrap();
    let mut answer = String::new();
    headers.read_to_string(&mut answer).await.unwrap();
    assert!(!answer.contains("200"), "{answer}");
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_wait_until_another_ends() {
    let server = Server::with(|o| o.http.connections = 1).await;
    let ask = async |stream: &mut TcpStream, path: &str, more: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
    };
    let mut first = TcpStream::connect(server.running.address()).await.unwrap();
    ask(&mut first, "/healthz", "").await;
    let mut byte = [0; 1];
    first.read_exact(&mut byte).await.unwrap();
    let mut second = TcpStream::connect(server.running.address()).await.unwrap();
    ask(&mut second, "/healthz", "").await;
    // The first asks after the second, and is answered before it.
    ask(&mut first, "/metrics", "Connection: close\r\n").await;
    let mut counts = String::new();
    first.read_to_string(&mut counts).await.unwrap();
    let one = "tidegate_http_requests_total{method=\"GET\",route=\"/healthz\",status=\"200\"} 1\n";
    assert!(counts.contains(one), "{counts}");
    drop(first);
    second.read_exact(&mut byte).await.unwrap();
    drop(second);
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_under_way_is_answered_while_the_server_stops_and_nothing_new_is_let_in() {
    let server = Server::start().await;
    let token = server.project("web").await;
    let body = report(UUID, json!({})).to_string();
    let mut first = half_a_submission(&server, &token, &body).await;
    under_way(&server, "1").await;
    let address = server.running.address();
    let stopping = tokio::spawn(server.running.stop());
    while TcpStream::connect(address).await.is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    first.write_all(&body.as_bytes()[body.len() / 2..]).await.unwrap();
    let mut answer = String::new();
    first.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(stopping.await.unwrap(), "a request was cut off");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_events_tokens_and_receipts_are_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let start = async || {
        let running =
            crate::serve::Running::start(super::options(&folder), Arc::new(tidegate_model::SystemClock)).await;
        running.unwrap()
    };
    let running = start().await;
    let token = running.first_token().unwrap().expose().to_owned();
    let server = Server { running, client: super::client(), token, _folder: tempfile::tempdir().unwrap() };
    let submit = server.project("web").await;
    let body = report(UUID, json!({})).to_string();
    let path = format!("/post?token={submit}");
    let first = told(server.bare(Method::POST, &path).body(body.clone()).send().await.unwrap()).await;
    let Server { running, client, token, _folder } = server;
    assert!(running.stop().await);
    let running = start().await;
    assert!(running.first_token().is_none());
    let server = Server { running, client, token, _folder };
    let again = told(server.bare(Method::POST, &path).body(body).send().await.unwrap()).await;
    assert_eq!(first, again);
    assert_eq!(server.get("/status").await.1["events"]["stored"], 1);
    server.running.stop().await;
}
