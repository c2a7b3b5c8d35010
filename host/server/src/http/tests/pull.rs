//! Pull pages.

use super::Server;
use flate2::read::GzDecoder;
use reqwest::{Method, Response};
use serde_json::{Value as Json, json};
use std::io::Read;

async fn store(server: &Server) -> String {
    server.project("web").await;
    let metric = json!({"query": {"fold": {"_tx": [["count"]]}}});
    assert_eq!(server.send(Method::PUT, "/projects/web/metric-sets/crashes", json!({})).await.0, 201);
    assert_eq!(server.send(Method::PUT, "/projects/web/metric-sets/crashes/metrics/errors", metric).await.0, 201);
    let body = json!({"adapter": "prometheus", "period": 1, "metric_sets": ["crashes"]});
    let (status, store) = server.send(Method::PUT, "/projects/web/stores/page", body).await;
    assert_eq!(status, 201, "{store}");
    path(&store)
}

fn path(store: &Json) -> String {
    store["status"]["pull_path"].as_str().unwrap().to_owned()
}

/// The page, as soon as a window has ended.
async fn page(server: &Server, path: &str) -> Response {
    for _ in 0..1_000 {
        let response = server.bare(Method::GET, path).send().await.unwrap();
        if response.status() == 200 {
            return response;
        }
        assert_eq!((response.status().as_u16(), response.content_length()), (503, Some(0)));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("there is never a page");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_read_plain_packed_and_by_head() {
    let server = Server::start().await;
    let path = store(&server).await;
    let plain = page(&server, &path).await;
    let kind = plain.headers()["content-type"].clone();
    assert!(kind.to_str().unwrap().starts_with("text/plain"), "{kind:?}");
    let text = plain.text().await.unwrap();
    assert!(text.contains("errors_count_tx{"), "{text}");
    let packed = server.bare(Method::GET, &path).header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!((packed.status().as_u16(), &packed.headers()["content-encoding"]), (200, &"gzip".parse().unwrap()));
    let mut unpacked = String::new();
    GzDecoder::new(&packed.bytes().await.unwrap()[..]).read_to_string(&mut unpacked).unwrap();
    assert!(unpacked.contains("errors_count_tx{"), "{unpacked}");
    let head = server.bare(Method::HEAD, &path).send().await.unwrap();
    assert_eq!((head.status().as_u16(), &head.headers()["content-type"]), (200, &kind));
    assert!(head.bytes().await.unwrap().is_empty());
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_url_tells_nothing_and_a_new_url_makes_the_old_one_wrong() {
    let server = Server::start().await;
    let old = store(&server).await;
    page(&server, &old).await;
    for path in ["/pull/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "/pull/", "/pull", &format!("{old}/"), &format!("{old}/x")] {
        let wrong = server.bare(Method::GET, path).send().await.unwrap();
        assert_eq!(wrong.status(), 404, "{path}");
        assert!(!wrong.headers().contains_key("content-type"), "{:?}", wrong.headers());
        assert_eq!(wrong.bytes().await.unwrap().len(), 0, "{path}");
    }
    let (status, rotated) = server.send(Method::POST, "/projects/web/stores/page/pull-token", json!({})).await;
    assert_eq!(status, 200, "{rotated}");
    let new = rotated["pull_path"].as_str().unwrap();
    assert_eq!(server.bare(Method::GET, &old).send().await.unwrap().status(), 404);
    page(&server, new).await;
    assert_eq!(path(&server.get("/projects/web/stores/page").await.1), new);
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_with_a_login_asks_for_it_without_a_body_and_the_guide_has_it_on_request_only() {
    let server = Server::start().await;
    server.project("web").await;
    let body = json!({"adapter": "prometheus", "settings": {"login": true}});
    let (status, made) = server.send(Method::PUT, "/projects/web/stores/page", body).await;
    assert_eq!(status, 201, "{made}");
    let (url, user, password) = (&made["pull"]["url"], &made["pull"]["user"], &made["pull"]["password"]);
    let (user, password) = (user.as_str().unwrap(), password.as_str().unwrap());
    assert_eq!(*url, json!(server.url(&path(&made))));
    let guide = made["pull"]["guide"].to_string();
    assert!(guide.contains(user) && guide.contains(password), "{guide}");

    let get = || server.bare(Method::GET, &path(&made));
    for request in [get(), get().basic_auth(user, Some("guess")), get().bearer_auth(password)] {
        let refused = request.send().await.unwrap();
        assert_eq!(refused.status(), 401);
        assert!(refused.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic realm="));
        assert!(!refused.headers().contains_key("content-type"), "{:?}", refused.headers());
        assert_eq!(refused.bytes().await.unwrap().len(), 0);
    }
    // Let in, and told that there is nothing yet.
    assert_eq!(get().basic_auth(user, Some(password)).send().await.unwrap().status(), 503);
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let wrong = server.bare(method, &path(&made)).send().await.unwrap();
        assert_eq!((wrong.status().as_u16(), wrong.bytes().await.unwrap().len()), (405, 0));
    }

    let (_, shown) = server.get("/projects/web/stores/page").await;
    assert!(!shown.to_string().contains(password), "{shown}");
    assert_eq!(shown["pull"]["user"], user);
    let (_, revealed) = server.get("/projects/web/stores/page?reveal=true").await;
    assert_eq!(revealed["pull"], made["pull"]);
    let (_, rotated) = server.send(Method::POST, "/projects/web/stores/page/pull-token", json!({})).await;
    assert_ne!(rotated["pull"]["password"], password);
    assert_eq!(get().basic_auth(user, Some(password)).send().await.unwrap().status(), 404);
    let (status, told) = server.send(Method::POST, "/projects/web/stores/page/check", json!({})).await;
    assert_eq!(status, 409, "{told}");
    server.running.stop().await;
}
