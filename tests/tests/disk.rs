//! A disk that is really full: nothing is acknowledged that is not stored, everything goes on by itself when there is room again.

use crate::world::{self, PATIENCE, PROJECT};
use serde_json::{Map, Value as Json};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;
use tidegate_tests::api::Api;
use tidegate_tests::generator::Generator;
use tidegate_tests::http;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::servers::Influxd;
use tidegate_tests::wait;

const PERIOD: u64 = 2;
const ROOM: u64 = 48 << 20;

/// Takes all room that is left on a disk.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let piece = [0; 4096];
    let error = loop {
        if let Err(error) = file.write_all(&piece) {
            break error;
        }
    };
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull, "{error}");
}

/// Sends events once and gives the whole answer.
fn send(api: &Api, token: &str, events: &[Map<String, Json>]) -> http::Answer {
    let lines: Vec<_> = events.iter().map(|e| Json::from(e.clone()).to_string()).collect();
    let request = http::post(&api.url(&["projects", PROJECT, "events"])).bearer(token);
    request.body(lines.join("\n")).send().expect("an answer")
}

#[test]
fn a_full_disk_is_answered_503_and_when_there_is_room_again_everything_acknowledged_is_there_once() {
    let scratch = Scratch::new("disk");
    let influxd = Influxd::start(&scratch);
    let metrics = &world::metrics()[..4];
    let tidegate = world::tidegate(&scratch).with_room(ROOM).start();
    tidegate.apply(&world::document(metrics, &[world::influx_store("central", &influxd, PERIOD)]));
    let (api, mut generator) = (tidegate.api(), Generator::new("disk"));
    let mut events = api.bulk_until_acknowledged(PROJECT, &generator.events(300));

    let filler = tidegate.inside("filler");
    fill(&filler);
    // The log of the database has room in it that is used again, so some more may be taken.
    let mut refused = generator.events(50);
    let answer = wait::until("events are refused", PATIENCE, || match api.bulk(PROJECT, &refused) {
        Ok(taken) => {
            events.extend(taken);
            refused = generator.events(50);
            Err("they are taken".to_owned())
        }
        Err(_) => Ok(send(&api, tidegate.token(), &refused)),
    });
    assert_eq!(answer.status, 503, "{answer}");
    let seconds: Option<u64> = answer.header("retry-after").parse().ok();
    assert!(seconds.is_some_and(|s| s > 0), "{answer}");
    assert!(answer.json()["detail"].as_str().is_some_and(|d| d.contains("full")), "{answer}");
    // Windows end meanwhile, and the process goes on.
    let problem = wait::until("the ledger says that nothing can be recorded", PATIENCE, || {
        let told = api.get(&["ledger"])["problem"].clone();
        told.as_str().map(str::to_owned).ok_or_else(|| told.to_string())
    });
    assert!(problem.contains("full"), "{problem}");
    std::thread::sleep(Duration::from_secs(2 * PERIOD));
    assert_eq!(send(&api, tidegate.token(), &refused).status, 503, "there is still no room");
    assert_eq!(http::get(&tidegate.url("/healthz")).send_well().status, 200);

    std::fs::remove_file(&filler).expect("the filler is there");
    // Nobody is told, and nothing is restarted.
    events.extend(api.bulk_until_acknowledged(PROJECT, &refused));
    events.extend(api.bulk_until_acknowledged(PROJECT, &generator.events(300)));
    let expected = world::expected(metrics, PERIOD, &events);
    let windows = world::compare_with_influxdb(&influxd, &expected);
    assert!(windows > expected.busy_windows().len(), "no window without events among the {windows}");
    let sum = influxd.points().expect("InfluxDB answers").sum("errors.count__tx");
    assert_eq!(sum, events.len() as f64, "the sum of the counts differs from the number of acknowledged events");
    wait::until("the ledger is well again", PATIENCE, || {
        let told = api.get(&["ledger"])["problem"].clone();
        if told.is_null() { Ok(()) } else { Err(told.to_string()) }
    });
    assert_eq!(api.get(&["ledger", "gaps"])["gaps"], serde_json::json!([]));
}
