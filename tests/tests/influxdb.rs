//! Real receivers hold, for every window, exactly the values of the oracle: InfluxDB 1.x with authentication, and
//! VictoriaMetrics by the write protocol of InfluxDB 2.x.

use crate::world::{self, PATIENCE, PROJECT};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tidegate_tests::generator::Generator;
use tidegate_tests::grammar::line_protocol;
use tidegate_tests::intake::{InfluxTwo, Intake, reply};
use tidegate_tests::oracle::Metric;
use tidegate_tests::points::Points;
use tidegate_tests::receiver::Received;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::servers::{Influxd, VictoriaMetrics};
use tidegate_tests::wait;

const PERIOD: u64 = 2;

#[test]
fn influxdb_and_victoria_metrics_hold_every_window_exactly() {
    let scratch = Scratch::new("influxdb");
    let (influxd, victoria) = (Influxd::start(&scratch), VictoriaMetrics::start(&scratch));
    let metrics = world::metrics();
    let tidegate = world::tidegate(&scratch).start();
    let stores = [world::influx_store("one", &influxd, PERIOD), world::victoria_store("two", &victoria, PERIOD)];
    tidegate.apply(&world::document(&metrics, &stores));

    let mut generator = Generator::new("influxdb");
    let mut events = Vec::new();
    for round in 0..40 {
        // A pause of more than two periods: windows without any event are windows all the same.
        let pause = if round == 20 { 5000 } else { 200 };
        let count = usize::try_from(generator.below(120)).unwrap_or(0) + 1;
        events.extend(tidegate.api().bulk_until_acknowledged(PROJECT, &generator.events(count)));
        std::thread::sleep(Duration::from_millis(pause));
    }

    let expected = world::expected(&metrics, PERIOD, &events);
    let windows = world::compare_with_influxdb(&influxd, &expected);
    assert!(windows > expected.busy_windows().len(), "no window without events among the {windows}");

    world::compare_with_victoria_metrics(&victoria, &expected);
    for (counter, rows) in victoria.invalid_rows() {
        assert_eq!(rows, 0.0, "{counter}");
    }
    world::no_errors_in_the_log(&tidegate);
}

#[test]
fn windows_of_two_stores_with_the_same_period_and_set_are_evaluated_once() {
    let scratch = Scratch::new("once");
    let (influxd, victoria) = (Influxd::start(&scratch), VictoriaMetrics::start(&scratch));
    let metrics = &world::metrics()[..3];
    let tidegate = world::tidegate(&scratch).start();
    let stores = [
        world::influx_store("one", &influxd, 1),
        world::victoria_store("two", &victoria, 1),
        world::store("three", "prometheus", 1, json!({})),
    ];
    tidegate.apply(&world::document(metrics, &stores));
    let events = tidegate.api().bulk_until_acknowledged(PROJECT, &Generator::new("once").events(300));
    let expected = world::expected(metrics, 1, &events);
    wait::until("both receivers hold ten windows", PATIENCE, || {
        let held =
            [influxd.points()?.times("errors.count__tx").len(), victoria.points()?.times("errors_count__tx").len()];
        if held.iter().all(|windows| *windows >= 10) { Ok(()) } else { Err(format!("{held:?}")) }
    });
    // The counter runs on while it is read: it lies between what was held before and what is held after.
    let held = |name: &str| tidegate.api().own_metric(name);
    let before = influxd.points().expect("InfluxDB answers").times("errors.count__tx").len();
    let evaluated = held(EVALUATED);
    let after = wait::until("InfluxDB holds a window more", PATIENCE, || {
        let windows = influxd.points()?.times("errors.count__tx").len();
        if windows > before { Ok(windows) } else { Err(format!("{windows}")) }
    });
    let (low, high) = (before as f64, after as f64 + 3.0);
    assert!((low..=high).contains(&evaluated), "{evaluated} windows were evaluated, {before} to {after} are held");
    world::compare_with_influxdb(&influxd, &expected);
}

