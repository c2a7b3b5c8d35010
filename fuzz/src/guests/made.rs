//! Batches out of bytes, whatever the bytes are.

use std::ops::Range;
use std::sync::Arc;
use tidegate_model::{
    Aggregate, Batch, BatchView, Dimension, MeasureColumn, MetricBatch, Name, Period, StringPool, Window,
};

/// Bytes that are used up; after the last one come zeros.
pub(super) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    fn below(&mut self, bound: u32) -> u32 {
        u32::from(self.byte()) % bound.max(1)
    }

    fn number(&mut self) -> f64 {
        f64::from_bits(u64::from_le_bytes(std::array::from_fn(|_| self.byte())))
    }

    /// A text of up to 40 bytes; what is not UTF-8 becomes a mark that is.
    fn text(&mut self) -> String {
        let length = usize::from(self.byte()) % 40;
        let (now, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        String::from_utf8_lossy(now).into_owned()
    }

    fn name(&mut self) -> Name {
        let text: String = self.text().chars().filter(|c| !c.is_control()).collect();
        let given = Name::new(text.trim()).or_else(|_| Name::new("m"));
        given.unwrap_or_else(|error| panic!("{error}"))
    }
}

fn metric(from: &mut Bytes<'_>) -> MetricBatch {
    let (name, rows) = (from.name(), from.below(20));
    let live_rows = from.below(rows + 1);
    let dimension = |from: &mut Bytes<'_>| {
        let name = from.text();
        let entries = 1 + from.below(5);
        let dictionary: StringPool = (0..entries).map(|_| from.text()).collect();
        Dimension { name, dictionary, codes: (0..rows).map(|_| from.below(entries)).collect() }
    };
    let dimensions = (0..from.below(4)).map(|_| dimension(from)).collect();
    let measure = |from: &mut Bytes<'_>| {
        let attribute = from.text();
        let aggregate = Aggregate::ALL[from.below(8) as usize];
        let values = (0..live_rows).map(|_| from.number()).collect();
        let totals = (from.below(2) == 1).then(|| (0..rows).map(|_| from.number()).collect());
        MeasureColumn { attribute, aggregate, values, totals }
    };
    let measures = (0..from.below(4)).map(|_| measure(from)).collect();
    MetricBatch { name, rows, live_rows, folded_groups: 0, dimensions, measures }
}

/// A batch, and a part of it that may claim rows which there are not.
pub(super) fn view(from: &mut Bytes<'_>) -> BatchView {
    let metrics: Vec<MetricBatch> = (0..from.below(4)).map(|_| metric(from)).collect();
    let window = Window::starting_at(1_700_000_040, Period::default()).unwrap_or_else(|| panic!("it is no window"));
    let (project, metric_set) = (from.name(), from.name());
    let whole = from.below(2) == 0;
    let part = |from: &mut Bytes<'_>, metric: &MetricBatch| -> Range<u32> {
        if whole {
            return 0..metric.rows;
        }
        let start = from.below(24);
        start..start + from.below(24)
    };
    let rows = metrics.iter().map(|metric| part(from, metric)).collect();
    BatchView { batch: Arc::new(Batch { project, metric_set, window, metrics }), rows }
}
