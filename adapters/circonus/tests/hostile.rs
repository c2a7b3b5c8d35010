//! Names and values made to break JSON, names or tags, read back by a JSON parser and a flattener that are not the writer's.

mod common;

use common::Kept;
use proptest::prelude::*;
use std::collections::BTreeSet;
use tidegate_adapter::testing::{BatchBuilder, MetricBuilder, hostile_texts};

fn one(metric: &str, dimension: &str, value: &str) -> Kept {
    let metric = MetricBuilder::new(metric, [dimension]).measure("count", "_tx").row([value], [1.0]);
    let batch = BatchBuilder::new("p", "s").metric(metric).build();
    let mut found = common::all(&common::delivered(&common::push(), &batch));
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[test]
fn values_arrive_as_they_were_or_visibly_changed_where_the_broker_could_not_keep_them() {
    let same = [
        "plain",
        "a b",
        "a,b",
        "a:b=c",
        "[x]",
        "|ST[a:b]",
        "back\\slash\\",
        "said \"no\"",
        "β 🌊",
        "b",
        "~",
        "(1+2)",
        "|MT{x}",
    ];
    for value in same {
        assert_eq!(one("m", "d", value).tags["d"], value);
    }
    let changed = [("two\nlines", "two_lines"), ("nul\0", "nul_"), ("b\"Zm9v\"", "b'Zm9v\""), ("a\u{1f}b", "a_b")];
    for (value, expected) in changed {
        assert_eq!(one("m", "d", value).tags["d"], expected);
    }
    assert!(one("m", "d", "").tags.is_empty());
}

#[test]
fn names_are_printable_and_cannot_begin_the_tags_or_another_level() {
    let table = [
        ("all errors", "p`s`all errors`count__tx"),
        ("größe", "p`s`gr__e`count__tx"),
        ("a|ST[b:c]", "p`s`a_ST[b:c]`count__tx"),
        ("a`b", "p`s`a_b`count__tx"),
        ("say \"x\\y\"", "p`s`say \"x\\y\"`count__tx"),
    ];
    for (metric, expected) in table {
        assert_eq!(one(metric, "d", "x").name, expected);
    }
}

#[test]
fn metrics_and_categories_that_would_become_one_stay_two() {
    let metric = |name: &str| MetricBuilder::new(name, [""; 0]).measure("max", "x").row([""; 0], [1.0]);
    let batch = ["a`b", "a|b", "a_b"].into_iter().fold(BatchBuilder::new("p", "s"), |batch, m| batch.metric(metric(m)));
    let found = common::all(&common::delivered(&common::push(), &batch.build()));
    let names: BTreeSet<_> = found.iter().map(|kept| kept.name.as_str()).collect();
    assert_eq!(names, ["p`s`a_b`max_x", "p`s`a_b`max_x_2", "p`s`a_b`max_x_3"].into());
    let metric = MetricBuilder::new("m", ["a\n", "a\r", "a_", ""]).measure("max", "x").row(["1", "2", "3", "4"], [1.0]);
    let found = common::all(&common::delivered(&common::push(), &BatchBuilder::new("p", "s").metric(metric).build()));
    let tags: Vec<_> = found[0].tags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(tags, [("a_", "1"), ("a__2", "2"), ("a__3", "3"), ("unnamed", "4")]);
}

#[test]
fn keys_that_mean_something_to_the_broker_are_not_given_to_metrics() {
    let settings = [common::URL, ("name", "{metric}{aggregate}{attribute}")];
    let store = tidegate_adapter::testing::PushStore::<circonus::Circonus>::new(settings);
    for name in ["services", "duration", "_value", "_type", "_ts", "_tags", "_fl"] {
        let metric = MetricBuilder::new(name, [""; 0]).measure("", "").row([""; 0], [1.0]);
        let delivered = common::delivered(&store, &BatchBuilder::new("p", "s").metric(metric).build());
        assert_eq!(common::all(&delivered)[0].name, format!("{name}_2"));
    }
    let bare =
        tidegate_adapter::testing::PullStore::<circonus::Circonus>::new([("name", "{metric}{aggregate}{attribute}")]);
    let own = MetricBuilder::new("tidegate", [""; 0]).measure("`metric", "_sets").row([""; 0], [9.0]);
    let page = bare.render(&[BatchBuilder::new("p", "s").metric(own).build()], &[]).unwrap();
    let found = common::read(page.text());
    assert_eq!(found.iter().find(|kept| kept.name == "tidegate`metric_sets").unwrap().value, 1.0);
}

#[test]
fn numbers_arrive_as_they_are() {
    let values = [0.0, -0.5, 1e300, -5e-324, 9_007_199_254_740_993.0, f64::MAX, 1e21, 0.1 + 0.2];
    let metric = MetricBuilder::new("m", ["n"]).measure("max", "x");
    let metric = values.iter().enumerate().fold(metric, |metric, (n, v)| metric.row([n.to_string()], [*v]));
    let found = common::all(&common::delivered(&common::push(), &BatchBuilder::new("p", "s").metric(metric).build()));
    assert_eq!(found.iter().map(|kept| kept.value).collect::<Vec<_>>(), values);
    assert!(found.iter().all(|kept| kept.stamp == Some(1_700_000_040_000)));
}

#[test]
fn hostile_texts_in_every_place_stay_apart_and_within_the_rules() {
    let texts = hostile_texts();
    let named: Vec<&String> = texts.iter().filter(|text| !text.is_empty()).collect();
    let mut batch = BatchBuilder::new("p", "s");
    for name in &named {
        let metric = MetricBuilder::new(name, [name.as_str()]).measure("max", name);
        batch = batch.metric(texts.iter().fold(metric, |metric, text| metric.row([text], [1.0])));
    }
    let expected = named.len() * texts.len();
    let batch = batch.build();
    let delivered = common::delivered(&common::push(), &batch);
    let refused: usize = delivered.verdict.rejected().iter().map(|r| r.rows.len()).sum();
    let found = common::all(&delivered);
    assert_eq!(found.len(), expected - refused);
    // A name of 10 kB is longer than a whole name may be, so its metric is refused; nothing else is.
    assert_eq!(refused, 2 * texts.len());
    let different: BTreeSet<_> = found.iter().map(|kept| (&kept.name, &kept.tags)).collect();
    assert_eq!(different.len(), found.len(), "two series became one");
    let page = common::pull().render(&[batch], &[]).unwrap();
    let left_out = common::read(page.text()).into_iter().find(|kept| kept.name == "tidegate`left_out").unwrap();
    assert_eq!(left_out.value, refused as f64);
}

/// Texts that lean towards what hurts.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-cA-C ,=\\\\\"#_.:/;|`\\[\\]b-]{0,6}",
        1 => "[a-c\n\r\t\u{0}\u{1f}\u{7f}\u{85}\u{2028}]{0,6}",
        1 => "\\PC{0,8}",
        1 => "[a ]{180,260}",
        1 => Just("x".repeat(10_000)),
    ]
}

