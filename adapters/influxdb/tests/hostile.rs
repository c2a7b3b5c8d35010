//! Names and values made to break line protocol, read back by InfluxData's own parser.

mod common;

use influxdb_line_protocol::{FieldValue, ParsedLine, parse_lines};
use proptest::prelude::*;
use std::collections::BTreeSet;
use tidegate_adapter::testing::{BatchBuilder, MetricBuilder, TestBatch};

/// One line as the foreign parser reads it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    measurement: String,
    tags: Vec<(String, String)>,
    fields: Vec<(String, u64)>,
    stamp: i64,
}

fn read(line: &ParsedLine<'_>) -> Line {
    let tags = line.series.tag_set.iter().flatten().map(|(k, v)| (k.to_string(), v.to_string()));
    let fields = line.field_set.iter().map(|(k, v)| match v {
        FieldValue::F64(value) => (k.to_string(), value.to_bits()),
        other => panic!("field {k} is not a float: {other:?}"),
    });
    let measurement = line.series.measurement.to_string();
    Line { measurement, tags: tags.collect(), fields: fields.collect(), stamp: line.timestamp.unwrap() }
}

/// All lines that a batch becomes.
fn lines(batch: &TestBatch) -> Vec<Line> {
    let body = common::body(&common::one().encode(batch));
    let read: Vec<_> = parse_lines(&body).map(|line| read(&line.unwrap_or_else(|e| panic!("{e}: {body:?}")))).collect();
    assert_eq!(read.len(), body.lines().count(), "a line was taken for something else: {body:?}");
    for line in &read {
        let keys: Vec<_> = line.tags.iter().map(|(key, _)| key).collect();
        // To this parser two backslashes are one, so it may see another order than InfluxDB does.
        let known = keys.iter().all(|key| !key.contains('\\'));
        let sorted = keys.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(sorted || !known, "tags are sorted and none is there twice: {line:?}");
    }
    read
}

fn one_row(metric: &str, dimension: &str, value: &str) -> Line {
    let metric = MetricBuilder::new(metric, [dimension]).measure("count", "_tx").row([value], [1.0]);
    let mut lines = lines(&BatchBuilder::new("p", "s").metric(metric).build());
    assert_eq!(lines.len(), 1);
    lines.remove(0)
}

fn tag(line: &Line, key: &str) -> Option<String> {
    line.tags.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone())
}

#[test]
fn values_arrive_as_they_were_or_visibly_changed_where_the_format_cannot_spell_them() {
    let table = [
        ("plain", "plain"),
        ("a b", "a b"),
        ("a,b", "a,b"),
        ("a=b", "a=b"),
        ("a\"b'c", "a\"b'c"),
        ("back\\slash", "back\\slash"),
        ("a\\,b", "a\\_,b"),
        ("a\\ b=c\\=", "a\\_ b=c\\_="),
        ("ends\\", "ends\\_"),
        ("\\", "\\_"),
        ("two\nlines", "two\\nlines"),
        ("x\nevil,a=b v=1 1", "x\\nevil,a=b v=1 1"),
        ("cr\rlf\r\n", "cr\\rlf\\r\\n"),
        ("tab\t", "tab\\t"),
        ("C:\\\tx", "C:\\_\\tx"),
        ("nul\0", "nul\\x00"),
        ("next line\u{85}", "next line\\x85"),
        ("βeta 🌊", "βeta 🌊"),
        ("#hash", "#hash"),
        (" ", " "),
        (",", ","),
        ("=", "="),
    ];
    for (value, expected) in table {
        let line = one_row("m", "d", value);
        assert_eq!(tag(&line, "d").as_deref(), Some(expected), "{value:?}");
    }
}

#[test]
fn a_doubled_backslash_is_written_as_it_is_since_it_has_no_meaning_to_the_server() {
    let metric = MetricBuilder::new("m", ["d"]).measure("count", "_tx").row(["\\\\host\\share\\\\"], [1.0]);
    let body = common::body(&common::one().encode(&BatchBuilder::new("p", "s").metric(metric).build()));
    assert_eq!(body, "m,d=\\\\host\\share\\\\_,metric_set=s,project=p count__tx=1 1700000040\n");
}

#[test]
fn an_empty_value_is_left_out() {
    let line = one_row("m", "d", "");
    assert_eq!(line.tags, [("metric_set".into(), "s".into()), ("project".into(), "p".into())]);
}

#[test]
fn measurements_never_begin_with_what_the_server_keeps_for_itself() {
    let table = [
        ("errors", "errors"),
        ("all errors", "all errors"),
        ("a,b=c", "a,b=c"),
        ("#comment", "m#comment"),
        ("_internal", "m_internal"),
        ("dir\\", "dir\\_"),
    ];
    for (metric, expected) in table {
        assert_eq!(one_row(metric, "d", "x").measurement, expected);
    }
}

