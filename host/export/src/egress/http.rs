//! HTTP requests to a store's endpoint.

use super::credentials::{fill, invalid};
use super::policy::Denied;
use super::resolve::{Guard, Guarded, Unresolved, literal};
use super::{Egress, EgressOptions, Exchange, Unsendable};
use crate::offload::blocking;
use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::header::{CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use reqwest::redirect::Policy;
use reqwest::{Body, Certificate, Client, Response};
use rustls::CertificateError;
use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::time::SystemTime;
use tidegate_model::Settings;
use tidegate_model::settings::SettingValue;
use tidegate_sandbox::{HttpRequest, Method, Outcome};
use url::Url;

/// Idle connections are dropped before the servers behind the endpoints drop them (common limits start at 60 s).
const IDLE: std::time::Duration = std::time::Duration::from_secs(30);
/// A body of as many bytes takes a millisecond or more to compress.
const LARGE: usize = 64 << 10;

/// A client that follows nothing, asks no proxy and unpacks nothing; each connection goes to an address that the policy let
/// through. It trusts `authorities` beside those of the system.
pub(super) fn client(
    guard: &Arc<Guard>,
    options: &EgressOptions,
    authorities: &[Certificate],
) -> Result<Client, reqwest::Error> {
    // The provider is the process's; whoever installed one first has decided.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            // A few bytes could become many. Also if another crate has switched the feature on.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .connect_timeout(options.connect)
            .timeout(options.total)
            .pool_idle_timeout(IDLE)
            .dns_resolver(Guarded(Arc::clone(guard)))
    };
    // A machine without certificate authorities can still reach http endpoints, and https ones whose authority was typed in.
    builder().tls_certs_merge(authorities.iter().cloned()).build().or_else(|error| {
        tracing::warn!(
            "no certificate authorities of the system can be loaded, so only those of a store count: {error}"
        );
        builder().tls_certs_only(authorities.iter().cloned()).build()
    })
}

impl Egress {
    pub(super) async fn send(
        &self,
        client: &Client,
        request: &HttpRequest,
        url: &SettingValue,
        settings: &Settings,
        authorities: Option<&str>,
    ) -> Result<Exchange, Unsendable> {
        let endpoint = request.endpoint.as_str();
        let url = address(request, url)?;
        // The client asks its resolver for names only; an address in the URL has to be checked here.
        if let Some(ip) = url.host_str().and_then(literal) {
            self.guard.check(ip).map_err(|denied| Unsendable::Denied { endpoint: endpoint.to_owned(), denied })?;
        }
        let mut headers = plain_headers(request)?;
        fill(endpoint, &request.credentials, settings, &mut headers)?;
        let (body, bytes) = whole_body(request).await.map_err(|e| invalid(endpoint, &e))?;
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
        };
        let sent = client.request(method, url).headers(headers).body(body).send().await;
        let outcome = match sent {
            Ok(response) => answer(response, self.options.answer_bytes).await,
            Err(error) => match denial(&error) {
                Some(denied) => return Err(Unsendable::Denied { endpoint: endpoint.to_owned(), denied }),
                None => Outcome { failure: Some(reason(&error, authorities)), ..Outcome::default() },
            },
        };
        Ok(Exchange { outcome, bytes })
    }
}

/// The endpoint's URL with the request's path and query appended. What was typed in keeps its own path and query.
fn address(request: &HttpRequest, url: &SettingValue) -> Result<Url, Unsendable> {
    let endpoint = request.endpoint.as_str();
    let text = match url {
        SettingValue::Text(text) => text.as_str(),
        SettingValue::Secret(secret) => secret.expose(),
        _ => return Err(Unsendable::NoTarget(endpoint.to_owned())),
    };
    // The parser's errors do not repeat the text, which may be secret.
    let mut url = Url::parse(text).map_err(|e| invalid(endpoint, &e))?;
    if !request.path.is_empty() {
        let path = format!("{}{}", url.path().trim_end_matches('/'), request.path);
        url.set_path(&path);
    }
    if !request.query.is_empty() {
        url.query_pairs_mut().extend_pairs(&request.query);
    }
    url.set_fragment(None);
    Ok(url)
}

/// The address for people: a URL that is a credential as a whole is there as `<secret>`.
pub(super) fn shown_address(request: &HttpRequest, url: &SettingValue) -> String {
    if matches!(url, SettingValue::Secret(_)) {
        return format!("<secret>{}", request.path);
    }
    address(request, url).map_or_else(|error| format!("<{error}>"), |url| url.to_string())
}

fn plain_headers(request: &HttpRequest) -> Result<HeaderMap, Unsendable> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("tidegate/", env!("CARGO_PKG_VERSION"))));
    for (name, value) in &request.headers {
        let name = HeaderName::try_from(name.as_str()).map_err(|e| invalid(&request.endpoint, &e))?;
        let value = HeaderValue::try_from(value.as_str()).map_err(|e| invalid(&request.endpoint, &e))?;
        headers.append(name, value);
    }
    if request.gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(headers)
}

/// The body in one piece, so that it goes out with its length, which some receivers insist on. A large one is put together where it
/// may take its time.
async fn whole_body(request: &HttpRequest) -> std::io::Result<(Body, u64)> {
    let (pieces, gzip) = (request.body.clone(), request.gzip);
    let whole = if request.body_len() < LARGE || pieces.len() == 1 && !gzip {
        joined(&pieces, gzip)?
    } else {
        blocking(move || joined(&pieces, gzip)).await.map_err(std::io::Error::other)??
    };
    let bytes = whole.len() as u64;
    Ok((Body::from(whole), bytes))
}

