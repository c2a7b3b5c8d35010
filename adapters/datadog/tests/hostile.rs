//! Names and values made to break JSON or to meet in one series, read back by a JSON parser that is not ours.

mod common;

use proptest::prelude::*;
use std::collections::BTreeSet;
use tidegate_adapter::testing::{BatchBuilder, MetricBuilder, hostile_texts};

#[test]
fn of_rows_that_datadog_would_make_one_the_one_that_is_fine_stays_and_the_others_are_rejected_by_both_names() {
    let metric = MetricBuilder::new("m", ["country"]).measure("count", "_tx");
    let metric = ["NZ", "nz", "n z", "Nz", "n-z!"].into_iter().fold(metric, |metric, v| metric.row([v], [1.0]));
    let delivered = common::v2().deliver(&BatchBuilder::new("p", "s").metric(metric).build(), |_| common::accepted());
    let series = common::series(&delivered);
    let values: Vec<_> = series.iter().map(|series| series.tag("country").unwrap()).collect();
    assert_eq!(values, ["nz", "n_z", "n-z"]);
    let told = |text: &str| {
        format!("country=\"nz\" and country=\"{text}\" would be one series: Datadog knows no difference between them")
    };
    let rejected: Vec<_> = delivered.verdict.rejected().iter().map(|r| (r.rows.clone(), r.reason.clone())).collect();
    assert_eq!(rejected, [(vec![0], told("NZ")), (vec![3], told("Nz"))]);
}

#[test]
fn rows_that_datadog_would_make_one_are_found_whichever_halves_of_a_window_they_are_in() {
    let metric = MetricBuilder::new("m", ["country", "os"]).measure("count", "_tx");
    let rows = [["NZ", "a"], ["at", "a"], ["nz", "b"], ["Nz", "a"], ["nz", "a"], ["AT", "b"]];
    let metric = rows.into_iter().fold(metric, |metric, row| metric.row(row, [1.0]));
    let other = MetricBuilder::new("n", ["x"]).measure("count", "_tx").row(["NZ"], [2.0]).row(["nz"], [f64::NAN]);
    let batch = BatchBuilder::new("p", "s").metric(metric).metric(other).build();
    // What stays of the rows of the first metric: all but those that become `nz` with `a`, of which one does.
    for cut in 0..=6 {
        let halves = [batch.part(&[0..cut, 0..0]), batch.part(&[cut..6, 0..2])];
        let delivered = halves.map(|half| common::v2().deliver(&half, |_| common::accepted()));
        let arrived: usize = delivered.iter().map(|half| common::series(half).len()).sum();
        let different: BTreeSet<_> = delivered.iter().flat_map(|half| common::stored(half).into_keys()).collect();
        assert_eq!((arrived, different.len()), (5, 5), "cut at {cut}");
        let rejected: Vec<_> = [0, cut]
            .into_iter()
            .zip(&delivered)
            .flat_map(|(first, half)| {
                let each =
                    half.verdict.rejected().iter().flat_map(|r| r.rows.iter().map(|row| (row, r.reason.as_str())));
                each.map(move |(row, reason)| (first + row, reason.to_owned()))
            })
            .collect();
        let told = |text: &str| {
            format!(
                "country=\"nz\" and country=\"{text}\" would be one series: Datadog knows no difference between them"
            )
        };
        assert_eq!(rejected, [(0, told("NZ")), (3, told("Nz"))], "cut at {cut}");
    }
}

