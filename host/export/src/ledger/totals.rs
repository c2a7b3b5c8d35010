//! Sums of additive measures over all windows so far, for scrapers whose period is not ours.
//!
//! They belong to a metric and its query: another query under the same name starts from nothing, since its numbers mean
//! something else. A series that has not been seen for a while leaves, or labels that come and go would pile up for ever.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use tidegate_events::compress;
use tidegate_model::{Aggregate, Batch, MetricBatch, MetricQuery, Window};

/// Fastest level: the sums are rewritten with every window.
const ZSTD_LEVEL: i32 = 1;

/// The sums of one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Sums {
    /// SHA-256 of the query, in hexadecimal.
    query: String,
    measures: Vec<(String, Aggregate)>,
    #[serde(with = "as_list")]
    series: BTreeMap<Vec<String>, Entry>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    sums: Vec<f64>,
    /// End of the newest window that had the series, in seconds.
    seen: u64,
}

/// JSON keys are texts, so the map travels as a list of pairs.
mod as_list {
    use super::{BTreeMap, Entry};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(map: &BTreeMap<Vec<String>, Entry>, to: S) -> Result<S::Ok, S::Error> {
        map.iter().collect::<Vec<_>>().serialize(to)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<BTreeMap<Vec<String>, Entry>, D::Error> {
        Ok(Vec::<(Vec<String>, Entry)>::deserialize(from)?.into_iter().collect())
    }
}

/// What totals of a query are known by.
pub(super) fn query_digest(query: &MetricQuery) -> String {
    hex::encode(Sha256::digest(query.to_json().to_string()))
}

/// The texts of a row's dimensions.
fn key(metric: &MetricBatch, row: u32) -> Vec<String> {
    (0..metric.dimensions.len()).map(|d| metric.dimension_text(d, row).unwrap_or_default().to_owned()).collect()
}

impl Sums {
    pub(super) fn new(query: String, metric: &MetricBatch) -> Self {
        let additive = metric.measures.iter().filter(|m| m.aggregate.additive());
        let measures = additive.map(|m| (m.attribute.clone(), m.aggregate)).collect();
        Self { query, measures, series: BTreeMap::new() }
    }

    /// Whether these are sums of that query.
    pub(super) fn are_of(&self, query: &str) -> bool {
        self.query == query
    }

    /// Adds the values of a window. Windows may come in any order.
    pub(super) fn add(&mut self, metric: &MetricBatch, window: Window) {
        let end = window.end().seconds();
        let columns: Vec<_> = metric.measures.iter().filter(|m| m.aggregate.additive()).collect();
        for row in 0..metric.live_rows {
            let entry = self
                .series
                .entry(key(metric, row))
                .or_insert_with(|| Entry { sums: vec![0.0; columns.len()], seen: 0 });
            entry.seen = entry.seen.max(end);
            for (sum, column) in entry.sums.iter_mut().zip(&columns) {
                let value = column.values.get(row as usize).copied().unwrap_or(f64::NAN);
                let next = *sum + value;
                // NaN is "no value"; a sum that leaves the range of numbers stays at its edge, since no sink takes more.
                if next.is_finite() {
                    *sum = next;
                } else if !value.is_nan() {
                    *sum = f64::MAX.copysign(next);
                }
            }
        }
    }

    /// Lets go of series that have been idle for `idle_seconds` at `now`, and, beyond `most`, of those idle longest.
    pub(super) fn let_go(&mut self, now: u64, idle_seconds: u64, most: usize) {
        self.series.retain(|_, entry| entry.seen.saturating_add(idle_seconds) >= now);
        if self.series.len() > most {
            let mut seen: Vec<_> = self.series.values().map(|e| e.seen).collect();
            seen.sort_unstable();
            let surplus = self.series.len() - most;
            let (bound, mut at_bound) =
                (seen[surplus - 1], seen[..surplus].iter().filter(|s| **s == seen[surplus - 1]).count());
            self.series.retain(|_, entry| {
                let goes = entry.seen < bound || (entry.seen == bound && at_bound > 0);
                at_bound -= usize::from(entry.seen == bound && goes);
                !goes
            });
        }
    }

    pub(super) fn encode(&self) -> std::io::Result<Vec<u8>> {
        compress::pack(&serde_json::to_vec(self)?, ZSTD_LEVEL)
    }

    pub(super) fn decode(stored: &[u8]) -> std::io::Result<Self> {
        Ok(serde_json::from_slice(&compress::unpack(stored)?)?)
    }

