//! Events in bulk.

use super::{Server, UUID, told};
use reqwest::Method;
use serde_json::{Value as Json, json};

const PATH: &str = "/projects/web/events";

async fn bulk(server: &Server, body: impl Into<reqwest::Body>) -> (u16, Json) {
    told(server.request(Method::POST, PATH).body(body).send().await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_good_lines_are_taken_and_the_bad_ones_named() {
    let server = Server::start().await;
    server.project("web").await;
    let body = format!(
        "{{\"a\":1}}\n\nno json\n{{\"uuid\":\"{UUID}\",\"a\":2}}\n{{\"a\":{{\"b\":1}}}}\n{{\"uuid\":\"{UUID}\",\"a\":3}}"
    );
    let (status, answer) = bulk(&server, body).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        (&answer["taken"], &answer["duplicates"], &answer["refused"]),
        (&json!(3), &json!(1), &json!(2)),
        "{answer}"
    );
    assert_eq!((&answer["errors"][0]["line"], &answer["errors"][1]["line"]), (&json!(3), &json!(5)), "{answer}");
    assert_eq!(answer["errors"][1]["field"], "a");
    let runs = answer["arrival"].as_array().unwrap();
    assert_eq!(runs.iter().map(|r| r[1].as_u64().unwrap()).sum::<u64>(), 3);
    assert!(runs.iter().all(|r| r[0].as_u64().unwrap() > 1_700_000_000_000_000));
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_lines_are_taken_in_order_over_several_batches() {
    let server = Server::start().await;
    server.project("web").await;
    let lines: String =
        (0..5_000).map(|n| if n == 3_210 { "bad\n".to_owned() } else { format!("{{\"n\":{n}}}\n") }).collect();
    let pieces: Vec<_> = lines.as_bytes().chunks(777).map(|c| Ok::<_, std::io::Error>(c.to_vec())).collect();
    let (status, answer) = bulk(&server, reqwest::Body::wrap_stream(futures_util::stream::iter(pieces))).await;
    assert_eq!((status, &answer["taken"], &answer["refused"]), (200, &json!(4_999), &json!(1)), "{answer}");
    assert_eq!(answer["errors"][0]["line"], 3_211);
    let times: Vec<_> = answer["arrival"].as_array().unwrap().iter().map(|r| r[0].as_u64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let (_, first) = server.get(&format!("{PATH}/1")).await;
    assert_eq!(first["attributes"]["n"], 0);
    let (_, last) = server.get(&format!("{PATH}/{:x}", 4_999)).await;
    assert_eq!(last["attributes"]["n"], 4_999);
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_bulk_is_well_and_one_without_a_good_line_is_not() {
    let server = Server::start().await;
    server.project("web").await;
    assert_eq!(
        bulk(&server, "\n \n").await,
        (200, json!({"taken": 0, "duplicates": 0, "refused": 0, "errors": [], "arrival": []}))
    );
    let (status, answer) = bulk(&server, "x\ny\n").await;
    assert_eq!((status, &answer["refused"]), (400, &json!(2)));
    let many: String = "x\n".repeat(150);
    let (_, answer) = bulk(&server, many).await;
    assert_eq!((&answer["refused"], answer["errors"].as_array().unwrap().len()), (&json!(150), 100));
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn api_tokens_and_the_projects_own_submission_tokens_open_it_and_no_others() {
    let server = Server::start().await;
    let (own, other) = (server.project("web").await, server.project("app").await);
    let send = async |token: Option<&str>| {
        let request = server.bare(Method::POST, &format!("/api/v1{PATH}")).body("{\"a\":1}\n");
        let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.headers()["content-type"].to_str().unwrap().to_owned())
    };
    let json = |status| (status, "application/json".to_owned());
    let problem = |status| (status, "application/problem+json".to_owned());
    assert_eq!(send(Some(&server.token)).await, json(200));
    assert_eq!(send(Some(&own)).await, json(200));
    assert_eq!(send(Some(&other)).await, problem(403));
    assert_eq!(send(Some("wrong")).await, problem(401));
    assert_eq!(send(None).await, problem(401));
    let missing = server.request(Method::POST, "/projects/none/events").body("{}").send().await.unwrap();
    assert_eq!(missing.status(), 404);
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_on_lines_and_on_the_whole_are_told_with_what_was_taken() {
    let server = Server::with(|o| {
        o.http.line_bytes = 100;
        o.http.bulk_bytes = 60_000;
        o.http.events.attributes = 3;
    })
    .await;
    server.project("web").await;
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(100));
    let wide = "{\"a\":1,\"b\":2,\"c\":3,\"d\":4}";
    let (status, answer) = bulk(&server, format!("{{\"a\":1}}\n{long}\n{wide}\n")).await;
    assert_eq!((status, &answer["taken"], &answer["refused"]), (200, &json!(1), &json!(2)), "{answer}");
    assert_eq!(answer["errors"][0]["message"], "a line may have 100 bytes; this one has more");
    let message = answer["errors"][1]["message"].as_str().unwrap();
    assert!(message.contains('3') && message.contains('4'), "{message}");
    // Sent without a length, so that it has to be found out on the way.
    let pieces: Vec<_> = (0..9_000).map(|n| Ok::<_, std::io::Error>(format!("{{\"n\":{n}}}\n"))).collect();
    let (status, answer) = bulk(&server, reqwest::Body::wrap_stream(futures_util::stream::iter(pieces))).await;
    assert_eq!(status, 413, "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("60000 bytes as sent"), "{answer}");
    let taken = answer["taken"].as_u64().unwrap();
    assert!(taken > 0 && taken < 9_000, "{answer}");
    let (_, status) = server.get("/status").await;
    assert_eq!(status["events"]["stored"], json!(taken + 1));
    server.running.stop().await;
}
