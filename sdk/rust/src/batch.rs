//! What an adapter reads: a batch, its metrics, their columns; and the rows made of them.
//!
//! A metric is read in columns, one host call each, because a call per row would cost more than all the rest. [`Columns`] is the
//! fast view (codes, dictionaries, values) and gives the simple one ([`Row`]) for the asking. For a small batch the calls themselves
//! are what it costs, some microsecond each, so what was asked once is kept.

use crate::bindings::model;
use std::cell::{OnceCell, RefCell};

/// The result of one metric set over one window.
#[derive(Debug)]
pub struct Batch<'a> {
    host: &'a model::Batch,
    project: OnceCell<String>,
    metric_set: OnceCell<String>,
    /// Whether its measures may have totals.
    is_shown: bool,
}

impl<'a> Batch<'a> {
    /// A batch that is to be delivered.
    pub(crate) fn new(host: &'a model::Batch) -> Self {
        Self { host, project: OnceCell::new(), metric_set: OnceCell::new(), is_shown: false }
    }

    /// A batch of a snapshot.
    pub(crate) fn shown(host: &'a model::Batch) -> Self {
        Self { is_shown: true, ..Self::new(host) }
    }

    /// The name of the project that the events belong to.
    #[must_use]
    pub fn project(&self) -> String {
        self.project.get_or_init(|| self.host.project()).clone()
    }

    /// The name of the metric set.
    #[must_use]
    pub fn metric_set(&self) -> String {
        self.metric_set.get_or_init(|| self.host.metric_set()).clone()
    }

    /// First second of the window (Unix time, UTC).
    #[must_use]
    pub fn window_start(&self) -> u64 {
        self.host.window_start()
    }

    /// First second after the window (Unix time, UTC). Points are stamped with this one.
    #[must_use]
    pub fn window_end(&self) -> u64 {
        self.host.window_end()
    }

    /// Length of the window in seconds.
    #[must_use]
    pub fn period(&self) -> u32 {
        self.host.period()
    }

    /// The metrics of the set. Their columns stay with the host until they are asked for.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let metric = |(index, host): (u32, model::Metric)| Metric {
            index,
            name: host.name(),
            live_rows: host.live_rows(),
            infos: OnceCell::new(),
            measures: RefCell::new(None),
            is_shown: self.is_shown,
            host,
        };
        (0..).zip(self.host.metrics()).map(metric).collect()
    }
}

/// One metric of a batch.
#[derive(Debug)]
pub struct Metric {
    index: u32,
    name: String,
    live_rows: u32,
    infos: OnceCell<Vec<MeasureInfo>>,
    /// What `infos` were read from, for the columns.
    measures: RefCell<Option<Vec<model::Measure>>>,
    is_shown: bool,
    host: model::Metric,
}

/// Metrics of which the measures are held from the look at what they are to the reading of their columns. A host lets an adapter
/// hold some ten thousand handles; those beyond are asked for again.
const HELD: u32 = 1_000;

impl Metric {
    /// Its place in the batch, which verdicts use.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Rows in all.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.host.rows()
    }

    /// Rows that have values in this window.
    #[must_use]
    pub fn live_rows(&self) -> u32 {
        self.live_rows
    }

    /// What its measures are, without their values.
    #[must_use]
    pub fn measures(&self) -> Vec<MeasureInfo> {
        self.infos().to_vec()
    }

    fn infos(&self) -> &[MeasureInfo] {
        let info = |measure: &model::Measure| MeasureInfo {
            attribute: measure.attribute(),
            aggregate: measure.aggregate(),
            additive: measure.additive(),
        };
        self.infos.get_or_init(|| {
            let measures = self.host.measures();
            let infos = measures.iter().map(info).collect();
            self.measures.replace((self.index < HELD).then_some(measures));
            infos
        })
    }

    /// Reads all columns. They are freed when the result is dropped, so an adapter that handles one metric after the other needs
    /// memory for one.
    #[must_use]
    pub fn columns(&self) -> Columns {
        let dimensions = (0..).zip(self.host.dimensions()).map(|(at, name)| Dimension {
            name,
            dictionary: Dictionary::new(self.host.dictionary(at)),
            codes: self.host.codes(at),
        });
        let infos = self.infos();
        let held = self.measures.take().unwrap_or_else(|| self.host.measures());
        let measures = infos.iter().zip(&held).map(|(info, measure)| Measure {
            attribute: info.attribute.clone(),
            aggregate: info.aggregate.clone(),
            additive: info.additive,
            values: measure.values(),
            totals: if self.is_shown && info.additive { measure.totals() } else { None },
        });
        Columns {
            rows: if self.is_shown { self.host.rows() } else { self.live_rows },
            live_rows: self.live_rows,
            dimensions: dimensions.collect(),
            measures: measures.collect(),
        }
    }
}

