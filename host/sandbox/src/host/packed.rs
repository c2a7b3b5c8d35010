//! A small batch in three lists, handed over by one call.
//!
//! A call from the sandbox costs about as much as encoding a row, and reading a batch piece by piece takes some thirty. For a
//! large batch that is nothing and copying twice would be something, so the reader says how large is small.

use super::columns::{live_rows_of, part, rows_of};
use crate::bindings::push::tidegate::adapter::model::{Columns, Strings};
use tidegate_model::{BatchView, MetricBatch};

/// `view` in the order that the contract fixes; none if it is more than `most` texts, numbers and values.
pub(super) fn columns(view: &BatchView, check: bool, most: u32) -> Option<Columns> {
    let metrics = || (0..).zip(&view.batch.metrics);
    let size = metrics().map(|(at, metric)| size_of(view, at, metric)).fold(7, usize::saturating_add);
    if size > most as usize {
        return None;
    }
    let mut out = Lists::default();
    let batch = &view.batch;
    out.text(batch.project.as_str());
    out.text(batch.metric_set.as_str());
    let end = batch.window.end().seconds();
    let halves = [end >> 32, end & u64::from(u32::MAX)].map(|half| u32::try_from(half).unwrap_or(u32::MAX));
    out.numbers.extend([u32::from(check), halves[0], halves[1], batch.window.period().seconds()]);
    out.count(batch.metrics.len());
    for (at, metric) in metrics() {
        out.metric(view, at, metric);
    }
    Some(Columns { texts: Strings { utf8: out.utf8, ends: out.ends }, numbers: out.numbers, values: out.values })
}

/// Texts, numbers and values of the metric.
fn size_of(view: &BatchView, at: usize, metric: &MetricBatch) -> usize {
    let (rows, live) = (rows_of(view, at).len(), live_rows_of(view, at).len());
    let dimensions = metric.dimensions.iter().map(|d| 2 + d.dictionary.len() + rows);
    let measures = metric.measures.iter().map(|m| 4 + live + m.totals.as_ref().map_or(0, |_| rows));
    dimensions.chain(measures).fold(5, usize::saturating_add)
}

#[derive(Default)]
struct Lists {
    utf8: Vec<u8>,
    ends: Vec<u32>,
    numbers: Vec<u32>,
    values: Vec<f64>,
}

impl Lists {
    fn text(&mut self, text: &str) {
        self.utf8.extend_from_slice(text.as_bytes());
        self.ends.push(u32::try_from(self.utf8.len()).unwrap_or(u32::MAX));
    }

    fn count(&mut self, count: usize) {
        self.numbers.push(u32::try_from(count).unwrap_or(u32::MAX));
    }

    fn metric(&mut self, view: &BatchView, at: usize, metric: &MetricBatch) {
        let (rows, live) = (rows_of(view, at), live_rows_of(view, at));
        self.text(metric.name.as_str());
        self.count(rows.len());
        self.count(live.len());
        self.count(metric.dimensions.len());
        for dimension in &metric.dimensions {
            self.text(&dimension.name);
            self.count(dimension.dictionary.len());
            dimension.dictionary.iter().for_each(|entry| self.text(entry));
            self.numbers.extend_from_slice(part(&dimension.codes, &rows));
        }
        self.count(metric.measures.len());
        for measure in &metric.measures {
            self.text(&measure.attribute);
            self.text(measure.aggregate.as_str());
            self.numbers.extend([u32::from(measure.aggregate.additive()), u32::from(measure.totals.is_some())]);
            self.values.extend_from_slice(part(&measure.values, &live));
            self.values.extend_from_slice(measure.totals.as_ref().map_or(&[], |totals| part(totals, &rows)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tidegate_model::{Aggregate, Batch, Dimension, Instant, MeasureColumn, Name, Period};

    fn measure(attribute: &str, aggregate: Aggregate, values: &[f64], totals: Option<&[f64]>) -> MeasureColumn {
        let (attribute, values, totals) = (attribute.to_owned(), values.to_vec(), totals.map(<[f64]>::to_vec));
        MeasureColumn { attribute, aggregate, values, totals }
    }

    /// Three rows, the last of which is past.
    fn batch() -> Arc<Batch> {
        let name = |text: &str| Name::new(text).unwrap();
        let dimension =
            Dimension { name: "os".to_owned(), dictionary: ["", "é"].into_iter().collect(), codes: vec![1, 0, 1] };
        let measures = vec![
            measure("_tx", Aggregate::Count, &[1.0, 2.0], Some(&[10.0, 20.0, 30.0])),
            measure("ms", Aggregate::Max, &[f64::NAN, 0.5], None),
        ];
        let (rows, live_rows, folded_groups) = (3, 2, 0);
        let metric =
            MetricBatch { name: name("m"), rows, live_rows, folded_groups, dimensions: vec![dimension], measures };
        let empty = MetricBatch {
            name: name("none"),
            rows: 0,
            live_rows: 0,
            folded_groups,
            dimensions: vec![],
            measures: vec![],
        };
        // Beyond what 32 bits hold.
        let window = Period::default().window_at(Instant::from_seconds(0x1_0000_0040));
        Arc::new(Batch { project: name("p"), metric_set: name("s"), window, metrics: vec![metric, empty] })
    }

    fn texts(columns: &Columns) -> Vec<&str> {
        let starts = std::iter::once(&0).chain(&columns.texts.ends);
        let cut = |(from, to): (&u32, &u32)| &columns.texts.utf8[*from as usize..*to as usize];
        starts.zip(&columns.texts.ends).map(cut).map(|text| std::str::from_utf8(text).unwrap()).collect()
    }

    #[test]
    fn a_batch_is_told_in_the_order_of_the_contract() {
        let batch = batch();
        let end = u32::try_from(batch.window.end().seconds() - (1 << 32)).unwrap();
        let whole = columns(&BatchView::whole(batch), true, 1_000).unwrap();
        assert_eq!(texts(&whole), ["p", "s", "m", "os", "", "é", "_tx", "count", "ms", "max", "none"]);
        let expected = [1, 1, end, 60, 2, 3, 2, 1, 2, 1, 0, 1, 2, 1, 1, 0, 0, 0, 0, 0, 0];
        assert_eq!(whole.numbers, expected);
        assert!(whole.values[5].is_nan());
        assert_eq!(whole.values[..5], [1.0, 2.0, 10.0, 20.0, 30.0]);
        assert_eq!(whole.values[6..], [0.5]);
    }

    #[test]
    fn a_part_has_its_own_rows_and_the_whole_dictionary() {
        let part = columns(&BatchView { batch: batch(), rows: vec![1..2, 0..9] }, false, 1_000).unwrap();
        assert_eq!(texts(&part)[3..6], ["os", "", "é"]);
        assert_eq!(part.numbers[5..10], [1, 1, 1, 2, 0]);
        assert_eq!(part.values, [2.0, 20.0, 0.5]);
        let none = columns(&BatchView { batch: batch(), rows: vec![9..12, 0..0] }, false, 1_000).unwrap();
        assert_eq!((&none.numbers[5..9], none.values.len()), (&[0, 0, 1, 2][..], 0));
    }

    #[test]
    fn what_is_larger_than_asked_for_is_not_told() {
        let view = BatchView::whole(batch());
        let whole = columns(&view, false, 1_000).unwrap();
        let size = u32::try_from(whole.texts.ends.len() + whole.numbers.len() + whole.values.len()).unwrap();
        assert!(columns(&view, false, size).is_some());
        assert!(columns(&view, false, size - 1).is_none());
    }
}
