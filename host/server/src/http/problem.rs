//! Errors of the management API: a problem document (RFC 9457) that says what was expected, what came and what to do.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value as Json, json};
use std::fmt::Display;

/// An error on its way to a client.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
    retry_after: Option<u32>,
    closes: bool,
    more: Map<String, Json>,
}

impl Problem {
    /// A problem with a status of its own.
    pub(crate) fn new(status: StatusCode, detail: impl Display) -> Self {
        Self { status, detail: detail.to_string(), retry_after: None, closes: false, more: Map::new() }
    }

    /// 400: what came cannot be read as what was expected.
    pub(crate) fn bad_request(detail: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 401: no token, or one that is not known.
    pub(crate) fn unauthorized(detail: impl Display) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// 403: known, and not allowed.
    pub(crate) fn forbidden(detail: impl Display) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// 429: too much in too short a time; `seconds` later it may go.
    pub(crate) fn too_many(detail: impl Display, seconds: u32) -> Self {
        let mut problem = Self::new(StatusCode::TOO_MANY_REQUESTS, detail);
        problem.retry_after = Some(seconds.max(1));
        problem
    }

    /// 404: `what` is not there.
    pub(crate) fn not_found(what: impl Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, what)
    }

    /// 409: it is there already, or something else stands in the way.
    pub(crate) fn conflict(detail: impl Display) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 422: it can be read and breaks a rule.
    pub(crate) fn invalid(detail: impl Display) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// 503: not now; a retry is safe.
    pub(crate) fn unavailable(detail: impl Display) -> Self {
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, detail);
        problem.retry_after = Some(1);
        problem
    }

    /// 500: our own fault. The cause goes to the log; the client learns only that it is there.
    pub(crate) fn internal(cause: impl Display) -> Self {
        tracing::error!(%cause, "a request failed for a reason that the client cannot mend");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed to do this; its log says why")
    }

    /// Adds a member to the document.
    #[must_use]
    pub(crate) fn with(mut self, member: &str, value: Json) -> Self {
        self.more.insert(member.to_owned(), value);
        self
    }

    /// Tells the client that the connection ends with this answer; it would use it for its next request otherwise.
    #[must_use]
    pub(crate) fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// The HTTP status.
    #[must_use]
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// Seconds until another try may go well.
    #[must_use]
    pub(crate) fn retry_after(&self) -> Option<u32> {
        self.retry_after
    }

    /// What the client is told.
    #[must_use]
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }
}

impl Problem {
    /// The problem document.
    #[must_use]
    pub(crate) fn document(&self) -> Json {
        let mut document = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some(members) = document.as_object_mut() {
            members.extend(self.more.clone());
        }
        document
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.document().to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.closes {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
