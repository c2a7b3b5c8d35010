//! The harness itself: what is written into a real server comes back as it is. Otherwise a comparison with the oracle would
//! prove nothing.

use std::collections::BTreeMap;
use std::time::Duration;
use tidegate_tests::http;
use tidegate_tests::points::{Point, Points};
use tidegate_tests::scratch::Scratch;
use tidegate_tests::servers::{Influxd, VictoriaMetrics, promtool_check};
use tidegate_tests::wait;

const LINES: &str = "my\\ errors,app\\ version=1\\,2,kind=a\\=b\\ \"c\" count__tx=3,mean_n=0.25 1700000000\nmy\\ errors count__tx=0 1700000004\n";

fn expected(join: &str, more: &[(&str, &str)]) -> Points {
    let mut points = Points::default();
    let own: [(&str, &str); 2] = [("app version", "1,2"), ("kind", "a=b \"c\"")];
    let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().chain(more).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    };
    for (field, labels, time, value) in [
        ("count__tx", labels(&own), 1_700_000_000, 3.0),
        ("mean_n", labels(&own), 1_700_000_000, 0.25),
        ("count__tx", labels(&[]), 1_700_000_004, 0.0),
    ] {
        points.insert(Point { name: format!("my errors{join}{field}"), labels, time }, value).unwrap();
    }
    points
}

#[test]
fn influxdb_gives_back_what_was_written_also_after_a_restart() {
    let scratch = Scratch::new("influxd");
    let mut server = Influxd::start(&scratch);
    let url = format!("{}/write?db={}&precision=s", server.url(), Influxd::DATABASE);
    http::post(&url).basic(Influxd::USER, Influxd::PASSWORD).body(LINES).send_well();
    assert_eq!(server.points().unwrap().difference(&expected(".", &[])), None);
    server.stop();
    assert!(server.points().is_err(), "it answers although it was stopped");
    server.restart();
    assert_eq!(server.points().unwrap().difference(&expected(".", &[])), None);
    // The writer may not read, and nobody may write without a password.
    let read = format!("{}/query?db={}&q=SHOW%20MEASUREMENTS", server.url(), Influxd::DATABASE);
    let answer = http::get(&read).basic(Influxd::USER, Influxd::PASSWORD).send().unwrap();
    assert!(answer.status == 403 || answer.text().contains("error"), "{answer}");
    assert_eq!(http::post(&url).body(LINES).send().unwrap().status, 401);
}

#[test]
fn victoria_metrics_gives_back_what_was_written_and_counts_what_it_could_not_read() {
    let scratch = Scratch::new("victoria");
    let server = VictoriaMetrics::start(&scratch);
    let url = format!("{}/api/v2/write?org=o&bucket=shared&precision=s", server.url());
    http::post(&url).body(LINES).send_well();
    assert_eq!(server.points().unwrap().difference(&expected("_", &[])), None);
    assert!(server.invalid_rows().iter().all(|(_, rows)| *rows == 0.0), "{:?}", server.invalid_rows());
    http::post(&url).body("no line at all\n").send_well();
    wait::until("the bad line is counted", Duration::from_secs(20), || {
        let counters = server.invalid_rows();
        if counters.iter().any(|(_, rows)| *rows > 0.0) { Ok(()) } else { Err(format!("{counters:?}")) }
    });
}

#[test]
fn promtool_finds_nothing_in_a_clean_page_and_something_in_others() {
    let scratch = Scratch::new("promtool");
    let clean = "# HELP errors_total All errors.\n# TYPE errors_total counter\nerrors_total{a=\"b\"} 3\n";
    assert_eq!(promtool_check(&scratch, clean.as_bytes()), "");
    assert_ne!(promtool_check(&scratch, b"errors_total{a=\"b\"} 3\n"), "");
    assert_ne!(promtool_check(&scratch, b"9errors 3\n"), "");
}
