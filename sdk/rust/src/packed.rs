//! A small batch as the host tells it in one call, taken apart again.
//!
//! A call to the host costs about as much as encoding a row. What a batch of a few rows needs is read at once, therefore; the
//! columns of a large one come one by one, since a copy of them would be what counts there.

use crate::batch::{Columns, Dictionary, Dimension, Measure, MeasureInfo};
use crate::bindings::model;
use std::rc::Rc;

/// Texts, numbers and values of what counts as small.
pub(crate) const MOST: u32 = 4_000;

/// A batch in three lists; the contract has their order.
#[derive(Debug)]
pub(crate) struct Packed {
    texts: Dictionary,
    numbers: Vec<u32>,
    values: Vec<f64>,
}

/// How far each list was read.
#[derive(Clone, Copy, Debug)]
struct Place {
    text: usize,
    number: usize,
    value: usize,
}

/// The first metric: behind two texts and five numbers.
const FIRST: Place = Place { text: 2, number: 5, value: 0 };

/// One metric of a small batch.
#[derive(Debug)]
pub(crate) struct PackedMetric {
    whole: Rc<Packed>,
    pub(crate) name: String,
    pub(crate) rows: u32,
    pub(crate) live_rows: u32,
    dimensions: (u32, Place),
    measures: (u32, Place),
}

impl Packed {
    /// The batch, if it is small.
    pub(crate) fn of(host: &model::Batch) -> Option<Rc<Self>> {
        let model::Columns { texts, numbers, values } = host.packed(MOST)?;
        Some(Rc::new(Self { texts: Dictionary::new(texts), numbers, values }))
    }

    pub(crate) fn project(&self) -> &str {
        self.texts.get(0)
    }

    pub(crate) fn metric_set(&self) -> &str {
        self.texts.get(1)
    }

    pub(crate) fn check(&self) -> bool {
        self.number(0) == 1
    }

    pub(crate) fn window_end(&self) -> u64 {
        u64::from(self.number(1)) << 32 | u64::from(self.number(2))
    }

    pub(crate) fn period(&self) -> u32 {
        self.number(3)
    }

    fn number(&self, at: usize) -> u32 {
        self.numbers.get(at).copied().unwrap_or_default()
    }

    pub(crate) fn metrics(self: &Rc<Self>) -> Vec<PackedMetric> {
        let mut reader = Reader { of: self, at: FIRST };
        let metric = |_| {
            let (name, rows, live_rows) = (reader.text().to_owned(), reader.number(), reader.number());
            let dimensions = (reader.number(), reader.at);
            for _ in 0..dimensions.0 {
                reader.dimension(rows);
            }
            let measures = (reader.number(), reader.at);
            for _ in 0..measures.0 {
                reader.measure(rows, live_rows);
            }
            PackedMetric { whole: Rc::clone(self), name, rows, live_rows, dimensions, measures }
        };
        (0..self.number(4)).map(metric).collect()
    }
}

impl PackedMetric {
    pub(crate) fn infos(&self) -> Vec<MeasureInfo> {
        let (count, at) = self.measures;
        let mut reader = Reader { of: &self.whole, at };
        (0..count).map(|_| reader.measure(self.rows, self.live_rows).info()).collect()
    }

    /// All columns; the totals only if they are wanted.
    pub(crate) fn columns(&self, rows: u32, totals: bool) -> Columns {
        let mut reader = Reader { of: &self.whole, at: self.dimensions.1 };
        let dimensions = (0..self.dimensions.0).map(|_| reader.dimension(self.rows).owned(&self.whole)).collect();
        reader.at = self.measures.1;
        let measures = (0..self.measures.0).map(|_| reader.measure(self.rows, self.live_rows).owned(totals)).collect();
        Columns { rows, live_rows: self.live_rows, dimensions, measures }
    }
}

/// Reads on from a place. What is missing reads as empty; the host leaves nothing out.
struct Reader<'a> {
    of: &'a Packed,
    at: Place,
}

/// A dimension where it lies: its name, first and last entry, and the codes.
struct PackedDimension<'a> {
    name: &'a str,
    entries: std::ops::Range<usize>,
    codes: &'a [u32],
}

/// A measure where it lies.
struct PackedMeasure<'a> {
    attribute: &'a str,
    aggregate: &'a str,
    additive: bool,
    values: &'a [f64],
    totals: Option<&'a [f64]>,
}

