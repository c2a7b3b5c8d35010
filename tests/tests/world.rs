//! What most tests share: one project with metrics of every kind, and documents for `tidegate apply`.

use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tidegate_tests::generator::Generator;
use tidegate_tests::oracle::{Acknowledged, Expected, Metric, WINDOW_END};
use tidegate_tests::points::Points;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::servers::{Influxd, VictoriaMetrics};
use tidegate_tests::tidegate::Tidegate;
use tidegate_tests::wait;

/// The project of the tests; with a character that must be escaped everywhere.
pub(crate) const PROJECT: &str = "web shop";
/// Its metric set.
pub(crate) const SET: &str = "crashes, all";
/// How long data may take to come out: windows must end, and two cores may be busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Metrics with every aggregate, with and without groups and filters. The first counts all events.
pub(crate) fn metrics() -> Vec<Metric> {
    let duration = "render.duration";
    let every =
        ["count", "unique", "min", "max", "sum", "mean", "first", "last"].map(|aggregate| (duration, aggregate));
    vec![
        Metric::new("errors", &[], &[("_tx", "count")]),
        Metric::new("errors and users", &[], &[("_tx", "unique"), ("guid", "unique")]),
        Metric::new("by fingerprint", &["fingerprint"], &[("_tx", "count"), ("guid", "unique")]),
        Metric::new("by version=type", &["app.version", "error.type"], &[("_tx", "count")]),
        Metric::new("by region", &["region"], &[("memory.used", "max"), (duration, "mean")]),
        Metric::new("rendering", &[], &every),
        Metric::new("slow", &["foreground"], &[("_tx", "count"), ("memory.used", "sum")])
            .only(duration, "at-least", 5000)
            .only("error.type", "not-equal", "NullReference"),
        Metric::new("odd", &["error.type"], &[("guid", "unique")]).only("error.type", "contains", "="),
        Metric::new("in a region", &[], &[("_tx", "count"), ("foreground", "sum")]).only(
            "region",
            "is-set",
            Json::Null,
        ),
    ]
}

/// A document with one project that has one set and these stores.
pub(crate) fn document(metrics: &[Metric], stores: &[Json]) -> Json {
    let metrics: Vec<_> = metrics.iter().map(|m| json!({"name": m.name, "query": m.query()})).collect();
    let sets = json!([{"name": SET, "metrics": metrics}]);
    json!({"projects": [{"name": PROJECT, "metric_sets": sets, "metric_stores": stores}]})
}

/// A store.
pub(crate) fn store(name: &str, adapter: &str, period: u64, settings: Json) -> Json {
    json!({"name": name, "adapter": adapter, "period": period, "settings": settings, "metric_sets": [SET]})
}

/// A store that writes to InfluxDB 1.x. The password comes from the environment, see [`tidegate`].
pub(crate) fn influx_store(name: &str, server: &Influxd, period: u64) -> Json {
    let settings = json!({
        "version": "1", "url": server.url(), "database": Influxd::DATABASE, "user": Influxd::USER,
        "password": {"env": "INFLUX_PASSWORD"},
    });
    store(name, "influxdb", period, settings)
}

/// A store that writes to VictoriaMetrics as to InfluxDB 2.x.
pub(crate) fn victoria_store(name: &str, server: &VictoriaMetrics, period: u64) -> Json {
    let settings = json!({
        "version": "2", "url": server.url(), "org": "tide", "bucket": "shared", "token": "canary-victoria-token", "gzip": true,
    });
    store(name, "influxdb", period, settings)
}

/// A host that can resolve the passwords of the documents above; not started.
pub(crate) fn tidegate(scratch: &Scratch) -> Tidegate {
    Tidegate::new(scratch).variable("INFLUX_PASSWORD", Influxd::PASSWORD)
}

/// What must come out of these events.
pub(crate) fn expected<'t>(metrics: &'t [Metric], period: u64, events: &'t [Acknowledged]) -> Expected<'t> {
    Expected { project: PROJECT, metric_set: SET, metrics, period, events }
}

/// Waits until InfluxDB holds every window from the first to at least the last one with events, each as the oracle says. Gives the
/// number of windows.
#[track_caller]
pub(crate) fn compare_with_influxdb(server: &Influxd, expected: &Expected<'_>) -> usize {
    compare("InfluxDB", expected, ".", || server.points(), Points::difference)
}

/// As [`compare_with_influxdb`], with the digits that VictoriaMetrics keeps.
#[track_caller]
pub(crate) fn compare_with_victoria_metrics(server: &VictoriaMetrics, expected: &Expected<'_>) -> usize {
    let difference = |held: &Points, right: &Points| held.difference_beyond(VictoriaMetrics::PRECISION, right);
    compare("VictoriaMetrics", expected, "_", || server.points(), difference)
}

