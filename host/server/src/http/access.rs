//! What goes around every request: doubled slashes, the access log, counters, security headers.
//!
//! The trap is the log: tokens stand in the paths and queries of submission and pull URLs, so what is logged is a masked path
//! and never a query.

use super::metrics::HttpMetrics;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

/// Logs, counts and times a request, and puts the security headers on its answer.
pub(crate) async fn around(State(metrics): State<Arc<HttpMetrics>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let path = masked(request.uri().path()).into_owned();
    let route = match request.extensions().get::<MatchedPath>() {
        Some(route) => route.as_str().to_owned(),
        None => "other".to_owned(),
    };
    let mut response = next.run(request).await;
    // The handler of submissions is a fallback; it says so itself.
    let route = response.extensions_mut().remove::<Route>().map_or(route, |r| r.0.to_owned());
    let (status, took) = (response.status().as_u16(), started.elapsed());
    metrics.answered(&route, method.as_str(), status, took);
    tracing::debug!(target: "tidegate::access", %method, path, status, micros = took.as_micros(), "request");
    harden(&mut response);
    response
}

/// What a request is counted under, where the router does not know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route(pub(crate) &'static str);

fn harden(response: &mut Response) {
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
    set(header::CACHE_CONTROL, "no-store");
}

/// A path without the secrets that may be in it.
pub(crate) fn masked(path: &str) -> Cow<'_, str> {
    let mut segments = path.split('/').filter(|s| !s.is_empty());
    match (segments.next(), segments.next(), segments.next()) {
        (None, ..) => "/".into(),
        (Some("pull"), ..) => "/pull/…".into(),
        (Some("console"), ..) => "/console/…".into(),
        (Some("post"), None, _) => "/post".into(),
        (Some("api"), Some("post"), None) => "/api/post".into(),
        (Some("api"), Some("query"), None) => "/api/query".into(),
        (Some("api"), Some("v1"), _) | (Some("healthz" | "readyz" | "metrics"), None, _) => path.into(),
        // Whatever it is, it may be a submission URL with a spelling mistake in it.
        _ => "/…".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_in_a_path_gets_into_the_log() {
        for path in [
            "/universe/SECRET/json",
            "/pull/SECRET",
            "//pull//SECRET",
            "/universe/SECRET",
            "/SECRET",
            "/pots/SECRET/x/y",
        ] {
            assert!(!masked(path).contains("SECRET"), "{path}");
        }
    }

    #[test]
    fn paths_without_tokens_are_logged_as_they_are() {
        for path in ["/", "/post", "/api/post", "/api/v1/projects/web", "/healthz"] {
            assert_eq!(masked(path), path);
        }
    }
}
