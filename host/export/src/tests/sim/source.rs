//! Events as the event store holds them: an arrival is never before a seal and never before the one that came last. Counts them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tidegate_events::{EvaluationLimits, MetricSpec, Source, SourceError};
use tidegate_model::{Aggregate, Dimension, Instant, MeasureColumn, MetricBatch, ProjectId, StringPool, Window};

#[derive(Default)]
pub(super) struct SimSource {
    /// Arrival in microseconds, series.
    events: Mutex<Vec<(u64, String)>>,
    floor: AtomicU64,
    trouble: Mutex<Option<SourceError>>,
    /// A metric that takes too long.
    bad: Mutex<Option<String>>,
}

impl SimSource {
    pub(super) fn accept(&self, now: Instant, series: &str) {
        let mut events = self.events.lock().unwrap();
        let last = events.last().map_or(0, |(at, _)| *at);
        let arrival = now.micros().max(last).max(self.floor.load(Ordering::SeqCst));
        events.push((arrival, series.to_owned()));
    }

    /// Forgets what a restart forgets.
    pub(super) fn restart(&self) {
        self.floor.store(0, Ordering::SeqCst);
    }

    pub(super) fn set_trouble(&self, trouble: Option<SourceError>) {
        *self.trouble.lock().unwrap() = trouble;
    }

    pub(super) fn set_bad(&self, metric: Option<&str>) {
        *self.bad.lock().unwrap() = metric.map(str::to_owned);
    }

    /// The newest arrival or seal, in seconds.
    pub(super) fn newest(&self) -> u64 {
        let last = self.events.lock().unwrap().last().map_or(0, |(at, _)| *at);
        last.max(self.floor.load(Ordering::SeqCst)).div_ceil(1_000_000)
    }

    /// Looks at the series of all events that arrived in `window`, in microseconds.
    pub(super) fn inside<T>(&self, window: Range<u64>, look: impl FnOnce(&[(u64, String)]) -> T) -> T {
        look(within(&self.events.lock().unwrap(), &window))
    }
}

impl Source for SimSource {
    fn seal(&self, _: ProjectId, end: Instant) -> Result<(), SourceError> {
        if let Some(trouble) = self.trouble.lock().unwrap().clone() {
            return Err(trouble);
        }
        self.floor.fetch_max(end.micros(), Ordering::SeqCst);
        Ok(())
    }

    fn evaluate(
        &self,
        _: ProjectId,
        window: Window,
        metrics: &[MetricSpec],
        _: &EvaluationLimits,
    ) -> Result<Vec<MetricBatch>, SourceError> {
        if let Some(trouble) = self.trouble.lock().unwrap().clone() {
            return Err(trouble);
        }
        if let Some(bad) = metrics.iter().find(|m| self.bad.lock().unwrap().as_deref() == Some(m.name.as_str())) {
            return Err(SourceError::Time { metric: bad.name.to_string(), limit: Duration::from_secs(10) });
        }
        let events = self.events.lock().unwrap();
        let inside = window.start().micros()..window.end().micros();
        let mut counts: BTreeMap<&str, f64> = BTreeMap::new();
        for (_, series) in within(&events, &inside) {
            *counts.entry(series).or_default() += 1.0;
        }
        Ok(metrics.iter().map(|spec| counted(spec, &counts)).collect())
    }
}

/// The events of a span: arrivals never go back.
fn within<'e>(events: &'e [(u64, String)], span: &Range<u64>) -> &'e [(u64, String)] {
    let before = |bound: u64| events.partition_point(|(at, _)| *at < bound);
    &events[before(span.start)..before(span.end).max(before(span.start))]
}

/// A metric called `all` has no groups; any other is grouped by `d`.
fn counted(spec: &MetricSpec, counts: &BTreeMap<&str, f64>) -> MetricBatch {
    let whole = spec.name.as_str() == "all";
    let rows = if whole { 1 } else { u32::try_from(counts.len()).unwrap() };
    let dimension = || Dimension {
        name: "d".to_owned(),
        dictionary: counts.keys().copied().collect::<StringPool>(),
        codes: (0..rows).collect(),
    };
    let values = if whole { vec![counts.values().sum()] } else { counts.values().copied().collect() };
    MetricBatch {
        name: spec.name.clone(),
        rows,
        live_rows: rows,
        folded_groups: 0,
        dimensions: if whole { vec![] } else { vec![dimension()] },
        measures: vec![MeasureColumn {
            attribute: "_tx".to_owned(),
            aggregate: Aggregate::Count,
            values,
            totals: None,
        }],
    }
}
