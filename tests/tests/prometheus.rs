//! A real Prometheus scrapes the secret URL, over a crash of the host, and holds nothing but what the oracle says.

use crate::world::{self, PATIENCE, PROJECT, window_end};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use tidegate_tests::generator::Generator;
use tidegate_tests::grammar::{PageForm, prometheus_client};
use tidegate_tests::http::{self, Answer};
use tidegate_tests::note;
use tidegate_tests::oracle::Expected;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::servers::{Prometheus, Pushgateway, Sample, promtool_check};
use tidegate_tests::tidegate::Tidegate;
use tidegate_tests::wait;

const PERIOD: u64 = 3;

type Page = BTreeMap<BTreeMap<String, String>, f64>;

#[test]
fn every_scrape_shows_one_window_and_the_totals_up_to_it_exactly() {
    let scratch = Scratch::new("prometheus");
    let metrics = world::metrics();
    let mut tidegate = world::tidegate(&scratch).start();
    tidegate.apply(&world::document(&metrics, &[world::store("scraped", "prometheus", PERIOD, json!({}))]));
    let prometheus = Prometheus::start(&scratch, &tidegate.address(), &pull_path(&tidegate));

    let mut generator = Generator::new("prometheus");
    let mut events = Vec::new();
    for round in 0..60 {
        let count = usize::try_from(generator.below(40)).unwrap_or(0) + 1;
        events.extend(tidegate.api().bulk_until_acknowledged(PROJECT, &generator.events(count)));
        if round == 30 {
            tidegate.kill();
            tidegate.restart();
        }
        std::thread::sleep(Duration::from_millis(250));
    }

    let expected = world::expected(&metrics, PERIOD, &events);
    let last = *expected.busy_windows().last().expect("events");
    let scrapes = wait::until("Prometheus scrapes a window after the last event", PATIENCE, || {
        let scrapes = by_scrape(prometheus.samples()?);
        let newest = scrapes.values().next_back().and_then(window_end);
        if newest > Some(last) {
            Ok(scrapes)
        } else {
            Err(format!("it has seen {newest:?}, {last} is the last one with events"))
        }
    });
    let windows = compare(&expected, &scrapes);
    note(&format!("{} scrapes of {windows} windows are right to the last value", scrapes.len()));
    assert!(windows >= 4, "only {windows} windows were scraped");
    assert_eq!(prometheus.target().expect("Prometheus answers"), ("up".to_owned(), String::new()));
    world::no_errors_in_the_log(&tidegate);
}

