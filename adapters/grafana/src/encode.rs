//! A batch becomes requests.
//!
//! Per row only bytes are copied: everything that repeats was spelled once, in the metric's [`Series`]. All points of a batch have
//! the same time, so they are in order whatever theirs; the host sends the oldest window first.

use crate::series::{Heads, Series};
use crate::settings::GrafanaSettings;
use graphite_series::Namer;
use tidegate_adapter::{Batch, Columns, MAX_ACTIONS, MAX_OUTPUT_BYTES, Metric, Request, Requests, Verdict};

/// Most points in one request. Grafana publishes no figure; its proxy gives the store behind it one second by default.
pub const POINTS_PER_REQUEST: usize = 1_000;
/// A request is not made longer than this and one row.
pub const REQUEST_BYTES: u64 = 900_000;

/// Makes requests of all live rows that have a value.
pub(crate) fn encode(settings: &GrafanaSettings, batch: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
    let (project, metric_set) = (batch.project(), batch.metric_set());
    let mut namer = Namer::new(&settings.prefix, &settings.naming, &project, &metric_set);
    let metrics: Vec<_> = batch.metrics().into_iter().map(|metric| (metric.measures(), metric)).collect();
    too_many(metrics.iter().map(|(measures, metric)| measures.len() as u64 * u64::from(metric.live_rows())).sum())?;
    let mut writer = Writer { settings, requests, request: None, points: 0, bytes: 0 };
    for (measures, metric) in &metrics {
        let heads = Heads::new(&mut namer, metric.name(), measures, batch.period(), batch.window_end());
        if metric.live_rows() > 0 {
            let columns = metric.columns();
            writer.metric(metric, &columns, &Series::new(heads, &columns))?;
        }
    }
    writer.send();
    Ok(())
}

/// Refuses a batch that would become more requests than one delivery may have; its halves may pass.
fn too_many(points: u64) -> Result<(), Verdict> {
    let most = (POINTS_PER_REQUEST * MAX_ACTIONS) as u64;
    if points > most {
        return Err(Verdict::split(format!("{points} points, and one delivery takes {most}")));
    }
    Ok(())
}

struct Writer<'a> {
    settings: &'a GrafanaSettings,
    requests: &'a mut Requests,
    request: Option<Request>,
    points: usize,
    /// In requests that are done.
    bytes: u64,
}

impl Writer<'_> {
    fn metric(&mut self, metric: &Metric, columns: &Columns, series: &Series) -> Result<(), Verdict> {
        let is_suspicious = series.is_suspicious();
        for row in 0..columns.live_rows {
            let at = row as usize;
            let points = columns.measures.iter().filter(|measure| measure.value(at).is_some()).count();
            if points == 0 {
                continue;
            }
            if is_suspicious && let Some(reason) = series.refusal(columns, at) {
                self.requests.reject(metric, row, &reason);
                continue;
            }
            // All points of a row go into one request, so that a verdict on it is one on the row.
            if self.is_full(points) {
                self.open()?;
            }
            let Some(request) = &mut self.request else { continue };
            let body = request.body();
            for (number, measure) in (0..).zip(&columns.measures) {
                let Some(value) = measure.value(at) else { continue };
                if self.points > 0 {
                    body.byte(b',');
                }
                body.piece(&series.heads.pieces, number);
                let mut is_first = !series.heads.has_tags();
                for (dimension, pieces) in columns.dimensions.iter().zip(&series.labels) {
                    let code = dimension.codes.get(at).copied().unwrap_or(u32::MAX);
                    if !is_first {
                        body.piece(pieces, code);
                    } else if let Some((_, tag)) = pieces.get(code).split_first() {
                        // Without the comma.
                        body.write(tag);
                        is_first = false;
                    }
                }
                body.text("],\"value\":");
                body.number(value);
                body.byte(b'}');
                self.points += 1;
            }
            request.carries(metric, row);
        }
        Ok(())
    }

    /// Whether the next row needs a new request.
    fn is_full(&mut self, points: usize) -> bool {
        let Some(request) = &mut self.request else { return true };
        self.points > 0 && (self.points + points > POINTS_PER_REQUEST || request.body().len() >= REQUEST_BYTES)
    }

    /// Sends what there is and begins a new request.
    fn open(&mut self) -> Result<(), Verdict> {
        self.send();
        // A request may be a row longer than its limit; what is left free here is far more.
        if self.bytes + 2 * REQUEST_BYTES > MAX_OUTPUT_BYTES {
            return Err(Verdict::split(format!("more than {} bytes for one delivery", self.bytes)));
        }
        let mut request = self.settings.request()?;
        request.body().byte(b'[');
        self.request = Some(request);
        Ok(())
    }

    fn send(&mut self) {
        if let Some(mut request) = self.request.take() {
            request.body().byte(b']');
            self.bytes += request.body().len();
            self.requests.send(request);
        }
        self.points = 0;
    }
}
