//! What must come out, counted by brute force from what was sent.
//!
//! Each metric is worked out for each window by walking over the events of that window, with no index, no dictionary and no
//! sharing. The windows follow from the arrival times that the host acknowledged. Numbers in the tests' events are multiples of
//! a quarter below 2^40, so that sums are exact in any order and equality can be asked for bit by bit.

use crate::points::{Point, Points};
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// An event that the host acknowledged.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    /// What was sent.
    pub attributes: Map<String, Json>,
    /// The acknowledged arrival, in microseconds since the epoch.
    pub arrival: u64,
}

/// One condition of a metric.
#[derive(Debug, Clone)]
pub struct Condition {
    /// The attribute.
    pub attribute: &'static str,
    /// `equal`, `not-equal`, `at-least`, `contains` or `is-set`: those that the tests use.
    pub operator: &'static str,
    /// What to compare with.
    pub operand: Json,
}

/// A metric as the tests define it.
#[derive(Debug, Clone)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// All of these must hold.
    pub filter: Vec<Condition>,
    /// The attributes to group by.
    pub group: Vec<&'static str>,
    /// Attribute and aggregate.
    pub fold: Vec<(&'static str, &'static str)>,
}

/// The family by which the page says which window it shows.
pub const WINDOW_END: &str = "tidegate_window_end_timestamp_seconds";

/// A name and tags, as a sink has them.
pub type Spelled = (String, BTreeMap<String, String>);

/// One value: of a metric's aggregate, for one group, in one window.
#[derive(Debug, Clone)]
pub struct Cell<'t> {
    /// The metric's name.
    pub metric: &'t str,
    /// The aggregate.
    pub aggregate: &'t str,
    /// The attribute that is aggregated.
    pub attribute: &'t str,
    /// The attributes of the group with their values, an empty one where the events have none.
    pub dimensions: Vec<(&'t str, String)>,
    /// When the window ends, in Unix seconds.
    pub end: u64,
    /// The value.
    pub value: f64,
}

/// One group of a metric over some events: the values of its group, and one value per aggregate if it has one.
type Row = (Vec<String>, Vec<Option<f64>>);

impl Metric {
    /// A metric without a filter.
    #[must_use]
    pub fn new(name: &'static str, group: &[&'static str], fold: &[(&'static str, &'static str)]) -> Self {
        Self { name, filter: Vec::new(), group: group.to_vec(), fold: fold.to_vec() }
    }

    /// With one more condition.
    #[must_use]
    pub fn only(mut self, attribute: &'static str, operator: &'static str, operand: impl Into<Json>) -> Self {
        self.filter.push(Condition { attribute, operator, operand: operand.into() });
        self
    }

    /// The query in the JSON form that the host takes.
    #[must_use]
    pub fn query(&self) -> Json {
        let mut fold: BTreeMap<&str, Vec<Json>> = BTreeMap::new();
        for (attribute, aggregate) in &self.fold {
            fold.entry(attribute).or_default().push(json!([aggregate]));
        }
        let mut filter: BTreeMap<&str, Vec<Json>> = BTreeMap::new();
        for c in &self.filter {
            let condition = if c.operand.is_null() { json!([c.operator]) } else { json!([c.operator, c.operand]) };
            filter.entry(c.attribute).or_default().push(condition);
        }
        let mut query = json!({"fold": fold});
        if !filter.is_empty() {
            query["filter"] = json!([filter]);
        }
        if !self.group.is_empty() {
            query["group"] = json!(self.group);
        }
        query
    }

    /// The rows over `events`, which are in the order of their arrival.
    fn rows(&self, events: &[&Acknowledged]) -> Vec<Row> {
        let mut groups: BTreeMap<Vec<String>, Vec<&Acknowledged>> = BTreeMap::new();
        if self.group.is_empty() {
            groups.insert(Vec::new(), Vec::new());
        }
        for event in events.iter().filter(|e| self.filter.iter().all(|c| holds(c, e))) {
            let key = self.group.iter().map(|g| event.attributes.get(*g).map(text).unwrap_or_default()).collect();
            groups.entry(key).or_default().push(event);
        }
        let values = |events: Vec<&Acknowledged>| {
            self.fold.iter().map(|(attribute, aggregate)| fold(&events, attribute, aggregate)).collect()
        };
        groups.into_iter().map(|(key, events)| (key, values(events))).collect()
    }
}