#[test]
fn a_value_is_called_the_same_in_every_window_whatever_else_occurs_in_it() {
    let called = |others: &[&str]| {
        let metric = MetricBuilder::new("m", ["country"]).measure("count", "_tx");
        let metric = others.iter().fold(metric, |metric, v| metric.row([v], [1.0])).row(["N Z"], [2.0]);
        let batch = BatchBuilder::new("p", "s").metric(metric).build();
        let series = common::series(&common::v2().deliver(&batch, |_| common::accepted()));
        series.into_iter().filter(|s| s.value == 2.0).map(|s| s.tag("country").unwrap().to_owned()).next()
    };
    assert_eq!(called(&[]).as_deref(), Some("n_z"));
    assert_eq!(called(&["a", "nz", "N-Z"]).as_deref(), Some("n_z"));
    assert_eq!(called(&["n_z"]), None, "rejected, and not sent under another name");
}

#[test]
fn rows_that_differ_in_another_tag_are_two_series_and_both_arrive() {
    let metric = MetricBuilder::new("m", ["country", "os"]).measure("count", "_tx");
    let metric = metric.row(["NZ", "a"], [1.0]).row(["nz", "b"], [2.0]).row(["Nz", "B"], [4.0]).row(["", "B"], [8.0]);
    let delivered = common::v2().deliver(&BatchBuilder::new("p", "s").metric(metric).build(), |_| common::accepted());
    let arrived: Vec<_> = common::series(&delivered).iter().map(|s| s.value).collect();
    assert_eq!(arrived, [1.0, 2.0, 8.0]);
    assert_eq!(delivered.verdict.rejected()[0].rows, [2]);
}

#[test]
fn keys_that_datadog_would_make_one_or_that_are_taken_get_a_number() {
    let dimensions = ["App", "app", "project", "metric_set", "host", "env", "a:b", "a_b", "_tx"];
    let metric = MetricBuilder::new("m", dimensions).measure("count", "_tx").row(vec!["x"; 9], [1.0]);
    let batch = BatchBuilder::new("p", "s").metric(metric).build();
    let settings = [("api_key", "k"), ("host", "h"), ("tags", "Env:Prod, bare,env:prod")];
    let store = tidegate_adapter::testing::PushStore::<datadog::Datadog>::new(settings);
    let series = common::series(&store.deliver(&batch, |_| common::accepted()));
    let tags = [
        "metric_set:s",
        "project:p",
        "bare",
        "env:prod",
        "app:x",
        "app_2:x",
        "project_2:x",
        "metric_set_2:x",
        "host_2:x",
        "env_2:x",
        "a_b:x",
        "a_b_2:x",
        "tx:x",
    ];
    assert_eq!(series[0].tags, tags);
}

#[test]
fn metrics_that_datadog_would_make_one_stay_two() {
    let metric = |name: &str| MetricBuilder::new(name, [""; 0]).measure("max", "x").row([""; 0], [1.0]);
    let batch = ["a b", "a-b", "a_b"].into_iter().fold(BatchBuilder::new("p", "s"), |batch, m| batch.metric(metric(m)));
    let delivered = common::v2().deliver(&batch.build(), |_| common::accepted());
    let names: Vec<_> = common::series(&delivered).into_iter().map(|series| series.metric).collect();
    assert_eq!(names, ["tidegate.a_b.max.x_2", "tidegate.a_b.max.x_3", "tidegate.a_b.max.x"]);
}

#[test]
fn a_measure_that_is_asked_for_twice_is_two_metrics() {
    let metric = MetricBuilder::new("m", [""; 0]).measure("max", "x").measure("max", "x").row([""; 0], [1.0, 1.0]);
    let delivered = common::v2().deliver(&BatchBuilder::new("p", "s").metric(metric).build(), |_| common::accepted());
    let names: Vec<_> = common::series(&delivered).into_iter().map(|series| series.metric).collect();
    assert_eq!(names, ["tidegate.m.max.x", "tidegate.m.max.x_2"]);
}

