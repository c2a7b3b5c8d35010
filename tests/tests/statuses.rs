//! Every status that a vendor documents, and those that proxies add, played once by a receiver of ours: each leads to what the
//! adapter's README says. One store for each status, so none may delay another either.

use crate::world::{self, PROJECT};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tidegate_tests::generator::Generator;
use tidegate_tests::intake::{Datadog, Generation, Grafana, HttpTrap, InfluxOne, InfluxTwo, Intake, Rules, reply};
use tidegate_tests::oracle::Expected;
use tidegate_tests::points::Points;
use tidegate_tests::receiver::Received;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::spelling;

/// What a status leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leads {
    /// The same request again, later; nothing is lost.
    Again,
    /// Smaller requests; nothing is lost.
    Halves,
    /// No further request until the secret is replaced; nothing is lost.
    Stop,
    /// The rows of the request are rejected and not sent again; later windows arrive.
    Rejected,
}

use Leads::{Again, Halves, Rejected, Stop};

/// A product.
struct Sink<R> {
    adapter: &'static str,
    rules: fn() -> R,
    /// The settings of a store, for a URL and a secret.
    settings: fn(&str, &str) -> Json,
    secret: &'static str,
    /// The body of an error.
    error: fn(&str) -> Json,
    read: fn(&Intake) -> Result<Points, String>,
    right: fn(&Expected<'_>, &BTreeSet<u64>) -> Points,
    /// What the product calls the metric that has a value in every window.
    errors: &'static str,
}

/// Whether a request carries more than one row of the metric with groups.
fn has_rows(request: &Received) -> bool {
    let body = String::from_utf8_lossy(&request.inflated().unwrap_or_default()).into_owned();
    body.matches("error.type").count() + body.matches("error_type").count() > 2
}

/// Plays one status: once, or until the secret was replaced.
fn play<R: Rules>(sink: &Sink<R>, status: u16, leads: Leads, replaced: &Arc<AtomicBool>) -> Intake {
    let (played, replaced, body) = (AtomicBool::new(false), replaced.clone(), (sink.error)("told so").to_string());
    Intake::scripted((sink.rules)(), move |_, request| {
        let plays = match leads {
            Stop => !replaced.load(Ordering::SeqCst),
            Again | Rejected => !played.swap(true, Ordering::SeqCst),
            // A request of one row has no halves.
            Halves => has_rows(request) && !played.swap(true, Ordering::SeqCst),
        };
        plays.then(|| reply(status, body.clone()))
    })
}

fn each_leads_where_it_must<R: Rules>(test: &str, sink: &Sink<R>, statuses: &[(u16, Leads)]) {
    let scratch = Scratch::new(test);
    let replaced = Arc::new(AtomicBool::new(false));
    let cases: Vec<_> =
        statuses.iter().map(|&(status, leads)| (status, leads, play(sink, status, leads, &replaced))).collect();
    let metrics = world::few_metrics();
    let tidegate = world::tidegate(&scratch).start();
    let apply = |wrong: &str| {
        let store = |(status, leads, intake): &(u16, Leads, Intake)| {
            let secret = if *leads == Stop { wrong } else { sink.secret };
            world::store(&format!("answers {status}"), sink.adapter, 2, (sink.settings)(&intake.url(), secret))
        };
        tidegate.apply(&world::document(&metrics, &cases.iter().map(store).collect::<Vec<_>>()));
    };
    apply("another_secret");
    let events = tidegate.api().bulk_until_acknowledged(PROJECT, &Generator::new(test).events(60));
    let expected = world::expected(&metrics, 2, &events);

    for (status, _, intake) in cases.iter().filter(|(_, leads, _)| *leads == Stop) {
        let store = format!("answers {status}");
        // A redirect is no word about credentials, but about where the settings lead.
        let state = if (300..400).contains(status) { "misconfigured" } else { "credentials" };
        let found = world::status_when(&tidegate, &store, "the store stops", |s| s["state"] == state);
        let problem = found["problem"].as_str().unwrap_or_default();
        assert!(problem.contains(&format!("HTTP {status}")), "{store}: {found}");
        assert_eq!(intake.received().len(), 1, "{store} went on asking");
    }
    replaced.store(true, Ordering::SeqCst);
    apply(sink.secret);

    for (status, leads, intake) in &cases {
        let store = format!("answers {status}");
        if *leads == Rejected {
            let fits = |s: &Json| {
                s["deliveries"]["rejected_rows"].as_u64() > Some(0) && s["deliveries"]["confirmed"].as_u64() > Some(1)
            };
            world::status_when(&tidegate, &store, "rows are rejected and later windows arrive", fits);
            let received = intake.received();
            assert!(received.iter().skip(1).all(|r| r.body != received[0].body), "{store}: it was repeated");
            continue;
        }
        let right = |ends: &BTreeSet<u64>| (sink.right)(&expected, ends);
        world::compare_points(&store, &expected, sink.errors, || (sink.read)(intake), right, Points::difference);
        let found =
            world::status_when(&tidegate, &store, "it delivers", |s| s["deliveries"]["confirmed"].as_u64() > Some(0));
        let lost = ["rejected", "rejected_rows", "expired"].map(|key| found["deliveries"][key].as_u64());
        assert_eq!(lost, [Some(0); 3], "{store}: {found}");
        let received = intake.received();
        if *leads == Again {
            assert!(received.iter().skip(1).any(|r| r.body == received[0].body), "{store}: other bytes came again");
        }
        if *leads == Halves {
            assert!(received.iter().any(has_rows), "{store}: nothing had halves");
        }
    }
}

fn influx_points(expected: &Expected<'_>, ends: &BTreeSet<u64>) -> Points {
    expected.influx(ends, ".", &[])
}

const CHECK: &str = "0b2f1f3e-5a0e-4a62-8f4c-1a2b3c4d5e6f";

#[test]
fn each_status_of_a_circonus_broker_leads_where_it_must() {
    let sink = Sink {
        adapter: "circonus",
        rules: || HttpTrap::new(CHECK, "the_right_secret"),
        settings: |url, secret| json!({"submission_url": format!("{url}/module/httptrap/{CHECK}/{secret}")}),
        secret: "the_right_secret",
        error: |why| json!({"error": why}),
        read: Intake::points,
        right: |expected, ends| expected.points(ends, spelling::circonus),
        errors: "web shop`crashes, all`errors`count__tx",
    };
    let stops = [302, 400, 401, 403, 404, 405].map(|status| (status, Stop));
    let again = [408, 429, 500, 502, 503, 504].map(|status| (status, Again));
    let rest = [(406, Rejected), (413, Halves)];
    each_leads_where_it_must("circonus-statuses", &sink, &[&stops[..], &again, &rest].concat());
}

#[test]
fn each_status_of_datadog_leads_where_it_must() {
    let sink = Sink {
        adapter: "datadog",
        rules: || Datadog::new("the_right_secret"),
        settings: |url, secret| json!({"site": "custom", "url": url, "api_key": secret}),
        secret: "the_right_secret",
        error: |why| json!({"errors": [why]}),
        read: Intake::points,
        right: |expected, ends| expected.points(ends, spelling::datadog),
        errors: "tidegate.errors.count.tx",
    };
    let stops = [301, 401, 403, 404, 405, 415].map(|status| (status, Stop));
    let again = [408, 429, 500, 502, 503, 504, 509].map(|status| (status, Again));
    let halves = [400, 413].map(|status| (status, Halves));
    each_leads_where_it_must("datadog-statuses", &sink, &[&stops[..], &again, &halves].concat());
}

#[test]
fn each_status_of_grafana_leads_where_it_must() {
    let sink = Sink {
        adapter: "grafana",
        rules: || Grafana::new(Generation::Proxy, "123456", "the_right_secret"),
        settings: |url, secret| {
            let url = format!("{url}/graphite/metrics");
            json!({"cluster": "shared", "url": url, "instance_id": "123456", "key": secret})
        },
        secret: "the_right_secret",
        error: |why| json!({"error": why}),
        read: |intake| spelling::decoded(&intake.points()?),
        right: |expected, ends| expected.points(ends, spelling::grafana),
        errors: "tidegate.web_shop.crashes__all.errors.count__tx",
    };
    let stops = [302, 401, 403, 404, 405].map(|status| (status, Stop));
    let again = [408, 429, 500, 502, 503, 504].map(|status| (status, Again));
    let rest = [(400, Halves), (413, Halves), (415, Rejected)];
    each_leads_where_it_must("grafana-statuses", &sink, &[&stops[..], &again, &rest].concat());
}

#[test]
fn each_status_of_influxdb_1_leads_where_it_must() {
    let sink = Sink {
        adapter: "influxdb",
        rules: || InfluxOne::new("writer", "the_right_secret"),
        settings: |url, secret| json!({"version": "1", "url": url, "database": "m", "user": "writer", "password": secret}),
        secret: "the_right_secret",
        error: |why| json!({"error": why}),
        read: Intake::points,
        right: influx_points,
        errors: "errors.count__tx",
    };
    let stops = [200, 302, 401, 403, 404].map(|status| (status, Stop));
    let again = [408, 429, 500, 502, 503, 504].map(|status| (status, Again));
    let halves = [400, 413].map(|status| (status, Halves));
    each_leads_where_it_must("influxdb-1-statuses", &sink, &[&stops[..], &again, &halves].concat());
}

#[test]
fn each_status_of_influxdb_2_leads_where_it_must() {
    let sink = Sink {
        adapter: "influxdb",
        rules: || InfluxTwo::new("the_right_secret"),
        settings: |url, secret| json!({"version": "2", "url": url, "org": "o", "bucket": "b", "token": secret}),
        secret: "the_right_secret",
        error: |why| json!({"code": "invalid", "message": why}),
        read: Intake::points,
        right: influx_points,
        errors: "errors.count__tx",
    };
    let stops = [200, 302, 401, 403, 404].map(|status| (status, Stop));
    let again = [408, 429, 500, 502, 503, 504].map(|status| (status, Again));
    let halves = [400, 413, 422].map(|status| (status, Halves));
    each_leads_where_it_must("influxdb-2-statuses", &sink, &[&stops[..], &again, &halves].concat());
}