#[test]
fn a_store_with_a_wrong_password_says_so_keeps_its_windows_and_delivers_them_once_it_is_right() {
    let scratch = Scratch::new("password");
    let influxd = Influxd::start(&scratch);
    let metrics = &world::metrics()[..4];
    let tidegate = world::tidegate(&scratch).start();
    let right = world::influx_store("central", &influxd, 1);
    let mut wrong = right.clone();
    wrong["settings"]["password"] = "not the password".into();
    tidegate.apply(&world::document(metrics, &[wrong]));
    let mut generator = Generator::new("password");
    let mut events = tidegate.api().bulk_until_acknowledged(PROJECT, &generator.events(100));
    let status = wait::until("the store says that the credentials are refused", PATIENCE, || {
        let status = tidegate.api().store(PROJECT, "central")?["status"].clone();
        if status["state"] == "credentials" { Ok(status) } else { Err(status.to_string()) }
    });
    assert!(status["problem"].as_str().is_some_and(|p| p.contains("401")), "{status}");
    for _ in 0..4 {
        events.extend(tidegate.api().bulk_until_acknowledged(PROJECT, &generator.events(100)));
        std::thread::sleep(Duration::from_secs(1));
    }
    assert!(influxd.points().expect("InfluxDB answers").is_empty());
    let told = tidegate.apply(&world::document(metrics, &[right]));
    assert!(told.contains("~ metric store"), "{told}");
    world::compare_with_influxdb(&influxd, &world::expected(metrics, 1, &events));
}

#[test]
fn thousands_of_series_in_one_window_arrive_whole() {
    let scratch = Scratch::new("many");
    let influxd = Influxd::start(&scratch);
    let metrics =
        [Metric::new("errors", &[], &[("_tx", "count")]), Metric::new("by session", &["session"], &[("_tx", "count")])];
    let tidegate = world::tidegate(&scratch).start();
    tidegate.apply(&world::document(&metrics, &[world::influx_store("central", &influxd, 2)]));
    let mut bulk = Generator::new("many").events(9000);
    for (number, event) in bulk.iter_mut().enumerate() {
        event.insert("session".to_owned(), format!("session {}", number % 8500).into());
    }
    let events = tidegate.api().bulk_until_acknowledged(PROJECT, &bulk);
    let expected = world::expected(&metrics, 2, &events);
    world::compare_with_influxdb(&influxd, &expected);
    assert!(influxd.points().expect("InfluxDB answers").len() > 8500);
}

#[test]
fn a_real_influxdb_that_takes_only_some_rows_or_only_small_requests_gets_all_that_it_takes() {
    let scratch = Scratch::new("partial");
    let small = Influxd::with_largest_body(&scratch, 600);
    let (other, metrics) = (Scratch::new("partial-conflict"), world::few_metrics());
    let typed = Influxd::start(&other);
    // A field's type is fixed by the first write of a week: as a whole number here, which floats can never join.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
    typed.write(&format!("by\\ type count__tx=1i {now}\n"));
    let tidegate = world::tidegate(&scratch).start();
    let mut plain = world::influx_store("small", &small, 2);
    plain["settings"]["gzip"] = false.into();
    tidegate.apply(&world::document(&metrics, &[plain, world::influx_store("typed", &typed, 2)]));
    let events = tidegate.api().bulk_until_acknowledged(PROJECT, &Generator::new("partial").events(100));
    let expected = world::expected(&metrics, 2, &events);
    world::compare_with_influxdb(&small, &expected);

    let errors = |points: &Points| {
        let mut only = Points::default();
        for (point, value) in points.iter().filter(|(p, _)| p.name.starts_with("errors.")) {
            only.insert(point.clone(), value).expect("each place is there once");
        }
        only
    };
    let right = |ends: &_| errors(&expected.influx(ends, ".", &[]));
    let read = || Ok(errors(&typed.points()?));
    world::compare_points("InfluxDB", &expected, "errors.count__tx", read, right, Points::difference);
    // One row for each type of error of the only window with events.
    let rows = expected.cells(&expected.busy_windows()).iter().filter(|c| c.metric == "by type").count() / 2;
    let status = world::status_when(&tidegate, "typed", "the rows are rejected", |s| {
        s["deliveries"]["rejected_rows"].as_u64() >= Some(rows as u64)
    });
    assert_eq!(status["deliveries"]["rejected_rows"], rows, "{status}");
    assert_eq!(status["deliveries"]["rejected"], 0, "{status}");
    assert!(tidegate.log().contains("field type conflict"), "the log does not say why");
}