#[test]
fn numbers_arrive_as_they_are() {
    let values = [0.0, -0.5, 1e300, -5e-324, 9_007_199_254_740_993.0, f64::MAX, 1e21, 0.1 + 0.2];
    let metric = MetricBuilder::new("m", ["n"]).measure("max", "x");
    let metric = values.iter().enumerate().fold(metric, |metric, (n, v)| metric.row([n.to_string()], [*v]));
    let delivered = common::v2().deliver(&BatchBuilder::new("p", "s").metric(metric).build(), |_| common::accepted());
    let found: Vec<f64> = common::series(&delivered).iter().map(|series| series.value).collect();
    assert_eq!(found, values);
}

#[test]
fn hostile_texts_in_every_place_arrive_apart_or_are_rejected_and_stay_within_the_rules() {
    let texts = hostile_texts();
    let named: Vec<&String> = texts.iter().filter(|text| !text.is_empty()).collect();
    let mut batch = BatchBuilder::new("p", "s");
    for name in &named {
        let metric = MetricBuilder::new(name, [name.as_str()]).measure("max", name);
        batch = batch.metric(texts.iter().fold(metric, |metric, text| metric.row([text], [1.0])));
    }
    let expected = named.len() * texts.len();
    let delivered = common::v2().deliver(&batch.build(), |_| common::accepted());
    let series = common::series(&delivered);
    assert_eq!(series.len() + common::rejected(&delivered), expected);
    assert_eq!(common::stored(&delivered).len(), series.len(), "two series became one");
    assert!(series.iter().all(|s| is_legal_name(&s.metric) && s.tags.iter().all(|tag| is_legal_tag(tag))));
}

/// Texts that lean towards what hurts.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-cA-C ,=\\\\\"#_.:/;|-]{0,6}",
        1 => "[a-c\n\r\t\u{0}\u{7f}\u{85}\u{2028}]{0,6}",
        1 => "\\PC{0,8}",
        1 => "[ab]{190,210}",
        1 => Just("x".repeat(10_000)),
    ]
}

fn is_legal_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.len() <= 200
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
}

fn is_legal_tag(tag: &str) -> bool {
    let (key, value) = tag.split_once(':').unwrap();
    !key.is_empty()
        && !value.is_empty()
        && tag.starts_with(char::is_alphabetic)
        && !tag.ends_with(':')
        && tag.chars().count() <= 200
        && tag.chars().all(|c| c.is_alphanumeric() || "_-:./".contains(c))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_row_is_one_series_of_its_own_with_legal_names_and_tags_or_is_rejected(
        metrics in proptest::collection::btree_set(hostile(), 1..3),
        attributes in proptest::collection::vec(hostile(), 1..3),
        dimensions in proptest::collection::btree_set(hostile(), 0..4),
        rows in proptest::collection::btree_set(proptest::collection::vec(hostile(), 4), 1..6),
        value in any::<f64>(),
        v1 in any::<bool>(),
    ) {
        let value = if value.is_finite() { value } else { 0.5 };
        let rows: BTreeSet<_> = rows.iter().map(|row| row[..dimensions.len()].to_vec()).collect();
        let mut batch = BatchBuilder::new("p\"\\", "s\u{0}");
        for name in &metrics {
            let metric = attributes.iter().fold(MetricBuilder::new(name, &dimensions), |m, a| m.measure("sum", a));
            batch = batch.metric(rows.iter().fold(metric, |m, row| m.row(row, attributes.iter().map(|_| value))));
        }
        let store = if v1 { common::v1() } else { common::v2() };
        let delivered = store.deliver(&batch.build(), |_| common::accepted());
        let series = common::series(&delivered);
        let rejected = common::rejected(&delivered) * attributes.len();
        prop_assert_eq!(series.len() + rejected, metrics.len() * attributes.len() * rows.len());
        prop_assert_eq!(common::stored(&delivered).len(), series.len(), "two series became one");
        for series in &series {
            prop_assert!(is_legal_name(&series.metric), "{:?}", series.metric);
            prop_assert!(series.tags.iter().all(|tag| is_legal_tag(tag)), "{:?}", series.tags);
            prop_assert_eq!(series.value, value);
        }
    }
}
