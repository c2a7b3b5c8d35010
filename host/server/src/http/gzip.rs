//! Compressing answers for clients that ask for it.

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

/// Whether the client takes gzip, going by its `Accept-Encoding`.
pub(crate) fn is_taken(headers: &HeaderMap) -> bool {
    let all = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok());
    let mut taken = None;
    for item in all.flat_map(|v| v.split(',')) {
        let mut parts = item.split(';').map(str::trim);
        let coding = parts.next().unwrap_or_default();
        let refused = parts.any(|p| p.strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0)));
        match coding {
            c if c.eq_ignore_ascii_case("gzip") => return !refused,
            "*" => taken = Some(!refused),
            _ => {}
        }
    }
    taken.unwrap_or(false)
}

/// The parts as one gzip body.
pub(crate) fn packed(parts: &[Bytes]) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for part in parts {
        encoder.write_all(part)?;
    }
    Ok(encoder.finish()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use std::io::Read;

    #[test]
    fn gzip_is_used_when_it_is_asked_for_and_not_when_it_is_refused() {
        let taken = |value: &'static str| {
            is_taken(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]))
        };
        assert!(taken("gzip") && taken("deflate, GZIP;q=0.5") && taken("*"));
        assert!(!taken("gzip;q=0, *") && !taken("br") && !taken("*;q=0") && !is_taken(&HeaderMap::new()));
    }

    #[test]
    fn parts_are_packed_in_their_order() {
        let packed = packed(&[Bytes::from("one "), Bytes::from("two")]).unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, "one two");
    }
}