#[test]
fn the_page_is_clean_and_a_wrong_url_is_a_404_without_a_body() {
    let scratch = Scratch::new("pull");
    let metrics = world::metrics();
    let tidegate = world::tidegate(&scratch).start();
    tidegate.apply(&world::document(&metrics, &[world::store("scraped", "prometheus", 1, json!({}))]));
    let events = tidegate.api().bulk_until_acknowledged(PROJECT, &Generator::new("pull").events(500));
    let url = tidegate.url(&pull_path(&tidegate));
    let page = wait::until("the page shows the events", PATIENCE, || {
        let page = http::get(&url).send()?.ok()?;
        if page.text().contains(&format!("}} {}\n", events.len())) { Ok(page) } else { Err(page.to_string()) }
    });
    assert_eq!(page.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(promtool_check(&scratch, &page.body), "", "promtool finds faults in:\n{}", page.text());

    // A parser that others wrote reads the same values, each once.
    let samples = prometheus_client(&scratch, PageForm::Text, &page.body).expect("samples");
    let read: Page = samples.iter().cloned().collect();
    assert_eq!(read.len(), samples.len(), "a series is on the page twice");
    let end = window_end(&read).expect("the page tells its window");
    let right = world::expected(&metrics, 1, &events).prometheus(end);
    assert!(read == right, "{}", told(&read, &right));

    // As long as the right one, so that only the token itself can tell them apart.
    let (rest, end) = url.split_at(url.len() - 1);
    let wrong = if end == "A" { format!("{rest}B") } else { format!("{rest}A") };
    for wrong in
        [wrong.as_str(), &tidegate.url("/pull/x"), &tidegate.url("/pull/"), &format!("{url}/"), &format!("{url}/x")]
    {
        let answer = http::get(wrong).send().expect("an answer");
        assert_eq!((answer.status, answer.body.len()), (404, 0), "{wrong}: {answer}");
    }
    assert_eq!(http::get(&url).send_well().status, 200);

    // After a change of the URL the old one is as wrong as any other.
    let parts = ["projects", PROJECT, "stores", "scraped", "pull-token"];
    let rotated = tidegate.api().send("POST", &parts, None).and_then(Answer::ok).expect("the URL is changed").json();
    let answer = http::get(&url).send().expect("an answer");
    assert_eq!((answer.status, answer.body.len()), (404, 0), "{answer}");
    let new = tidegate.url(rotated["pull_path"].as_str().expect("a path"));
    assert!(!http::get(&new).send_well().body.is_empty());
}

#[test]
fn both_forms_of_the_page_say_the_same_to_every_parser_that_others_wrote() {
    let scratch = Scratch::new("forms");
    let metrics = world::metrics();
    let tidegate = world::tidegate(&scratch).start();
    let open = world::store("open", "prometheus", 1, json!({"openmetrics": true}));
    tidegate.apply(&world::document(&metrics, &[world::store("scraped", "prometheus", 1, json!({})), open]));
    let events = tidegate.api().bulk_until_acknowledged(PROJECT, &Generator::new("forms").events(300));
    let expected = world::expected(&metrics, 1, &events);
    let pushgateway = Pushgateway::start(&scratch);
    // What Prometheus 2.42 asks for.
    let accept = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                  text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    for (store, accept, form, content_type) in [
        ("scraped", accept, PageForm::Text, "text/plain; version=0.0.4; charset=utf-8"),
        ("open", "text/plain", PageForm::Text, "text/plain; version=0.0.4; charset=utf-8"),
        ("open", accept, PageForm::OpenMetrics, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    ] {
        let status = tidegate.api().store(PROJECT, store).expect("the store is there");
        let url = tidegate.url(status["status"]["pull_path"].as_str().expect("a path"));
        let page = wait::until("the page shows the events", PATIENCE, || {
            let page = http::get(&url).header("accept", accept).send()?.ok()?;
            if page.text().contains(&format!("}} {}\n", events.len())) { Ok(page) } else { Err(page.to_string()) }
        });
        assert_eq!(page.header("content-type"), content_type);
        let samples = prometheus_client(&scratch, form, &page.body).unwrap_or_else(|e| panic!("{e}:\n{}", page.text()));
        let read: Page = samples.iter().cloned().collect();
        assert_eq!(read.len(), samples.len(), "a series is on the page twice");
        let end = window_end(&read).expect("the page tells its window");
        let mut right = expected.prometheus(end);
        if store == "open" {
            right = right.into_iter().map(|(labels, value)| (beside_counter(labels), value)).collect();
        }
        assert!(read == right, "{store}, {form:?}: {}", told(&read, &right));
        if form == PageForm::Text {
            assert_eq!(promtool_check(&scratch, &page.body), "", "promtool finds faults in:\n{}", page.text());
            pushgateway.put(&page.body).unwrap_or_else(|e| panic!("the Pushgateway refuses it: {e}"));
        }
    }
}

/// A store that may give OpenMetrics calls a gauge `_window` that has a counter beside it.
fn beside_counter(mut labels: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let name = labels["__name__"].clone();
    let additive = name.contains("_count_") || name.contains("_sum_");
    if additive && !name.ends_with("_total") {
        labels.insert("__name__".to_owned(), format!("{name}_window"));
    }
    labels
}

fn pull_path(tidegate: &Tidegate) -> String {
    let store = tidegate.api().store(PROJECT, "scraped").expect("the store is there");
    store["status"]["pull_path"].as_str().unwrap_or_else(|| panic!("no pull path in {store}")).to_owned()
}

fn by_scrape(samples: Vec<Sample>) -> BTreeMap<u64, Page> {
    let mut scrapes: BTreeMap<u64, Page> = BTreeMap::new();
    for sample in samples {
        scrapes.entry(sample.scraped).or_default().insert(sample.labels, sample.value);
    }
    scrapes
}

/// Each scrape must be, as a whole, the page of the window that it names, and windows must not go back. Gives the number of
/// windows seen.
fn compare(expected: &Expected<'_>, scrapes: &BTreeMap<u64, Page>) -> usize {
    let mut seen = Vec::new();
    for (millis, page) in scrapes {
        let end =
            window_end(page).unwrap_or_else(|| panic!("the scrape at {millis} does not tell its window: {page:?}"));
        assert!(
            end.is_multiple_of(PERIOD) && end * 1000 <= *millis,
            "the scrape at {millis} shows a window that ends at {end}"
        );
        assert!(
            seen.last().is_none_or(|last| *last <= end),
            "after {seen:?} the scrape at {millis} shows the window {end}"
        );
        let right = expected.prometheus(end);
        assert!(
            *page == right,
            "the scrape at {millis} of the window that ended at {end} is wrong: {}",
            told(page, &right)
        );
        if seen.last() != Some(&end) {
            seen.push(end);
        }
    }
    seen.len()
}

fn told(page: &Page, right: &Page) -> String {
    let keys: std::collections::BTreeSet<_> = page.keys().chain(right.keys()).collect();
    let lines = keys.into_iter().filter(|k| page.get(*k) != right.get(*k));
    let lines: Vec<_> =
        lines.map(|k| format!("{k:?}: scraped {:?}, must be {:?}", page.get(k), right.get(k))).collect();
    format!("{} differences\n{}", lines.len(), lines[..lines.len().min(20)].join("\n"))
}