    /// `metric` with totals beside its live rows, and rows after them for the series that only have totals.
    fn beside(&self, metric: &MetricBatch) -> MetricBatch {
        let mut merged = metric.clone();
        let live: Vec<_> = (0..metric.live_rows).map(|row| key(metric, row)).collect();
        let known: std::collections::HashSet<&Vec<String>> = live.iter().collect();
        let others: Vec<_> =
            self.series.keys().filter(|k| k.len() == metric.dimensions.len() && !known.contains(k)).collect();
        merged.rows = metric.live_rows + u32::try_from(others.len()).unwrap_or(u32::MAX - metric.live_rows);
        for (d, dimension) in merged.dimensions.iter_mut().enumerate() {
            dimension.codes.truncate(metric.live_rows as usize);
            let mut codes: std::collections::HashMap<String, u32> =
                dimension.dictionary.iter().map(str::to_owned).zip(0..).collect();
            for other in &others {
                let text = &other[d];
                let code = match codes.get(text) {
                    Some(code) => *code,
                    None => {
                        let code = dimension.dictionary.push(text);
                        codes.insert(text.clone(), code);
                        code
                    }
                };
                dimension.codes.push(code);
            }
        }
        let rows: Vec<_> = live.iter().chain(others).map(|k| self.series.get(k)).collect();
        for measure in merged.measures.iter_mut().filter(|m| m.aggregate.additive()) {
            let at = self.measures.iter().position(|(a, g)| *a == measure.attribute && *g == measure.aggregate);
            let total = |entry: &Option<&Entry>| at.and_then(|i| entry.as_ref()?.sums.get(i).copied()).unwrap_or(0.0);
            measure.totals = Some(rows.iter().map(total).collect());
        }
        merged
    }
}

/// A batch as pull pages show it: with totals.
pub(super) fn with_totals(batch: &Batch, sums: &std::collections::HashMap<String, Sums>) -> Batch {
    let metrics = batch.metrics.iter().map(|m| sums.get(m.name.as_str()).map_or_else(|| m.clone(), |s| s.beside(m)));
    Batch { metrics: metrics.collect(), ..batch.clone() }
}

/// A batch without its live values, for when they are too old to be shown: only totals are left of it.
pub(crate) fn without_live(batch: &Batch) -> Batch {
    let metrics = batch.metrics.iter().map(|metric| {
        let mut metric = metric.clone();
        metric.live_rows = 0;
        for measure in &mut metric.measures {
            measure.values.clear();
        }
        if metric.measures.iter().all(|m| m.totals.is_none()) {
            metric.rows = 0;
            metric.dimensions.iter_mut().for_each(|d| d.codes.clear());
        }
        metric
    });
    Batch { metrics: metrics.collect(), ..batch.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use tidegate_model::{Dimension, Instant, MeasureColumn, Name, Period, StringPool};

    /// A metric grouped by `d` with a count and a unique.
    fn metric(rows: &[(&str, f64)]) -> MetricBatch {
        let live = u32::try_from(rows.len()).unwrap();
        let column = |aggregate| MeasureColumn {
            attribute: "_tx".to_owned(),
            aggregate,
            values: rows.iter().map(|r| r.1).collect(),
            totals: None,
        };
        MetricBatch {
            name: Name::new("m").unwrap(),
            rows: live,
            live_rows: live,
            folded_groups: 0,
            dimensions: vec![Dimension {
                name: "d".to_owned(),
                dictionary: rows.iter().map(|r| r.0).collect::<StringPool>(),
                codes: (0..live).collect(),
            }],
            measures: vec![column(Aggregate::Count), column(Aggregate::Unique)],
        }
    }

    fn window(minute: u64) -> Window {
        Period::default().window_at(Instant::from_seconds(minute * 60))
    }

    fn totals_of(metric: &MetricBatch) -> Vec<(String, f64)> {
        let totals = metric.measures[0].totals.clone().unwrap();
        (0..metric.rows).map(|r| (metric.dimension_text(0, r).unwrap().to_owned(), totals[r as usize])).collect()
    }

    #[test]
    fn live_rows_come_first_and_series_that_are_gone_keep_their_totals_after_them() {
        let first = metric(&[("a", 2.0), ("b", 3.0)]);
        let second = metric(&[("b", 1.0), ("c", 5.0)]);
        let mut sums = Sums::new("q".to_owned(), &first);
        sums.add(&first, window(1));
        sums.add(&second, window(2));
        let shown = sums.beside(&second);
        assert_eq!((shown.live_rows, shown.rows), (2, 3));
        assert_eq!(totals_of(&shown), [("b".to_owned(), 4.0), ("c".to_owned(), 5.0), ("a".to_owned(), 2.0)]);
        assert_eq!(shown.measures[1].totals, None, "uniques are never added up");
        assert_eq!(shown.measures[0].values, [1.0, 5.0]);
    }

    #[test]
    fn values_that_are_absent_add_nothing_and_a_sum_never_leaves_the_numbers() {
        let mut sums = Sums::new("q".to_owned(), &metric(&[]));
        for value in [1.0, f64::NAN, 2.0] {
            sums.add(&metric(&[("a", value)]), window(1));
        }
        assert_eq!(totals_of(&sums.beside(&metric(&[("a", 0.0)]))), [("a".to_owned(), 3.0)]);
        sums.add(&metric(&[("a", f64::MAX)]), window(1));
        sums.add(&metric(&[("a", f64::MAX)]), window(1));
        assert_eq!(totals_of(&sums.beside(&metric(&[("a", 0.0)]))), [("a".to_owned(), f64::MAX)]);
        assert_eq!(Sums::decode(&sums.encode().unwrap()).unwrap(), sums);
    }

    #[test]
    fn idle_series_leave_and_above_the_limit_those_idle_longest_leave_first() {
        let mut sums = Sums::new("q".to_owned(), &metric(&[]));
        for (minute, name) in [(1, "old"), (2, "x"), (2, "y"), (3, "new")] {
            sums.add(&metric(&[(name, 1.0)]), window(minute));
        }
        let names = |s: &Sums| s.series.keys().map(|k| k[0].clone()).collect::<Vec<_>>();
        sums.let_go(window(3).end().seconds(), 60, 100);
        assert_eq!(names(&sums), ["new", "x", "y"]);
        sums.let_go(window(3).end().seconds(), 60, 2);
        assert_eq!(sums.series.len(), 2);
        assert!(names(&sums).contains(&"new".to_owned()));
    }

    #[test]
    fn another_query_has_another_digest() {
        let digest = |fold| query_digest(&MetricQuery::parse(&json!({"fold": {"_tx": [[fold]]}})).unwrap().query);
        assert_ne!(digest("count"), digest("unique"));
    }

    #[test]
    fn a_batch_that_is_too_old_to_show_keeps_its_totals_and_nothing_else() {
        let m = metric(&[("a", 2.0)]);
        let mut sums = Sums::new("q".to_owned(), &m);
        sums.add(&m, window(1));
        let name = Name::new("n").unwrap();
        let batch =
            Batch { project: name.clone(), metric_set: name, window: window(1), metrics: vec![sums.beside(&m), m] };
        let old = without_live(&batch);
        assert_eq!((old.metrics[0].live_rows, old.metrics[0].rows), (0, 1));
        assert_eq!(totals_of(&old.metrics[0]), [("a".to_owned(), 2.0)]);
        assert_eq!((old.metrics[1].live_rows, old.metrics[1].rows), (0, 0));
        assert!(old.metrics.iter().all(|m| m.measures.iter().all(|c| c.values.is_empty())));
    }

    proptest! {
        #[test]
        fn totals_are_the_sums_by_series_whatever_the_order_of_windows(
            mut windows in prop::collection::vec(prop::collection::btree_map("[a-d]", 0u32..1000, 0..4), 1..12), seed in any::<usize>(),
        ) {
            let mut oracle: BTreeMap<String, f64> = BTreeMap::new();
            for (name, n) in windows.iter().flatten() {
                *oracle.entry(name.clone()).or_default() += f64::from(*n);
            }
            let turn = seed % windows.len();
            windows.rotate_left(turn);
            let mut sums = Sums::new("q".to_owned(), &metric(&[]));
            for (i, rows) in windows.iter().enumerate() {
                let rows: Vec<_> = rows.iter().map(|(d, n)| (d.as_str(), f64::from(*n))).collect();
                sums.add(&metric(&rows), window(i as u64 + 1));
            }
            let shown = sums.beside(&metric(&[]));
            prop_assert_eq!(totals_of(&shown).into_iter().collect::<BTreeMap<_, _>>(), oracle);
        }
    }
}