fn joined(pieces: &[Bytes], gzip: bool) -> std::io::Result<Bytes> {
    if gzip {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        pieces.iter().try_for_each(|piece| packed.write_all(piece))?;
        return Ok(packed.finish()?.into());
    }
    if let [one] = pieces {
        return Ok(one.clone());
    }
    let mut joined = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    pieces.iter().for_each(|piece| joined.extend_from_slice(piece));
    Ok(joined.freeze())
}

/// Reads an answer up to `limit` bytes. A body that breaks off does not undo the status: the sink has answered.
async fn answer(mut response: Response, limit: usize) -> Outcome {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut headers: Vec<_> =
        response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    wait_in_seconds(&mut headers, SystemTime::now());
    let status = Some(response.status().as_u16());
    let mut body = BytesMut::new();
    while body.len() < limit
        && let Ok(Some(piece)) = response.chunk().await
    {
        let fits = piece.len().min(limit - body.len());
        body.extend_from_slice(&piece[..fits]);
    }
    Outcome { status, failure: None, headers, body: body.freeze() }
}

/// Turns a `Retry-After` that is a date (RFC 9110, 10.2.3) into seconds, for adapters have no clock. The other side's clock may go wrong, so
/// the date is held against the one at which it answered, if it tells it.
pub(super) fn wait_in_seconds(headers: &mut [(String, String)], now: SystemTime) {
    let named = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.trim());
    let date = |name: &str| named(name).and_then(|value| httpdate::parse_http_date(value).ok());
    let Some(until) = date("retry-after") else { return };
    let wait = until.duration_since(date("date").unwrap_or(now)).unwrap_or_default();
    let seconds = wait.as_millis().div_ceil(1000).to_string();
    headers.iter_mut().filter(|(name, _)| name == "retry-after").for_each(|(_, value)| value.clone_from(&seconds));
}

/// Whether an error is, at bottom, the policy's.
fn denial(error: &reqwest::Error) -> Option<Denied> {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(current) = cause {
        if let Some(Unresolved::Denied(denied)) = current.downcast_ref::<Unresolved>() {
            return Some(denied.clone());
        }
        cause = current.source();
    }
    None
}

/// Why no answer came, in words, without the URL: it may be a credential. `authorities` is the label of the setting for
/// certificates, if the adapter has one.
fn reason(error: &reqwest::Error, authorities: Option<&str>) -> String {
    if error.is_timeout() {
        return if error.is_connect() {
            "timed out while connecting"
        } else {
            "timed out while waiting for the answer"
        }
        .to_owned();
    }
    if let Some(refused) = certificate_problem(error) {
        return format!("the other side's certificate is not accepted: {}", explained(&refused, authorities));
    }
    let mut deepest: &dyn Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    let kind = if error.is_connect() { "cannot connect" } else { "the exchange broke off" };
    format!("{kind}: {deepest}")
}

/// What TLS has against the certificate, if that is what an error is about. An `io::Error` hides what it was made of from
/// `source`, so it is asked by itself.
fn certificate_problem(error: &reqwest::Error) -> Option<CertificateError> {
    fn of(error: &(dyn Error + 'static)) -> Option<CertificateError> {
        if let Some(rustls::Error::InvalidCertificate(problem)) = error.downcast_ref() {
            return Some(problem.clone());
        }
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        inner.and_then(|inner| of(inner)).or_else(|| of(error.source()?))
    }
    of(error)
}

/// The same for whoever has to do something about it.
fn explained(problem: &CertificateError, authorities: Option<&str>) -> String {
    match problem {
        // A bad signature is what an authority looks like that has the name of a trusted one and another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            let told = "no authority that is trusted here has signed it; if it is one of your own, ";
            match authorities {
                Some(label) => {
                    format!("{told}put the authority's certificate (PEM) into the store's setting \"{label}\"")
                }
                None => format!("{told}add the authority's certificate to those of the system on which Tidegate runs"),
            }
        }
        CertificateError::NotValidForName => "it is for another host name; check the host in the URL".to_owned(),
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "it names no host at all; it needs a subject alternative name".to_owned()
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            format!("it is not for the host in the URL but for {}; use a name that it has", presented.join(", "))
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired; the other side has to renew it (or this machine's clock is wrong)".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; check the clock of this machine".to_owned()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_retry_after_that_is_a_date_becomes_seconds_by_the_other_sides_clock() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
        let at = |seconds: i64| {
            let moved = Duration::from_secs(seconds.unsigned_abs());
            httpdate::fmt_http_date(if seconds < 0 { now - moved } else { now + moved })
        };
        let wait = |after: &str, date: Option<String>| {
            let mut headers = vec![("retry-after".to_owned(), after.to_owned())];
            headers.extend(date.map(|date| ("date".to_owned(), date)));
            wait_in_seconds(&mut headers, now);
            headers.swap_remove(0).1
        };
        assert_eq!(wait(&at(90), Some(at(0))), "90");
        assert_eq!(wait(&at(90), None), "90");
        // A clock that is an hour ahead is ahead in both.
        assert_eq!(wait(&at(3600 + 90), Some(at(3600))), "90");
        assert_eq!(wait(&at(-5), None), "0");
        for other in ["30", "soon", ""] {
            assert_eq!(wait(other, Some(at(0))), other, "what is no date stays as it is");
        }
    }
}
