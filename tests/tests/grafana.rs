//! Grafana Cloud: both generations of receiver, as far as they are known, hold every window; each refusal leads where it must.

use crate::world::{self, PROJECT};
use serde_json::{Value as Json, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tidegate_tests::intake::{Generation, Grafana, Intake, reply};
use tidegate_tests::oracle::Expected;
use tidegate_tests::points::Points;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::spelling;

const TOKEN: &str = "canary-grafana-token-a1b2";
const INSTANCE: &str = "123456";
const ERRORS: &str = "tidegate.web_shop.crashes__all.errors.count__tx";

fn shared(generation: Generation) -> Grafana {
    Grafana::new(generation, INSTANCE, TOKEN)
}

fn store(name: &str, intake: &Intake, token: &str) -> Json {
    let url = format!("{}/graphite/metrics", intake.url());
    let settings = json!({"cluster": "shared", "url": url, "instance_id": INSTANCE, "key": token});
    world::store(name, "grafana", 2, settings)
}

#[track_caller]
fn compare(intake: &Intake, expected: &Expected<'_>, keep: impl Fn(&Points) -> Points) -> usize {
    let right = |ends: &_| keep(&expected.points(ends, spelling::grafana));
    let read = || spelling::decoded(&intake.points()?);
    world::compare_points("the receiver", expected, ERRORS, read, right, Points::difference)
}

#[test]
fn both_generations_of_receiver_hold_every_window_exactly() {
    let scratch = Scratch::new("grafana");
    let current = Intake::start(shared(Generation::Proxy));
    let former = Intake::start(Grafana::new(Generation::Gateway, "api_key", TOKEN));
    let metrics = world::metrics();
    let tidegate = world::tidegate(&scratch).start();
    let mut dedicated = store("former", &former, TOKEN);
    dedicated["settings"] = json!({"cluster": "dedicated", "url": format!("{}/metrics", former.url()), "key": TOKEN});
    tidegate.apply(&world::document(&metrics, &[store("current", &current, TOKEN), dedicated]));
    let events = world::send_in_rounds(&tidegate, "grafana", 12, Duration::from_secs(5));
    let expected = world::expected(&metrics, 2, &events);
    for intake in [&current, &former] {
        let windows = compare(intake, &expected, Points::clone);
        assert!(windows > expected.busy_windows().len(), "no window without events among the {windows}");
    }
    world::no_errors_in_the_log(&tidegate);
}

#[test]
fn each_refusal_that_is_known_of_grafana_leads_where_it_must_and_delays_nobody_else() {
    let scratch = Scratch::new("grafana-refusals");
    let strict = Intake::start(shared(Generation::Proxy).refusing(world::POISON));
    let listing = Intake::start(shared(Generation::Gateway).refusing(world::POISON));
    let came = Arc::new(Mutex::new(Vec::new()));
    let note = came.clone();
    let busy = Intake::scripted(shared(Generation::Proxy), move |number, _| {
        note.lock().expect("no thread failed").push(Instant::now());
        let wait = "retry-after: 3\r\n".to_owned();
        (number == 0).then(|| (429, wait, "too many requests".to_owned()))
    });
    let failing = Intake::scripted(shared(Generation::Proxy), |number, _| {
        (number < 2).then(|| reply(500, "failed to push metric data"))
    });
    let guarded = Intake::start(shared(Generation::Proxy));

    let metrics = world::few_metrics();
    let tidegate = world::tidegate(&scratch).start();
    let stores = |token: &str| {
        [
            store("strict", &strict, TOKEN),
            store("listing", &listing, TOKEN),
            store("busy", &busy, TOKEN),
            store("failing", &failing, TOKEN),
            store("guarded", &guarded, token),
        ]
    };
    tidegate.apply(&world::document(&metrics, &stores("not the token")));
    let events = tidegate.api().bulk_until_acknowledged(PROJECT, &world::with_poison("grafana-refusals", 60));
    let expected = world::expected(&metrics, 2, &events);

    let status = world::status_when(&tidegate, "guarded", "the token is refused", |s| s["state"] == "credentials");
    assert!(status["problem"].as_str().is_some_and(|p| p.contains("401")), "{status}");
    tidegate.apply(&world::document(&metrics, &stores(TOKEN)));
    compare(&guarded, &expected, Points::clone);

    // The one refuses a request for one point, so halves find it; the other takes the rest and says which one it was.
    for (name, intake) in [("strict", &strict), ("listing", &listing)] {
        compare(intake, &expected, world::without_poison);
        world::status_when(&tidegate, name, "one row is rejected", |s| s["deliveries"]["rejected_rows"] == 1);
    }
    let log = tidegate.log();
    let told = log.lines().find(|l| l.contains("rows were refused for good")).expect("the log tells of the row");
    assert!(told.contains(world::POISON) && told.contains("invalid tag format"), "{told}");

    compare(&failing, &expected, Points::clone);
    compare(&busy, &expected, Points::clone);
    let came = came.lock().expect("no thread failed");
    let waited = came[1].duration_since(came[0]);
    assert!(waited >= Duration::from_secs(3), "the next request came after {waited:?}, and 3 s were asked for");
}
