//! A batch becomes series requests.
//!
//! Datadog has two limits for a request, one for the bytes on the wire (after compression) and one for those that it unpacks. How
//! far gzip gets is not known here, and a body that is too large comes back as 413 after it was sent whole. So a body is kept so
//! short that gzip cannot get over the first limit even if it gains nothing; the second is ten times as far away then.

use crate::names::{self, Tags};
use crate::settings::{Api, DatadogSettings};
use std::borrow::Cow;
use std::collections::BTreeMap;
use tidegate_adapter::{Batch, Columns, MAX_ACTIONS, MeasureInfo, Metric, Names, Pieces, Request, Requests, Verdict};

/// A body has no more bytes than this, unless a single row has. The limits of v2 are 512,000 bytes compressed and 5,242,880
/// unpacked (v1: 3,200,000 and 62,914,560); gzip adds less than 1,000 bytes to what it cannot make shorter.
pub const REQUEST_BYTES: u64 = 500_000;
/// Longest number in bytes, sign and exponent included.
const NUMBER_BYTES: usize = 25;

const BEGIN: &str = "{\"series\":[";
const END: &str = "]}";

/// Makes requests of all live rows that have a value.
pub(crate) fn encode(settings: &DatadogSettings, batch: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
    let metrics = batch.metrics();
    let names = names(settings, batch, &metrics);
    let mut writer = Writer { settings, batch, requests, request: None, series: 0, sent: 0 };
    for (metric, names) in metrics.iter().zip(&names) {
        if metric.live_rows() > 0 {
            let columns = metric.columns();
            let template = Template::new(settings, batch, names, &columns);
            writer.metric(metric, &columns, &template)?;
        }
    }
    writer.send();
    Ok(())
}

/// The names of all measures, metric by metric.
fn names(settings: &DatadogSettings, batch: &Batch<'_>, metrics: &[Metric]) -> Vec<Vec<String>> {
    let (project, metric_set) = (batch.project(), batch.metric_set());
    let wanted = |metric: &Metric| -> Vec<String> {
        let name = |m: &MeasureInfo| {
            let names = Names {
                project: &project,
                metric_set: &metric_set,
                metric: metric.name(),
                aggregate: &m.aggregate,
                attribute: &m.attribute,
            };
            // Dots in a value make levels, as Datadog's users have them in names; the whole is made legal later.
            format!("{}.{}", settings.namespace(), settings.name().fill(&names, Cow::Borrowed))
        };
        metric.measures().iter().map(name).collect()
    };
    let wanted: Vec<_> = metrics.iter().map(wanted).collect();
    let mut given = names::metrics(&wanted.concat()).into_iter();
    wanted.iter().map(|names| given.by_ref().take(names.len()).collect()).collect()
}

/// Everything of a metric's series that does not change from row to row.
struct Template {
    /// For each measure: everything before the value.
    heads: Pieces,
    /// Between the value and the tags of the dimensions.
    middle: Pieces,
    tags: Tags,
    /// After the tags.
    tail: Pieces,
}

impl Template {
    fn new(settings: &DatadogSettings, batch: &Batch<'_>, names: &[String], columns: &Columns) -> Self {
        let stamp = batch.window_end();
        let mut heads = Pieces::default();
        for (name, measure) in names.iter().zip(&columns.measures) {
            let name = names::quoted(name);
            let kind = match (settings.api(), measure.additive) {
                (Api::V2, true) => format!("\"type\":1,\"interval\":{}", batch.period()),
                (Api::V2, false) => "\"type\":3".to_owned(),
                (Api::V1, true) => format!("\"type\":\"count\",\"interval\":{}", batch.period()),
                (Api::V1, false) => "\"type\":\"gauge\"".to_owned(),
            };
            let point = match settings.api() {
                Api::V2 => format!("\"points\":[{{\"timestamp\":{stamp},\"value\":"),
                Api::V1 => format!("\"points\":[[{stamp},"),
            };
            heads.push(format!("{{\"metric\":{name},{kind},{point}").as_bytes());
        }
        let tags =
            Tags::new(&batch.project(), &batch.metric_set(), settings.tags(), settings.host().is_some(), columns);
        let (close, host) = match settings.api() {
            Api::V2 => (
                "}],",
                settings
                    .host()
                    .map(|host| format!("],\"resources\":[{{\"type\":\"host\",\"name\":{}}}]}}", names::quoted(host))),
            ),
            Api::V1 => ("]],", settings.host().map(|host| format!("],\"host\":{}}}", names::quoted(host)))),
        };
        let middle = [close.as_bytes(), b"\"tags\":[", tags.constant.as_slice()].concat();
        let tail = host.unwrap_or_else(|| "]}".to_owned());
        Self { heads, middle: Pieces::one(&middle), tags, tail: Pieces::one(tail.as_bytes()) }
    }