#[test]
fn each_refusal_that_influxdb_2_documents_leads_where_it_must_and_delays_nobody_else() {
    let scratch = Scratch::new("influxdb-refusals");
    let rules = || InfluxTwo::new("canary-influx-token-31c9");
    let error =
        |status: u16, code: &str| reply(status, json!({"code": code, "message": format!("told: {code}")}).to_string());
    let poisoned = |r: &Received| String::from_utf8_lossy(&r.inflated().unwrap_or_default()).contains(world::POISON);
    let lines = |r: &Received| r.inflated().unwrap_or_default().iter().filter(|b| **b == b'\n').count();
    let poison = Intake::scripted(rules(), move |_, r| poisoned(r).then(|| error(422, "unprocessable entity")));
    let small = Intake::scripted(rules(), move |_, r| (lines(r) > 3).then(|| error(413, "request too large")));
    let came = Arc::new(Mutex::new(Vec::new()));
    let note = came.clone();
    let busy = Intake::scripted(rules(), move |number, _| {
        note.lock().expect("no thread failed").push(Instant::now());
        let wait = "retry-after: 3\r\n".to_owned();
        [429, 503]
            .get(number)
            .map(|status| (*status, wait, r#"{"code":"too many requests","message":"later"}"#.to_owned()))
    });
    let guarded = Intake::start(rules());

    let metrics = world::few_metrics();
    let tidegate = world::tidegate(&scratch).start();
    let store = |name: &str, intake: &Intake, token: &str| {
        let settings = json!({"version": "2", "url": intake.url(), "org": "o", "bucket": "b", "token": token});
        world::store(name, "influxdb", 2, settings)
    };
    let stores = |token: &str| {
        let right = "canary-influx-token-31c9";
        [
            store("poison", &poison, right),
            store("small", &small, right),
            store("busy", &busy, right),
            store("guarded", &guarded, token),
        ]
    };
    tidegate.apply(&world::document(&metrics, &stores("not the token")));
    let events = tidegate.api().bulk_until_acknowledged(PROJECT, &world::with_poison("influxdb-refusals", 60));
    let expected = world::expected(&metrics, 2, &events);
    let compare = |intake: &Intake, keep: &dyn Fn(&Points) -> Points| {
        let right = |ends: &_| keep(&expected.influx(ends, ".", &[]));
        world::compare_points(
            "the receiver",
            &expected,
            "errors.count__tx",
            || intake.points(),
            right,
            Points::difference,
        );
    };

    let status = world::status_when(&tidegate, "guarded", "the token is refused", |s| s["state"] == "credentials");
    assert!(status["problem"].as_str().is_some_and(|p| p.contains("401")), "{status}");
    tidegate.apply(&world::document(&metrics, &stores("canary-influx-token-31c9")));
    compare(&guarded, &Points::clone);
    let bodies: Vec<_> = guarded.received().iter().flat_map(|r| r.inflated().expect("an inflated body")).collect();
    assert_eq!(line_protocol(&scratch, &bodies), Vec::<String>::new());
    compare(&poison, &world::without_poison);
    world::status_when(&tidegate, "poison", "one row is rejected", |s| s["deliveries"]["rejected_rows"] == 1);
    compare(&small, &Points::clone);
    assert!(small.received().iter().any(|r| lines(r) > 3), "nothing was ever too large");
    compare(&busy, &Points::clone);
    let came = came.lock().expect("no thread failed");
    for pair in came[..3].windows(2) {
        let waited = pair[1].duration_since(pair[0]);
        assert!(waited >= Duration::from_secs(3), "the next request came after {waited:?}, and 3 s were asked for");
    }
}

/// The host's own counter of passes over the events of a window.
const EVALUATED: &str = "tidegate_evaluations_total";
