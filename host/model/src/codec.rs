//! How a batch is kept in the ledger: a small columnar form of its own, the same bytes for the same batch on every machine,
//! so that its digest proves that a resend is what was first sent.
//!
//! Little-endian throughout. A length that does not fit what is left of the input is an error, never an allocation.

use crate::batch::{Aggregate, Batch, Dimension, MeasureColumn, MetricBatch, StringPool};
use crate::name::Name;
use crate::window::{Period, Window};
use sha2::{Digest, Sha256};

/// First bytes of the form; the last one is its version.
const MAGIC: &[u8; 4] = b"TGB\x01";

/// Bytes that are not a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a stored batch: {what} at byte {at}")]
pub struct CodecError {
    /// What was expected and not found.
    pub what: &'static str,
    /// Where.
    pub at: usize,
}

/// The stored form of `batch`.
#[must_use]
pub fn encode(batch: &Batch) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.extend_from_slice(MAGIC);
    put_text(&mut out, batch.project.as_str());
    put_text(&mut out, batch.metric_set.as_str());
    out.extend_from_slice(&batch.window.start().seconds().to_le_bytes());
    put_u32(&mut out, batch.window.period().seconds());
    put_len(&mut out, batch.metrics.len());
    for metric in &batch.metrics {
        put_metric(&mut out, metric);
    }
    out
}

/// SHA-256 of the stored form.
#[must_use]
pub fn digest(stored: &[u8]) -> [u8; 32] {
    Sha256::digest(stored).into()
}

/// Reads a stored form back.
///
/// # Errors
/// [`CodecError`] if the bytes are not one, whole and consistent.
pub fn decode(stored: &[u8]) -> Result<Batch, CodecError> {
    let mut from = Reader { bytes: stored, at: 0 };
    if from.take(4)? != MAGIC {
        return Err(CodecError { what: "the mark of version 1", at: 0 });
    }
    let project = from.name()?;
    let metric_set = from.name()?;
    let start = from.u64()?;
    let period = Period::new(from.u32()?).map_err(|_| from.error("a period"))?;
    let window = Window::starting_at(start, period).ok_or_else(|| from.error("an aligned window"))?;
    let metrics = (0..from.u32()?).map(|_| from.metric()).collect::<Result<_, _>>()?;
    if from.at != stored.len() {
        return Err(from.error("the end"));
    }
    Ok(Batch { project, metric_set, window, metrics })
}

fn put_u32(out: &mut Vec<u8>, n: u32) {
    out.extend_from_slice(&n.to_le_bytes());
}

