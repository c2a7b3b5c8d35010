//! Pull pages: what scrapers read. The URL is the credential, so a wrong one tells nothing: 404 and an empty body. Where the
//! adapter wants a login beside it, 401 asks for one, with an empty body, too.

use super::gzip;
use super::path::Path;
use super::problem::Problem;
use super::state::{App, blocking};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use std::convert::Infallible;
use tidegate_export::PullAnswer;

/// How a scraper is asked for its login.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"tidegate\", charset=\"UTF-8\"");
/// By this Circonus tells how often it comes.
const PERIOD: HeaderName = HeaderName::from_static("x-reconnoiter-period");

/// `GET /pull/{token}`; `HEAD` is the same without the body, which the router leaves out.
pub(crate) async fn page(State(app): State<App>, token: Result<Path<String>, Problem>, headers: HeaderMap) -> Response {
    let Ok(Path(token)) = token else { return empty(StatusCode::NOT_FOUND) };
    let Ok(host) = app.host() else { return empty(StatusCode::SERVICE_UNAVAILABLE) };
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match host.export.pull(&token, seen_by_adapters(&headers), authorization).await {
        PullAnswer::Page { content_type, body } => match whole(body, &headers).await {
            Ok(response) => typed(response, &content_type),
            Err(problem) => empty(problem.status()),
        },
        PullAnswer::NotFound => empty(StatusCode::NOT_FOUND),
        PullAnswer::Unauthorized => {
            let mut response = empty(StatusCode::UNAUTHORIZED);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, CHALLENGE);
            response
        }
        // A scraper takes an error for a gap and old numbers for new ones, so it gets the error. The reason is the operator's;
        // the store's status tells it, too.
        PullAnswer::Failed(reason) => {
            tracing::warn!(reason, "a pull page could not be made");
            empty(StatusCode::INTERNAL_SERVER_ERROR)
        }
        PullAnswer::NotReady(_) | PullAnswer::Stale(_) => empty(StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// Any other method. No error here has a body: some scrapers store whatever JSON they are given, errors too.
pub(crate) async fn wrong_method() -> Response {
    let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// What an adapter may know of the scraper: how it wants the page, and nothing that could be a secret.
fn seen_by_adapters(headers: &HeaderMap) -> Vec<(String, String)> {
    let known = [header::ACCEPT, header::USER_AGENT, PERIOD];
    let seen = known.iter().filter_map(|name| Some((name.to_string(), headers.get(name)?.to_str().ok()?.to_owned())));
    seen.collect()
}

async fn whole(parts: Vec<Bytes>, headers: &HeaderMap) -> Result<Response, Problem> {
    if gzip::is_taken(headers) {
        let packed = blocking(move || gzip::packed(&parts)).await?.map_err(Problem::internal)?;
        let mut response = Response::new(Body::from(packed));
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        return Ok(response);
    }
    let length: usize = parts.iter().map(Bytes::len).sum();
    let mut response = Response::new(Body::from_stream(stream::iter(parts.into_iter().map(Ok::<_, Infallible>))));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    Ok(response)
}

fn typed(mut response: Response, content_type: &str) -> Response {
    let headers = response.headers_mut();
    // The adapter wrote it; what is no header value is left out.
    if let Ok(value) = HeaderValue::from_str(content_type) {
        headers.insert(header::CONTENT_TYPE, value);
    }
    headers.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
    response
}

fn empty(status: StatusCode) -> Response {
    status.into_response()
}
