//! The console's files as a browser gets them, and what its pages ask the API for.

use super::*;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, IF_NONE_MATCH};

#[tokio::test(flavor = "multi_thread")]
async fn the_console_is_one_page_whose_files_may_be_kept_for_ever_and_run_nothing_foreign() {
    let server = Server::start().await;
    let get = |path: &str| server.bare(Method::GET, path);
    let home = get("/").header(ACCEPT, "text/html,*/*;q=0.8").send().await.unwrap();
    assert_eq!((home.status().as_u16(), home.headers()["location"].to_str().unwrap()), (303, "/console/"));
    assert_eq!(get("/console").send().await.unwrap().headers()["location"], "/console/");
    let mut pages = Vec::new();
    for path in ["/console/", "/console/setup", "/console/p/a%2Fb.js/explore"] {
        let page = get(path).send().await.unwrap();
        assert_eq!(
            (page.status().as_u16(), &page.headers()["content-type"]),
            (200, &"text/html; charset=utf-8".parse().unwrap())
        );
        assert_eq!(page.headers()["cache-control"], "no-cache");
        assert_eq!(page.headers()["x-content-type-options"], "nosniff");
        assert_eq!(page.headers()["referrer-policy"], "no-referrer");
        let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
        for rule in
            ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
        {
            assert!(policy.contains(rule), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        pages.push((page.headers()["etag"].clone(), page.text().await.unwrap()));
    }
    assert!(pages.iter().all(|page| *page == pages[0]));
    let (etag, page) = &pages[0];
    let again = get("/console/").header(IF_NONE_MATCH, etag).send().await.unwrap();
    assert_eq!(again.status().as_u16(), 304);

    let main = page.split('"').find(|part| part.ends_with("/js/main.js")).unwrap();
    let script = get(main).header(ACCEPT_ENCODING, "identity").send().await.unwrap();
    assert_eq!(script.headers()["content-type"], "text/javascript; charset=utf-8");
    assert_eq!(script.headers()["cache-control"], "public, max-age=31536000, immutable");
    let packed = get(main).header(ACCEPT_ENCODING, "gzip").send().await.unwrap();
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    assert!(packed.bytes().await.unwrap().len() < script.bytes().await.unwrap().len());
    let other = get("/console/a/0123456789abcdef/js/main.js").send().await.unwrap();
    assert_eq!((other.status().as_u16(), &other.headers()["cache-control"]), (404, &"no-store".parse().unwrap()));
    // A client whose universe has the console's name still gets its reports in.
    let token = server.project("web").await;
    let sent = server.bare(Method::POST, &format!("/console/{token}/json")).body(report(UUID, json!({})).to_string());
    assert_eq!(sent.send().await.unwrap().status().as_u16(), 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_come_page_by_page_filtered_and_sorted() {
    let server = Server::start().await;
    server.project("web").await;
    server.send(Method::PUT, "/projects/web/metric-sets/crashes", json!({})).await;
    for i in 0..7 {
        let sets = if i == 3 { json!(["crashes"]) } else { json!([]) };
        let body =
            json!({"adapter": "prometheus", "period": 10 + i, "settings": {}, "metric_sets": sets, "paused": i == 5});
        let (status, told) = server.send(Method::PUT, &format!("/projects/web/stores/s{i}"), body).await;
        assert_eq!(status, 201, "{told}");
    }
    let names = |answer: &Json| -> Vec<String> {
        answer["metric_stores"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap().to_owned()).collect()
    };
    let (_, all) = server.get("/projects/web/stores").await;
    assert_eq!((names(&all).len(), &all["total"]), (7, &json!(7)));
    // By what the catalog knows, and by what the ledger has to be asked for.
    for (sort, wanted) in [("-period", "6543210"), ("status.state", "5012346"), ("-status.state", "6432105")] {
        let (mut told, mut cursor) = (String::new(), String::new());
        loop {
            let (_, page) = server.get(&format!("/stores?limit=3&sort={sort}&recent=5{cursor}")).await;
            assert_eq!((&page["total"], &page["metric_stores"][0]["recent"]), (&json!(7), &json!([])), "{page}");
            told.extend(names(&page).iter().map(|name| &name[1..]));
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(told, wanted, "{sort}");
    }
    for (query, wanted) in [
        ("search=CRASH%20prom", "s3"),
        ("metric_sets=crashes", "s3"),
        ("status.state=paused&status.state=failing", "s5"),
        ("paused=true&adapter=prometheus", "s5"),
    ] {
        assert_eq!(names(&server.get(&format!("/projects/web/stores?{query}")).await.1), [wanted], "{query}");
    }
    for wrong in ["limit=0", "limit=1001", "recent=101", "sort=colour", "fnid=x"] {
        let (status, told) = server.get(&format!("/projects/web/stores?{wrong}")).await;
        assert_eq!(status, 400, "{wrong}: {told}");
    }
    let (status, history) = server.get("/projects/web/stores/s3/windows?limit=5").await;
    assert_eq!((status, history), (200, json!({"windows": []})));
    let narrowed = "outcome=rejected&metric_set=crashes&since=1&until=2&sort=start";
    assert_eq!(server.get(&format!("/projects/web/stores/s3/windows?{narrowed}")).await.0, 200);
    for wrong in ["limit=0", "outcome=lost", "since=x", "sort=colour"] {
        assert_eq!(server.get(&format!("/projects/web/stores/s3/windows?{wrong}")).await.0, 400, "{wrong}");
    }
    let (status, told) = server.send(Method::POST, "/projects/web/stores/s3/test", json!({})).await;
    assert_eq!(status, 409, "{told}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_cannot_be_a_metric_comes_back_with_the_nearest_as_json() {
    let server = Server::start().await;
    server.project("web").await;
    let query = json!({"fold": {"guid": [["distribution", 3]]}});
    let near = json!({"fold": {"guid": [["unique"]]}});
    let (status, told) = server.send(Method::POST, "/projects/web/metric-preview", json!({"query": query})).await;
    assert_eq!((status, &told["nearest"]), (422, &near), "{told}");
    server.send(Method::PUT, "/projects/web/metric-sets/crashes", json!({})).await;
    let (status, told) =
        server.send(Method::PUT, "/projects/web/metric-sets/crashes/metrics/m", json!({"query": query})).await;
    assert_eq!((status, &told["nearest"]), (422, &near), "{told}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_move_and_sets_take_other_names_and_the_log_says_so() {
    let server = Server::start().await;
    server.project("web").await;
    for set in ["crashes", "sales"] {
        server.send(Method::PUT, &format!("/projects/web/metric-sets/{set}"), json!({})).await;
    }
    let query = json!({"query": {"fold": {"_tx": [["count"]]}}});
    server.send(Method::PUT, "/projects/web/metric-sets/crashes/metrics/errors", query).await;
    let path = "/projects/web/metric-sets/crashes/metrics/errors/move";
    let (status, told) = server.send(Method::POST, path, json!({"metric_set": "sales", "name": "faults"})).await;
    assert_eq!((status, &told["name"], &told["series"]), (200, &json!("faults"), &json!("errors")), "{told}");
    assert_eq!(server.send(Method::POST, path, json!({"name": "x"})).await.0, 404);
    assert_eq!(server.send(Method::POST, path, json!({"set": "x"})).await.0, 422);
    let (status, _) =
        server.send(Method::POST, "/projects/web/metric-sets/sales/rename", json!({"name": "shop"})).await;
    assert_eq!(status, 204);
    assert_eq!(server.get("/projects/web/metric-sets/shop/metrics/faults").await.0, 200);
    // Series keep their names until somebody asks for more.
    let (_, set) = server.get("/projects/web/metric-sets/shop").await;
    assert_eq!((&set["series"], &set["metrics"][0]["series"]), (&json!("sales"), &json!("errors")), "{set}");
    let follow = json!({"name": "faults", "rename_series": true});
    let path_now = "/projects/web/metric-sets/shop/metrics/faults/move";
    let (status, told) = server.send(Method::POST, path_now, follow).await;
    assert_eq!((status, &told["series"]), (200, &json!("faults")), "{told}");
    let follow = json!({"name": "shop", "rename_series": true});
    assert_eq!(server.send(Method::POST, "/projects/web/metric-sets/shop/rename", follow).await.0, 204);
    assert_eq!(server.get("/projects/web/metric-sets/shop").await.1["series"], json!("shop"));
    let taken = server.send(Method::POST, "/projects/web/metric-sets/shop/rename", json!({"name": "crashes"})).await;
    assert_eq!(taken.0, 409, "{}", taken.1);
    let (_, log) = server.get("/audit").await;
    let done: Vec<_> = log["audit"].as_array().unwrap().iter().map(|line| line["action"].clone()).collect();
    assert!(done.contains(&json!("move")) && done.contains(&json!("rename")), "{done:?}");
    server.stop().await;
}
