//! Real receivers hold, for every window, exactly the values of the oracle: InfluxDB 1.x with authentication, and
//! VictoriaMetrics by the write protocol of InfluxDB 2.x.

use crate::world::{self, PATIENCE, PROJECT};
use std::time::Duration;
use tidegate_tests::generator::Generator;
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

    let last = *expected.busy_windows().last().expect("events");
    let held = wait::until("VictoriaMetrics holds the last window with events", PATIENCE, || {
        let points = victoria.points()?;
        if points.times("errors_count__tx").contains(&last) {
            Ok(points)
        } else {
            Err(format!("{} points", points.len()))
        }
    });
    let windows = expected.without_gap(&held.times("errors_count__tx"));
    if let Some(difference) = held.difference_beyond(VictoriaMetrics::PRECISION, &expected.influx(&windows, "_", &[])) {
        panic!("VictoriaMetrics does not hold what the oracle says.\n{difference}");
    }
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

/// The host's own counter of passes over the events of a window.
const EVALUATED: &str = "tidegate_evaluations_total";
