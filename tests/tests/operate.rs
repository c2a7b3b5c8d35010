//! What an operator does: a first start, `apply` again and again, an import, a look at what would be sent.

use crate::world::{self, PATIENCE, PROJECT, SET};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use tidegate_tests::generator::Generator;
use tidegate_tests::http;
use tidegate_tests::receiver::Receiver;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::tidegate::tokens;
use tidegate_tests::wait;

#[test]
fn the_first_start_prints_one_token_and_the_api_opens_to_it_alone() {
    let scratch = Scratch::new("first");
    let mut tidegate = world::tidegate(&scratch).start();
    for path in ["/healthz", "/readyz"] {
        assert_eq!(http::get(&tidegate.url(path)).send_well().status, 200);
    }
    let printed = |log: &str| tokens(log).collect::<BTreeSet<_>>().len();
    assert_eq!(printed(&tidegate.log()), 1, "{}", tidegate.log());
    for url in [tidegate.api().url(&["projects"]), tidegate.api().url(&["stores"])] {
        assert_eq!(http::get(&url).bearer(tidegate.token()).send_well().status, 200);
        for refused in [http::get(&url), http::get(&url).bearer("tg_wrong")] {
            let answer = refused.send().expect("an answer");
            assert_eq!(answer.status, 401, "{answer}");
            assert_eq!(answer.header("content-type"), "application/problem+json");
            assert!(answer.json()["detail"].is_string(), "{answer}");
        }
    }
    tidegate.stop();
    tidegate.restart();
    assert_eq!(printed(&tidegate.log()), 1, "the second start made a token, too:\n{}", tidegate.log());
    let first_time = tidegate.log().matches(tidegate.token()).count();
    tidegate.stop();
    tidegate.restart();
    assert_eq!(tidegate.log().matches(tidegate.token()).count(), first_time, "the token was printed again");
    assert!(tidegate.api().get(&["projects"]).is_object());
}

#[test]
fn apply_says_what_it_changes_and_the_second_time_it_changes_nothing() {
    let scratch = Scratch::new("apply");
    let receiver = Receiver::start(|_| (204, String::new()));
    let tidegate = world::tidegate(&scratch).start();
    let settings = json!({"version": "1", "url": receiver.url(), "database": "m", "user": "w", "password": {"env": "INFLUX_PASSWORD"}});
    let document =
        |period| world::document(&world::metrics(), &[world::store("central", "influxdb", period, settings.clone())]);
    let file = scratch.file("dry.yaml", document(60).to_string());
    let dry = tidegate.cli(&["apply", "--dry-run", "-f", &file.display().to_string()]);
    assert!(dry.contains("central"), "{dry}");
    assert_eq!(tidegate.api().get(&["projects"])["projects"], json!([]), "a dry run has changed something");

    let first = tidegate.apply(&document(60));
    for name in [PROJECT, SET, "central", "by fingerprint"] {
        assert!(first.lines().any(|l| l.starts_with("+ ") && l.contains(name)), "{name} is not told: {first}");
    }
    let state = |tidegate: &tidegate_tests::tidegate::Tidegate| {
        let store = tidegate.api().store(PROJECT, "central").expect("the store is there");
        (store["revision"].clone(), tidegate.api().get(&["projects", PROJECT, "metric-sets", SET]))
    };
    let before = state(&tidegate);
    let second = tidegate.apply(&document(60));
    assert!(second.lines().all(|l| l.starts_with("= ")), "nothing should have changed: {second}");
    assert_eq!(state(&tidegate), before);

    let third = tidegate.apply(&document(30));
    let changed: Vec<_> = third.lines().filter(|l| !l.starts_with("= ")).collect();
    assert_eq!(changed, [format!("~ metric store {PROJECT}/central  (period: 60 -> 30)")], "{third}");
    assert_eq!(tidegate.api().store(PROJECT, "central").expect("the store is there")["period"], 30);
}

