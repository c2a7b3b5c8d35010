//! How long the events of a project are kept.

use super::{Server, report};
use reqwest::Method;
use serde_json::{Value as Json, json};
use std::time::Duration;

async fn server() -> Server {
    Server::with(|options| options.tidy_every = Duration::from_millis(20)).await
}

/// Sends reports that take about 200 kB each as stored, one after the other.
async fn send(server: &Server, token: &str, reports: u32) {
    for n in 0..reports {
        // Letters of which no two reports have the same run, so that they stay large when they are compressed.
        let mut state = u64::from(n) + 1;
        let mut letter = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'!' + (state >> 58) as u8)
        };
        let text: String = (0..250_000).map(|_| letter()).filter(|c| !matches!(c, '"' | '\\')).collect();
        let mut report = report(&format!("00000000-0000-4000-8000-{n:012}"), json!({"n": n}));
        report["annotations"] = json!({"log": text});
        let path = format!("/api/post?format=json&token={token}");
        let response = server.bare(Method::POST, &path).body(report.to_string()).send().await.unwrap();
        assert_eq!(response.status(), 200);
    }
}

async fn project(server: &Server) -> Json {
    let (status, project) = server.get("/projects/web").await;
    assert_eq!(status, 200, "{project}");
    project
}

async fn until(server: &Server, what: impl Fn(&Json) -> bool) -> Json {
    for _ in 0..1_000 {
        let project = project(server).await;
        if what(&project) {
            return project;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it never came to this: {}", project(server).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_is_too_large_loses_its_oldest_events_and_status_and_metrics_tell() {
    let server = server().await;
    let token = server.project("web").await;
    send(&server, &token, 10).await;
    let before = project(&server).await;
    assert_eq!((&before["events"]["stored"], &before["retention"]["days"]), (&json!(10), &json!(null)));
    assert!(before["events"]["bytes"].as_u64().unwrap() > 1_200_000, "{before}");
    assert_eq!(before["owed_since"], json!(null));
    let (status, told) = server.send(Method::PUT, "/projects/web/retention", json!({"megabytes": 1})).await;
    assert_eq!((status, told), (200, json!({"days": null, "megabytes": 1})));
    let after = until(&server, |p| p["events"]["bytes"].as_u64().unwrap() <= 1_000_000).await;
    let stored = after["events"]["stored"].as_u64().unwrap();
    assert!((1..10).contains(&stored), "{after}");
    assert!(after["events"]["oldest_arrival"].as_u64() > before["events"]["oldest_arrival"].as_u64());
    assert_eq!(server.get("/projects/web/events/1").await.0, 404);
    assert_eq!(server.get("/projects/web/events/a").await.0, 200);
    let (_, status) = server.get("/status").await;
    assert_eq!((&status["events"]["stored"], &status["events"]["removed"]), (&json!(stored), &json!(10 - stored)));
    assert!(status["events"]["free_bytes"].as_u64().unwrap() > 100_000, "{status}");
    let metrics = server.bare(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains(&format!("\ntidegate_events_removed_total {}\n", 10 - stored)), "{metrics}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_a_store_is_owed_stay_until_their_window_is_on_record() {
    let server = server().await;
    let token = server.project("web").await;
    let document = |period: u32| {
        json!({"projects": [{"name": "web", "retention": {"megabytes": 1},
            "metric_sets": [{"name": "crashes", "metrics": [{"name": "errors", "query": {"fold": {"_tx": [["count"]]}}}]}],
            "metric_stores": [{"name": "page", "adapter": "prometheus", "period": period, "metric_sets": ["crashes"]}]}]})
    };
    // A window of a day: it ends after this test, except for one that runs at midnight.
    let (status, applied) = server.send(Method::POST, "/apply", document(86_400)).await;
    assert_eq!(status, 200, "{applied}");
    assert!(applied["changes"][0]["details"][0].as_str().unwrap().contains("for good -> 1 MB"), "{applied}");
    send(&server, &token, 10).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let kept = project(&server).await;
    assert_eq!((&kept["events"]["stored"], kept["owed_since"].is_u64()), (&json!(10), true), "{kept}");
    let (_, again) = server.send(Method::POST, "/apply", document(86_400)).await;
    assert_eq!(again["changes"][0]["sign"], "=");
    // Without the store nobody is owed anything.
    assert_eq!(server.send(Method::DELETE, "/projects/web/stores/page", json!({})).await.0, 204);
    until(&server, |p| p["events"]["bytes"].as_u64().unwrap() <= 1_000_000).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_deleted_project_are_removed() {
    let server = server().await;
    let token = server.project("web").await;
    server.project("other").await;
    send(&server, &token, 3).await;
    assert_eq!(server.send(Method::DELETE, "/projects/web", json!({})).await.0, 204);
    for _ in 0..1_000 {
        let (_, status) = server.get("/status").await;
        if status["events"]["stored"] == 0 {
            server.stop().await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("they are still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_that_make_no_sense_are_refused_and_change_nothing() {
    let server = server().await;
    server.project("web").await;
    assert_eq!(server.send(Method::PUT, "/projects/web/retention", json!({"days": 30})).await.0, 200);
    for (wrong, told) in [
        (json!({"days": 0}), "nonzero"),
        (json!({"weeks": 1}), "unknown field `weeks`"),
        (json!({"megabytes": -5}), "nonzero"),
    ] {
        let (status, answer) = server.send(Method::PUT, "/projects/web/retention", wrong).await;
        assert_eq!(status, 422, "{answer}");
        assert!(answer["detail"].as_str().unwrap().contains(told), "{answer}");
    }
    assert_eq!(server.get("/projects/web/retention").await.1, json!({"days": 30, "megabytes": null}));
    assert_eq!(server.send(Method::PUT, "/projects/none/retention", json!({})).await.0, 404);
    server.stop().await;
}
