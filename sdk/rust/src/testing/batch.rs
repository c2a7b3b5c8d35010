//! Batches built row by row, for tests.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(crate) struct BatchData {
    pub(crate) project: String,
    pub(crate) metric_set: String,
    pub(crate) window_end: u64,
    pub(crate) period: u32,
    pub(crate) check: bool,
    pub(crate) metrics: Vec<Arc<MetricData>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct MetricData {
    pub(crate) name: String,
    pub(crate) rows: u32,
    pub(crate) live_rows: u32,
    pub(crate) dimensions: Vec<DimensionData>,
    pub(crate) measures: Vec<MeasureData>,
    /// What it is a part of, and which row there is its first.
    pub(crate) whole: Option<(Arc<MetricData>, u32)>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct DimensionData {
    pub(crate) name: String,
    pub(crate) dictionary: Vec<String>,
    pub(crate) codes: Vec<u32>,
    known: HashMap<String, u32>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct MeasureData {
    pub(crate) attribute: String,
    pub(crate) aggregate: String,
    pub(crate) additive: bool,
    pub(crate) values: Vec<f64>,
    pub(crate) totals: Option<Vec<f64>>,
}

/// A batch for tests. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TestBatch(pub(crate) Arc<BatchData>);

impl TestBatch {
    /// The part of it that has these live rows of each metric, as a host makes one of a batch that is too large: rows are counted
    /// from the start of the part, and the dictionaries are still those of the whole.
    ///
    /// # Panics
    /// If a metric does not have the rows, or there are not as many ranges as metrics.
    #[must_use]
    pub fn part(&self, rows: &[Range<u32>]) -> Self {
        assert_eq!(rows.len(), self.0.metrics.len(), "one range for each metric");
        let metrics = self.0.metrics.iter().zip(rows).map(|(metric, rows)| Arc::new(part(metric, rows))).collect();
        Self(Arc::new(BatchData { metrics, ..BatchData::clone(&self.0) }))
    }
}

fn part(whole: &Arc<MetricData>, rows: &Range<u32>) -> MetricData {
    assert!(rows.end <= whole.live_rows, "metric {} has {} live rows", whole.name, whole.live_rows);
    let cut = rows.start as usize..rows.end as usize;
    let mut part = MetricData::clone(whole);
    (part.rows, part.live_rows) = (rows.end - rows.start, rows.end - rows.start);
    for dimension in &mut part.dimensions {
        dimension.codes = dimension.codes[cut.clone()].to_vec();
    }
    for measure in &mut part.measures {
        measure.values = measure.values[cut.clone()].to_vec();
        measure.totals = measure.totals.take().map(|totals| totals[cut.clone()].to_vec());
    }
    part.whole = Some((Arc::clone(whole), rows.start));
    part
}

/// Builds a [`TestBatch`]. The window is the minute that ends at 1700000040, unless said otherwise.
#[derive(Debug)]
pub struct BatchBuilder(BatchData);

impl BatchBuilder {
    /// A batch of a metric set in a project.
    #[must_use]
    pub fn new(project: &str, metric_set: &str) -> Self {
        let (project, metric_set) = (project.to_owned(), metric_set.to_owned());
        Self(BatchData {
            project,
            metric_set,
            window_end: 1_700_000_040,
            period: 60,
            check: false,
            metrics: Vec::new(),
        })
    }

    /// First second after the window, and its length.
    #[must_use]
    pub fn window(mut self, end: u64, period: u32) -> Self {
        (self.0.window_end, self.0.period) = (end, period);
        self
    }

    /// Adds a metric.
    #[must_use]
    pub fn metric(mut self, metric: MetricBuilder) -> Self {
        self.0.metrics.push(Arc::new(metric.0));
        self
    }

    /// A batch that asks for a check of the settings.
    pub(crate) fn check(mut self) -> Self {
        self.0.check = true;
        self
    }

    /// The batch.
    #[must_use]
    pub fn build(self) -> TestBatch {
        TestBatch(Arc::new(self.0))
    }
}

/// Builds a metric of a batch: its measures first, then its rows.
#[derive(Clone, Debug)]
pub struct MetricBuilder(MetricData);

impl MetricBuilder {
    /// A metric that groups by these attributes.
    #[must_use]
    pub fn new<D: AsRef<str>>(name: &str, dimensions: impl IntoIterator<Item = D>) -> Self {
        let dimension = |name: D| DimensionData { name: name.as_ref().to_owned(), ..DimensionData::default() };
        let dimensions = dimensions.into_iter().map(dimension).collect();
        Self(MetricData { name: name.to_owned(), dimensions, ..MetricData::default() })
    }

    /// Adds an aggregate of an attribute.
    #[must_use]
    pub fn measure(mut self, aggregate: &str, attribute: &str) -> Self {
        let additive = matches!(aggregate, "count" | "sum");
        let (attribute, aggregate) = (attribute.to_owned(), aggregate.to_owned());
        self.0.measures.push(MeasureData { attribute, aggregate, additive, values: Vec::new(), totals: None });
        self
    }

    /// Adds a row that has values in the window: one label for each dimension, one value for each measure.
    ///
    /// # Panics
    /// If there are fewer or more, or if a past row came before.
    #[must_use]
    pub fn row<L: AsRef<str>>(
        mut self,
        labels: impl IntoIterator<Item = L>,
        values: impl IntoIterator<Item = f64>,
    ) -> Self {
        self.push(labels, values.into_iter().collect(), None);
        self
    }

    /// Adds a row as pull snapshots have them: with the sum over all windows so far for each measure (those of measures that are
    /// not additive are ignored).
    ///
    /// # Panics
    /// As [`row`](Self::row).
    #[must_use]
    pub fn row_with_totals<L: AsRef<str>>(
        mut self,
        labels: impl IntoIterator<Item = L>,
        values: impl IntoIterator<Item = f64>,
        totals: impl IntoIterator<Item = f64>,
    ) -> Self {
        self.push(labels, values.into_iter().collect(), Some(totals.into_iter().collect()));
        self
    }

    /// Adds a row of a series that was seen before and has totals only.
    ///
    /// # Panics
    /// If there are fewer or more labels than dimensions, or totals than measures.
    #[must_use]
    pub fn past_row<L: AsRef<str>>(
        mut self,
        labels: impl IntoIterator<Item = L>,
        totals: impl IntoIterator<Item = f64>,
    ) -> Self {
        self.code(labels);
        self.total(&totals.into_iter().collect::<Vec<_>>());
        self
    }

    fn push<L: AsRef<str>>(&mut self, labels: impl IntoIterator<Item = L>, values: Vec<f64>, totals: Option<Vec<f64>>) {
        let MetricData { name, rows, live_rows, measures, .. } = &mut self.0;
        assert_eq!(rows, live_rows, "metric {name}: rows with values come before past rows");
        assert_eq!(values.len(), measures.len(), "metric {name}: one value for each measure");
        for (measure, value) in measures.iter_mut().zip(values) {
            measure.values.push(value);
        }
        *live_rows += 1;
        self.code(labels);
        if let Some(totals) = totals {
            self.total(&totals);
        }
    }

    fn code<L: AsRef<str>>(&mut self, labels: impl IntoIterator<Item = L>) {
        let labels: Vec<L> = labels.into_iter().collect();
        assert_eq!(labels.len(), self.0.dimensions.len(), "metric {}: one label for each dimension", self.0.name);
        for (dimension, label) in self.0.dimensions.iter_mut().zip(labels) {
            let label = label.as_ref();
            let next = u32::try_from(dimension.dictionary.len()).unwrap_or(u32::MAX);
            let code = *dimension.known.entry(label.to_owned()).or_insert(next);
            if code == next {
                dimension.dictionary.push(label.to_owned());
            }
            dimension.codes.push(code);
        }
        self.0.rows += 1;
    }

    fn total(&mut self, totals: &[f64]) {
        let MetricData { name, measures, .. } = &mut self.0;
        assert_eq!(totals.len(), measures.len(), "metric {name}: one total for each measure");
        for (measure, total) in measures.iter_mut().zip(totals).filter(|(measure, _)| measure.additive) {
            measure.totals.get_or_insert_default().push(*total);
        }
    }
}
