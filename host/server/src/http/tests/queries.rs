//! Questions about events: our own form, Backtrace's, progress, limits, and metrics made of queries.

use super::{Server, told};
use reqwest::Method;
use serde_json::{Value as Json, json};

const EVENTS: [&str; 3] = [
    r#"{"timestamp":1700000100,"error.type":"Crash","guid":"g1","process.age":5,"version":"1.0","hostname":"h1"}"#,
    r#"{"timestamp":1700000200,"error.type":"Crash","guid":"g1","process.age":7,"version":"1.0","hostname":"h2"}"#,
    r#"{"timestamp":1700000300,"error.type":"Hang","guid":"g2","process.age":9,"version":"1.1","hostname":"h1"}"#,
];

/// A server with a project `web` that has three events.
async fn with_events() -> Server {
    let server = Server::start().await;
    server.project("web").await;
    let request = server.request(Method::POST, "/projects/web/events").body(EVENTS.join("\n"));
    let (status, answer) = told(request.send().await.unwrap()).await;
    assert_eq!((status, &answer["taken"]), (200, &json!(3)), "{answer}");
    server
}

impl Server {
    async fn ask(&self, query: Json) -> (u16, Json) {
        self.send(Method::POST, "/projects/web/query", query).await
    }

    /// As clients of Backtrace ask: always 200, the token in the URL.
    async fn ask_as_client(&self, parameters: &str, body: Json) -> Json {
        let request = self.bare(Method::POST, &format!("/api/query?{parameters}")).body(body.to_string());
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/json");
        let (status, answer) = told(response).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }
}

