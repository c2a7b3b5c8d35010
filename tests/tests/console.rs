//! The console in a real browser: the manual's story from the first start to a metric that arrives in a real Prometheus and a real
//! InfluxDB; the keyboard alone; every page, light and dark, narrow and wide.

use crate::world::{self, PATIENCE};
use serde_json::{Map, Value as Json, json};
use tidegate_tests::browser;
use tidegate_tests::guests;
use tidegate_tests::note;
use tidegate_tests::receiver::Receiver;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::servers::{Influxd, Prometheus, Target};
use tidegate_tests::tidegate::Tidegate;
use tidegate_tests::wait;

/// A text that must stay one wherever it comes from.
const EVIL: &str = r#"<b>bold</b><img src=x onerror="alert(1)">"#;
/// What the operator chooses.
pub(crate) const PASSWORD: &str = "the tide comes in twice a day";

/// The link that the first start prints, once.
fn setup_link(tidegate: &Tidegate) -> String {
    let log = wait::until("the link is printed", PATIENCE, || {
        let log = tidegate.log();
        if log.contains("/console/setup#") { Ok(log) } else { Err(log) }
    });
    let at = log.find("/console/setup#").expect("it was found a moment ago");
    let start = log[..at].rfind("http").expect("a URL");
    log[start..].chars().take_while(|c| !c.is_whitespace() && *c != '"' && *c != '\\').collect()
}

/// Sets the operator's password, as the link's page does.
pub(crate) fn set_password(tidegate: &Tidegate) {
    let link = setup_link(tidegate);
    let token = link.split_once('#').expect("a token").1;
    let body = json!({"token": token, "user": "admin", "password": PASSWORD});
    tidegate.api().send("POST", &["setup"], Some(&body)).and_then(|a| a.ok()).expect("the password is set");
}

fn without_faults(told: &Json) {
    let none = Vec::new();
    for list in ["faults", "found"] {
        let found = told[list].as_array().unwrap_or(&none);
        let shown: Vec<_> = found.iter().map(|f| f.as_str().unwrap_or_default()).collect();
        assert!(found.is_empty(), "{} faults:\n{}", shown.len(), shown.join("\n"));
    }
}

#[test]
fn the_manuals_story_ends_with_a_metric_in_prometheus_and_influxdb() {
    let scratch = Scratch::new("console-story");
    let influxd = Influxd::start(&scratch);
    let tidegate = world::tidegate(&scratch).start();
    let told = browser::story(
        &tidegate,
        "story",
        &json!({
            "link": setup_link(&tidegate), "password": PASSWORD,
            "influx": {"url": influxd.url(), "database": Influxd::DATABASE, "user": Influxd::USER, "password": Influxd::PASSWORD},
        }),
    );
    without_faults(&told);
    let url = told["url"].as_str().expect("a URL");
    let path = url.strip_prefix(&tidegate.url("")).unwrap_or_else(|| panic!("{url} is not this server's"));
    let login = (told["user"].as_str().expect("a user"), told["password"].as_str().expect("a password"));
    let address = tidegate.address();
    let target = Target { address: &address, path, login: Some(login), root: None };
    let prometheus = Prometheus::scraping(&scratch, &target);
    wait::until("Prometheus holds the metric that was made in the browser", PATIENCE, || {
        let samples = prometheus.samples()?;
        let crashes = samples.iter().find(|s| {
            let is = |label: &str, value: &str| s.labels.get(label).is_some_and(|v| v == value);
            is("__name__", "faults_count_tx_total") && is("error_type", "Crash") && s.value > 0.0
        });
        crashes.map(|_| ()).ok_or_else(|| format!("{} samples: {samples:?}", samples.len()))
    });
    let points = wait::until("InfluxDB holds it, too", PATIENCE, || {
        let points = influxd.points()?;
        let times = points.times("faults.count__tx");
        if times.is_empty() { Err("it holds none".to_owned()) } else { Ok(times.len()) }
    });
    note(&format!("InfluxDB holds {points} windows of the metric"));
    world::no_errors_in_the_log(&tidegate);
}

#[test]
fn the_console_is_used_with_the_keyboard_alone() {
    let scratch = Scratch::new("console-keyboard");
    let tidegate = world::tidegate(&scratch).start();
    set_password(&tidegate);
    fill(&tidegate);
    without_faults(&browser::story(&tidegate, "keyboard", &json!({"password": PASSWORD})));
}

#[test]
fn a_module_is_inspected_before_it_goes_live_compared_before_it_is_used_and_taken_back() {
    let scratch = Scratch::new("console-adapters");
    let receiver = Receiver::start(|_| (204, String::new()));
    let tidegate = world::tidegate(&scratch).start();
    set_password(&tidegate);
    let errors = json!({"name": "errors", "query": {"group": ["error.type"], "fold": {"_tx": [["count"]]}}});
    tidegate.apply(&json!({"projects": [{"name": "web", "metric_sets": [{"name": "crashes", "metrics": [errors]}]}]}));
    let components = guests::install(&["evolving-1", "evolving-2"], &scratch.folder("components"));
    // A stranger's text with markup in it, as long as the one in its place.
    let (plain, markup) = (b"Where to send to", b"<img src=x id=e>");
    let mut second = std::fs::read(&components[1]).expect("the component");
    let places: Vec<_> =
        second.windows(plain.len()).enumerate().filter(|(_, text)| text == plain).map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "the help text is in the component");
    places.into_iter().for_each(|at| second[at..at + plain.len()].copy_from_slice(markup));
    std::fs::write(&components[1], second).expect("written");
    let told = browser::story(
        &tidegate,
        "adapters",
        &json!({
            "password": PASSWORD, "one": components[0], "two": components[1], "url": receiver.url(), "token": tidegate.token(),
            "markup": String::from_utf8_lossy(markup),
        }),
    );
    without_faults(&told);
    assert!(!receiver.received().is_empty());
    world::no_errors_in_the_log(&tidegate);
}