/// What a tag can hold as it is.
fn is_kept(text: &str) -> bool {
    text.len() <= 90 && !text.chars().any(char::is_control) && !text.starts_with("b\"")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_value_is_one_member_of_its_own_with_the_tags_of_its_row_in_both_documents(
        metrics in proptest::collection::btree_set(hostile(), 1..3),
        attributes in proptest::collection::vec(hostile(), 1..3),
        dimensions in proptest::collection::btree_set(hostile(), 0..4),
        rows in proptest::collection::btree_set(proptest::collection::vec(hostile(), 4), 1..6),
        value in any::<f64>(),
    ) {
        let value = if value.is_finite() { value } else { 0.5 };
        let rows: BTreeSet<_> = rows.iter().map(|row| row[..dimensions.len()].to_vec()).collect();
        let mut batch = BatchBuilder::new("p\"\\", "s|ST[");
        for name in &metrics {
            let metric = attributes.iter().fold(MetricBuilder::new(name, &dimensions), |m, a| m.measure("max", a));
            batch = batch.metric(rows.iter().fold(metric, |m, row| m.row(row, attributes.iter().map(|_| value))));
        }
        let batch = batch.build();
        let delivered = common::delivered(&common::push(), &batch);
        let refused: usize = delivered.verdict.rejected().iter().map(|r| r.rows.len()).sum();
        let pushed = common::all(&delivered);
        prop_assert_eq!(pushed.len(), (metrics.len() * rows.len() - refused) * attributes.len());
        let page = common::pull().render(std::slice::from_ref(&batch), &[]).unwrap();
        let polled: Vec<_> = common::read(page.text()).into_iter().filter(|k| !k.name.starts_with("tidegate`")).collect();
        prop_assert_eq!(pushed.len(), polled.len());
        for (pushed, polled) in pushed.iter().zip(&polled) {
            prop_assert_eq!((&pushed.name, &pushed.tags, pushed.value), (&polled.name, &polled.tags, value));
        }
        if refused == 0 && dimensions.iter().all(|d| is_kept(d)) {
            let shown: BTreeSet<_> = pushed.iter().flat_map(|kept| kept.tags.values()).collect();
            for text in rows.iter().flatten().filter(|text| is_kept(text) && !text.is_empty()) {
                prop_assert!(shown.contains(text), "{text:?} is not there");
            }
        }
    }
}