/// The metric sets of a test, in one project, and the events that it was sent.
#[derive(Debug, Clone)]
pub struct Expected<'t> {
    /// The project's name.
    pub project: &'t str,
    /// The metric set's name.
    pub metric_set: &'t str,
    /// Its metrics.
    pub metrics: &'t [Metric],
    /// Seconds of a window.
    pub period: u64,
    /// All acknowledged events, in the order of their arrival.
    pub events: &'t [Acknowledged],
}

impl Expected<'_> {
    /// The end of the window that an arrival falls into, in Unix seconds.
    #[must_use]
    pub fn window_end(&self, arrival: u64) -> u64 {
        arrival / 1_000_000 / self.period * self.period + self.period
    }

    /// The ends of all windows with events.
    #[must_use]
    pub fn busy_windows(&self) -> BTreeSet<u64> {
        self.events.iter().map(|e| self.window_end(e.arrival)).collect()
    }

    /// Every window end from the first to the last of `ends`: what a sink must hold without a gap.
    #[must_use]
    pub fn without_gap(&self, ends: &BTreeSet<u64>) -> BTreeSet<u64> {
        let (Some(first), Some(last)) = (ends.first(), ends.last()) else { return BTreeSet::new() };
        (*first..=*last).step_by(usize::try_from(self.period).unwrap_or(1)).collect()
    }

    /// The events of the window that ends at `end`.
    fn window(&self, end: u64) -> Vec<&Acknowledged> {
        self.events.iter().filter(|e| self.window_end(e.arrival) == end).collect()
    }

    /// What InfluxDB must hold for the windows that end at `ends`. `join` stands between measurement and field.
    ///
    /// # Panics
    /// If two series fall onto one place, which the tests' metrics avoid.
    #[must_use]
    pub fn influx(&self, ends: &BTreeSet<u64>, join: &str, more: &[(&str, &str)]) -> Points {
        let mut points = Points::default();
        for end in ends {
            let events = self.window(*end);
            for metric in self.metrics {
                for (group, values) in metric.rows(&events) {
                    let mut labels = self.labels(metric, &group, str::to_owned);
                    labels.values_mut().for_each(|value| *value = line_text(value));
                    labels.extend(more.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
                    for ((attribute, aggregate), value) in metric.fold.iter().zip(values) {
                        let name = format!("{}{join}{aggregate}_{attribute}", metric.name);
                        if let Some(value) = value {
                            let point = Point { name, labels: labels.clone(), time: *end };
                            points
                                .insert(point, value)
                                .unwrap_or_else(|e| panic!("the oracle contradicts itself: {e}"));
                        }
                    }
                }
            }
        }
        points
    }

    /// Every value of the windows that end at `ends`, before any sink has a name for it.
    #[must_use]
    pub fn cells(&self, ends: &BTreeSet<u64>) -> Vec<Cell<'_>> {
        ends.iter().flat_map(|end| self.cells_of(&self.window(*end), *end)).collect()
    }

    fn cells_of(&self, events: &[&Acknowledged], end: u64) -> Vec<Cell<'_>> {
        let mut cells = Vec::new();
        for metric in self.metrics {
            for (group, values) in metric.rows(events) {
                let dimensions: Vec<_> = metric.group.iter().copied().zip(group).collect();
                for ((attribute, aggregate), value) in metric.fold.iter().copied().zip(values) {
                    let Some(value) = value else { continue };
                    let (metric, dimensions) = (metric.name, dimensions.clone());
                    cells.push(Cell { metric, aggregate, attribute, dimensions, end, value });
                }
            }
        }
        cells
    }

    /// The counts and sums over all windows up to the one that ends at `end`.
    #[must_use]
    pub fn totals(&self, end: u64) -> Vec<Cell<'_>> {
        let events: Vec<_> = self.events.iter().filter(|e| self.window_end(e.arrival) <= end).collect();
        let additive = |cell: &Cell<'_>| matches!(cell.aggregate, "count" | "sum");
        self.cells_of(&events, end).into_iter().filter(additive).collect()
    }

    /// What a sink must hold for the windows that end at `ends`, if `spell` says what it calls a value: its name and its tags.
    ///
    /// # Panics
    /// If two values fall onto one place, which the tests' metrics avoid.
    #[must_use]
    pub fn points(&self, ends: &BTreeSet<u64>, spell: impl Fn(&Self, &Cell<'_>) -> Spelled) -> Points {
        let mut points = Points::default();
        for cell in self.cells(ends) {
            let (name, labels) = spell(self, &cell);
            let told = points.insert(Point { name, labels, time: cell.end }, cell.value);
            told.unwrap_or_else(|e| panic!("the oracle contradicts itself: {e}"));
        }
        points
    }

    /// What the page for Prometheus must show while the window that ends at `end` is the last one: gauges of that window, and
    /// totals over all windows up to it. Keys are label sets with `__name__`.
    #[must_use]
    pub fn prometheus(&self, end: u64) -> BTreeMap<BTreeMap<String, String>, f64> {
        let mut page = BTreeMap::new();
        let own = [("__name__", WINDOW_END), ("project", self.project), ("metric_set", self.metric_set)];
        page.insert(own.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(), end as f64);
        let now = self.window(end);
        let so_far: Vec<_> = self.events.iter().filter(|e| self.window_end(e.arrival) <= end).collect();
        for metric in self.metrics {
            for (events, totals) in [(&now, false), (&so_far, true)] {
                for (group, values) in metric.rows(events) {
                    for ((attribute, aggregate), value) in metric.fold.iter().zip(values) {
                        let additive = matches!(*aggregate, "count" | "sum");
                        let Some(value) = value.filter(|_| additive || !totals) else { continue };
                        let suffix = if totals { "_total" } else { "" };
                        let name = format!("{}_{aggregate}_{attribute}{suffix}", metric.name);
                        let mut labels = self.labels(metric, &group, prometheus_name);
                        labels.insert("__name__".to_owned(), prometheus_name(&name));
                        page.insert(labels, value);
                    }
                }
            }
        }
        page
    }

    fn labels(&self, metric: &Metric, group: &[String], name: impl Fn(&str) -> String) -> BTreeMap<String, String> {
        let own = [("project", self.project), ("metric_set", self.metric_set)];
        let mut labels: BTreeMap<_, _> = own.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        for (dimension, value) in metric.group.iter().zip(group).filter(|(_, v)| !v.is_empty()) {
            labels.insert(name(dimension), value.clone());
        }
        labels
    }
}