#[test]
fn a_document_with_a_mistake_is_refused_as_a_whole_with_the_place_of_the_mistake() {
    let scratch = Scratch::new("mistake");
    let tidegate = world::tidegate(&scratch).start();
    let mut document = world::document(&world::metrics(), &[world::store("page", "prometheus", 60, json!({}))]);
    document["projects"][0]["metric_sets"][0]["metrics"][2]["query"]["fold"] = json!({"guid": [["histogram"]]});
    let file = scratch.file("mistake.yaml", document.to_string());
    let output = tidegate.cli_output(&["apply", "-f", &file.display().to_string()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("histogram") && said.contains("by fingerprint") || said.contains("metrics[2]"), "{said}");
    assert_eq!(tidegate.api().get(&["projects"])["projects"], json!([]), "half of a refused document was applied");
}

#[test]
fn an_imported_file_is_in_the_next_window_and_importing_it_again_adds_nothing() {
    let scratch = Scratch::new("import");
    let tidegate = world::tidegate(&scratch).start();
    let metrics = &world::metrics()[..1];
    tidegate.apply(&world::document(metrics, &[world::store("page", "prometheus", 1, json!({}))]));
    let mut generator = Generator::new("import");
    let mut lines: Vec<String> = generator.events(1000).into_iter().map(|e| Json::from(e).to_string()).collect();
    // Events without an id of their own, and lines that are none.
    lines.extend((0..500).map(|n| json!({"guid": format!("g{}", n % 7)}).to_string()));
    lines.insert(700, "{\"broken\": ".to_owned());
    lines.insert(900, "{\"nested\": {\"deep\": 1}}".to_owned());
    let file = scratch.file("events.ndjson", lines.join("\n"));
    for _ in 0..2 {
        let output = tidegate.cli_output(&["events", "import", &file.display().to_string(), "--project", PROJECT]);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(
            said.contains("1500 taken") && said.contains("2 refused"),
            "it does not tell how many were taken: {said}"
        );
        assert!(said.contains("line 701: ") && said.contains("line 901: "), "it does not name the bad lines: {said}");
        assert_eq!(output.status.code(), Some(1), "lines were refused: {said}");
    }
    let path = tidegate.api().store(PROJECT, "page").expect("the store is there")["status"]["pull_path"].clone();
    let url = tidegate.url(path.as_str().expect("a path"));
    let total = |page: &str| {
        let line = page.lines().find(|l| l.starts_with("errors_count_tx_total{")).map(str::to_owned);
        line.and_then(|l| l.rsplit_once(' ').and_then(|(_, v)| v.parse::<f64>().ok()))
    };
    wait::until("the page shows the import", PATIENCE, || {
        let page = http::get(&url).send()?.ok()?.text();
        if total(&page).is_some_and(|t| t >= 1500.0) { Ok(()) } else { Err(page) }
    });
    // A marker that comes after the second import shows that its windows are over.
    let marker = tidegate.api().bulk_until_acknowledged(PROJECT, &generator.events(1));
    assert_eq!(marker.len(), 1);
    wait::until("the page shows the marker", PATIENCE, || {
        let page = http::get(&url).send()?.ok()?.text();
        if total(&page).is_some_and(|t| t >= 1501.0) { Ok(()) } else { Err(page) }
    });
    assert_eq!(total(&http::get(&url).send_well().text()), Some(1501.0), "the second import has added events");
}

#[test]
fn a_bulk_with_bad_lines_takes_the_good_ones_and_names_the_bad_ones() {
    let scratch = Scratch::new("bulk");
    let tidegate = world::tidegate(&scratch).start();
    tidegate.apply(&world::document(&world::metrics()[..1], &[world::store("page", "prometheus", 1, json!({}))]));
    let url = tidegate.api().url(&["projects", PROJECT, "events"]);
    let send = |body: &str| http::post(&url).bearer(tidegate.token()).body(body).send().expect("an answer");
    let answer = send("{\"a\":1}\nnot json\n{\"a\":{\"b\":1}}\n{\"a\":2}\n[]\n");
    assert_eq!(answer.status, 200, "{answer}");
    let told = answer.json();
    assert_eq!((told["taken"].clone(), told["refused"].clone()), (json!(2), json!(3)), "{told}");
    let lines: Vec<_> = told["errors"].as_array().expect("errors").iter().map(|e| e["line"].clone()).collect();
    assert_eq!(lines, [2, 3, 5]);
    assert_eq!(told["errors"][1]["field"], "a", "{told}");
    let answer = send("nothing here is JSON\n");
    assert_eq!(answer.status, 400, "{answer}");
    assert_eq!(answer.json()["refused"], 1, "{answer}");
}

#[test]
fn a_preview_shows_the_very_bytes_that_the_receiver_gets_for_that_window() {
    let scratch = Scratch::new("preview");
    let receiver = Receiver::start(|_| (204, String::new()));
    let metrics = world::metrics();
    let tidegate = world::tidegate(&scratch).start();
    let settings = json!({
        "version": "1", "url": receiver.url(), "database": "m", "user": "w", "password": {"env": "INFLUX_PASSWORD"}, "gzip": false,
    });
    tidegate.apply(&world::document(&metrics, &[world::store("central", "influxdb", 2, settings)]));
    let mut generator = Generator::new("preview");
    let preview = wait::until("a preview of a window with events", PATIENCE, || {
        let _ = tidegate.api().bulk_until_acknowledged(PROJECT, &generator.events(30));
        let parts = ["projects", PROJECT, "stores", "central", "preview"];
        let preview = tidegate.api().send("GET", &parts, None)?.ok()?.json();
        let body = preview["parts"][0]["body"]["text"].as_str().unwrap_or_default();
        if preview["parts"][0]["in_progress"] == false && body.contains("by\\ fingerprint") {
            Ok(preview)
        } else {
            Err(preview.to_string())
        }
    });
    let part = &preview["parts"][0];
    let body = part["body"]["text"].as_str().expect("the body as text").to_owned();
    let stamp = body.lines().next().and_then(|l| l.rsplit_once(' ')).expect("a line with a time").1.to_owned();
    let received = wait::until("the receiver gets the window of the preview", PATIENCE, || {
        let all = receiver.received();
        let same = all
            .iter()
            .find(|r| String::from_utf8_lossy(&r.body).lines().any(|l| l.ends_with(&format!(" {stamp}"))))
            .cloned();
        same.ok_or_else(|| format!("{} requests, none for {stamp}", all.len()))
    });
    assert_eq!(String::from_utf8_lossy(&received.body), body);
    let line = part["request_line"].as_str().unwrap_or_default();
    let target = line.replacen(&receiver.url(), "", 1);
    assert_eq!(received.line, target, "{part}");
    for header in part["headers"].as_array().expect("headers") {
        let (name, value) = (header[0].as_str().unwrap_or_default(), header[1].as_str().unwrap_or_default());
        if name.eq_ignore_ascii_case("authorization") {
            assert!(value.contains("<password>") && !value.contains(received.header(name)), "{part}");
        } else {
            assert_eq!(received.header(&name.to_lowercase()), value, "{name} in {part}");
        }
    }
    // As `tidegate store preview` prints it: the same bytes.
    let printed = tidegate.cli(&["store", "preview", &format!("{PROJECT}/central")]);
    assert!(printed.contains("by\\ fingerprint"), "{printed}");
}

#[test]
fn what_the_console_does_with_projects_metrics_and_logs_the_command_line_does_too() {
    let scratch = Scratch::new("operate-all");
    let tidegate = world::tidegate(&scratch).start();
    let json = |line: &[&str]| -> Json {
        let text = tidegate.cli(&[line, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{line:?}: {e}: {text}"))
    };
    let refused = |line: &[&str]| -> (Option<i32>, String) {
        let output = tidegate.cli_output(line);
        assert!(!output.status.success(), "{line:?}");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // A project, with the one line that is data on standard output, and its tokens.
    let first = tidegate.cli(&["project", "add", "shop"]);
    let token = first.trim();
    assert!(token.len() == 64 && token.chars().all(|c| c.is_ascii_hexdigit()), "{first}");
    let second = json(&["project", "new-token", "shop"]);
    let listed = json(&["project", "tokens", "shop"]);
    assert_eq!(listed["submission_tokens"].as_array().map(Vec::len), Some(2), "{listed}");
    let id = second["id"].to_string();
    let _ = tidegate.cli(&["project", "revoke-token", "shop", &id]);
    assert_eq!(json(&["project", "tokens", "shop"])["total"], 1);
    // Metrics.
    let metric = json!({"name": "errors", "query": {"fold": {"_tx": [["count"]]}}});
    let sets = json!([{"name": "crashes", "metrics": [metric]}, {"name": "spare", "metrics": [metric]}]);
    let page = json!({"name": "page", "adapter": "prometheus", "period": 1, "metric_sets": ["crashes"]});
    let dead = json!({"name": "dead", "adapter": "influxdb", "period": 1, "metric_sets": ["crashes"], "paused": true,
        "settings": {"version": "1", "url": "http://127.0.0.1:9", "database": "m", "user": "u", "password": "p"}});
    tidegate.apply(&json!({"projects": [{"name": "shop", "metric_sets": sets, "metric_stores": [page, dead]}]}));
    let told = tidegate.cli(&["metric", "list", "--project", "shop"]);
    assert!(told.contains("crashes/errors") && told.contains("dead, page") && told.contains("no store"), "{told}");
    let shown = json(&["metric", "show", "--project", "shop", "crashes/errors"]);
    assert_eq!((&shown["metric_stores"][0]["name"], &shown["query"]), (&json!("dead"), &metric["query"]), "{shown}");
    let _ = tidegate.cli(&["metric", "delete", "--project", "shop", "spare/errors"]);
    let _ = tidegate.cli(&["metric", "delete-set", "--project", "shop", "spare"]);
    assert_eq!(json(&["metric", "list", "--project", "shop"])["total"], 1);
    let (code, why) = refused(&["metric", "show", "--project", "shop", "crashes/gone"]);
    assert!(code == Some(1) && why.contains("gone"), "{why}");
    // Stores by what they are like; windows by what became of them.
    let names = |line: &[&str]| -> Vec<String> {
        let listed = json(&[&["store", "list"], line].concat());
        let name = |s: &Json| s["name"].as_str().expect("a name").to_owned();
        listed["metric_stores"].as_array().expect("a list").iter().map(name).collect()
    };
    assert_eq!(names(&["--state", "paused"]), ["dead"]);
    assert_eq!(names(&["--adapter", "prometheus", "--project", "shop"]), ["page"]);
    assert_eq!(names(&["--search", "crashes", "--sort", "name"]), ["dead", "page"]);
    assert_eq!(refused(&["store", "list", "--state", "well"]).0, Some(2));
    wait::until("a window waits", PATIENCE, || {
        let of = |outcome: &str| {
            json(&["store", "windows", "shop/dead", "--outcome", outcome, "--since", "1h"])["windows"].clone()
        };
        let (queued, confirmed) = (of("queued"), of("confirmed"));
        assert_eq!(confirmed, json!([]));
        if queued == json!([]) { Err(queued.to_string()) } else { Ok(()) }
    });
    assert_eq!(json(&["store", "windows", "shop/dead", "--until", "2020-01-01T00:00:00Z"])["windows"], json!([]));
    // The log of all that.
    let lines = |line: &[&str]| json(&[&["audit", "--all"], line].concat())["audit"].as_array().map_or(0, Vec::len);
    // One came with the project.
    assert_eq!(lines(&["--kind", "submission-token"]), 3);
    assert_eq!((lines(&["--kind", "metric", "--action", "delete"]), lines(&["--object", "shop/spare"])), (1, 4));
    assert_eq!((lines(&["--user", "nobody"]), lines(&["--until", "2020-01-01T00:00:00Z"])), (0, 0));
    assert!(lines(&["--search", "DEAD shop", "--since", "1h"]) == 1 && lines(&["--user", "admin"]) > 8);
    assert_eq!(refused(&["audit", "--kind", "moon"]).0, Some(2));
    // And the end of it, which has to be meant.
    assert_eq!(refused(&["project", "delete", "shop"]).0, Some(2));
    let _ = tidegate.cli(&["project", "delete", "shop", "--with-all-events"]);
    assert_eq!(json(&["project", "list"])["projects"], json!([]));
}
