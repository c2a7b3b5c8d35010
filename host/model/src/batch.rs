//! The result of one metric set over one window: immutable, columnar, dictionary-coded.
//!
//! The trap is the list of records: it costs two to three times as much at the adapter boundary. A row here is a position in
//! columns, and each distinct string is stored once.

use crate::name::Name;
use crate::window::Window;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

/// The scalar aggregates that a metric may use.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Aggregate {
    /// Events that have the attribute.
    Count,
    /// Distinct values.
    Unique,
    /// Least number.
    Min,
    /// Greatest number.
    Max,
    /// Sum of the numbers.
    Sum,
    /// Mean of the numbers.
    Mean,
    /// Number of the earliest event, by arrival, that has one.
    First,
    /// Number of the latest event, by arrival, that has one.
    Last,
}

impl Aggregate {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Count, Self::Unique, Self::Min, Self::Max, Self::Sum, Self::Mean, Self::First, Self::Last];

    /// The word for it in queries and in the adapter contract.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Unique => "unique",
            Self::Min => "min",
            Self::Max => "max",
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::First => "first",
            Self::Last => "last",
        }
    }

    /// Whether values of successive windows may be added up. A sum of uniques counts the same user twice, so it may not.
    #[must_use]
    pub const fn additive(self) -> bool {
        matches!(self, Self::Count | Self::Sum)
    }

    /// The value over no events: zero for what counts, none (NaN in columns) for the rest.
    #[must_use]
    pub const fn of_nothing(self) -> f64 {
        if matches!(self, Self::Count | Self::Unique | Self::Sum) { 0.0 } else { f64::NAN }
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Aggregate {
    type Err = ();

    /// Knows Backtrace's words too: `head` is first, `tail` is last.
    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "head" => return Ok(Self::First),
            "tail" => return Ok(Self::Last),
            _ => {}
        }
        Self::ALL.into_iter().find(|a| a.as_str() == word).ok_or(())
    }
}

/// Strings in one piece: entry `i` is the text from `ends[i - 1]` (0 for the first) to `ends[i]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StringPool {
    utf8: String,
    ends: Vec<u32>,
}

impl StringPool {
    /// Appends an entry and tells its code.
    ///
    /// # Panics
    /// Never in practice: a pool that outgrows 4 GiB is beyond every row limit.
    pub fn push(&mut self, text: &str) -> u32 {
        let code = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        self.utf8.push_str(text);
        self.ends.push(u32::try_from(self.utf8.len()).unwrap_or(u32::MAX));
        code
    }

    /// Entry `code`, if there is one.
    #[must_use]
    pub fn get(&self, code: u32) -> Option<&str> {
        let i = code as usize;
        let end = *self.ends.get(i)? as usize;
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        self.utf8.get(start..end)
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All entries in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|i| self.get(u32::try_from(i).unwrap_or(u32::MAX)).unwrap_or_default())
    }

    /// The text of all entries, and where each ends.
    #[must_use]
    pub fn parts(&self) -> (&str, &[u32]) {
        (&self.utf8, &self.ends)
    }

    /// The reverse of [`parts`](Self::parts); none if the ends do not fit the text.
    #[must_use]
    pub fn from_parts(utf8: String, ends: Vec<u32>) -> Option<Self> {
        let ascending = ends.windows(2).all(|w| w[0] <= w[1]);
        let inside = ends.iter().all(|&e| utf8.is_char_boundary(e as usize));
        let complete = ends.last().map_or(utf8.is_empty(), |&e| e as usize == utf8.len());
        (ascending && inside && complete).then_some(Self { utf8, ends })
    }
}

impl<S: AsRef<str>> FromIterator<S> for StringPool {
    fn from_iter<I: IntoIterator<Item = S>>(texts: I) -> Self {
        let mut pool = Self::default();
        for text in texts {
            pool.push(text.as_ref());
        }
        pool
    }
}

/// One attribute that a metric groups by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dimension {
    /// The attribute.
    pub name: String,
    /// The distinct values that occur. Empty text means that the events have none.
    pub dictionary: StringPool,
    /// For each row, the index into the dictionary.
    pub codes: Vec<u32>,
}

/// One aggregate of a metric, a value for each row.
#[derive(Clone, Debug)]
pub struct MeasureColumn {
    /// The attribute that is aggregated.
    pub attribute: String,
    /// How.
    pub aggregate: Aggregate,
    /// A value for each live row; NaN where the aggregate has none. Never infinite.
    pub values: Vec<f64>,
    /// In pull snapshots, for additive aggregates: sums over all windows so far, one for each row.
    pub totals: Option<Vec<f64>>,
}

impl PartialEq for MeasureColumn {
    /// Equal to the bit, so that two columns with the same absent values are equal.
    fn eq(&self, other: &Self) -> bool {
        let bits = |v: &[f64]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        self.attribute == other.attribute
            && self.aggregate == other.aggregate
            && bits(&self.values) == bits(&other.values)
            && self.totals.as_deref().map(bits) == other.totals.as_deref().map(bits)
    }
}