#[test]
fn measurements_that_would_become_one_stay_two() {
    let metric = |name: &str| MetricBuilder::new(name, [""; 0]).measure("count", "_tx").row([""; 0], [1.0]);
    let batch = BatchBuilder::new("p", "s").metric(metric("_a")).metric(metric("m_a")).build();
    let names: Vec<_> = lines(&batch).into_iter().map(|line| line.measurement).collect();
    assert_eq!(names, ["m_a_2", "m_a"]);
}

#[test]
fn tag_keys_that_are_reserved_or_taken_get_a_number() {
    let table = [
        ("time", "time_2"),
        ("_field", "_field_2"),
        ("_measurement", "_measurement_2"),
        ("project", "project_2"),
        ("metric_set", "metric_set_2"),
        ("a b,c=d", "a b,c=d"),
        ("a\\", "a\\_"),
        ("a\nb", "a\\nb"),
    ];
    for (dimension, expected) in table {
        assert_eq!(tag(&one_row("m", dimension, "x"), expected).as_deref(), Some("x"), "{dimension:?}");
    }
}

#[test]
fn fields_that_would_become_one_stay_two() {
    let metric = MetricBuilder::new("m", [""; 0]).measure("max", "a\n").measure("max", "a\\n").row([""; 0], [1.0, 2.0]);
    let line = &lines(&BatchBuilder::new("p", "s").metric(metric).build())[0];
    let names: Vec<_> = line.fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["max_a\\n", "max_a\\n_2"]);
}

#[test]
fn a_field_that_ends_in_a_backslash_does_not_swallow_its_value() {
    let metric = MetricBuilder::new("m", [""; 0]).measure("last", "dir\\").row([""; 0], [7.0]);
    let line = &lines(&BatchBuilder::new("p", "s").metric(metric).build())[0];
    assert_eq!(line.fields, [("last_dir\\_".to_owned(), 7.0_f64.to_bits())]);
}

/// Texts that lean towards what hurts.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-c ,=\\\\\"#_]{0,6}",
        1 => "[a-c\\\\ ,=\n\r\t\u{0}\u{7f}\u{85}]{0,6}",
        1 => "\\PC{0,8}",
    ]
}

/// What the format can spell as it is, and this parser reads as it is (to it, two backslashes are one).
fn is_plain(text: &str) -> bool {
    let swallows = text.ends_with('\\') || ["\\ ", "\\,", "\\=", "\\\\"].iter().any(|pair| text.contains(pair));
    !swallows && !text.contains(char::is_control)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_row_is_one_line_that_reads_back_as_its_series_and_values(
        metric in hostile().prop_filter("names are not empty", |name| !name.is_empty()),
        attribute in hostile(),
        dimensions in proptest::collection::vec(hostile().prop_filter("named", |name| !name.is_empty()), 0..4),
        seeds in proptest::collection::vec((proptest::collection::vec(hostile(), 4), any::<f64>(), any::<f64>()), 1..8),
    ) {
        let mut rows = BTreeSet::new();
        let mut builder = MetricBuilder::new(&metric, &dimensions).measure("count", &attribute).measure("sum", "x");
        let mut expected = Vec::new();
        for (labels, a, b) in &seeds {
            let labels = &labels[..dimensions.len()];
            let value = |v: f64| if v.is_infinite() { f64::NAN } else { v };
            let (a, b) = (value(*a), value(*b));
            // Rows of a metric have different labels.
            if !rows.insert(labels.to_vec()) {
                continue;
            }
            builder = builder.row(labels, [a, b]);
            if !a.is_nan() || !b.is_nan() {
                expected.push((labels.to_vec(), a, b));
            }
        }
        let batch = BatchBuilder::new("p", "s").metric(builder).build();
        let lines = lines(&batch);
        prop_assert_eq!(lines.len(), expected.len());
        let body = common::body(&common::one().encode(&batch));
        let keys: BTreeSet<_> = body.lines().map(|line| line.split(" count_").next()).collect();
        prop_assert_eq!(keys.len(), lines.len(), "two rows became one series");
        for (line, (labels, a, b)) in lines.iter().zip(&expected) {
            if is_plain(&metric) && !metric.starts_with(['#', '_']) {
                prop_assert_eq!(&line.measurement, &metric);
            }
            for (value, label) in labels.iter().zip(&dimensions) {
                let alone = dimensions.iter().filter(|other| *other == label).count() == 1;
                if is_plain(value) && is_plain(label) && alone && dimensions.iter().all(|d| is_plain(d)) {
                    let expected = Some(value.clone()).filter(|value| !value.is_empty());
                    prop_assert_eq!(tag(line, label), expected);
                }
            }
            let values: Vec<_> = [*a, *b].into_iter().filter(|v| !v.is_nan()).map(|v| if v == 0.0 { 0.0 } else { v }).collect();
            let found: Vec<_> = line.fields.iter().map(|(_, bits)| f64::from_bits(*bits)).collect();
            prop_assert_eq!(found, values);
            prop_assert_eq!(line.stamp, 1_700_000_040);
        }
    }
}
