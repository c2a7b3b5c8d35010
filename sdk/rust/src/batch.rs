//! What an adapter reads: a batch, its metrics, their columns; and the rows made of them.
//!
//! A metric is read in columns, one host call each, because a call per row would cost more than all the rest. [`Columns`] is the
//! fast view (codes, dictionaries, values) and gives the simple one ([`Row`]) for the asking. A small batch is read as a whole before
//! that ([`packed`](crate::packed)).

use crate::bindings::model;
use crate::packed::{Packed, PackedMetric};
use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

/// The result of one metric set over one window.
#[derive(Debug)]
pub struct Batch<'a> {
    host: &'a model::Batch,
    /// All of it, if it is small.
    packed: Option<Rc<Packed>>,
    project: OnceCell<String>,
    metric_set: OnceCell<String>,
    /// What leads to whole metrics from a batch that was read in one piece.
    handles: OnceCell<Vec<model::Metric>>,
    /// Whether its measures may have totals.
    is_shown: bool,
}

impl<'a> Batch<'a> {
    /// A batch that is to be delivered.
    pub(crate) fn new(host: &'a model::Batch) -> Self {
        Self::read(host, Packed::of(host), false)
    }

    /// A batch of a snapshot.
    pub(crate) fn shown(host: &'a model::Batch) -> Self {
        Self::read(host, Packed::of(host), true)
    }

    pub(crate) fn read(host: &'a model::Batch, packed: Option<Rc<Packed>>, is_shown: bool) -> Self {
        let (project, metric_set, handles) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Self { host, packed, project, metric_set, handles, is_shown }
    }

    /// Whether the settings are to be checked, and nothing else.
    pub(crate) fn is_check(&self) -> bool {
        self.packed.as_ref().map_or_else(|| self.host.check(), |packed| packed.check())
    }

    /// The name of the project that the events belong to.
    #[must_use]
    pub fn project(&self) -> String {
        match &self.packed {
            Some(packed) => packed.project().to_owned(),
            None => self.project.get_or_init(|| self.host.project()).clone(),
        }
    }

    /// The name of the metric set.
    #[must_use]
    pub fn metric_set(&self) -> String {
        match &self.packed {
            Some(packed) => packed.metric_set().to_owned(),
            None => self.metric_set.get_or_init(|| self.host.metric_set()).clone(),
        }
    }

    /// First second of the window (Unix time, UTC).
    #[must_use]
    pub fn window_start(&self) -> u64 {
        match &self.packed {
            Some(packed) => packed.window_end().saturating_sub(packed.period().into()),
            None => self.host.window_start(),
        }
    }

    /// First second after the window (Unix time, UTC). Points are stamped with this one.
    #[must_use]
    pub fn window_end(&self) -> u64 {
        self.packed.as_ref().map_or_else(|| self.host.window_end(), |packed| packed.window_end())
    }

    /// Length of the window in seconds.
    #[must_use]
    pub fn period(&self) -> u32 {
        self.packed.as_ref().map_or_else(|| self.host.period(), |packed| packed.period())
    }