/// The result of one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricBatch {
    /// The metric's name.
    pub name: Name,
    /// Rows in all.
    pub rows: u32,
    /// Rows that have values in this window; they come first. Equal to `rows` except in pull snapshots.
    pub live_rows: u32,
    /// Groups beyond the cap, folded into the last live row, whose dimensions all read `other`. 0 if all fitted.
    pub folded_groups: u64,
    /// One for each group-by attribute.
    pub dimensions: Vec<Dimension>,
    /// One for each aggregate.
    pub measures: Vec<MeasureColumn>,
}

impl MetricBatch {
    /// The text of dimension `d` in row `row`.
    #[must_use]
    pub fn dimension_text(&self, d: usize, row: u32) -> Option<&str> {
        let dimension = self.dimensions.get(d)?;
        dimension.dictionary.get(*dimension.codes.get(row as usize)?)
    }
}

/// The result of one metric set over one window.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The project's name when the window was evaluated.
    pub project: Name,
    /// The metric set's name when the window was evaluated.
    pub metric_set: Name,
    /// What it covers.
    pub window: Window,
    /// One for each metric of the set, in its order.
    pub metrics: Vec<MetricBatch>,
}

impl Batch {
    /// Live rows of all metrics.
    #[must_use]
    pub fn live_rows(&self) -> u64 {
        self.metrics.iter().map(|m| u64::from(m.live_rows)).sum()
    }
}

/// A contiguous part of a batch's live rows, for sinks that want it in smaller pieces. Metrics keep their places (an adapter
/// sees the same metric indices), rows are counted from the start of the part.
#[derive(Clone, Debug)]
pub struct BatchView {
    /// The whole batch.
    pub batch: Arc<Batch>,
    /// The rows of each metric that belong to the part.
    pub rows: Vec<Range<u32>>,
}

impl BatchView {
    /// All rows of `batch`.
    #[must_use]
    pub fn whole(batch: Arc<Batch>) -> Self {
        let rows = batch.metrics.iter().map(|m| 0..m.rows).collect();
        Self { batch, rows }
    }

    /// Rows in the part.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.rows.iter().map(|r| u64::from(r.end - r.start)).sum()
    }

    /// Whether the part has no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Two parts of half the rows each; none if there are fewer than two rows.
    #[must_use]
    pub fn halves(&self) -> Option<(Self, Self)> {
        let total = self.len();
        if total < 2 {
            return None;
        }
        let mut left = total / 2;
        let mut first = self.clone();
        let mut second = self.clone();
        for (a, b) in first.rows.iter_mut().zip(&mut second.rows) {
            let taken = u32::try_from(left.min(u64::from(a.end - a.start))).unwrap_or(u32::MAX);
            a.end = a.start + taken;
            b.start = a.end;
            left -= u64::from(taken);
        }
        Some((first, second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::{Instant, Period};

    fn metric(rows: u32) -> MetricBatch {
        MetricBatch {
            name: Name::new("m").unwrap(),
            rows,
            live_rows: rows,
            folded_groups: 0,
            dimensions: vec![],
            measures: vec![],
        }
    }

    #[test]
    fn halving_down_to_single_rows_visits_every_row_once() {
        let window = Period::default().window_at(Instant::from_seconds(600));
        let name = Name::new("n").unwrap();
        let metrics = vec![metric(3), metric(0), metric(4)];
        let batch = Arc::new(Batch { project: name.clone(), metric_set: name, window, metrics });
        let mut todo = vec![BatchView::whole(batch)];
        let mut seen = vec![];
        while let Some(view) = todo.pop() {
            match view.halves() {
                Some((a, b)) => {
                    assert_eq!(a.len() + b.len(), view.len());
                    todo.extend([a, b]);
                }
                None => {
                    for (m, rows) in view.rows.iter().enumerate() {
                        seen.extend(rows.clone().map(|r| (m, r)));
                    }
                }
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, [(0, 0), (0, 1), (0, 2), (2, 0), (2, 1), (2, 2), (2, 3)]);
    }

    #[test]
    fn a_string_pool_gives_back_what_went_in_and_refuses_ends_that_do_not_fit() {
        let pool: StringPool = ["", "é", "ab"].into_iter().collect();
        assert_eq!(pool.iter().collect::<Vec<_>>(), ["", "é", "ab"]);
        assert_eq!(pool.get(3), None);
        let (utf8, ends) = pool.parts();
        assert_eq!(StringPool::from_parts(utf8.to_owned(), ends.to_vec()), Some(pool.clone()));
        assert_eq!(StringPool::from_parts("é".to_owned(), vec![1]), None);
        assert_eq!(StringPool::from_parts("ab".to_owned(), vec![2, 1]), None);
    }
}
