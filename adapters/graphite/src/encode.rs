//! A batch becomes lines, and the lines streams.
//!
//! Per row only bytes are copied: everything that repeats was spelled once, in the metric's [`Series`].

use crate::series::{Heads, Series};
use crate::settings::GraphiteSettings;
use graphite_series::Namer;
use tidegate_adapter::{Batch, Columns, MAX_ACTIONS, MAX_OUTPUT_BYTES, Metric, Pieces, Requests, Stream, Verdict};

/// A connection is not given more bytes than this and one row: carbon reads some 30,000 lines a second, and all of it has to be
/// read before the host loses patience. All connections of a delivery together stay below what it may hand over.
pub const STREAM_BYTES: u64 = 1_000_000;

/// Makes streams of all live rows that have a value.
pub(crate) fn encode(settings: &GraphiteSettings, batch: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
    let (project, metric_set) = (batch.project(), batch.metric_set());
    let mut namer = Namer::new(&settings.prefix, &settings.naming, &project, &metric_set);
    let tail = Pieces::one(format!(" {}\n", batch.window_end()).as_bytes());
    let mut writer = Writer { requests, stream: None, tail, bytes: 0, streams: 0 };
    for metric in batch.metrics() {
        let heads = Heads::new(&mut namer, settings.style, metric.name(), &metric.measures());
        if metric.live_rows() > 0 {
            let columns = metric.columns();
            let series = Series::new(heads, settings.style, &columns);
            writer.metric(&metric, &columns, series)?;
        }
    }
    writer.send();
    Ok(())
}

struct Writer<'a> {
    requests: &'a mut Requests,
    stream: Option<Stream>,
    /// The time stamp and the end of the line: a line without its end is lost.
    tail: Pieces,
    /// In streams that are done.
    bytes: u64,
    streams: usize,
}

impl Writer<'_> {
    fn metric(&mut self, metric: &Metric, columns: &Columns, mut series: Series) -> Result<(), Verdict> {
        let is_suspicious = series.is_suspicious();
        for row in 0..columns.live_rows {
            let at = row as usize;
            if columns.measures.iter().all(|measure| measure.value(at).is_none()) {
                continue;
            }
            if is_suspicious && let Some(reason) = series.refusal(columns, at) {
                self.requests.reject(metric, row, &reason);
                continue;
            }
            if self.stream.as_mut().is_none_or(|stream| stream.body().len() >= STREAM_BYTES) {
                self.open()?;
            }
            let Some(stream) = &mut self.stream else { continue };
            let body = stream.body();
            for (number, measure) in (0..).zip(&columns.measures) {
                if let Some(value) = measure.value(at) {
                    body.piece(&series.heads.pieces, number);
                    for (dimension, pieces) in columns.dimensions.iter().zip(&series.labels) {
                        body.piece(pieces, dimension.codes.get(at).copied().unwrap_or(u32::MAX));
                    }
                    body.byte(b' ');
                    body.number(value);
                    body.piece(&self.tail, 0);
                }
            }
            stream.carries(metric, row);
        }
        Ok(())
    }

    /// Sends what there is and begins a new stream.
    fn open(&mut self) -> Result<(), Verdict> {
        self.send();
        if self.streams == MAX_ACTIONS || self.bytes + 2 * STREAM_BYTES > MAX_OUTPUT_BYTES {
            return Err(Verdict::split(format!("more than {} bytes for one delivery", self.bytes)));
        }
        self.stream = Some(Stream::to(&GraphiteSettings::CARBON));
        Ok(())
    }

    fn send(&mut self) {
        if let Some(mut stream) = self.stream.take() {
            self.bytes += stream.body().len();
            self.streams += 1;
            self.requests.send_stream(stream);
        }
    }
}
