//! A batch becomes write requests.
//!
//! Per row only bytes are copied: everything that repeats was escaped once, in the metric's [`Lines`].

use crate::line::{Lines, SERIES_KEY_BYTES, field_code, measurements};
use crate::settings::InfluxSettings;
use std::borrow::Cow;
use tidegate_adapter::{Batch, Columns, MAX_ACTIONS, MAX_OUTPUT_BYTES, Metric, Names, Request, Requests, Verdict};

/// Most points in one request, as InfluxData advises for best throughput.
pub const POINTS_PER_REQUEST: u64 = 5_000;
/// A request is not made longer than this. InfluxDB 1.x refuses bodies over 25,000,000 bytes (`max-body-size`), InfluxDB Cloud
/// over 50 MB.
pub const REQUEST_BYTES: u64 = 10_000_000;

/// Makes requests of all live rows that have a value.
pub(crate) fn encode(settings: &InfluxSettings, batch: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
    let metrics = batch.metrics();
    too_many(metrics.iter().map(|metric| u64::from(metric.live_rows())).sum())?;
    let (project, metric_set, stamp) = (batch.project(), batch.metric_set(), batch.window_end());
    let named = |metric: &Metric| {
        let names = Names { project: &project, metric_set: &metric_set, metric: metric.name(), ..Names::default() };
        settings.naming.fill(&names, Cow::Borrowed)
    };
    let names: Vec<String> = metrics.iter().map(named).collect();
    let measurements = measurements(names.iter().map(String::as_str));
    let mut writer = Writer { settings, requests, request: None, points: 0, bytes: 0 };
    for (metric, measurement) in metrics.iter().zip(&measurements) {
        if metric.live_rows() > 0 {
            let columns = metric.columns();
            let lines = Lines::new(measurement, &project, &metric_set, &columns, stamp);
            writer.metric(metric, &columns, &lines)?;
        }
    }
    writer.send();
    Ok(())
}

/// Refuses a batch that would become more requests than one delivery may have; its halves may pass.
fn too_many(points: u64) -> Result<(), Verdict> {
    let most = POINTS_PER_REQUEST * MAX_ACTIONS as u64;
    if points > most {
        return Err(Verdict::split(format!("{points} points, and one delivery takes {most}")));
    }
    Ok(())
}

struct Writer<'a> {
    settings: &'a InfluxSettings,
    requests: &'a mut Requests,
    request: Option<Request>,
    points: u64,
    /// In requests that are done.
    bytes: u64,
}

impl Writer<'_> {
    fn metric(&mut self, metric: &Metric, columns: &Columns, lines: &Lines) -> Result<(), Verdict> {
        let check_length = lines.may_be_too_long();
        let mut codes: Vec<_> = Vec::with_capacity(lines.tags.len());
        for (index, pieces) in &lines.tags {
            codes.push((columns.dimensions[*index].codes.as_slice(), pieces));
        }
        for row in 0..columns.live_rows {
            let at = row as usize;
            if columns.measures.iter().all(|measure| measure.value(at).is_none()) {
                continue;
            }
            if check_length && lines.row_is_too_long(columns, at) {
                let reason = format!("series key longer than the {SERIES_KEY_BYTES} bytes that InfluxDB takes");
                self.requests.reject(metric, row, &reason);
                continue;
            }
            if self.is_full() {
                self.open()?;
            }
            let Some(request) = &mut self.request else { continue };
            let body = request.body();
            body.piece(&lines.head, 0);
            for (codes, pieces) in &codes {
                body.piece(pieces, codes.get(at).copied().unwrap_or(u32::MAX));
            }
            let mut first = true;
            for (number, measure) in columns.measures.iter().enumerate() {
                if let Some(value) = measure.value(at) {
                    body.piece(&lines.fields, field_code(number, first));
                    body.number(value);
                    first = false;
                }
            }
            body.piece(&lines.tail, 0);
            request.carries(metric, row);
            self.points += 1;
        }
        Ok(())
    }

    /// Whether the next point needs a new request.
    fn is_full(&mut self) -> bool {
        let Some(request) = &mut self.request else { return true };
        self.points >= POINTS_PER_REQUEST || request.body().len() >= REQUEST_BYTES
    }

    /// Sends what there is and begins a new request.
    fn open(&mut self) -> Result<(), Verdict> {
        self.send();
        // A request may be a line longer than its limit; what is left free here is far more.
        if self.bytes + 2 * REQUEST_BYTES > MAX_OUTPUT_BYTES {
            return Err(Verdict::split(format!("more than {} bytes for one delivery", self.bytes)));
        }
        self.request = Some(self.settings.request()?);
        Ok(())
    }

    fn send(&mut self) {
        if let Some(mut request) = self.request.take() {
            self.bytes += request.body().len();
            self.requests.send(request);
        }
        self.points = 0;
    }
}
