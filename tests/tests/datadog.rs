//! Datadog: what arrives at a receiver with the intake's rules, read by the vendor's own models, and the same values in a real
//! product that takes the older form. Each refusal that is documented leads where it must.

use crate::world::{self, PATIENCE, PROJECT};
use serde_json::{Value as Json, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tidegate_tests::grammar::datadog_models;
use tidegate_tests::intake::{Datadog, Intake, reply};
use tidegate_tests::oracle::Expected;
use tidegate_tests::points::Points;
use tidegate_tests::receiver::Received;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::servers::VictoriaMetrics;
use tidegate_tests::spelling;

const KEY: &str = "canary-datadog-key-5fd1";
const ERRORS: &str = "tidegate.errors.count.tx";

fn store(name: &str, url: &str, key: &str, api: &str) -> Json {
    world::store(name, "datadog", 2, json!({"site": "custom", "url": url, "api_key": key, "api": api}))
}

#[track_caller]
fn compare(intake: &Intake, expected: &Expected<'_>, keep: impl Fn(&Points) -> Points) -> usize {
    let right = |ends: &_| keep(&expected.points(ends, spelling::datadog));
    world::compare_points("the intake", expected, ERRORS, || intake.points(), right, Points::difference)
}

#[test]
fn the_intake_of_datadog_and_victoria_metrics_hold_every_window_exactly() {
    let scratch = Scratch::new("datadog");
    let (intake, victoria) = (Intake::start(Datadog::new(KEY)), VictoriaMetrics::start(&scratch));
    let metrics = world::metrics();
    let tidegate = world::tidegate(&scratch).start();
    let older = format!("{}/datadog", victoria.url());
    let mut hosted = store("hosted", &intake.url(), KEY, "v2");
    hosted["settings"]["host"] = "web-1".into();
    hosted["settings"]["tags"] = "env:prod".into();
    tidegate.apply(&world::document(&metrics, &[hosted, store("older", &older, "any", "v1")]));
    let events = world::send_in_rounds(&tidegate, "datadog", 12, Duration::from_secs(5));

    let expected = world::expected(&metrics, 2, &events);
    let with_settings = |points: &Points| {
        let mut all = Points::default();
        for (point, value) in points.iter() {
            let mut point = point.clone();
            point.labels.extend([("env", "prod"), ("host", "web-1")].map(|(k, v)| (k.to_owned(), v.to_owned())));
            all.insert(point, value).expect("each place is there once");
        }
        all
    };
    let windows = compare(&intake, &expected, with_settings);
    assert!(windows > expected.busy_windows().len(), "no window without events among the {windows}");
    for (name, kind) in intake.book().kinds {
        let additive = name.contains(".count.") || name.contains(".sum.");
        assert_eq!(kind, if additive { "count" } else { "gauge" }, "{name}");
    }
    let bodies: Vec<_> = intake.received().iter().map(|r| r.inflated().expect("an inflated body")).collect();
    assert_eq!(datadog_models(&scratch, "v2", &bodies), Vec::<String>::new());

    let right = |ends: &_| expected.points(ends, spelling::datadog);
    let difference = |held: &Points, right: &Points| held.difference_beyond(VictoriaMetrics::PRECISION, right);
    world::compare_points("VictoriaMetrics", &expected, ERRORS, || victoria.points(), right, difference);
    for (counter, rows) in victoria.invalid_rows() {
        assert_eq!(rows, 0.0, "{counter}");
    }
    world::no_errors_in_the_log(&tidegate);
}

/// Whether a request has a series with the type of error that some receivers refuse.
fn poisoned(request: &Received) -> bool {
    String::from_utf8_lossy(&request.inflated().unwrap_or_default()).contains(world::POISON)
}

fn series(request: &Received) -> usize {
    let body: Json = serde_json::from_slice(&request.inflated().unwrap_or_default()).unwrap_or_default();
    body["series"].as_array().map_or(0, Vec::len)
}

#[test]
fn each_refusal_that_datadog_documents_leads_where_it_must_and_delays_nobody_else() {
    let scratch = Scratch::new("datadog-refusals");
    let errors = |status: u16, why: &str| reply(status, json!({"errors": [why]}).to_string());
    let came = Arc::new(Mutex::new(Vec::new()));
    let note = came.clone();
    let throttling = Intake::scripted(Datadog::new(KEY), move |number, _| {
        note.lock().expect("no thread failed").push(Instant::now());
        let wait = "x-ratelimit-reset: 4\r\n".to_owned();
        (number == 0).then(|| (429, wait, r#"{"errors":["Too many requests"]}"#.to_owned()))
    });
    let poison =
        Intake::scripted(Datadog::new(KEY), move |_, r| poisoned(r).then(|| errors(400, "Payload is not valid")));
    let small =
        Intake::scripted(Datadog::new(KEY), move |_, r| (series(r) > 3).then(|| errors(413, "Payload too large")));
    let broken =
        Intake::scripted(Datadog::new(KEY), move |n, _| [503, 408, 500].get(n).map(|status| errors(*status, "later")));
    let guarded = Intake::start(Datadog::new(KEY));

    let metrics = world::few_metrics();
    let tidegate = world::tidegate(&scratch).start();
    let stores = |key: &str| {
        [
            store("throttling", &throttling.url(), KEY, "v2"),
            store("poison", &poison.url(), KEY, "v2"),
            store("small", &small.url(), KEY, "v2"),
            store("broken", &broken.url(), KEY, "v2"),
            store("guarded", &guarded.url(), key, "v2"),
        ]
    };
    tidegate.apply(&world::document(&metrics, &stores("not the key")));
    let events = tidegate.api().bulk_until_acknowledged(PROJECT, &world::with_poison("datadog-refusals", 60));
    let expected = world::expected(&metrics, 2, &events);

    // A key that is refused stops the store at once, and a right one starts it again; nothing is lost meanwhile.
    let status = world::status_when(&tidegate, "guarded", "the key is refused", |s| s["state"] == "credentials");
    assert!(status["problem"].as_str().is_some_and(|p| p.contains("403")), "{status}");
    assert!(guarded.book().points.is_empty());
    tidegate.apply(&world::document(&metrics, &stores(KEY)));
    compare(&guarded, &expected, Points::clone);
    world::status_when(&tidegate, "guarded", "all is well", |s| s["state"] == "ok" && s["problem"].is_null());

    // One row at fault is found by halves and named; all others arrive.
    compare(&poison, &expected, world::without_poison);
    let status =
        world::status_when(&tidegate, "poison", "one row is rejected", |s| s["deliveries"]["rejected_rows"] == 1);
    assert_eq!(status["deliveries"]["rejected"], 0, "{status}");
    let log = tidegate.log();
    let told = log.lines().find(|l| l.contains("rows were refused for good")).expect("the log tells of the row");
    assert!(told.contains(world::POISON) && told.contains("Payload is not valid"), "{told}");

    compare(&small, &expected, Points::clone);
    assert!(small.received().iter().any(|r| series(r) > 3), "nothing was ever too large");
    compare(&broken, &expected, Points::clone);
    compare(&throttling, &expected, Points::clone);
    let came = came.lock().expect("no thread failed");
    let waited = came[1].duration_since(came[0]);
    assert!(waited >= Duration::from_secs(4), "the next request came after {waited:?}, and 4 s were asked for");
    assert!(waited < PATIENCE);
}
