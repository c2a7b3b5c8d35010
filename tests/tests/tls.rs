//! TLS and logins, both ways: products read pages over HTTPS with the login that the host made up, configured by what the host tells
//! an admin to enter; and a store sends to a receiver whose certificate only its own authority vouches for.

use crate::world::{self, PATIENCE, PROJECT, SET};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use tidegate_tests::generator::Generator;
use tidegate_tests::grammar::yajl;
use tidegate_tests::http;
use tidegate_tests::intake::{HttpTrap, Intake, read_name};
use tidegate_tests::oracle::{Cell, Expected, Metric};
use tidegate_tests::points::Points;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::servers::{Collectd, Polled, Prometheus};
use tidegate_tests::spelling;
use tidegate_tests::tidegate::Tidegate;
use tidegate_tests::tls::Authority;
use tidegate_tests::wait;

/// What the host tells an admin of how a store's page is read: its URL and what to enter where, by label.
fn reading(tidegate: &Tidegate, store: &str) -> (String, BTreeMap<String, String>) {
    let url = format!("{}?reveal=true", tidegate.api().url(&["projects", PROJECT, "stores", store]));
    let told = http::get(&url).bearer(tidegate.token()).send_well().json()["pull"].clone();
    let entries = told["guide"].as_array().unwrap_or_else(|| panic!("no guide in {told}"));
    let text = |entry: &Json, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let guide = entries.iter().map(|entry| (text(entry, "label"), text(entry, "text"))).collect();
    (text(&told, "url"), guide)
}

#[test]
fn prometheus_scrapes_over_tls_with_a_login_just_as_the_host_says_and_nobody_does_without() {
    let scratch = Scratch::new("tls-prometheus");
    let authority = Authority::new(&scratch, "own");
    let metrics = world::metrics();
    let tidegate = world::tidegate(&scratch).with_tls(&authority).start();
    tidegate.apply(&world::document(&metrics, &[world::store("secure", "prometheus", 1, json!({"login": true}))]));
    let (url, guide) = reading(&tidegate, "secure");
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    // The snippet is used as it is; the only thing to add is the authority, which no public one knows.
    let snippet = format!("{}    tls_config: {{ca_file: {}}}\n", guide["prometheus.yml"], authority.root.display());
    let right = Prometheus::configured(&scratch, &snippet);
    let without = snippet.lines().filter(|l| !l.contains("basic_auth")).map(|l| format!("{l}\n")).collect::<String>();
    assert_ne!(snippet, without, "the snippet has no login");
    let refused = Prometheus::configured(&scratch, &without);

    let events = tidegate.api().bulk_until_acknowledged(PROJECT, &Generator::new("tls").events(150));
    let expected = world::expected(&metrics, 1, &events);
    wait::until("Prometheus holds the totals", PATIENCE, || {
        let mut scrapes: BTreeMap<u64, BTreeMap<_, _>> = BTreeMap::new();
        for sample in right.samples()? {
            scrapes.entry(sample.scraped).or_default().insert(sample.labels, sample.value);
        }
        let (_, last) = scrapes.pop_last().ok_or_else(|| format!("{:?}", right.target()))?;
        let end = world::window_end(&last).ok_or("no window on the page")?;
        if Some(&end) <= expected.busy_windows().last() {
            return Err(format!("the window shown ends at {end}"));
        }
        if last == expected.prometheus(end) { Ok(()) } else { Err(format!("{last:?}")) }
    });
    assert_eq!(right.target().expect("Prometheus answers"), ("up".to_owned(), String::new()));
    let (health, problem) = wait::until("the other one was refused", PATIENCE, || match refused.target()? {
        (health, problem) if problem.is_empty() => Err(health),
        told => Ok(told),
    });
    assert!(health == "down" && problem.contains("401"), "{health}: {problem}");
    let answer = http::get(&url).basic("tidegate", "wrong").send().expect("an answer");
    assert_eq!((answer.status, answer.body.len()), (401, 0), "{answer}");
    assert!(http::get(&url.replace("https:", "http:")).send().and_then(http::Answer::ok).is_err(), "plain HTTP works");
    world::no_errors_in_the_log(&tidegate);
}

/// Values by what Circonus calls them.
type Document = BTreeMap<(String, BTreeMap<String, String>), f64>;

/// What the document must show while the window that ends at `end` is the last one.
fn document(expected: &Expected<'_>, end: u64) -> Document {
    let spelled = |cell: &Cell<'_>, suffix: &str| {
        let (name, tags) = spelling::circonus(expected, cell);
        ((name + suffix, tags), cell.value)
    };
    let now = expected.cells(&[end].into());
    let totals = expected.totals(end);
    let own = [("project", PROJECT), ("metric_set", SET)].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let about = [
        (("tidegate`metric_sets".to_owned(), BTreeMap::new()), 1.0),
        (("tidegate`left_out".to_owned(), BTreeMap::new()), 0.0),
        (("tidegate`window_end".to_owned(), own.into()), end as f64),
    ];
    let values = now.iter().map(|c| spelled(c, "")).chain(totals.iter().map(|c| spelled(c, "_total")));
    values.chain(about).collect()
}

fn window_end(document: &Document) -> Option<u64> {
    document.iter().find(|((name, _), _)| name == "tidegate`window_end").map(|(_, end)| *end as u64)
}

