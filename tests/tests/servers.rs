//! The harness itself: what is written into a real server comes back as it is. Otherwise a comparison with the oracle would
//! prove nothing.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tidegate_tests::clients::circonus_producer;
use tidegate_tests::grammar::{PageForm, datadog_models, line_protocol, prometheus_client, yajl};
use tidegate_tests::http;
use tidegate_tests::intake::{HttpTrap, Intake};
use tidegate_tests::points::{Point, Points};
use tidegate_tests::process::run_well;
use tidegate_tests::receiver::Receiver;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::servers::{
    Collectd, Graphite, Influxd, Polled, Prometheus, Pushgateway, Relay, Target, VictoriaMetrics, promtool_check,
    send_lines,
};
use tidegate_tests::tls::Authority;
use tidegate_tests::wait;

/// How long a server may take to show what it was given.
const SHOWN: Duration = Duration::from_secs(60);

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

fn point(name: &str, labels: &[(&str, &str)], time: u64) -> Point {
    let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Point { name: name.to_owned(), labels, time }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs()
}

#[test]
fn graphite_gives_back_what_was_written_also_after_a_kill_and_tells_of_bad_lines() {
    let scratch = Scratch::new("graphite");
    let mut server = Graphite::start(&scratch);
    let time = now() - 5;
    let lines = format!("a.b-c.count 3 {time}\nshop.errors;env=prod;kind=a=b 0.25 {time}\n");
    send_lines(server.port(), lines.as_bytes());
    let mut right = Points::default();
    right.insert(point("a.b-c.count", &[], time), 3.0).unwrap();
    right.insert(point("shop.errors", &[("env", "prod"), ("kind", "a=b")], time), 0.25).unwrap();
    let held = |server: &Graphite| server.points()?.difference(&right).map_or(Ok(()), Err);
    wait::until("Graphite holds both", SHOWN, || held(&server));
    assert_eq!(server.bad_lines(), Vec::<String>::new());
    server.restart();
    wait::until("Graphite holds both after a kill", SHOWN, || held(&server));
    send_lines(server.port(), b"no line\n");
    wait::until("the bad line is in the log", SHOWN, || match server.bad_lines().len() {
        1 => Ok(()),
        lines => Err(format!("{lines} bad lines")),
    });
}

#[test]
fn a_relay_gives_out_clean_lines_as_they_came_and_others_changed() {
    let scratch = Scratch::new("relay");
    let relay = Relay::start(&scratch);
    send_lines(relay.port(), b"b.c;env=prod 0.25 1700000000\na.b 3 1700000000\na..\xc3\xa4 1 1700000000\n");
    let lines = wait::until("three lines come out", SHOWN, || match relay.lines() {
        lines if lines.len() == 3 => Ok(lines),
        lines => Err(format!("{lines:?}")),
    });
    assert!(lines.contains(&"b.c;env=prod 0.25 1700000000".to_owned()), "{lines:?}");
    assert!(lines.contains(&"a.b 3 1700000000".to_owned()), "{lines:?}");
    assert!(!lines.iter().any(|l| l.contains('\u{e4}') || l.contains("..")), "{lines:?}");
}

#[test]
fn victoria_metrics_takes_lines_of_graphite_and_series_of_datadog() {
    let scratch = Scratch::new("victoria-forms");
    let server = VictoriaMetrics::start(&scratch);
    let time = now() - 5;
    send_lines(server.graphite_port(), format!("a.b;env=prod 0.25 {time}\n").as_bytes());
    let series =
        serde_json::json!({"series": [{"metric": "c.d", "points": [[time, 2.5]], "tags": ["env:prod"], "host": "h"}]});
    http::post(&format!("{}/datadog/api/v1/series", server.url())).json(&series).send_well();
    let mut right = Points::default();
    right.insert(point("a.b", &[("env", "prod")], time), 0.25).unwrap();
    right.insert(point("c.d", &[("env", "prod"), ("host", "h")], time), 2.5).unwrap();
    wait::until("it holds both", SHOWN, || server.points()?.difference(&right).map_or(Ok(()), Err));
}