/// The filter that clients send, and what is given beside it.
fn since(query: Json) -> Json {
    let mut whole = json!({"filter": [{"timestamp": [["at-least", "1700000000."]]}]});
    whole.as_object_mut().unwrap().extend(query.as_object().unwrap().clone());
    whole
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_answered_with_named_columns_and_typed_rows() {
    let server = with_events().await;
    let query = json!({
        "group": ["error.type"], "fold": {"guid": [["unique"]], "process.age": [["range"], ["mean"]], "_tx": [["object"]]},
        "order": [{"name": ";count", "ordering": "descending"}], "limit": 1,
    });
    let (status, answer) = server.ask(query).await;
    assert_eq!(status, 200, "{answer}");
    let names: Vec<_> = answer["columns"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["error.type", "events", "unique(guid)", "range(process.age)", "mean(process.age)", "object(_tx)"]
    );
    assert_eq!(answer["rows"], json!([{"group": ["Crash"], "events": 2, "values": [1, [5, 7], 6.0, "2"]}]));
    assert_eq!((&answer["events"], &answer["groups"], &answer["scanned"]), (&json!(3), &json!(2), &json!(3)));
    let (_, listed) = server
        .ask(json!({"select": ["hostname", "nope"], "limit": 2, "order": [{"name": "_tx", "ordering": "descending"}]}))
        .await;
    assert_eq!(
        listed["rows"],
        json!([{"object": "3", "values": ["h1", null]}, {"object": "2", "values": ["h2", null]}])
    );
    assert_eq!(listed["unknown_attributes"], json!(["nope"]));
    let (_, described) = server.get("/projects/web/describe").await;
    let time = described["attributes"].as_array().unwrap().iter().find(|a| a["name"] == "timestamp").unwrap();
    assert_eq!((&time["format"], &time["types"]), (&json!("unix_timestamp"), &json!(["integer"])));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_lines_gets_the_answer_or_the_error_as_the_last_one() {
    let server = with_events().await;
    let lines = async |query: Json| {
        let request = server.request(Method::POST, "/projects/web/query").header("accept", "application/x-ndjson");
        let response = request.body(query.to_string()).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/x-ndjson");
        let text = response.text().await.unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Json>>()
    };
    let answered = lines(json!({"fold": {"_tx": [["count"]]}})).await;
    assert_eq!(answered.last().unwrap()["answer"]["rows"][0]["values"], json!([3]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_cannot_be_answered_says_why() {
    let server = with_events().await;
    let (status, problem) = server.ask(json!({"fold": {"a": [["median"]]}})).await;
    assert_eq!(status, 422);
    assert!(problem["detail"].as_str().unwrap().starts_with("query: fold.a: expected one of head, tail"), "{problem}");
    let (status, problem) = server.send(Method::POST, "/projects/web/query?form=xml", json!({})).await;
    assert_eq!(
        (status, problem["detail"].as_str().unwrap()),
        (400, "form: expected tidegate or backtrace, found \"xml\"")
    );
    assert_eq!(server.send(Method::POST, "/projects/other/query", json!({})).await.0, 404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_beyond_its_memory_is_refused_with_both_figures_and_one_too_many_is_sent_away() {
    let server = Server::with(|options| options.http.query_bytes = 100).await;
    server.project("web").await;
    let request = server.request(Method::POST, "/projects/web/events").body(EVENTS.join("\n"));
    assert_eq!(request.send().await.unwrap().status(), 200);
    let (status, problem) = server.ask(json!({"group": ["hostname"], "fold": {"guid": [["histogram"]]}})).await;
    assert_eq!((status, &problem["budget"]["limit"]), (422, &json!(100)), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("100 are its budget"), "{problem}");
    server.stop().await;

    let server = Server::with(|options| options.http.queries = 0).await;
    server.project("web").await;
    let (status, problem) = server.ask(json!({})).await;
    assert_eq!(status, 503);
    assert!(problem["detail"].as_str().unwrap().starts_with("0 queries are under way"), "{problem}");
    server.stop().await;
}

/// The pairs of query and answer that the clients of Backtrace were tried with.
#[tokio::test(flavor = "multi_thread")]
async fn clients_of_backtrace_are_answered_in_their_own_form() {
    let server = with_events().await;
    let target = format!("universe=default&project=web&token={}", server.token);
    let ask = async |query: Json| server.ask_as_client(&target, since(query)).await["response"].clone();

    let answer = ask(json!({})).await;
    assert_eq!((&answer["columns"], &answer["values"]), (&json!([]), &json!([["*", [], 3]])));

    let by_count = json!([{"name": ";count", "ordering": "descending"}]);
    let answer =
        ask(json!({"group": ["error.type"], "fold": {"guid": [["unique"]]}, "order": by_count, "limit": 20})).await;
    assert_eq!(answer["columns"], json!([["unique(guid)", "uuid"]]));
    assert_eq!(answer["values"], json!([["Crash", [[1]], 2], ["Hang", [[1]], 1]]));
    assert_eq!(answer["factors_desc"][0]["name"], "error.type");
    assert_eq!(answer["columns_desc"][0]["op"], "unique");
    assert_eq!(answer["cardinalities"]["pagination"], json!({"rows": 3, "groups": 2}));

    let by_sum = json!([{"name": "process.age;1", "ordering": "descending"}]);
    let folds = json!({"_tx": [["unique"]], "process.age": [["max"], ["sum"]]});
    let answer = ask(json!({"group": ["version"], "fold": folds, "order": by_sum})).await;
    assert_eq!(answer["values"], json!([["1.0", [[2], [7], [12]], 2], ["1.1", [[1], [9], [9]], 1]]));

    let answer = ask(json!({"group": ["error.type"], "fold": {"version": [["head"]], "hostname": [["tail"]]}})).await;
    assert_eq!(answer["values"], json!([["Crash", [["1.0"], ["h2"]], 2], ["Hang", [["1.1"], ["h1"]], 1]]));

    let folds = json!({"hostname": [["histogram"], ["distribution", 1]], "timestamp": [["bin", 4, 1_700_000_000, 1_700_000_400]]});
    let bins = json!([
        [1_700_000_000, 1_700_000_100, 0],
        [1_700_000_100, 1_700_000_200, 1],
        [1_700_000_200, 1_700_000_300, 1],
        [1_700_000_300, 1_700_000_400, 1]
    ]);
    let shares = json!([{"keys": 2, "tail": 1, "vals": [["h1", 2]]}]);
    let answer = ask(json!({"fold": folds})).await;
    assert_eq!(answer["values"], json!([["*", [[["h1", 2], ["h2", 1]], shares, bins], 3]]));

    let by_time = json!([{"name": "timestamp", "ordering": "ascending"}]);
    let answer = ask(json!({"select": ["timestamp", "hostname", "version"], "order": by_time, "limit": 20})).await;
    assert_eq!(
        answer["columns"],
        json!([["timestamp", "unix_timestamp"], ["hostname", "hostname"], ["version", "semver"]])
    );
    assert_eq!(answer["objects"], json!([["*", [[1, 2]]]]));
    let values = json!([
        ["*", [1_700_000_100, 1], [1_700_000_200, 1], [1_700_000_300, 1]],
        ["*", ["h1", 1], ["h2", 1], ["h1", 1]],
        ["*", ["1.0", 2], ["1.1", 1]]
    ]);
    assert_eq!(answer["values"], values);

    let nothing = json!({"filter": [{"hostname": [["equal", "zzz"]]}]});
    let answer = server.ask_as_client(&target, nothing.clone()).await;
    assert_eq!(answer["response"]["values"], json!([]));
    assert_eq!((&answer["_"]["tx"], &answer["_"]["runtime"]["filter"]["rows"]), (&json!(3), &json!(0)));
    let mut nothing = nothing;
    nothing["select"] = json!(["hostname"]);
    let answer = server.ask_as_client(&target, nothing).await;
    assert_eq!((&answer["response"]["objects"], &answer["response"]["values"]), (&json!([["*", []]]), &json!([["*"]])));

    let (_, same) = server.send(Method::POST, "/projects/web/query?form=backtrace", since(json!({}))).await;
    assert_eq!(same["response"]["values"], json!([["*", [], 3]]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_found_wherever_clients_put_it_and_errors_have_the_words_that_they_know() {
    let server = with_events().await;
    let token = &server.token;
    let message = |answer: &Json| answer["error"]["message"].as_str().unwrap_or_default().to_owned();
    let bare = || server.bare(Method::POST, "/api/query?project=web");
    for request in [
        bare().header("X-Coroner-Token", token).body("{}"),
        bare().header("Cookie", format!("a=b; token={token}")).body("{}"),
        bare().bearer_auth(token).body("{}"),
        bare().body(json!({"token": token}).to_string()),
    ] {
        let (status, answer) = told(request.send().await.unwrap()).await;
        assert_eq!((status, &answer["response"]["values"]), (200, &json!([["*", [], 3]])), "{answer}");
    }
    assert_eq!(message(&server.ask_as_client("project=web", json!({})).await), "invalid token");
    assert_eq!(message(&server.ask_as_client("project=web&token=tg_wrong", json!({})).await), "invalid token");
    let ask =
        async |target: &str, body: Json| message(&server.ask_as_client(&format!("{target}&token={token}"), body).await);
    assert_eq!(ask("project=nope", json!({})).await, "no such project 'nope'");
    assert_eq!(ask("project=web&universe=u", json!({})).await, "no such universe 'u'");
    let order = json!({"order": [{"name": "a;0", "ordering": "ascending"}]});
    assert_eq!(ask("project=web", order).await, "column not found for aggregate value term");
    assert_eq!(ask("project=web", json!({"table": "issues"})).await, "invalid parameter 'table'");
    let described = server.ask_as_client(&format!("action=describe&project=web&token={token}"), json!({})).await;
    let item = described["describe"].as_array().unwrap().iter().find(|item| item["name"] == "process.age").unwrap();
    assert_eq!((&item["type"], &item["format"]), (&json!("uint64"), &json!("seconds")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_becomes_a_metric_or_the_reason_and_the_nearest_one_are_told() {
    let server = with_events().await;
    assert_eq!(server.send(Method::PUT, "/projects/web/metric-sets/s", json!({})).await.0, 201);
    let put = async |query: Json| {
        server.send(Method::PUT, "/projects/web/metric-sets/s/metrics/m", json!({"query": query})).await
    };
    let (status, problem) = put(json!({"fold": {"hostname": [["first"]]}})).await;
    let detail = problem["detail"].as_str().unwrap();
    assert_eq!(status, 422);
    assert!(
        detail.contains("\"hostname\" holds nothing but text")
            && detail.ends_with(r#"{"fold":{"hostname":[["unique"]]}}"#),
        "{detail}"
    );
    let (status, saved) = put(since(json!({"fold": {"process.age": [["last"]]}}))).await;
    assert_eq!((status, &saved["dropped_time_frame"]), (201, &json!(["timestamp at-least \"1700000000.\""])));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metric_with_more_groups_than_rows_is_told_in_the_status_of_the_store_and_its_users_are_counted_once() {
    let server = Server::with(|options| options.export.groups = 3).await;
    server.project("web").await;
    assert_eq!(server.send(Method::PUT, "/projects/web/metric-sets/s", json!({})).await.0, 201);
    let query = json!({"query": {"group": ["id"], "fold": {"_tx": [["count"]], "guid": [["unique"]]}}});
    assert_eq!(server.send(Method::PUT, "/projects/web/metric-sets/s/metrics/m", query.clone()).await.0, 201);
    let body = json!({"adapter": "prometheus", "period": 1, "metric_sets": ["s"]});
    assert_eq!(server.send(Method::PUT, "/projects/web/stores/page", body).await.0, 201);
    // Two groups with several events each, and four with one event of one and the same user.
    let ids = ["a", "a", "a", "b", "b", "c", "d", "e", "f"];
    let lines: Vec<String> = ids.iter().map(|id| json!({"id": id, "guid": "one"}).to_string()).collect();
    let sent = server.request(Method::POST, "/projects/web/events").body(lines.join("\n")).send().await.unwrap();
    assert_eq!(sent.status(), 200);
    for _ in 0..1_000 {
        let (_, store) = server.get("/projects/web/stores/page").await;
        let folded = &store["status"]["folded"];
        if folded != &json!([]) {
            let told = (&folded[0]["metric_set"], &folded[0]["metric"], &folded[0]["groups"], &folded[0]["rows"]);
            assert_eq!(told, (&json!("s"), &json!("m"), &json!(4), &json!(3)), "{store}");
            let wish = json!({"query": query["query"], "period": 1, "windows": 60});
            let (_, shown) = server.send(Method::POST, "/projects/web/metric-preview", wish).await;
            let window = shown["windows"].as_array().unwrap().iter().find(|w| w["folded_groups"] == 4);
            let rows = &window.unwrap_or_else(|| panic!("{shown}"))["rows"];
            assert_eq!(
                rows[2],
                json!({"group": ["other"], "values": [4.0, 1.0]}),
                "a sum would count the user four times"
            );
            server.stop().await;
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("the groups are never told");
}
