//! HTTP requests to a store's endpoint.

use super::credentials::{fill, invalid};
use super::policy::{Denied, EgressPolicy};
use super::resolve::{Guarded, Unresolved, literal};
use super::{Egress, EgressOptions, Exchange, Unsendable};
use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::header::{CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use reqwest::redirect::Policy;
use reqwest::{Body, Client, Response};
use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use tidegate_model::Settings;
use tidegate_model::settings::SettingValue;
use tidegate_sandbox::{HttpRequest, Method, Outcome};
use url::Url;

/// Idle connections are dropped before the servers behind the endpoints drop them (common limits start at 60 s).
const IDLE: std::time::Duration = std::time::Duration::from_secs(30);

/// A client that follows nothing and asks no proxy; each connection goes to an address that the policy let through.
pub(super) fn client(policy: &Arc<EgressPolicy>, options: &EgressOptions) -> Result<Client, reqwest::Error> {
    // The provider is the process's; whoever installed one first has decided.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(options.connect)
            .timeout(options.total)
            .pool_idle_timeout(IDLE)
            .dns_resolver(Guarded(policy.clone()))
    };
    // A machine without certificate authorities can still reach http endpoints; https ones fail, each with its reason.
    builder().build().or_else(|error| {
        tracing::warn!("https endpoints will be refused, since no certificate authorities can be loaded: {error}");
        builder().tls_certs_only([]).build()
    })
}

impl Egress {
    pub(super) async fn send(
        &self,
        request: &HttpRequest,
        url: &SettingValue,
        settings: &Settings,
    ) -> Result<Exchange, Unsendable> {
        let endpoint = request.endpoint.as_str();
        let url = address(request, url)?;
        // The client asks its resolver for names only; an address in the URL has to be checked here.
        if let Some(ip) = url.host_str().and_then(literal) {
            self.policy.check(ip).map_err(|denied| Unsendable::Denied { endpoint: endpoint.to_owned(), denied })?;
        }
        let mut headers = plain_headers(request)?;
        fill(endpoint, &request.credentials, settings, &mut headers)?;
        let (body, bytes) = body(request).map_err(|e| invalid(endpoint, &e))?;
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
        };
        let sent = self.client.request(method, url).headers(headers).body(body).send().await;
        let outcome = match sent {
            Ok(response) => answer(response, self.options.answer_bytes).await,
            Err(error) => match denial(&error) {
                Some(denied) => return Err(Unsendable::Denied { endpoint: endpoint.to_owned(), denied }),
                None => Outcome { failure: Some(reason(&error)), ..Outcome::default() },
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

/// The body in one piece, so that it goes out with its length, which some receivers insist on.
fn body(request: &HttpRequest) -> std::io::Result<(Body, u64)> {
    let whole: Bytes = if request.gzip {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        request.body.iter().try_for_each(|piece| packed.write_all(piece))?;
        packed.finish()?.into()
    } else if let [one] = request.body.as_slice() {
        one.clone()
    } else {
        let mut joined = BytesMut::with_capacity(request.body_len());
        request.body.iter().for_each(|piece| joined.extend_from_slice(piece));
        joined.freeze()
    };
    let bytes = whole.len() as u64;
    Ok((Body::from(whole), bytes))
}

/// Reads an answer up to `limit` bytes. A body that breaks off does not undo the status: the sink has answered.
async fn answer(mut response: Response, limit: usize) -> Outcome {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
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

/// Why no answer came, in words, without the URL: it may be a credential.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return if error.is_connect() {
            "timed out while connecting"
        } else {
            "timed out while waiting for the answer"
        }
        .to_owned();
    }
    let mut deepest: &dyn Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    let kind = if error.is_connect() { "cannot connect" } else { "the exchange broke off" };
    format!("{kind}: {deepest}")
}
