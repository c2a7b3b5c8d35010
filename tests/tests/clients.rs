//! The Backtrace clients of PyPI and npm report into Tidegate as they are, and what they report shows in the next window.

use crate::world::{self, PATIENCE};
use serde_json::{Value as Json, json};
use std::path::Path;
use tidegate_tests::clients::Client;
use tidegate_tests::http;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::tidegate::Tidegate;
use tidegate_tests::wait;

const PROJECT: &str = "apps";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

struct Reports {
    tidegate: Tidegate,
    sent: usize,
    _scratch: Scratch,
}

impl Reports {
    fn new(test: &str) -> Self {
        let scratch = Scratch::new(test);
        let tidegate = world::tidegate(&scratch).variable("APPS_TOKEN", TOKEN).start();
        let by = ["client", "kind", "error.type", "application.version"];
        let query = json!({"group": by, "fold": {"_tx": [["count"]]}});
        tidegate.apply(&json!({"projects": [{
            "name": PROJECT,
            "submission_tokens": [{"env": "APPS_TOKEN"}],
            "metric_sets": [{"name": "all", "metrics": [{"name": "reports", "query": query}]}],
            "metric_stores": [{"name": "page", "adapter": "prometheus", "period": 1, "metric_sets": ["all"]}],
        }]}));
        Self { tidegate, sent: 0, _scratch: scratch }
    }

    /// Lets the client report by both forms of URL, and looks for each report on the page of the pull store.
    fn report(&mut self, client: Client, kind: &str, error_type: &str) {
        let forms =
            [(self.tidegate.url(""), Some(TOKEN)), (self.tidegate.url(&format!("/default/{TOKEN}/json")), None)];
        for (already, (url, token)) in forms.into_iter().enumerate() {
            let output = client.report(&url, token, kind, None);
            let said =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success() != (kind == "unhandled"), "{client:?} {kind}: {}\n{said}", output.status);
            let acknowledged =
                if client == Client::Python { "Report available with rxId" } else { "\"status\":\"Ok\"" };
            assert!(said.contains(acknowledged), "{client:?} {kind} got no acknowledgement:\n{said}");
            self.shows(client, kind, error_type, already + 1);
            self.sent += 1;
        }
    }

    /// The total on the page says how many reports of a kind came in.
    fn shows(&self, client: Client, kind: &str, error_type: &str, count: usize) {
        let page =
            self.tidegate.api().store(PROJECT, "page").expect("the store is there")["status"]["pull_path"].clone();
        let url = self.tidegate.url(page.as_str().expect("a path"));
        let parts = [
            "reports_count_tx_total{".to_owned(),
            format!("client=\"{}\"", client.name()),
            format!("kind=\"{kind}\""),
            format!("error_type=\"{error_type}\""),
            "application_version=\"1.4.2\"".to_owned(),
            format!("}} {count}"),
        ];
        wait::until(&format!("the page shows {count} of {client:?} {kind}"), PATIENCE, || {
            let page = http::get(&url).send()?.ok()?.text();
            let found =
                page.lines().any(|line| parts.iter().all(|part| line.contains(part)) && line.ends_with(&parts[5]));
            if found { Ok(()) } else { Err(format!("looking for {parts:?} in\n{page}")) }
        });
    }

    /// The stored event number `number`, as the API gives it.
    fn event(&self, number: usize) -> Json {
        self.tidegate.api().get(&["projects", PROJECT, "events", &format!("{number:x}")])
    }
}

#[test]
fn backtracepython_reports_handled_and_unhandled_exceptions_messages_and_files() {
    let mut reports = Reports::new("python");
    reports.report(Client::Python, "handled", "Exception");
    let event = reports.event(1);
    assert_eq!(event["attributes"]["error.message"], "list index out of range", "{event}");
    assert_eq!(event["attributes"]["big"], "9223372036854775808", "{event}");
    assert_eq!(event["attributes"]["ratio"], 0.5, "{event}");
    assert!(event["attributes"].get("nothing").is_none_or(Json::is_null), "{event}");
    assert_eq!(event["report"]["agent"], "backtrace-python", "{event}");
    reports.report(Client::Python, "message", "Message");
    reports.report(Client::Python, "unhandled", "Unhandled exception");
    reports.report(Client::Python, "attachment", "Exception");
    let event = reports.event(reports.sent);
    let attachment = &event["attachments"][0];
    assert_eq!(attachment["size"], "last lines before the error\n".len(), "{event}");
    let name = attachment["name"].as_str().unwrap_or_default();
    assert!(!name.contains('/') && Path::new(name).extension().is_some_and(|e| e == "log"), "{event}");
}

#[test]
fn backtrace_node_reports_errors_messages_breadcrumbs_and_files() {
    let mut reports = Reports::new("node");
    reports.report(Client::Node, "handled", "Exception");
    let event = reports.event(1);
    assert_eq!(event["attributes"]["error.message"], "cannot read the cart", "{event}");
    assert_eq!(event["attributes"]["ratio"], 0.5, "{event}");
    assert_eq!(event["report"]["agent"], "@backtrace/node", "{event}");
    reports.report(Client::Node, "message", "Message");
    reports.report(Client::Node, "breadcrumbs", "Exception");
    let event = reports.event(reports.sent);
    let names: Vec<_> = event["attachments"].as_array().into_iter().flatten().map(|a| a["name"].clone()).collect();
    assert!(names.iter().any(|n| n.as_str().is_some_and(|n| n.contains("bt-breadcrumbs"))), "{event}");
    reports.report(Client::Node, "attachment", "Exception");
}

#[test]
fn backtrace_node_sends_the_error_that_killed_its_process_at_the_next_start_and_once() {
    let reports = Reports::new("node-unhandled");
    let folder = Scratch::new("node-database");
    let database = folder.path("database");
    let url = reports.tidegate.url("");
    let died = Client::Node.report(&url, Some(TOKEN), "unhandled", Some(&database));
    assert!(!died.status.success());
    let next = Client::Node.report(&url, Some(TOKEN), "next-start", Some(&database));
    assert!(next.status.success(), "{}", String::from_utf8_lossy(&next.stderr));
    reports.shows(Client::Node, "unhandled", "Unhandled exception", 1);
}

#[test]
fn a_client_with_a_wrong_token_is_refused_and_nothing_is_stored() {
    let reports = Reports::new("wrong-token");
    for client in [Client::Python, Client::Node] {
        let output =
            client.report(&reports.tidegate.url(""), Some("ffffffffffffffffffffffffffffffff"), "handled", None);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!said.contains("Report available") && !said.contains("\"Ok\""), "{client:?}: {said}");
    }
    let answer = reports.tidegate.api().send("GET", &["projects", PROJECT, "events", "1"], None).expect("an answer");
    assert_eq!(answer.status, 404, "{answer}");
}
