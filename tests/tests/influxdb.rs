//! Real receivers hold, for every window, exactly the values of the oracle: InfluxDB 1.x with authentication, and
//! VictoriaMetrics by the write protocol of InfluxDB 2.x.

use crate::world::{self, PATIENCE, PROJECT};
use std::time::Duration;
use tidegate_tests::generator::Generator;
use tidegate_tests::oracle::Metric;
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
        world::store("three", "prometheus", 1, serde_json::json!({})),
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

/// The host's own counter of passes over the events of a window.
const EVALUATED: &str = "tidegate_evaluations_total";