#[track_caller]
fn compare(
    sink: &str,
    expected: &Expected<'_>,
    join: &str,
    read: impl Fn() -> Result<Points, String>,
    difference: impl Fn(&Points, &Points) -> Option<String>,
) -> usize {
    let name = format!("{}{join}count__tx", expected.metrics[0].name);
    compare_points(sink, expected, &name, read, |ends| expected.influx(ends, join, &[]), difference)
}

/// Waits until a sink holds every window from the first to at least the last one with events, each as `right` says. Gives the
/// number of windows. `name` is what the sink calls the first metric, which has no group and so a value in every window.
#[track_caller]
pub(crate) fn compare_points(
    sink: &str,
    expected: &Expected<'_>,
    name: &str,
    read: impl Fn() -> Result<Points, String>,
    right: impl Fn(&BTreeSet<u64>) -> Points,
    difference: impl Fn(&Points, &Points) -> Option<String>,
) -> usize {
    let busy = expected.busy_windows();
    let (first, last) = (*busy.first().expect("events"), *busy.last().expect("events"));
    wait::until(&format!("{sink} holds what the oracle says"), PATIENCE, || {
        let held = read()?;
        let times = held.times(name);
        if times.first().is_none_or(|t| *t > first) || times.last().is_none_or(|t| *t < last) {
            return Err(format!("the windows with events end at {first} to {last}; it holds {times:?}"));
        }
        let windows = expected.without_gap(&times);
        // A window may arrive in several requests, so a difference can be one that goes away.
        difference(&held, &right(&windows)).map_or(Ok(windows.len()), Err)
    })
}

/// Waits until the status of a store fits, and gives it.
#[track_caller]
pub(crate) fn status_when(tidegate: &Tidegate, store: &str, what: &str, fits: impl Fn(&Json) -> bool) -> Json {
    wait::until(&format!("store {store}: {what}"), PATIENCE, || {
        let status = tidegate.api().store(PROJECT, store)?["status"].clone();
        if fits(&status) { Ok(status) } else { Err(status.to_string()) }
    })
}

/// Metrics for sinks of which each refusal is to be traced: one that counts all events, and one with a row for each type of error.
pub(crate) fn few_metrics() -> Vec<Metric> {
    vec![
        Metric::new("errors", &[], &[("_tx", "count")]),
        Metric::new("by type", &["error.type"], &[("_tx", "count"), ("memory.used", "max")]),
    ]
}

/// The type of error of one event, which some receivers refuse: see [`with_poison`].
pub(crate) const POISON: &str = "poison";

/// Events of which one is of the type [`POISON`].
pub(crate) fn with_poison(test: &str, count: usize) -> Vec<Map<String, Json>> {
    let mut events = Generator::new(test).events(count);
    events[count / 2].insert("error.type".to_owned(), POISON.into());
    events
}

/// What a sink must hold that takes everything but rows with [`POISON`].
pub(crate) fn without_poison(points: &Points) -> Points {
    let mut clean = Points::default();
    for (point, value) in points.iter().filter(|(p, _)| !p.labels.values().any(|v| v == POISON)) {
        clean.insert(point.clone(), value).expect("each place is there once");
    }
    clean
}

/// Sends events in several rounds, with a pause in which windows without any event pass.
pub(crate) fn send_in_rounds(tidegate: &Tidegate, test: &str, rounds: usize, pause: Duration) -> Vec<Acknowledged> {
    let mut generator = Generator::new(test);
    let mut events = Vec::new();
    for round in 0..rounds {
        let count = usize::try_from(generator.below(60)).unwrap_or(0) + 1;
        events.extend(tidegate.api().bulk_until_acknowledged(PROJECT, &generator.events(count)));
        std::thread::sleep(if round == rounds / 2 { pause } else { Duration::from_millis(200) });
    }
    events
}

/// The end of the window that a page for Prometheus shows.
pub(crate) fn window_end(page: &BTreeMap<BTreeMap<String, String>, f64>) -> Option<u64> {
    page.iter().find(|(labels, _)| labels["__name__"] == WINDOW_END).map(|(_, end)| *end as u64)
}

/// Fails if the host has logged that data was lost or that a human is needed.
#[track_caller]
pub(crate) fn no_errors_in_the_log(tidegate: &Tidegate) {
    let log = tidegate.log();
    let errors: Vec<_> = log.lines().filter(|l| l.contains("\"level\":\"ERROR\"")).take(10).collect();
    assert!(errors.is_empty(), "errors in the log:\n{}", errors.join("\n"));
}