    /// Most bytes that a row's series have together.
    fn len_of(&self, columns: &Columns, row: usize) -> u64 {
        let each = NUMBER_BYTES + self.middle.len_of(0) + self.tags.len_of(columns, row) + self.tail.len_of(0) + 1;
        let heads: usize = (0..).take(columns.measures.len()).map(|code| self.heads.len_of(code)).sum();
        (heads + each * columns.measures.len()) as u64
    }
}

struct Writer<'a> {
    settings: &'a DatadogSettings,
    batch: &'a Batch<'a>,
    requests: &'a mut Requests,
    request: Option<Request>,
    /// In the request that is open.
    series: u64,
    sent: usize,
}

impl Writer<'_> {
    fn metric(&mut self, metric: &Metric, columns: &Columns, template: &Template) -> Result<(), Verdict> {
        let count_tags = template.tags.may_be_too_many();
        let twins = self.twins(metric, columns, template);
        let codes: Vec<&[u32]> = columns.dimensions.iter().map(|dimension| dimension.codes.as_slice()).collect();
        for row in 0..columns.live_rows {
            let at = row as usize;
            if columns.measures.iter().all(|measure| measure.value(at).is_none()) {
                continue;
            }
            if count_tags && template.tags.count(columns, at) > names::TAGS {
                let count = template.tags.count(columns, at);
                self.requests.reject(metric, row, &format!("{count} tags, and a series may have {}", names::TAGS));
                continue;
            }
            if let Some(reason) = twins.get(&row) {
                self.requests.reject(metric, row, reason);
                continue;
            }
            if self.is_full(template.len_of(columns, at)) {
                self.open()?;
            }
            let Some(request) = &mut self.request else { continue };
            let body = request.body();
            for (code, measure) in (0..).zip(&columns.measures) {
                let Some(value) = measure.value(at) else { continue };
                if self.series > 0 {
                    body.byte(b',');
                }
                body.piece(&template.heads, code);
                body.number(value);
                body.piece(&template.middle, 0);
                for (pieces, codes) in template.tags.dimensions.iter().zip(&codes) {
                    body.piece(pieces, codes.get(at).copied().unwrap_or(u32::MAX));
                }
                body.piece(&template.tail, 0);
                self.series += 1;
            }
            request.carries(metric, row);
        }
        Ok(())
    }

    /// The rows that must not be sent, with the reason. Of a window that goes out in halves all rows are compared, so that each half
    /// says the same of a row, whichever half the other one is in.
    fn twins(&self, metric: &Metric, columns: &Columns, template: &Template) -> BTreeMap<u32, String> {
        if template.tags.are_all_different() {
            return BTreeMap::new();
        }
        let whole = self.batch.whole(metric);
        let twins = template.tags.twins(&whole.columns).into_iter();
        let here = twins.filter_map(|(row, reason)| Some((row.checked_sub(whole.first_row)?, reason)));
        here.filter(|(row, _)| *row < columns.live_rows).collect()
    }

    /// Whether a row of `more` bytes needs a new request.
    fn is_full(&mut self, more: u64) -> bool {
        let Some(request) = &mut self.request else { return true };
        self.series > 0 && request.body().len() + more + END.len() as u64 > REQUEST_BYTES
    }

    /// Sends what there is and begins a new request.
    fn open(&mut self) -> Result<(), Verdict> {
        self.send();
        if self.sent == MAX_ACTIONS {
            let told =
                format!("more than {MAX_ACTIONS} requests of {REQUEST_BYTES} bytes, and one delivery takes that many");
            return Err(Verdict::split(told));
        }
        let mut request = self.settings.request()?;
        request.body().text(BEGIN);
        self.request = Some(request);
        Ok(())
    }

    fn send(&mut self) {
        if let Some(mut request) = self.request.take() {
            request.body().text(END);
            self.requests.send(request);
            self.sent += 1;
        }
        self.series = 0;
    }
}