impl<'a> Reader<'a> {
    fn text(&mut self) -> &'a str {
        self.at.text += 1;
        self.of.texts.get(u32::try_from(self.at.text - 1).unwrap_or(u32::MAX))
    }

    fn number(&mut self) -> u32 {
        self.at.number += 1;
        self.of.number(self.at.number - 1)
    }

    fn values(&mut self, count: u32) -> &'a [f64] {
        let start = self.at.value;
        self.at.value += count as usize;
        self.of.values.get(start..self.at.value).unwrap_or_default()
    }

    fn dimension(&mut self, rows: u32) -> PackedDimension<'a> {
        let name = self.text();
        let first = self.at.text;
        self.at.text += self.number() as usize;
        let start = self.at.number;
        self.at.number += rows as usize;
        let codes = self.of.numbers.get(start..self.at.number).unwrap_or_default();
        PackedDimension { name, entries: first..self.at.text, codes }
    }

    fn measure(&mut self, rows: u32, live_rows: u32) -> PackedMeasure<'a> {
        let (attribute, aggregate) = (self.text(), self.text());
        let (additive, has_totals) = (self.number() == 1, self.number() == 1);
        let values = self.values(live_rows);
        let totals = has_totals.then(|| self.values(rows));
        PackedMeasure { attribute, aggregate, additive, values, totals }
    }
}

impl PackedDimension<'_> {
    fn owned(&self, whole: &Packed) -> Dimension {
        let dictionary = whole.texts.part(self.entries.clone());
        Dimension { name: self.name.to_owned(), dictionary, codes: self.codes.to_vec() }
    }
}

impl PackedMeasure<'_> {
    fn info(&self) -> MeasureInfo {
        let (attribute, aggregate) = (self.attribute.to_owned(), self.aggregate.to_owned());
        MeasureInfo { attribute, aggregate, additive: self.additive }
    }

    fn owned(&self, totals: bool) -> Measure {
        let MeasureInfo { attribute, aggregate, additive } = self.info();
        let totals = self.totals.filter(|_| totals && additive).map(<[f64]>::to_vec);
        Measure { attribute, aggregate, additive, values: self.values.to_vec(), totals }
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::MOST;
    use crate::batch::Batch;
    use crate::bindings::model;
    use crate::testing::{BatchBuilder, MetricBuilder, TestBatch, large_batch};
    use proptest::prelude::*;

    /// Everything that there is to be read of a batch.
    fn all_of(batch: &Batch<'_>) -> String {
        let metrics = batch.metrics();
        let metrics: Vec<_> = metrics
            .iter()
            .map(|m| (m.index(), m.name().to_owned(), m.rows(), m.live_rows(), m.measures(), m.columns()))
            .collect();
        let window = (batch.window_start(), batch.window_end(), batch.period());
        format!("{:?} {:?} {window:?} {} {metrics:?}", batch.project(), batch.metric_set(), batch.is_check())
    }

    fn metric(name: &str, live: &[(String, f64)], past: &[(String, f64)], totals: bool) -> MetricBuilder {
        let mut metric = MetricBuilder::new(name, ["one", ""]).measure("count", "_tx").measure("max", "ms");
        for (label, value) in live {
            let labels = [label.as_str(), "same"];
            metric = match totals {
                true => metric.row_with_totals(labels, [*value, f64::NAN], [2.0 * value, 0.0]),
                false => metric.row(labels, [*value, f64::NAN]),
            };
        }
        for (label, total) in past.iter().filter(|_| totals) {
            metric = metric.past_row([label.as_str(), "past"], [*total, 0.0]);
        }
        metric
    }

    fn same(batch: &TestBatch) {
        let host = model::Batch(std::sync::Arc::clone(&batch.0));
        for is_shown in [false, true] {
            let packed = if is_shown { Batch::shown(&host) } else { Batch::new(&host) };
            assert_eq!(all_of(&packed), all_of(&Batch::read(&host, None, is_shown)));
        }
    }

    proptest! {
        #[test]
        fn a_batch_reads_the_same_in_one_piece_and_column_by_column(
            metrics in prop::collection::vec(
                (".{0,4}", prop::collection::vec(("[aé]{0,2}", -2.0..2.0), 0..4), prop::collection::vec(("[aé]{0,2}", 0.0..9.0), 0..3), any::<bool>()),
                0..4,
            ),
            end in prop_oneof![Just(60_u64), Just(1 << 40)],
        ) {
            let batch = BatchBuilder::new("p é", "").window(end, 60);
            let batch = metrics.iter().fold(batch, |batch, (name, live, past, totals)| batch.metric(metric(name, live, past, *totals)));
            same(&batch.build());
            same(&BatchBuilder::new("p", "s").check().build());
        }
    }

    #[test]
    fn a_large_batch_stays_with_the_host() {
        let large = large_batch(MOST as usize);
        same(&large);
        assert!(model::Batch(large.0).packed(MOST).is_none());
    }
}
