//! The examples for whoever watches Tidegate itself: the alerts and the dashboard ask for metrics that are there.

use crate::world::{self, PATIENCE};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use tidegate_tests::http;
use tidegate_tests::process::run;
use tidegate_tests::receiver::Receiver;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::wait;

fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}

/// Names of metrics in a text, without what histograms add to them.
fn names(text: &str) -> BTreeSet<String> {
    let inside = |c: char| c.is_ascii_lowercase() || c == '_';
    let found = text.match_indices("tidegate_").map(|(at, _)| {
        let name: String = text[at..].chars().take_while(|c| inside(*c)).collect();
        name.trim_end_matches("_bucket").to_owned()
    });
    found.collect()
}

#[test]
fn the_alerts_and_the_dashboard_name_metrics_that_are_on_the_page() {
    let scratch = Scratch::new("alerts");
    let (alerts, dashboard) = (example("alerts.yml"), example("dashboard.json"));
    let checked = run(Command::new("promtool").args(["check", "rules"]).arg(&alerts));
    let said = format!("{}{}", String::from_utf8_lossy(&checked.stdout), String::from_utf8_lossy(&checked.stderr));
    assert!(checked.status.success() && said.contains("SUCCESS"), "{said}");

    // A store that gets nothing through has all the numbers that a store can have.
    let receiver = Receiver::start(|_| (503, "not now".to_owned()));
    let tidegate = world::tidegate(&scratch).argument("--backup-every").argument("3600").start();
    let settings = json!({"version": "1", "url": receiver.url(), "database": "m", "gzip": false});
    tidegate.apply(&world::document(&world::metrics()[..1], &[world::store("central", "influxdb", 1, settings)]));
    let text = |path: &PathBuf| std::fs::read_to_string(path).expect("the example is there");
    let wanted: BTreeSet<String> = names(&text(&alerts)).union(&names(&text(&dashboard))).cloned().collect();
    assert!(wanted.len() >= 12, "{wanted:?}");
    wait::until("every metric that the examples name is on the page", PATIENCE, || {
        let page = http::get(&tidegate.url("/metrics")).send()?.ok()?.text();
        let there: BTreeSet<&str> = page.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        let missing: Vec<_> = wanted.iter().filter(|name| !there.contains(name.as_str())).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} are missing")) }
    });
    let dashboard: Json = serde_json::from_str(&text(&dashboard)).expect("the dashboard is JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    assert!(panels.iter().all(|p| p["title"].is_string() && !p["targets"].as_array().expect("targets").is_empty()));
}
