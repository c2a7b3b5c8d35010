//! `tidegate store check`: an admin asks, before the first window, whether a sink takes a store's settings. Each sink is asked with
//! settings that hold and with some that do not; over TLS, with the authority that vouches for it and without.

use crate::world::{self, PROJECT};
use serde_json::{Value as Json, json};
use tidegate_tests::intake::{Datadog, Generation, Grafana, HttpTrap, InfluxTwo, Intake};
use tidegate_tests::scratch::Scratch;
use tidegate_tests::servers::{Graphite, Influxd, VictoriaMetrics};
use tidegate_tests::tidegate::Tidegate;
use tidegate_tests::tls::Authority;

/// Long, so that no window is delivered while a test looks on.
const PERIOD: u64 = 3600;
const SECRET: &str = "canary-check-7be0";

/// What the command says of a store: whether its exit code is that of a success, and its words.
fn check(tidegate: &Tidegate, store: &str) -> (bool, String) {
    let output = tidegate.cli_output(&["store", "check", &format!("{PROJECT}/{store}")]);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!said.contains(SECRET) && !said.contains(Influxd::PASSWORD), "a secret is told: {said}");
    (output.status.success(), said)
}

#[track_caller]
fn holds(tidegate: &Tidegate, store: &str) {
    let (success, said) = check(tidegate, store);
    assert!(success && said.contains("takes these settings"), "{store}: {said}");
}

#[track_caller]
fn fails(tidegate: &Tidegate, store: &str, why: &str) {
    let (success, said) = check(tidegate, store);
    assert!(!success && said.to_lowercase().contains(why), "{store} should fail with {why:?}: {said}");
}

fn with(mut store: Json, settings: Json) -> Json {
    for (key, value) in settings.as_object().expect("settings") {
        store["settings"][key] = value.clone();
    }
    store
}

#[test]
fn real_sinks_are_asked_and_say_whether_they_take_the_settings() {
    let scratch = Scratch::new("checks");
    let (influxd, victoria) = (Influxd::start(&scratch), VictoriaMetrics::start(&scratch));
    let mut graphite = Graphite::start(&scratch);
    let tidegate = world::tidegate(&scratch).start();
    let carbon = |name| world::store(name, "graphite", PERIOD, json!({"host": "127.0.0.1", "port": graphite.port()}));
    let stores = [
        world::influx_store("influx", &influxd, PERIOD),
        with(world::influx_store("password", &influxd, PERIOD), json!({"password": SECRET})),
        with(world::influx_store("database", &influxd, PERIOD), json!({"database": "absent"})),
        world::victoria_store("victoria", &victoria, PERIOD),
        carbon("carbon"),
        world::store("page", "prometheus", PERIOD, json!({})),
    ];
    tidegate.apply(&world::document(&world::few_metrics(), &stores));

    for store in ["influx", "victoria", "carbon"] {
        holds(&tidegate, store);
    }
    fails(&tidegate, "password", "authorization failed");
    fails(&tidegate, "database", "database not found");
    fails(&tidegate, "page", "a scraper reads this store");
    graphite.kill();
    fails(&tidegate, "carbon", "cannot connect");
    assert!(influxd.points().expect("InfluxDB answers").is_empty(), "a check has written something");
}

#[test]
fn every_sink_over_tls_is_trusted_with_its_authority_and_not_without() {
    let scratch = Scratch::new("checks-tls");
    let authority = Authority::new(&scratch, "own");
    let trap = HttpTrap::new("0b2f1f3e-5a0e-4a62-8f4c-1a2b3c4d5e6f", SECRET);
    let submission = trap.path();
    let circonus = Intake::with_tls(&authority, trap);
    let datadog = Intake::with_tls(&authority, Datadog::new(SECRET));
    let grafana = Intake::with_tls(&authority, Grafana::new(Generation::Proxy, "4711", SECRET));
    let influx = Intake::with_tls(&authority, InfluxTwo::new(SECRET));
    let sinks = [
        ("circonus", json!({"submission_url": format!("{}{submission}", circonus.url())})),
        ("datadog", json!({"site": "custom", "url": datadog.url(), "api_key": SECRET})),
        (
            "grafana",
            json!({"cluster": "shared", "url": format!("{}/graphite/metrics", grafana.url()), "instance_id": "4711", "key": SECRET}),
        ),
        ("influxdb", json!({"version": "2", "url": influx.url(), "org": "tide", "bucket": "shared", "token": SECRET})),
    ];
    let trusted = json!({"authorities": authority.root_text()});
    let stores: Vec<_> = sinks
        .iter()
        .flat_map(|(adapter, settings)| {
            let store = |kind: &str| world::store(&format!("{adapter} {kind}"), adapter, PERIOD, settings.clone());
            [with(store("trusting"), trusted.clone()), store("public")]
        })
        .collect();
    let tidegate = world::tidegate(&scratch).start();
    tidegate.apply(&world::document(&world::few_metrics(), &stores));
    for (adapter, _) in sinks {
        holds(&tidegate, &format!("{adapter} trusting"));
        fails(&tidegate, &format!("{adapter} public"), "certificate");
    }
}
