//! Circonus, both ways: submissions to a receiver with a broker's rules (which its own client was checked against), and a document
//! that a foreign poller reads.

use crate::world::{self, PROJECT};
use serde_json::{Value as Json, json};
use std::time::Duration;
use tidegate_tests::grammar::yajl;
use tidegate_tests::intake::{HttpTrap, Intake, reply};
use tidegate_tests::oracle::Expected;
use tidegate_tests::points::Points;
use tidegate_tests::receiver::Received;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::spelling;
use tidegate_tests::wait;

const CHECK: &str = "0b2f1f3e-5a0e-4a62-8f4c-1a2b3c4d5e6f";
const SECRET: &str = "canary_circonus_secret_77";
const ERRORS: &str = "web shop`crashes, all`errors`count__tx";

fn rules() -> HttpTrap {
    HttpTrap::new(CHECK, SECRET)
}

fn store(name: &str, intake: &Intake) -> Json {
    world::store(name, "circonus", 2, json!({"submission_url": format!("{}{}", intake.url(), rules().path())}))
}

#[track_caller]
fn compare(intake: &Intake, expected: &Expected<'_>, keep: impl Fn(&Points) -> Points) -> usize {
    let right = |ends: &_| keep(&expected.points(ends, spelling::circonus));
    world::compare_points("the broker", expected, ERRORS, || intake.points(), right, Points::difference)
}

#[test]
fn a_broker_holds_every_window_exactly_and_the_grammar_of_its_parser_is_kept() {
    let scratch = Scratch::new("circonus");
    let intake = Intake::start(rules());
    let metrics = world::metrics();
    let tidegate = world::tidegate(&scratch).start();
    tidegate.apply(&world::document(&metrics, &[store("broker", &intake)]));
    let events = world::send_in_rounds(&tidegate, "circonus", 12, Duration::from_secs(5));
    let expected = world::expected(&metrics, 2, &events);
    let windows = compare(&intake, &expected, Points::clone);
    assert!(windows > expected.busy_windows().len(), "no window without events among the {windows}");
    for request in intake.received() {
        assert_eq!(yajl(&scratch, &request.body), None, "{}", String::from_utf8_lossy(&request.body));
    }
    let log = tidegate.log();
    assert!(!log.contains(SECRET), "the secret of the URL is in the log");
    world::no_errors_in_the_log(&tidegate);
}

/// Names of the metrics in a submission.
fn names(request: &Received) -> Vec<String> {
    let documents = serde_json::Deserializer::from_slice(&request.body).into_iter::<Json>().flatten();
    documents.flat_map(|d| d.as_object().into_iter().flatten().map(|(k, _)| k.clone()).collect::<Vec<_>>()).collect()
}

/// Whether a metric has the tag with [`world::POISON`] as value, plain or in base64.
fn is_poisoned(name: &str) -> bool {
    name.contains(world::POISON) || name.contains("cG9pc29u")
}

#[test]
fn each_refusal_that_a_broker_knows_leads_where_it_must_and_delays_nobody_else() {
    let scratch = Scratch::new("circonus-refusals");
    let error = |status: u16, why: &str| reply(status, json!({"error": why}).to_string());
    // It counts fewer values than were sent, and says nothing else.
    let partial = Intake::scripted(rules(), |_, request| {
        let names = names(request);
        let bad = names.iter().filter(|n| is_poisoned(n)).count();
        (bad > 0).then(|| reply(200, json!({"stats": names.len() - bad, "filtered": 0}).to_string()))
    });
    // The first submission with metrics is broken off in the middle: what was before that stays.
    let broken_off = Intake::scripted(rules(), move |number, _| (number == 0).then(|| error(406, "parse error")));
    // It takes all that is sent, and the filters of the check leave out some of it, each counted twice.
    let filtering = Intake::scripted(rules(), |_, request| {
        let names = names(request);
        let out = names.iter().filter(|n| n.contains("by type")).count();
        (out > 0).then(|| reply(200, json!({"stats": names.len(), "filtered": 2 * out}).to_string()))
    });
    let failing = Intake::scripted(rules(), move |number, _| [500, 503].get(number).map(|status| error(*status, "no")));
    let guarded = Intake::start(rules());

    let metrics = world::few_metrics();
    let tidegate = world::tidegate(&scratch).start();
    let stores = |secret: &str| {
        let mut guarded = store("guarded", &guarded);
        let url = guarded["settings"]["submission_url"].as_str().expect("a URL").replace(SECRET, secret);
        guarded["settings"]["submission_url"] = url.into();
        let partial = store("partial", &partial);
        [partial, store("broken off", &broken_off), store("filtering", &filtering), store("failing", &failing), guarded]
    };
    tidegate.apply(&world::document(&metrics, &stores("another_secret")));
    let events = tidegate.api().bulk_until_acknowledged(PROJECT, &world::with_poison("circonus-refusals", 60));
    let expected = world::expected(&metrics, 2, &events);

    // A secret that is refused stops the store at once, and a right one starts it again; nothing is lost meanwhile.
    let status = world::status_when(&tidegate, "guarded", "the secret is refused", |s| s["state"] == "credentials");
    assert!(status["problem"].as_str().is_some_and(|p| p.contains("403")), "{status}");
    assert!(!status.to_string().contains("another_secret"), "{status}");
    tidegate.apply(&world::document(&metrics, &stores(SECRET)));
    compare(&guarded, &expected, Points::clone);
    compare(&failing, &expected, Points::clone);

    // The row that the broker does not count is found by halves and named; all others arrive.
    compare(&partial, &expected, world::without_poison);
    world::status_when(&tidegate, "partial", "one row is rejected", |s| s["deliveries"]["rejected_rows"] == 1);

    // Filtered values are no refusal; the operator is told how many there are.
    wait::until("the note of the filters stands with a window that was delivered", world::PATIENCE, || {
        let log = tidegate.log();
        let told = log.lines().find(|l| l.contains("were filtered by Circonus")).map(str::to_owned);
        told.filter(|l| l.contains("\"level\":\"WARN\"") && l.contains("values"))
            .ok_or_else(|| "no such line".to_owned())
    });
    let status = world::status_when(&tidegate, "filtering", "windows arrive", |s| {
        s["deliveries"]["confirmed"].as_u64() > Some(1)
    });
    assert_eq!(status["deliveries"]["rejected_rows"], 0, "{status}");

    // What was in the submission that was broken off is given up and not repeated; all later ones arrive.
    let status = world::status_when(&tidegate, "broken off", "a window is rejected", |s| {
        s["deliveries"]["rejected_rows"].as_u64() > Some(0)
    });
    let received = broken_off.received();
    assert!(received.iter().skip(1).all(|r| r.body != received[0].body), "what was broken off was repeated: {status}");
    let log = tidegate.log();
    assert!(log.contains("parse error") && log.contains(world::POISON), "the log does not tell of the rows:\n{log}");
    world::status_when(&tidegate, "broken off", "later windows arrive", |s| {
        s["deliveries"]["confirmed"].as_u64() > Some(1)
    });
    assert_eq!(broken_off.book().faults, Vec::<String>::new());
}