#[test]
fn a_foreign_poller_reads_the_document_for_circonus_over_tls_with_a_login() {
    let scratch = Scratch::new("tls-circonus");
    let authority = Authority::new(&scratch, "own");
    // Names are short, since collectd cuts them at 127 bytes.
    let metrics = [
        Metric::new("errors", &[], &[("_tx", "count")]),
        Metric::new("fg", &["foreground"], &[("_tx", "count"), ("memory.used", "sum")]),
    ];
    let tidegate = world::tidegate(&scratch).with_tls(&authority).start();
    let mut store = world::store("read", "circonus", 2, json!({}));
    store["pull"] = true.into();
    tidegate.apply(&world::document(&metrics, &[store]));
    let (url, guide) = reading(&tidegate, "read");
    let entry = |label: &str| guide.get(label).unwrap_or_else(|| panic!("no {label:?} in {guide:?}")).as_str();
    assert_eq!(entry("URL"), url);
    assert_eq!(entry("Port"), tidegate.address().rsplit(':').next().expect("a port"));
    let login = (entry("HTTP Auth User"), entry("HTTP Auth Password"));
    assert!(!login.0.contains(':'), "the module of the broker cannot read the user {}", login.0);
    let collectd = Collectd::start(&scratch, "poller", Polled { url: &url, login, root: Some(&authority.root) });

    let events = tidegate.api().bulk_until_acknowledged(PROJECT, &Generator::new("tls-circonus").events(150));
    let expected = world::expected(&metrics, 2, &events);
    let last = *expected.busy_windows().last().expect("events");

    // As a whole, by a reader of our own.
    wait::until("the document is right", PATIENCE, || {
        let page = http::get(&url).basic(login.0, login.1).send()?.ok()?;
        assert_eq!(page.header("content-type"), "application/json");
        if let Some(fault) = yajl(&scratch, &page.body) {
            return Err(fault);
        }
        let mut read = Document::new();
        for (name, value) in page.json().as_object().ok_or("no object")? {
            let fields = value.as_object().ok_or("no object")?;
            assert_eq!(fields.keys().collect::<Vec<_>>(), ["_type", "_value"], "{name}");
            let number = value["_value"].as_str().and_then(|v| v.parse().ok()).ok_or_else(|| value.to_string())?;
            if read.insert(read_name(name)?, number).is_some() {
                return Err(format!("{name} is there twice"));
            }
        }
        let end = window_end(&read).ok_or("no window")?;
        let right = document(&expected, end);
        if end >= last && read == right { Ok(()) } else { Err(format!("{read:?}\nmust be\n{right:?}")) }
    });

    // Value by value, by the poller: each value that it saw was right in some window, and it ends with the right totals.
    wait::until("collectd has the totals", PATIENCE, || {
        let mut seen = BTreeMap::new();
        for (name, values) in collectd.values()? {
            seen.insert(read_name(&name)?, values);
        }
        for cell in expected.totals(last) {
            let (name, tags) = spelling::circonus(&expected, &cell);
            let key = (name + "_total", tags);
            let held =
                seen.get(&key).and_then(|v| v.last()).ok_or_else(|| format!("no {key:?}: {}", collectd.log()))?;
            if *held != cell.value {
                return Err(format!("{key:?} is {held}, must be {}", cell.value));
            }
        }
        let live = seen.get(&("web shop`crashes, all`errors`count__tx".to_owned(), BTreeMap::new()));
        let live = live.ok_or("no live values")?;
        let windows: Vec<_> =
            expected.cells(&expected.busy_windows()).into_iter().filter(|c| c.metric == "errors").collect();
        let known = |value: &&f64| **value == 0.0 || windows.iter().any(|c| c.value == **value);
        match live.iter().find(|value| !known(value)) {
            Some(odd) => Err(format!("{odd} was read and is the count of no window")),
            None => Ok(()),
        }
    });

    // Whoever has no login gets nothing that is JSON: a broker would take it for metrics, whatever the status.
    for answer in [http::get(&url).send(), http::get(&url).basic(login.0, "wrong").send()] {
        let answer = answer.expect("an answer");
        assert_eq!((answer.status, answer.body.len()), (401, 0), "{answer}");
        assert!(answer.header("www-authenticate").starts_with("Basic"), "{:?}", answer.headers);
    }
    world::no_errors_in_the_log(&tidegate);
}

#[test]
fn a_store_trusts_the_authority_in_its_settings_and_others_do_not() {
    let scratch = Scratch::new("tls-authorities");
    let (authority, other) = (Authority::new(&scratch, "own"), Authority::new(&scratch, "other"));
    let rules = HttpTrap::new("0b2f1f3e-5a0e-4a62-8f4c-1a2b3c4d5e6f", "canary_secret");
    let path = rules.path();
    let intake = Intake::with_tls(&authority, rules);
    let metrics = world::few_metrics();
    let tidegate = world::tidegate(&scratch).start();
    let store = |name: &str, authorities: Option<String>| {
        let mut settings = json!({"submission_url": format!("{}{path}", intake.url())});
        if let Some(authorities) = authorities {
            settings["authorities"] = authorities.into();
        }
        world::store(name, "circonus", 2, settings)
    };
    let stores = [
        store("trusting", Some(authority.root_text())),
        store("public", None),
        store("other", Some(other.root_text())),
    ];
    tidegate.apply(&world::document(&metrics, &stores));
    let events = tidegate.api().bulk_until_acknowledged(PROJECT, &Generator::new("tls-authorities").events(50));
    let expected = world::expected(&metrics, 2, &events);
    let right = |ends: &_| expected.points(ends, spelling::circonus);
    let errors = "web shop`crashes, all`errors`count__tx";
    world::compare_points("the broker", &expected, errors, || intake.points(), right, Points::difference);
    for distrustful in ["public", "other"] {
        let status = world::status_when(&tidegate, distrustful, "it says why", |s| s["problem"].is_string());
        let problem = status["problem"].as_str().unwrap_or_default().to_lowercase();
        assert!(problem.contains("certificate"), "{status}");
        assert_eq!(status["deliveries"]["confirmed"], 0, "{status}");
    }
}