#[test]
fn the_pushgateway_takes_a_clean_page_and_refuses_a_series_that_is_there_twice() {
    let scratch = Scratch::new("pushgateway");
    let server = Pushgateway::start(&scratch);
    server.put(b"# TYPE a gauge\na{b=\"c\"} 3\n").expect("a clean page is taken");
    assert!(server.page().contains("a{b=\"c\",instance=\"\",job=\"tests\"} 3"), "{}", server.page());
    let refused = server.put(b"# TYPE a gauge\na{b=\"c\"} 3\na{b=\"c\"} 4\n").expect_err("a repeated series");
    assert!(refused.contains("400"), "{refused}");
    assert!(server.put(b"a 3 1700000000000\n").is_err(), "a time stamp is refused");
}

/// A document for a poller, behind a login.
fn polled(authority: &Authority) -> Receiver {
    Receiver::with_tls(authority, |request| match (request.path(), request.header("authorization")) {
        // user:secret
        ("/document", "Basic dXNlcjpzZWNyZXQ=") => {
            (200, String::new(), r#"{"a b|ST[b\"ZQ==\":b\"Zg==\"]":{"_type":"n","_value":2.25}}"#.to_owned())
        }
        ("/page", "Basic dXNlcjpzZWNyZXQ=") => {
            (200, String::new(), "# TYPE a gauge\na{project=\"p\"} 2.25\n".to_owned())
        }
        _ => (401, "www-authenticate: Basic realm=\"tests\"\r\n".to_owned(), String::new()),
    })
}

#[test]
fn collectd_reads_a_document_over_tls_with_a_login_and_trusts_no_other_authority() {
    let scratch = Scratch::new("collectd");
    let (authority, other) = (Authority::new(&scratch, "one"), Authority::new(&scratch, "other"));
    let receiver = polled(&authority);
    let url = format!("{}/document", receiver.url());
    let start = |name, password, root| {
        Collectd::start(&scratch, name, Polled { url: &url, login: ("user", password), root: Some(root) })
    };
    let right = start("right", "secret", &authority.root);
    let values = wait::until("collectd has read the value", SHOWN, || match right.values()? {
        values if values.is_empty() => Err(right.log()),
        values => Ok(values),
    });
    assert_eq!(values.keys().collect::<Vec<_>>(), ["a b|ST[b\"ZQ==\":b\"Zg==\"]"]);
    assert!(values.values().flatten().all(|v| *v == 2.25), "{values:?}");
    let distrustful = start("distrustful", "secret", &other.root);
    wait::until("collectd distrusts the certificate", SHOWN, || match distrustful.log() {
        log if log.contains("certificate") => Ok(()),
        log => Err(log),
    });
    let unknown = start("unknown", "wrong", &authority.root);
    wait::until("collectd is refused", SHOWN, || match unknown.log() {
        log if log.contains("response code 401") || log.contains("401") => Ok(()),
        log => Err(log),
    });
    assert!(distrustful.values().expect("a folder").is_empty() && unknown.values().expect("a folder").is_empty());
}

#[test]
fn prometheus_scrapes_over_tls_with_a_login_and_says_what_is_wrong_with_others() {
    let scratch = Scratch::new("prometheus-tls");
    let (authority, other) = (Authority::new(&scratch, "one"), Authority::new(&scratch, "other"));
    let receiver = polled(&authority);
    let address = receiver.url().replace("https://", "");
    let target = |login, root| Target { address: &address, path: "/page", login, root: Some(root) };
    let right = Prometheus::scraping(&scratch, &target(Some(("user", "secret")), authority.root.as_path()));
    wait::until("Prometheus has scraped the value", SHOWN, || match right.samples()?.first() {
        Some(sample) if sample.value == 2.25 => Ok(()),
        other => Err(format!("{other:?}, {:?}", right.target())),
    });
    for (login, root, problem) in
        [(None, &authority.root, "401 Unauthorized"), (Some(("user", "secret")), &other.root, "certificate")]
    {
        let wrong = Prometheus::scraping(&scratch, &target(login, root.as_path()));
        wait::until("Prometheus says what is wrong", SHOWN, || match wrong.target()? {
            (health, error) if health == "down" && error.contains(problem.trim_end_matches(" Unauthorized")) => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
}

#[test]
fn circonus_own_client_is_understood_by_our_receiver_and_understands_its_answer() {
    let scratch = Scratch::new("circonus-client");
    let check = HttpTrap::new("0b2f1f3e-5a0e-4a62-8f4c-1a2b3c4d5e6f", "canary_secret");
    let path = check.path();
    let intake = Intake::start(check);
    let said = run_well(Command::new(circonus_producer()).arg(format!("{}{path}", intake.url())));
    let book = intake.book();
    assert_eq!(book.faults, Vec::<String>::new());
    // A text and a histogram are metrics, but no values; the client counts all that the receiver says it took.
    assert!(said.contains("[DEBUG] 7 stats sent"), "{said}");
    let mut right = Points::default();
    // 2^53 + 1 is a 64-bit integer for Circonus and is read as a double here.
    for (name, tags, value) in [
        ("requests", &[][..], 9_007_199_254_740_992.0),
        ("load", &[], 0.25),
        ("small", &[], -7.0),
        ("queue`depth", &[], 12.0),
        ("errors", &[("env", "prod")], 3.0),
    ] {
        right.insert(point(name, tags, 0), value).unwrap();
    }
    assert_eq!(book.points.difference(&right), None);
    let kinds: Vec<_> = book.kinds.iter().map(|(name, kind)| (name.as_str(), kind.as_str())).collect();
    assert!(kinds.contains(&("state", "s")) && kinds.contains(&("latency", "n")), "{kinds:?}");
    for request in intake.received() {
        assert_eq!(yajl(&scratch, &request.body), None);
    }
}

#[test]
fn the_parsers_of_others_take_what_is_right_and_tell_what_is_wrong() {
    let scratch = Scratch::new("grammar");
    assert_eq!(yajl(&scratch, br#"{"a":1,"a":2}{"b":{}}"#), None);
    for wrong in [&b"{\"a\":NaN}"[..], b"{\"a\":1,}", b"{\"a\":\"\xff\"}", b"{\"a\":+1}"] {
        assert!(yajl(&scratch, wrong).is_some(), "{wrong:?}");
    }

    let page = b"# TYPE a gauge\na{b=\"c\"} 3\n";
    let read = prometheus_client(&scratch, PageForm::Text, page).expect("a page");
    assert_eq!(read, [([("__name__", "a"), ("b", "c")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(), 3.0)]);
    assert!(prometheus_client(&scratch, PageForm::OpenMetrics, page).is_err(), "no end of file");
    let whole = [page.as_slice(), b"# EOF\n"].concat();
    assert_eq!(prometheus_client(&scratch, PageForm::OpenMetrics, &whole).expect("a page"), read);

    let series = |kind: &str| {
        let text = r#"{"series":[{"metric":"a","type":KIND,"points":[{"timestamp":1700000000,"value":3}]}]}"#;
        text.replace("KIND", kind).into_bytes()
    };
    assert_eq!(datadog_models(&scratch, "v2", &[series("3")]), Vec::<String>::new());
    let faults = datadog_models(&scratch, "v2", &[series("3"), series("4"), series("\"gauge\"")]);
    assert!(faults.iter().any(|f| f.starts_with("1:")) && faults.iter().any(|f| f.starts_with("2:")), "{faults:?}");
    assert!(!faults.iter().any(|f| f.starts_with("0:")), "{faults:?}");

    assert_eq!(line_protocol(&scratch, LINES.as_bytes()), Vec::<String>::new());
    assert_eq!(line_protocol(&scratch, b"a b=1 17\na b\na,c= b=1\n").len(), 2);
}