/// A text as it comes back from a line protocol that has no line breaks and no backslash at an end.
fn line_text(text: &str) -> String {
    let text = text.replace('\n', "\\n");
    if text.ends_with('\\') { text + "_" } else { text }
}

/// A name in Prometheus' alphabet: anything else is `_`, and several of these are one.
fn prometheus_name(name: &str) -> String {
    let mut clean = String::new();
    for c in name.chars() {
        let c = if c.is_ascii_alphanumeric() { c } else { '_' };
        if c != '_' || !clean.ends_with('_') {
            clean.push(c);
        }
    }
    clean
}

/// The text by which values are grouped: `1`, `1.0` and `"1"` are the same, null and the empty text too.
fn text(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Number(n) => match n.as_f64() {
            Some(f) if !n.is_i64() && f.fract() == 0.0 && f.abs() < 1e15 => (f as i64).to_string(),
            _ => n.to_string(),
        },
        other => other.to_string(),
    }
}

fn number(value: &Json) -> Option<f64> {
    match value {
        Json::Bool(b) => Some(f64::from(u8::from(*b))),
        other => other.as_f64(),
    }
}

fn holds(condition: &Condition, event: &Acknowledged) -> bool {
    let value = event.attributes.get(condition.attribute).filter(|v| !v.is_null());
    let operand = &condition.operand;
    let equal = || value.is_some_and(|v| text(v) == text(operand));
    match condition.operator {
        "equal" => equal(),
        "not-equal" => !equal(),
        "is-set" => value.is_some(),
        "at-least" => value.and_then(number).zip(number(operand)).is_some_and(|(v, o)| v >= o),
        "contains" => value.and_then(Json::as_str).zip(operand.as_str()).is_some_and(|(v, o)| v.contains(o)),
        other => panic!("the oracle does not know the operator {other}"),
    }
}

