//! The form of the API: pages, tags for edits, keys for creates.

use super::{Server, told};
use reqwest::{Method, Response};
use serde_json::{Value as Json, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_list_comes_in_pages_that_lead_on_to_the_next() {
    let server = Server::start().await;
    for name in ["c", "a", "e", "b", "d"] {
        server.project(name).await;
    }
    let (mut names, mut path) = (Vec::new(), "/projects?limit=2&sort=-name".to_owned());
    loop {
        let (status, page) = server.get(&path).await;
        assert_eq!(status, 200, "{page}");
        names.extend(page["projects"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/projects?limit=2&sort=-name&cursor={next}");
    }
    assert_eq!(names, ["e", "d", "c", "b", "a"]);
    assert_eq!(server.get("/projects?search=C").await.1["projects"].as_array().unwrap().len(), 1);
    for wrong in ["limit=0", "limit=1001", "sort=colour", "colour=red", "cursor=x"] {
        let (status, told) = server.get(&format!("/projects?{wrong}")).await;
        assert!(matches!(status, 400 | 422), "{wrong}: {told}");
    }
    server.stop().await;
}

async fn put(server: &Server, path: &str, body: &Json, tag: Option<&str>) -> Response {
    let mut request = server.request(Method::PUT, path).body(body.to_string());
    if let Some(tag) = tag {
        request = request.header("if-match", tag);
    }
    request.send().await.unwrap()
}

fn tag(response: &Response) -> String {
    response.headers()["etag"].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_edit_the_same_thing_the_second_is_told() {
    let server = Server::start().await;
    server.project("web").await;
    let (path, page) = ("/projects/web/stores/page", |period: u64| json!({"adapter": "prometheus", "period": period}));
    let made = put(&server, path, &page(60), None).await;
    assert_eq!(made.status(), 201);
    let seen = tag(&server.request(Method::GET, path).send().await.unwrap());
    assert_eq!(seen, tag(&made));
    let first = put(&server, path, &page(30), Some(&seen)).await;
    assert_eq!(first.status(), 200);
    let now = tag(&first);
    assert_ne!(now, seen);
    let (status, second) = told(put(&server, path, &page(10), Some(&seen)).await).await;
    assert_eq!((status, second["detail"].as_str().unwrap().contains("If-Match")), (412, true), "{second}");
    assert_eq!(server.get(path).await.1["period"], 30);
    assert_eq!(put(&server, path, &page(10), Some(&format!("\"x\", {now}"))).await.status(), 200);
    // What does not belong to the definition, and a change that is none, leave the tag as it is.
    let now = tag(&server.request(Method::GET, path).send().await.unwrap());
    assert_eq!(tag(&put(&server, path, &page(10), None).await), now);
    let delete = |tag: &'static str| server.request(Method::DELETE, path).header("if-match", tag).send();
    assert_eq!(delete("\"x\"").await.unwrap().status(), 412);
    assert_eq!(delete("*").await.unwrap().status(), 204);
    assert_eq!(put(&server, path, &page(10), Some("*")).await.status(), 412, "it is not there");
    for path in ["/projects/web", "/projects/web/retention"] {
        assert!(!tag(&server.request(Method::GET, path).send().await.unwrap()).is_empty(), "{path}");
    }
    server.stop().await;
}

async fn create(server: &Server, key: &str, body: &Json) -> (u16, bool, Json) {
    let request = server.request(Method::POST, "/projects").header("idempotency-key", key);
    let response = request.body(body.to_string()).send().await.unwrap();
    let again = response.headers().contains_key("idempotency-replayed");
    let (status, document) = told(response).await;
    (status, again, document)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_is_sent_again_is_answered_as_it_was_and_makes_nothing_twice() {
    let server = Server::start().await;
    let web = json!({"name": "web"});
    let (status, again, first) = create(&server, "k1", &web).await;
    assert_eq!((status, again), (201, false));
    assert_eq!(create(&server, "k1", &web).await, (201, true, first), "with the token that is told once");
    let (status, _, told) = create(&server, "k1", &json!({"name": "shop"})).await;
    assert_eq!((status, told["detail"].as_str().unwrap().contains("another body")), (422, true), "{told}");
    assert_eq!(create(&server, "k2", &web).await.0, 409, "another key is another wish");
    assert_eq!(create(&server, "k2", &web).await, create(&server, "k2", &web).await);
    let long = "k".repeat(256);
    assert_eq!(create(&server, &long, &web).await.0, 400);
    // A key belongs to who sends it.
    let (_, acme) = server.send(Method::POST, "/tenants", json!({"name": "acme"})).await;
    let theirs = server.bare(Method::POST, "/api/v1/projects").bearer_auth(acme["token"].as_str().unwrap());
    let theirs = theirs.header("idempotency-key", "k1").body(web.to_string()).send().await.unwrap();
    assert!(theirs.status() == 201 && !theirs.headers().contains_key("idempotency-replayed"));
    assert_eq!(server.get("/projects").await.1["projects"].as_array().unwrap().len(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_does_not_have_and_methods_that_a_path_does_not_take_are_problems_too() {
    let server = Server::start().await;
    let (status, told) = super::told(server.request(Method::PATCH, "/projects").send().await.unwrap()).await;
    assert_eq!((status, told["status"].as_u64()), (405, Some(405)));
    let response = server.request(Method::PATCH, "/projects").send().await.unwrap();
    assert_eq!(response.headers()["allow"], "GET,HEAD,POST");
    assert_eq!(server.get("/nothing").await.0, 404);
    assert_eq!(server.bare(Method::GET, "/api/v1/openapi.json").send().await.unwrap().status(), 200);
    server.stop().await;
}
