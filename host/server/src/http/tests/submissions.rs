//! Reports from Backtrace's clients.

use super::{Server, UUID, report, told};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use reqwest::Method;
use serde_json::{Value as Json, json};
use std::io::Write;

async fn post(server: &Server, path: &str, body: impl Into<reqwest::Body>) -> (u16, Json) {
    told(server.bare(Method::POST, path).body(body).send().await.unwrap()).await
}

async fn event(server: &Server, object: &Json) -> Json {
    let (status, event) = server.get(&format!("/projects/web/events/{}", object.as_str().unwrap())).await;
    assert_eq!(status, 200, "{event}");
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn every_url_that_clients_use_is_answered_with_a_receipt_in_plain_json() {
    let server = Server::start().await;
    let token = server.project("web").await;
    for path in [
        format!("/post?format=json&token={token}"),
        format!("/post?token={token}"),
        format!("//post?token={token}&format=json"),
        format!("/api/post?token={token}&universe=u&project=p"),
        format!("/universe/{token}/json"),
        format!("/submit.backtrace.io/universe/{token}/json"),
    ] {
        let answer =
            server.bare(Method::POST, &path).body(json!({"uuid": uuid::Uuid::new_v4().to_string()}).to_string());
        let response = answer.header("content-type", "application/octet-stream").send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/json", "{path}");
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        let (status, told) = told(response).await;
        assert_eq!((status, &told["response"]), (200, &json!("ok")), "{path}: {told}");
        assert_eq!(told["_rxid"].as_str().unwrap().len(), 36);
    }
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_uuid_gets_the_same_answer_and_is_stored_once() {
    let server = Server::start().await;
    let token = server.project("web").await;
    let path = format!("/post?token={token}&_mod_sync=1");
    let body = report(UUID, json!({"a": 1})).to_string();
    let first = post(&server, &path, body.clone()).await;
    let again = post(&server, &path, body).await;
    assert_eq!(first, again);
    assert_eq!((first.0, &first.1["object"]), (200, &json!("1")));
    let fingerprint = first.1["fingerprint"].as_str().unwrap();
    assert!(fingerprint.len() == 64 && fingerprint.chars().any(|c| c != '0'), "{fingerprint}");
    let (_, other) = post(&server, &path, report("7f9a2b64-0c1d-4e5f-8a9b-0123456789ac", json!({})).to_string()).await;
    assert_eq!(other["object"], "2");
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_and_form_fields_become_attributes_and_files_attachments() {
    let server = Server::start().await;
    let token = server.project("web").await;
    let mut form = String::new();
    for (head, content) in [
        ("name=\"upload_file\"; filename=\"upload_file\"", report(UUID, json!({"a": 1, "n": null})).to_string()),
        ("name=\"attachment_log\"; filename=\"/home/u/x.log\"\r\nContent-Type: text/plain", "hello".to_owned()),
        ("name=\"channel\"", "beta".to_owned()),
    ] {
        form.push_str(&format!("--XX\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n"));
    }
    form.push_str("--XX--\r\n");
    let path = format!("/u/{token}/json?version=1.0&_mod_sync=1");
    // In pieces of unknown length, as the client library for node sends it.
    let pieces: Vec<_> = form.as_bytes().chunks(50).map(|c| Ok::<_, std::io::Error>(c.to_vec())).collect();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let request =
        server.bare(Method::POST, &path).header("content-type", "multipart/form-data; boundary=XX").body(body);
    let (status, answer) = told(request.send().await.unwrap()).await;
    assert_eq!(status, 200, "{answer}");
    let event = event(&server, &answer["object"]).await;
    let attributes = &event["attributes"];
    assert_eq!(
        (&attributes["a"], &attributes["version"], &attributes["channel"]),
        (&json!(1), &json!("1.0"), &json!("beta"))
    );
    assert_eq!(event["attachments"], json!([{"name": "log", "content_type": "text/plain", "size": 5}]));
    assert_eq!(event["report"]["lang"], "python");
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_bodies_are_taken_and_unknown_encodings_refused() {
    let server = Server::start().await;
    let token = server.project("web").await;
    let body = report(UUID, json!({})).to_string();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(body.as_bytes()).unwrap();
    let mut deflate = ZlibEncoder::new(Vec::new(), Compression::fast());
    deflate.write_all(body.as_bytes()).unwrap();
    let path = format!("/post?token={token}");
    for (encoding, bytes) in [("gzip", gzip.finish().unwrap()), ("deflate", deflate.finish().unwrap())] {
        let request = server.bare(Method::POST, &path).header("content-encoding", encoding).body(bytes.clone());
        assert_eq!(told(request.send().await.unwrap()).await.0, 200, "{encoding}");
        let cut = server.bare(Method::POST, &path).header("content-encoding", encoding).body(bytes[..20].to_vec());
        let (status, answer) = told(cut.send().await.unwrap()).await;
        assert_eq!((status, answer["error"]["message"].as_str().unwrap().contains(encoding)), (400, true), "{answer}");
    }
    let request = server.bare(Method::POST, &path).header("content-encoding", "br").body(body);
    let (status, answer) = told(request.send().await.unwrap()).await;
    assert_eq!(status, 415);
    assert!(answer["error"]["message"].as_str().unwrap().contains("\"br\""), "{answer}");
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_is_refused_in_the_form_that_clients_read() {
    let server = Server::with(|o| o.http.events.body_bytes = 2_000).await;
    let token = server.project("web").await;
    let good = report(UUID, json!({})).to_string();
    let path = format!("/post?token={token}");
    let large = report(UUID, json!({"a": "x".repeat(2_000)})).to_string();
    let cases = [
        ("/post?token=wrong".to_owned(), good.clone(), 403, "invalid token"),
        ("/post".to_owned(), good.clone(), 403, "invalid token"),
        (format!("{path}&format=minidump"), good.clone(), 400, "format \"minidump\" is not taken here"),
        (path.clone(), String::new(), 400, "empty body"),
        (path.clone(), "{\"uuid\":".to_owned(), 400, ""),
        (path.clone(), "[1]".to_owned(), 400, ""),
        (path.clone(), large, 413, "a body may have 2000 bytes"),
    ];
    for (path, body, status, message) in cases {
        let (got, answer) = post(&server, &path, body).await;
        assert_eq!(got, status, "{path}: {answer}");
        let told = answer["error"]["message"].as_str().unwrap();
        assert!(told.contains(message) && !told.is_empty(), "{path}: {answer}");
        assert!(answer["error"]["code"].is_u64());
    }
    assert_eq!(post(&server, &path, "").await.1["error"]["code"], 32_769);
    assert_eq!(post(&server, &path, good).await.0, 200);
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_can_follow_later_by_receipt_or_number_in_the_same_project_only() {
    let server = Server::start().await;
    let (token, other) = (server.project("web").await, server.project("app").await);
    let (_, answer) =
        post(&server, &format!("/post?token={token}&_mod_sync=1"), report(UUID, json!({})).to_string()).await;
    let (rxid, object) = (answer["_rxid"].as_str().unwrap(), answer["object"].as_str().unwrap());
    for (name, id) in [("a.txt", rxid), ("b.txt", object)] {
        let (status, answer) =
            post(&server, &format!("/post?token={token}&object={id}&attachment_name={name}"), "bytes").await;
        assert_eq!(
            (status, &answer["attachment_name"], &answer["object"]),
            (200, &json!(name), &json!(object)),
            "{answer}"
        );
        assert!(answer["attachment_id"].is_string() && answer["_rxid"] == rxid, "{answer}");
    }
    let event = event(&server, &answer["object"]).await;
    let names: Vec<_> = event["attachments"].as_array().unwrap().iter().map(|a| a["name"].clone()).collect();
    assert_eq!(names, ["a.txt", "b.txt"]);
    for (token, id) in [(&other, rxid), (&token, "ffff"), (&token, "x")] {
        let (status, answer) = post(&server, &format!("/post?token={token}&object={id}&attachment_name=c"), "x").await;
        assert_eq!(status, 404, "{answer}");
    }
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_told_that_it_may_post() {
    let server = Server::start().await;
    let request =
        server.bare(Method::OPTIONS, "/post?token=x").header("access-control-request-headers", "content-type, x-a");
    let response = request.header("origin", "https://shop.example").send().await.unwrap();
    assert_eq!(response.status(), 204);
    let headers = response.headers();
    assert_eq!(headers["access-control-allow-origin"], "*");
    assert_eq!(headers["access-control-allow-headers"], "content-type, x-a");
    assert!(headers["access-control-allow-methods"].to_str().unwrap().contains("POST"));
    // The management API is not for pages of other origins.
    let response = server.bare(Method::OPTIONS, "/api/v1/projects").send().await.unwrap();
    assert!(!response.headers().contains_key("access-control-allow-origin"));
    server.running.stop().await;
}