fn put_len(out: &mut Vec<u8>, n: usize) {
    put_u32(out, u32::try_from(n).unwrap_or(u32::MAX));
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_len(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn put_u32s(out: &mut Vec<u8>, numbers: &[u32]) {
    put_len(out, numbers.len());
    out.extend(numbers.iter().flat_map(|n| n.to_le_bytes()));
}

fn put_f64s(out: &mut Vec<u8>, numbers: &[f64]) {
    put_len(out, numbers.len());
    out.extend(numbers.iter().flat_map(|n| n.to_bits().to_le_bytes()));
}

fn put_metric(out: &mut Vec<u8>, metric: &MetricBatch) {
    put_text(out, metric.name.as_str());
    put_u32(out, metric.rows);
    put_u32(out, metric.live_rows);
    out.extend_from_slice(&metric.folded_groups.to_le_bytes());
    put_len(out, metric.dimensions.len());
    for dimension in &metric.dimensions {
        put_text(out, &dimension.name);
        let (utf8, ends) = dimension.dictionary.parts();
        put_text(out, utf8);
        put_u32s(out, ends);
        put_u32s(out, &dimension.codes);
    }
    put_len(out, metric.measures.len());
    for measure in &metric.measures {
        put_text(out, &measure.attribute);
        put_text(out, measure.aggregate.as_str());
        put_f64s(out, &measure.values);
        match &measure.totals {
            None => out.push(0),
            Some(totals) => {
                out.push(1);
                put_f64s(out, totals);
            }
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn error(&self, what: &'static str) -> CodecError {
        CodecError { what, at: self.at }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], CodecError> {
        let end = self.at.checked_add(n).filter(|&e| e <= self.bytes.len());
        let end = end.ok_or_else(|| self.error("more bytes"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u32(&mut self) -> Result<u32, CodecError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, CodecError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn text(&mut self) -> Result<String, CodecError> {
        let n = self.u32()? as usize;
        let bytes = self.take(n)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| self.error("UTF-8"))
    }

    fn name(&mut self) -> Result<Name, CodecError> {
        let text = self.text()?;
        Name::new(text).map_err(|_| self.error("a name"))
    }

    fn u32s(&mut self) -> Result<Vec<u32>, CodecError> {
        let n = self.u32()? as usize;
        let bytes = self.take(n.saturating_mul(4))?;
        Ok(bytes.as_chunks().0.iter().map(|c| u32::from_le_bytes(*c)).collect())
    }

    fn f64s(&mut self) -> Result<Vec<f64>, CodecError> {
        let n = self.u32()? as usize;
        let bytes = self.take(n.saturating_mul(8))?;
        Ok(bytes.as_chunks().0.iter().map(|c| f64::from_bits(u64::from_le_bytes(*c))).collect())
    }

    fn metric(&mut self) -> Result<MetricBatch, CodecError> {
        let name = self.name()?;
        let (rows, live_rows, folded_groups) = (self.u32()?, self.u32()?, self.u64()?);
        if live_rows > rows {
            return Err(self.error("no more live rows than rows"));
        }
        let dimensions = (0..self.u32()?).map(|_| self.dimension(rows)).collect::<Result<_, _>>()?;
        let measures = (0..self.u32()?).map(|_| self.measure(rows, live_rows)).collect::<Result<_, _>>()?;
        Ok(MetricBatch { name, rows, live_rows, folded_groups, dimensions, measures })
    }

    fn dimension(&mut self, rows: u32) -> Result<Dimension, CodecError> {
        let name = self.text()?;
        let (utf8, ends) = (self.text()?, self.u32s()?);
        let dictionary = StringPool::from_parts(utf8, ends).ok_or_else(|| self.error("a dictionary"))?;
        let codes = self.u32s()?;
        let fits = codes.len() == rows as usize && codes.iter().all(|&c| (c as usize) < dictionary.len());
        if fits { Ok(Dimension { name, dictionary, codes }) } else { Err(self.error("a code for each row")) }
    }

    fn measure(&mut self, rows: u32, live_rows: u32) -> Result<MeasureColumn, CodecError> {
        let attribute = self.text()?;
        let aggregate: Aggregate = self.text()?.parse().map_err(|()| self.error("an aggregate"))?;
        let values = self.f64s()?;
        let totals = if self.array::<1>()? == [0] { None } else { Some(self.f64s()?) };
        let fits = values.len() == live_rows as usize && totals.as_ref().is_none_or(|t| t.len() == rows as usize);
        if !fits {
            return Err(self.error("a value for each row"));
        }
        Ok(MeasureColumn { attribute, aggregate, values, totals })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::Instant;
    use proptest::prelude::*;

    fn sample(texts: &[String], values: &[f64]) -> Batch {
        let rows = u32::try_from(texts.len().min(values.len())).unwrap();
        let name = |n: &str| Name::new(n).unwrap();
        let mut dictionary = StringPool::default();
        let codes = texts.iter().take(rows as usize).map(|t| dictionary.push(t)).collect();
        Batch {
            project: name("p"),
            metric_set: name("set"),
            window: Period::default().window_at(Instant::from_seconds(1_700_000_000)),
            metrics: vec![MetricBatch {
                name: name("m"),
                rows,
                live_rows: rows,
                folded_groups: 7,
                dimensions: vec![Dimension { name: "d".to_owned(), dictionary, codes }],
                measures: vec![MeasureColumn {
                    attribute: "_tx".to_owned(),
                    aggregate: Aggregate::Count,
                    values: values[..rows as usize].to_vec(),
                    totals: Some(values[..rows as usize].to_vec()),
                }],
            }],
        }
    }

    proptest! {
        #[test]
        fn a_batch_reads_back_as_it_was_written(
            texts in prop::collection::vec(".*", 0..20), values in prop::collection::vec(any::<f64>(), 0..20),
        ) {
            let batch = sample(&texts, &values);
            let stored = encode(&batch);
            prop_assert_eq!(&decode(&stored).unwrap(), &batch);
            prop_assert_eq!(encode(&decode(&stored).unwrap()), stored);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn a_batch_cut_at_any_byte_is_refused() {
        let stored = encode(&sample(&["a".to_owned(), "ü".to_owned()], &[1.0, f64::NAN]));
        for cut in 0..stored.len() {
            assert!(decode(&stored[..cut]).is_err(), "cut at {cut}");
        }
    }
}