fn fold(events: &[&Acknowledged], attribute: &str, aggregate: &str) -> Option<f64> {
    // Each event has an id of its own.
    if attribute == "_tx" {
        assert!(matches!(aggregate, "count" | "unique"), "the oracle does not know the ids of events");
        return Some(events.len() as f64);
    }
    let values: Vec<_> = events.iter().filter_map(|e| e.attributes.get(attribute)).filter(|v| !v.is_null()).collect();
    let numbers: Vec<_> = values.iter().filter_map(|v| number(v)).collect();
    // Not `sum()`: of nothing, that is -0.
    let sum = numbers.iter().fold(0.0, |sum, n| sum + n);
    match aggregate {
        "count" => Some(values.len() as f64),
        "unique" => Some(values.iter().map(|v| text(v)).collect::<BTreeSet<_>>().len() as f64),
        "sum" => Some(sum),
        "min" => numbers.iter().copied().reduce(f64::min),
        "max" => numbers.iter().copied().reduce(f64::max),
        "mean" => (!numbers.is_empty()).then(|| sum / numbers.len() as f64),
        "first" => numbers.first().copied(),
        "last" => numbers.last().copied(),
        other => panic!("the oracle does not know the aggregate {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(second: u64, attributes: Json) -> Acknowledged {
        Acknowledged { attributes: attributes.as_object().cloned().unwrap(), arrival: second * 1_000_000 + 5 }
    }

    #[test]
    fn a_worked_example_gives_the_values_that_a_person_counts() {
        let events = [
            sent(100, json!({"v": "a", "n": 1})),
            sent(101, json!({"v": "a", "n": 2.5})),
            sent(101, json!({"v": null, "n": "x"})),
            sent(104, json!({"v": "b"})),
        ];
        let metrics = [Metric::new("m", &["v"], &[("_tx", "count"), ("n", "sum"), ("n", "unique"), ("n", "last")])];
        let expected = Expected { project: "p", metric_set: "s", metrics: &metrics, period: 4, events: &events };
        assert_eq!(expected.busy_windows(), BTreeSet::from([104, 108]));
        let held = expected.influx(&BTreeSet::from([104]), ".", &[]);
        let told: Vec<_> =
            held.iter().map(|(p, v)| (p.name.as_str(), p.labels.get("v").map(String::as_str), v)).collect();
        let by_hand = [
            ("m.count__tx", Some("a"), 2.0),
            ("m.count__tx", None, 1.0),
            ("m.last_n", Some("a"), 2.5),
            ("m.sum_n", Some("a"), 3.5),
            ("m.sum_n", None, 0.0),
            ("m.unique_n", Some("a"), 2.0),
            ("m.unique_n", None, 1.0),
        ];
        for value in by_hand {
            assert!(told.contains(&value), "{value:?} is not in {told:?}");
        }
        assert_eq!(told.len(), by_hand.len());
    }

    #[test]
    fn totals_grow_over_windows_while_gauges_show_the_last_one() {
        let events = [sent(0, json!({})), sent(0, json!({})), sent(5, json!({}))];
        let metrics = [Metric::new("my errors", &[], &[("_tx", "count")])];
        let expected = Expected { project: "p", metric_set: "s", metrics: &metrics, period: 5, events: &events };
        let by_name = |end| -> BTreeMap<String, f64> {
            expected.prometheus(end).into_iter().map(|(l, v)| (l["__name__"].clone(), v)).collect()
        };
        let page = |end, gauge, total| {
            let values = [(WINDOW_END, end), ("my_errors_count_tx", gauge), ("my_errors_count_tx_total", total)];
            values.map(|(name, value)| (name.to_owned(), value)).into_iter().collect::<BTreeMap<_, _>>()
        };
        assert_eq!(by_name(5), page(5.0, 2.0, 2.0));
        assert_eq!(by_name(10), page(10.0, 1.0, 3.0));
        assert_eq!(by_name(15), page(15.0, 0.0, 3.0));
    }
}
