//! The whole page for a snapshot that has a bit of everything.

use prometheus::{Format, Prometheus};
use tidegate_adapter::testing::{BatchBuilder, MetricBuilder, PullStore, TestBatch};

fn snapshot() -> Vec<TestBatch> {
    let errors = MetricBuilder::new("errors", ["app.version", "error.type"])
        .measure("count", "_tx")
        .measure("unique", "guid")
        .row_with_totals(["1.2.0", "TypeError"], [120.0, 41.0], [1_204.0, 0.0])
        .row_with_totals(["1.2.0", "said \"no\"\n"], [3.0, 1.0], [3.0, 0.0])
        .row_with_totals(["", "C:\\temp\\"], [1.5, f64::NAN], [9_007_199_254_740_993.0, 0.0])
        .past_row(["1.1.0", "TypeError"], [77.0, 0.0]);
    let users = MetricBuilder::new("users", [""; 0])
        .measure("unique", "guid")
        .measure("mean", "uptime")
        .row([""; 0], [55.0, 0.1 + 0.2]);
    let balance = MetricBuilder::new("balance \"net\"", ["x"]).measure("sum", "delta");
    let balance = balance.row_with_totals(["up"], [2.0], [5.0]).row_with_totals(["down"], [-1.0], [-7.5]);
    let silent = MetricBuilder::new("silent", ["x"]).measure("max", "y").row(["a"], [f64::NAN]);
    let crashes = BatchBuilder::new("web", "crashes").metric(users).metric(errors).metric(balance).metric(silent);
    let others =
        MetricBuilder::new("errors", ["country"]).measure("count", "_tx").row_with_totals(["NZ"], [2.0], [8.0]);
    let by_country = BatchBuilder::new("web", "by country").metric(others).window(1_700_000_100, 60);
    vec![crashes.build(), by_country.build()]
}

fn matches_golden(name: &str, found: &str) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("TIDEGATE_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(found, expected, "{path}");
}

#[test]
fn the_page_is_as_the_golden_file_says() {
    let page = PullStore::<Prometheus>::new([]).render(&snapshot(), &[]).unwrap();
    assert_eq!(page.content_type, Format::Text.content_type());
    matches_golden("page.txt", page.text());
}

#[test]
fn help_can_be_turned_off_and_nothing_else_changes() {
    let with = PullStore::<Prometheus>::new([]).render(&snapshot(), &[]).unwrap();
    let without = PullStore::<Prometheus>::new([("help", "false")]).render(&snapshot(), &[]).unwrap();
    let expected: String = with.text().split_inclusive('\n').filter(|line| !line.starts_with("# HELP")).collect();
    assert_eq!(without.text(), expected);
}

/// What Prometheus 2.42 sends.
const ACCEPT: (&str, &str) = (
    "Accept",
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
);

#[test]
fn who_asks_for_openmetrics_gets_it_as_the_golden_file_says() {
    let store = PullStore::<Prometheus>::new([("openmetrics", "true")]);
    let page = store.render(&snapshot(), &[ACCEPT]).unwrap();
    assert_eq!(page.content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    matches_golden("openmetrics.txt", page.text());
}

#[test]
fn both_formats_have_the_same_lines_and_only_declare_them_differently() {
    let store = PullStore::<Prometheus>::new([("openmetrics", "true")]);
    let samples =
        |page: &str| page.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    let (text, open) = (store.render(&snapshot(), &[]).unwrap(), store.render(&snapshot(), &[ACCEPT]).unwrap());
    assert_eq!(text.content_type, Format::Text.content_type());
    assert_eq!(samples(text.text()), samples(open.text()));
}

#[test]
fn the_page_does_not_depend_on_the_order_of_the_metric_sets_or_on_the_scraper() {
    let store = PullStore::<Prometheus>::new([]);
    let mut turned = snapshot();
    turned.reverse();
    let page = store.render(&snapshot(), &[]).unwrap();
    assert_eq!(store.render(&turned, &[]).unwrap(), page);
    assert_eq!(store.render(&snapshot(), &[ACCEPT]).unwrap(), page, "OpenMetrics is off unless the setting is on");
}

#[test]
fn a_store_without_metric_sets_has_an_empty_page() {
    let page = PullStore::<Prometheus>::new([]).render(&[], &[]).unwrap();
    assert_eq!(page.text(), "");
    let page = PullStore::<Prometheus>::new([("openmetrics", "true")]).render(&[], &[ACCEPT]).unwrap();
    assert_eq!(page.text(), "# EOF\n");
}