/// All columns of one metric.
#[derive(Debug)]
pub struct Columns {
    /// Rows in `codes` and `totals`. A row is one series: one combination of dimension values.
    pub rows: u32,
    /// Rows that have values in this window; they come first, so `values` has this length. Equal to `rows` except in pull
    /// snapshots, where later rows carry totals of series that were seen before.
    pub live_rows: u32,
    /// One for each attribute that the metric groups by.
    pub dimensions: Vec<Dimension>,
    /// One for each aggregate.
    pub measures: Vec<Measure>,
}

impl Columns {
    /// The rows that have values in this window, in order.
    pub fn live(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        (0..self.live_rows as usize).map(|index| Row { columns: self, index })
    }

    /// All rows, in order.
    pub fn all(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        (0..self.rows as usize).map(|index| Row { columns: self, index })
    }
}

/// One attribute that a metric groups by.
#[derive(Debug)]
pub struct Dimension {
    /// The attribute.
    pub name: String,
    /// The distinct values that occur, each once. An empty text means that the events have no value there.
    pub dictionary: Dictionary,
    /// For each row, the index of its value in the dictionary.
    pub codes: Vec<u32>,
}

impl Dimension {
    /// The value of a row. Empty if the events have none there.
    #[must_use]
    pub fn value(&self, row: usize) -> &str {
        self.codes.get(row).map_or("", |&code| self.dictionary.get(code))
    }
}

/// Texts in one piece.
#[derive(Clone, Debug, Default)]
pub struct Dictionary {
    text: String,
    ends: Vec<u32>,
}

impl Dictionary {
    fn new(strings: model::Strings) -> Self {
        // The host promises UTF-8; if that were broken, a replacement character is better than a trap.
        let text = String::from_utf8(strings.utf8)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        Self { text, ends: strings.ends }
    }

    /// Entry `code`, or an empty text beyond the end.
    #[must_use]
    pub fn get(&self, code: u32) -> &str {
        let at = code as usize;
        let Some(&end) = self.ends.get(at) else { return "" };
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        self.text.get(start as usize..end as usize).unwrap_or_default()
    }

    /// All entries in one piece, without anything between them: a quick look for what no entry may have.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
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

    /// All entries, in order of their codes.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..).take(self.len()).map(|code| self.get(code))
    }
}

/// What a measure is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeasureInfo {
    /// The attribute that is aggregated.
    pub attribute: String,
    /// How.
    pub aggregate: String,
    /// Whether values of successive windows may be added up.
    pub additive: bool,
}

/// One aggregate of a metric.
#[derive(Clone, Debug)]
pub struct Measure {
    /// The attribute that is aggregated, for example `_tx`.
    pub attribute: String,
    /// How: `count`, `unique`, `min`, `max`, `sum`, `mean`, `first`, `last`; treat others as you would a `last`.
    pub aggregate: String,
    /// Whether values of successive windows may be added up.
    pub additive: bool,
    /// One for each live row. NaN means that there is none: leave it out.
    pub values: Vec<f64>,
    /// In pull snapshots, for additive measures: sums over all windows so far, one for each row.
    pub totals: Option<Vec<f64>>,
}

impl Measure {
    /// The value of a row in this window, if it has one.
    #[must_use]
    pub fn value(&self, row: usize) -> Option<f64> {
        self.values.get(row).copied().filter(|value| !value.is_nan())
    }

    /// The sum over all windows so far, if there is one.
    #[must_use]
    pub fn total(&self, row: usize) -> Option<f64> {
        self.totals.as_ref()?.get(row).copied().filter(|value| !value.is_nan())
    }
}

/// One series: a combination of dimension values, and its numbers.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    columns: &'a Columns,
    index: usize,
}

impl<'a> Row<'a> {
    /// Its place in the metric, which verdicts use.
    #[must_use]
    pub fn index(self) -> u32 {
        u32::try_from(self.index).unwrap_or(u32::MAX)
    }

    /// Names and values of the dimensions, those without a value left out.
    pub fn labels(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let all = self.columns.dimensions.iter().map(move |d| (d.name.as_str(), d.value(self.index)));
        all.filter(|(_, value)| !value.is_empty())
    }

    /// Measures and their values in this window, those without a value left out.
    pub fn values(self) -> impl Iterator<Item = (&'a Measure, f64)> {
        self.columns.measures.iter().filter_map(move |m| Some((m, m.value(self.index)?)))
    }

    /// Additive measures and their sums over all windows so far.
    pub fn totals(self) -> impl Iterator<Item = (&'a Measure, f64)> {
        self.columns.measures.iter().filter_map(move |m| Some((m, m.total(self.index)?)))
    }
}