#[test]
fn an_operator_makes_a_tenant_bounds_it_finds_that_in_the_log_and_looks_after_the_files() {
    let scratch = Scratch::new("console-host");
    let tidegate = world::tidegate(&scratch).start();
    set_password(&tidegate);
    fill(&tidegate);
    // Enough lines that what is looked for is on no first page.
    for round in 0..60 {
        let body = json!({"adapter": "prometheus", "period": 2 + round % 2, "metric_sets": ["crashes"]});
        let path = ["projects", "web", "stores", "page"];
        tidegate.api().send("PUT", &path, Some(&body)).and_then(|a| a.ok()).expect("the store is changed");
    }
    without_faults(&browser::story(&tidegate, "host", &json!({"password": PASSWORD, "token": tidegate.token()})));
}

#[test]
fn no_page_has_a_serious_fault_of_accessibility_or_lets_foreign_text_become_markup() {
    let scratch = Scratch::new("console-pages");
    let tidegate = world::tidegate(&scratch).start();
    set_password(&tidegate);
    fill(&tidegate);
    let query = "%7B%22group%22%3A%5B%22error.type%22%5D%2C%22fold%22%3A%7B%22guid%22%3A%5B%5B%22unique%22%5D%5D%7D%7D";
    let events = "%7B%22select%22%3A%5B%22timestamp%22%2C%22error.message%22%5D%7D";
    let pages = json!([
        ["projects", "/"],
        ["new-project", "/projects/new"],
        ["settings", "/p/web"],
        ["explore", "/p/web/explore?since=all"],
        ["groups", format!("/p/web/explore?since=all&q={query}")],
        ["bars", format!("/p/web/explore?since=all&view=bars&q={query}")],
        ["events", format!("/p/web/explore?since=all&q={events}")],
        ["nothing", "/p/web/explore?from=1&to=2"],
        ["event", "/p/web/events/1"],
        ["empty-project", "/p/bare/explore"],
        ["sets", "/p/web/metric-sets"],
        ["no-sets", "/p/bare/metric-sets"],
        ["set", "/p/web/metric-sets/crashes"],
        ["metric", "/p/web/metric-sets/crashes/errors"],
        ["stores", "/p/web/stores"],
        ["no-stores", "/p/bare/stores"],
        ["new-store", "/p/web/stores/new"],
        ["new-circonus", "/p/web/stores/new?adapter=circonus"],
        ["new-datadog", "/p/web/stores/new?adapter=datadog"],
        ["edit-store", "/p/web/stores/push/edit"],
        ["push", "/p/web/stores/push"],
        ["preview", "/p/web/stores/push?tab=preview"],
        ["test", "/p/web/stores/push?tab=test"],
        ["windows", "/p/web/stores/push?tab=history"],
        ["page", "/p/web/stores/page"],
        ["all-stores", "/stores"],
        ["adapters", "/adapters"],
        ["adapter", "/adapters/circonus"],
        ["users", "/users"],
        ["tokens", "/tokens"],
        ["audit", "/audit"],
        ["audit-of-stores", "/audit?kind=metric-store&find=prometheus"],
        ["ledger", "/ledger"],
        ["tenants", "/tenants"],
        ["new-tenant", "/tenants/new"],
        ["tenant", "/tenants/default"],
        ["account", "/account"],
        ["nowhere", "/nowhere"],
        ["no-project", "/p/gone"],
    ]);
    without_faults(&browser::story(&tidegate, "pages", &json!({"password": PASSWORD, "pages": pages})));
}

/// A project with events, a metric set, a store that is read and one that cannot send; another project with nothing.
fn fill(tidegate: &Tidegate) {
    let page = json!({"name": "page", "adapter": "prometheus", "period": 2, "metric_sets": ["crashes"], "settings": {"login": true}});
    let push = json!({"name": "push", "adapter": "influxdb", "period": 2, "metric_sets": ["crashes", "more"],
        "settings": {"version": "1", "url": "http://127.0.0.1:9", "database": "m", "user": "u", "password": "secret"}});
    let errors = json!({"name": "errors", "query": {"group": ["error.type"], "fold": {"_tx": [["count"]], "guid": [["unique"]]}}});
    let set = json!({"name": "crashes", "metrics": [errors]});
    let more = json!({"name": "more", "metrics": [{"name": "hangs", "query": {"fold": {"_tx": [["count"]]}}}]});
    tidegate.apply(&json!({"projects": [
        {"name": "web", "metric_sets": [set, more], "metric_stores": [page, push]}, {"name": "bare"},
    ]}));
    // A name that stands in lines of the log, too.
    let evil = ["projects", "web", "metric-sets", EVIL];
    tidegate.api().send("PUT", &evil, Some(&json!({}))).and_then(|a| a.ok()).expect("the set is made");
    let events: Vec<Map<String, Json>> = (0..60).map(event).collect();
    let taken = tidegate.api().bulk_until_acknowledged("web", &events);
    assert_eq!(taken.len(), events.len());
}

fn event(i: u32) -> Map<String, Json> {
    let members: [(&str, Json); 5] = [
        ("error.type", json!(if i.is_multiple_of(3) { "Hang" } else { "Crash" })),
        ("guid", json!(format!("u{}", i % 5))),
        ("error.message", json!("<b>bold</b><img src=x onerror=alert(1)>")),
        ("process.age", json!(i)),
        (EVIL, json!(EVIL)),
    ];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
