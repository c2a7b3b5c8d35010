//! Reading a request body: decompressed, within limits, and not for ever.
//!
//! The traps: a small body that decompresses to a huge one, a length that is claimed and not true, and a client that sends one
//! byte a minute. Limits hold for what was sent and again for what comes of it.

use super::inflate::{Inflate, InflateError};
use super::overload::{Overload, Pass};
use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use std::time::Duration;
use tokio::time::Instant;

/// Bytes that have to come each second once the client's patience time is used up.
const SLOWEST: u64 = 1024;

/// Why a body cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// More bytes than allowed.
    #[error("a body may have {limit} bytes {when}; this one has more")]
    TooLarge {
        /// The limit.
        limit: usize,
        /// As sent, or after decompression.
        when: &'static str,
    },
    /// It claims to be longer than allowed.
    #[error("a body may have {limit} bytes as sent; this one announces {announced}")]
    Announced {
        /// The limit.
        limit: usize,
        /// The `Content-Length`.
        announced: u64,
    },
    /// It cannot be decompressed.
    #[error(transparent)]
    Encoding(#[from] InflateError),
    /// It comes too slowly.
    #[error("the body comes too slowly: {sent} bytes in {} seconds", waited.as_secs())]
    Slow {
        /// Bytes so far.
        sent: usize,
        /// Time so far.
        waited: Duration,
    },
    /// The connection broke.
    #[error("the body broke off: {0}")]
    Broken(String),
    /// The server has no room for it now.
    #[error(transparent)]
    Overload(#[from] Overload),
}

impl BodyError {
    /// The HTTP status that fits.
    #[must_use]
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } | Self::Announced { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Encoding(InflateError::Unknown(_)) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Encoding(_) | Self::Broken(_) => StatusCode::BAD_REQUEST,
            Self::Slow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::Overload(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// A body that is read piece by piece.
pub(crate) struct BodyReader {
    stream: BodyDataStream,
    inflate: Option<Inflate>,
    input: Bytes,
    sent: usize,
    given: usize,
    limit: usize,
    patience: Duration,
    began: Instant,
}

impl BodyReader {
    /// Begins to read. `limit` is the most bytes, as sent and again after decompression. After `patience` the client has to keep
    /// up a kilobyte a second.
    ///
    /// # Errors
    /// [`BodyError`] if the headers alone rule it out.
    pub(crate) fn new(headers: &HeaderMap, body: Body, limit: usize, patience: Duration) -> Result<Self, BodyError> {
        let text = |name| headers.get(name).and_then(|v: &axum::http::HeaderValue| v.to_str().ok());
        let inflate = Inflate::of(text(header::CONTENT_ENCODING))?;
        let announced = text(header::CONTENT_LENGTH).and_then(|l| l.parse::<u64>().ok());
        if let Some(announced) = announced.filter(|n| usize::try_from(*n).map_or(true, |n| n > limit)) {
            return Err(BodyError::Announced { limit, announced });
        }
        let stream = body.into_data_stream();
        let (inflate, began) = (Some(inflate), Instant::now());
        Ok(Self { stream, inflate, input: Bytes::new(), sent: 0, given: 0, limit, patience, began })
    }

    /// The next piece; none at the end.
    ///
    /// # Errors
    /// [`BodyError`]; nothing more comes after one.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            let Some(inflate) = &mut self.inflate else { return Ok(None) };
            let plain = inflate.is_plain();
            if !self.input.is_empty() {
                let piece = inflate.step(&mut self.input)?;
                if !piece.is_empty() {
                    return self.give(piece, plain).map(Some);
                }
                continue;
            }
            let earned = Duration::from_secs(u64::try_from(self.sent).unwrap_or(u64::MAX) / SLOWEST);
            let deadline = self.began + self.patience + earned;
            match tokio::time::timeout_at(deadline, self.stream.next()).await {
                Err(_) => return Err(BodyError::Slow { sent: self.sent, waited: self.began.elapsed() }),
                Ok(Some(Err(error))) => return Err(BodyError::Broken(error.to_string())),
                Ok(Some(Ok(bytes))) => {
                    self.sent = self.sent.saturating_add(bytes.len());
                    if self.sent > self.limit {
                        return Err(BodyError::TooLarge { limit: self.limit, when: "as sent" });
                    }
                    self.input = bytes;
                }
                Ok(None) => {
                    let rest = match self.inflate.take() {
                        // An empty body is empty in every encoding.
                        Some(inflate) if self.sent > 0 => inflate.finish()?,
                        _ => Bytes::new(),
                    };
                    return if rest.is_empty() { Ok(None) } else { self.give(rest, plain).map(Some) };
                }
            }
        }
    }

    fn give(&mut self, piece: Bytes, plain: bool) -> Result<Bytes, BodyError> {
        self.given = self.given.saturating_add(piece.len());
        if self.given > self.limit && !plain {
            self.inflate = None;
            return Err(BodyError::TooLarge { limit: self.limit, when: "after decompression" });
        }
        Ok(piece)
    }

    /// The whole body. `pass` is made to hold its bytes.
    ///
    /// # Errors
    /// [`BodyError`], also when the server as a whole holds too much.
    pub(crate) async fn all(mut self, pass: &mut Pass) -> Result<Bytes, BodyError> {
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        pass.hold(first.len())?;
        let Some(second) = self.next().await? else { return Ok(first) };
        let mut whole = BytesMut::from(&first[..]);
        let mut piece = Some(second);
        while let Some(bytes) = piece {
            pass.hold(whole.len() + bytes.len())?;
            whole.extend_from_slice(&bytes);
            piece = self.next().await?;
        }
        Ok(whole.freeze())
    }
}

/// Reads what is left of a body for a moment, so that a client that is still writing sees the answer and not a broken pipe.
pub(crate) async fn drain(body: Body) {
    const MOST: usize = 1 << 20;
    let mut stream = body.into_data_stream();
    let read = async {
        let mut seen = 0;
        while let Some(Ok(piece)) = stream.next().await {
            seen += piece.len();
            if seen > MOST {
                break;
            }
        }
    };
    // Whether it got to the end makes no difference to the answer.
    let _ = tokio::time::timeout(Duration::from_secs(2), read).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::overload::Gate;
    use axum::http::HeaderValue;
    use flate2::{Compression, write::GzEncoder};
    use futures_util::stream;
    use std::convert::Infallible;
    use std::io::Write;

    const PATIENCE: Duration = Duration::from_secs(60);

    async fn read(
        headers: &[(header::HeaderName, &'static str)],
        parts: Vec<Vec<u8>>,
        limit: usize,
    ) -> Result<Bytes, BodyError> {
        let headers = headers.iter().map(|(n, v)| (n.clone(), HeaderValue::from_static(v))).collect();
        let body = Body::from_stream(stream::iter(parts.into_iter().map(Ok::<_, Infallible>)));
        BodyReader::new(&headers, body, limit, PATIENCE)?.all(&mut Gate::new(1, 1 << 20).enter().unwrap()).await
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut e = GzEncoder::new(Vec::new(), Compression::best());
        e.write_all(data).unwrap();
        e.finish().unwrap()
    }

    #[tokio::test]
    async fn a_body_of_exactly_the_limit_is_read_and_one_byte_more_is_refused() {
        assert_eq!(read(&[], vec![b"abc".to_vec(), b"de".to_vec()], 5).await.unwrap(), "abcde");
        let error = read(&[], vec![b"abc".to_vec(), b"def".to_vec()], 5).await.unwrap_err();
        assert_eq!(error.to_string(), "a body may have 5 bytes as sent; this one has more");
        assert_eq!(error.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn a_length_beyond_the_limit_is_refused_before_a_byte_is_read() {
        let error = read(&[(header::CONTENT_LENGTH, "6")], vec![], 5).await.unwrap_err();
        assert_eq!(error.to_string(), "a body may have 5 bytes as sent; this one announces 6");
    }

    #[tokio::test]
    async fn a_bomb_is_refused_at_the_limit_and_not_after_it_went_off() {
        let bomb = gzip(&vec![b' '; 64 << 20]);
        assert!(bomb.len() < 100_000);
        let error = read(&[(header::CONTENT_ENCODING, "gzip")], vec![bomb], 100_000).await.unwrap_err();
        assert_eq!(error.to_string(), "a body may have 100000 bytes after decompression; this one has more");
    }

    #[tokio::test]
    async fn bytes_of_all_requests_together_are_limited() {
        let gate = Gate::new(2, 8);
        let mut other = gate.enter().unwrap();
        other.hold(6).unwrap();
        let reader = BodyReader::new(&HeaderMap::new(), Body::from("abc"), 5, PATIENCE).unwrap();
        let error = reader.all(&mut gate.enter().unwrap()).await.unwrap_err();
        assert_eq!(error.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(error.to_string().contains("exceed the limit of 8"), "{error}");
    }

    #[tokio::test]
    async fn a_compressed_body_is_unpacked_and_an_empty_one_is_empty() {
        let gz = [(header::CONTENT_ENCODING, "gzip")];
        assert_eq!(read(&gz, vec![gzip(b"hello")], 100).await.unwrap(), "hello");
        assert_eq!(read(&gz, vec![], 100).await.unwrap(), "");
    }
}
