//! A batch becomes submissions: one JSON object each, one member for each value.

use crate::series::{Namer, Place, Series};
use crate::settings::CirconusSettings;
use tidegate_adapter::{Batch, Columns, MAX_ACTIONS, MAX_OUTPUT_BYTES, Metric, Pieces, Request, Requests, Verdict};

/// Most metrics in one submission. Circonus publishes no limit; brokers read a submission while it comes in and keep it whole.
pub const METRICS_PER_REQUEST: u64 = 5_000;
/// Most bytes of one submission, unless a single row has more. Not published either.
pub const REQUEST_BYTES: u64 = 1_000_000;
/// Longest number in bytes, sign and exponent included.
const NUMBER_BYTES: usize = 25;

/// Makes requests of all live rows that have a value.
pub(crate) fn encode(settings: &CirconusSettings, batch: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
    let metrics = batch.metrics();
    let (project, metric_set) = (batch.project(), batch.metric_set());
    let place = Place { project: &project, metric_set: &metric_set };
    let names = Namer::reserving(&[]).names(settings.name(), place, &metrics);
    let constant = place.tags(settings.name());
    let stamp = batch.window_end() * 1_000;
    let mut writer = Writer {
        settings,
        requests,
        request: None,
        values: 0,
        sent: 0,
        bytes: 0,
        before: Pieces::one(b":{\"_type\":\"n\",\"_value\":\""),
        after: Pieces::one(format!("\",\"_ts\":{stamp}}}").as_bytes()),
    };
    for (metric, names) in metrics.iter().zip(&names) {
        if metric.live_rows() > 0 {
            let columns = metric.columns();
            writer.metric(metric, &columns, &Series::new(names, &constant, &columns, false))?;
        }
    }
    writer.send();
    Ok(())
}

struct Writer<'a> {
    settings: &'a CirconusSettings,
    requests: &'a mut Requests,
    request: Option<Request>,
    /// In the request that is open.
    values: u64,
    sent: usize,
    /// In requests that are done.
    bytes: u64,
    /// Between the name and the number.
    before: Pieces,
    /// After the number.
    after: Pieces,
}

impl Writer<'_> {
    fn metric(&mut self, metric: &Metric, columns: &Columns, series: &Series) -> Result<(), Verdict> {
        let check = series.may_be_refused();
        let most = columns.measures.len();
        let around = self.before.len_of(0) + self.after.len_of(0) + NUMBER_BYTES;
        for row in 0..columns.live_rows {
            let at = row as usize;
            if columns.measures.iter().all(|measure| measure.value(at).is_none()) {
                continue;
            }
            if check && let Some(reason) = series.refused(columns, at) {
                self.requests.reject(metric, row, &reason);
                continue;
            }
            if self.is_full(most as u64, (series.len_of(columns, at) + most * around) as u64) {
                self.open()?;
            }
            let Some(request) = &mut self.request else { continue };
            let before = self.values;
            let body = request.body();
            for (code, measure) in (0..).zip(&columns.measures) {
                let Some(value) = measure.value(at) else { continue };
                body.byte(if self.values == 0 { b'{' } else { b',' });
                series.write(body, code, columns, at);
                body.piece(&self.before, 0);
                body.number(value);
                body.piece(&self.after, 0);
                self.values += 1;
            }
            request.carries(metric, row);
            request.adds(self.values - before);
        }
        Ok(())
    }

    /// Whether a row of so many values and bytes needs a new request.
    fn is_full(&mut self, values: u64, bytes: u64) -> bool {
        let Some(request) = &mut self.request else { return true };
        let over = self.values + values > METRICS_PER_REQUEST || request.body().len() + bytes + 1 > REQUEST_BYTES;
        self.values > 0 && over
    }

    /// Sends what there is and begins a new request.
    fn open(&mut self) -> Result<(), Verdict> {
        self.send();
        if self.sent == MAX_ACTIONS || self.bytes + 2 * REQUEST_BYTES > MAX_OUTPUT_BYTES {
            let told = format!(
                "more than {} submissions of {} bytes together, and one delivery takes no more",
                self.sent, self.bytes
            );
            return Err(Verdict::split(told));
        }
        self.request = Some(self.settings.request()?);
        Ok(())
    }

    fn send(&mut self) {
        if let Some(mut request) = self.request.take() {
            request.body().byte(b'}');
            self.bytes += request.body().len();
            self.requests.send(request);
            self.sent += 1;
        }
        self.values = 0;
    }
}