    /// The metrics of the set. The columns of a large batch stay with the host until they are asked for.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let packed = |mut metric: PackedMetric| {
            let name = std::mem::take(&mut metric.name);
            (name, metric.live_rows, Source::Packed(metric))
        };
        let asked = |host: model::Metric| (host.name(), host.live_rows(), Source::Host(host, RefCell::new(None)));
        let sources: Vec<_> = match &self.packed {
            Some(whole) => whole.metrics().into_iter().map(packed).collect(),
            None => self.host.metrics().into_iter().map(asked).collect(),
        };
        let is_shown = self.is_shown;
        let metric = |(index, (name, live_rows, source))| Metric {
            index,
            name,
            live_rows,
            infos: OnceCell::new(),
            is_shown,
            source,
        };
        (0..).zip(sources).map(metric).collect()
    }

    /// A metric of this batch with all rows of the window. The host halves a batch that is too large for a sink, so rows that
    /// must not meet there may be in two halves: compare them here. Only rows of the part are to be sent and judged.
    #[must_use]
    pub fn whole(&self, metric: &Metric) -> Whole {
        let handle = match &metric.source {
            Source::Host(host, _) => Some(host),
            Source::Packed(_) => self.handles.get_or_init(|| self.host.metrics()).get(metric.index as usize),
        };
        let Some(handle) = handle else { return Whole { columns: metric.columns(), first_row: 0 } };
        let host = handle.whole();
        let whole = Metric {
            index: metric.index,
            name: metric.name.clone(),
            live_rows: host.live_rows(),
            infos: OnceCell::new(),
            is_shown: self.is_shown,
            source: Source::Host(host, RefCell::new(None)),
        };
        Whole { columns: whole.columns(), first_row: handle.first_row() }
    }
}

/// A metric with all rows of the window, of which a batch may be a part.
#[derive(Debug)]
pub struct Whole {
    /// All columns of all rows.
    pub columns: Columns,
    /// Which of the rows the first row of the part is.
    pub first_row: u32,
}

/// One metric of a batch.
#[derive(Debug)]
pub struct Metric {
    index: u32,
    name: String,
    live_rows: u32,
    infos: OnceCell<Vec<MeasureInfo>>,
    is_shown: bool,
    source: Source,
}

/// Where a metric's columns come from.
#[derive(Debug)]
enum Source {
    /// From the host, one by one; and what the infos were read from.
    Host(model::Metric, RefCell<Option<Vec<model::Measure>>>),
    /// They are here.
    Packed(PackedMetric),
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
        match &self.source {
            Source::Host(host, _) => host.rows(),
            Source::Packed(metric) => metric.rows,
        }
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
        self.infos.get_or_init(|| match &self.source {
            Source::Packed(metric) => metric.infos(),
            Source::Host(host, held) => {
                let measures = host.measures();
                let infos = measures.iter().map(info).collect();
                held.replace((self.index < HELD).then_some(measures));
                infos
            }
        })
    }

    /// Reads all columns. They are freed when the result is dropped, so an adapter that handles one metric after the other needs
    /// memory for one.
    #[must_use]
    pub fn columns(&self) -> Columns {
        let rows = if self.is_shown { self.rows() } else { self.live_rows };
        let (host, held) = match &self.source {
            Source::Packed(metric) => return metric.columns(rows, self.is_shown),
            Source::Host(host, held) => (host, held),
        };
        let dimensions = (0..).zip(host.dimensions()).map(|(at, name)| Dimension {
            name,
            dictionary: Dictionary::new(host.dictionary(at)),
            codes: host.codes(at),
        });
        let infos = self.infos();
        let held = held.take().unwrap_or_else(|| host.measures());
        let measures = infos.iter().zip(&held).map(|(info, measure)| Measure {
            attribute: info.attribute.clone(),
            aggregate: info.aggregate.clone(),
            additive: info.additive,
            values: measure.values(),
            totals: if self.is_shown && info.additive { measure.totals() } else { None },
        });
        Columns { rows, live_rows: self.live_rows, dimensions: dimensions.collect(), measures: measures.collect() }
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
    pub(crate) fn new(strings: model::Strings) -> Self {
        // The host promises UTF-8; if that were broken, a replacement character is better than a trap.
        let text = String::from_utf8(strings.utf8)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        Self { text, ends: strings.ends }
    }

    /// These entries by themselves.
    pub(crate) fn part(&self, entries: std::ops::Range<usize>) -> Self {
        let ends = self.ends.get(entries.clone()).unwrap_or_default();
        let start = entries.start.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        let end = ends.last().copied().unwrap_or(start);
        let text = self.text.get(start as usize..end as usize).unwrap_or_default().to_owned();
        Self { text, ends: ends.iter().map(|end| end.saturating_sub(start)).collect() }
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
