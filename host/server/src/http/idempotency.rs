//! `Idempotency-Key`: a create that is sent again, since its answer was lost, makes nothing twice and is answered as it was.
//!
//! That it was carried out is on disk with what it made, its answer before anybody gets it, so neither a restart nor a crash makes
//! two of one. The trap is the client that goes away in the middle: the work is finished all the same, and its answer is there for
//! the next try.

use super::auth::Call;
use super::body::BodyReader;
use super::problem::Problem;
use super::state::{App, blocking};
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use tidegate_export::catalog::{Answered, Once};

const HEADER: &str = "idempotency-key";
/// Longest key.
const MAX_KEY_BYTES: usize = 255;
/// Longest answer that is kept; creates answer with much less.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// Creates with a key that are under way at once.
const MOST_UNDER_WAY: usize = 1000;

/// An answer as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Kept {
    /// What is kept of an answer; none if it is no text.
    fn of(status: StatusCode, headers: &HeaderMap, body: &Bytes) -> Option<String> {
        let text =
            |(name, value): (&HeaderName, &HeaderValue)| Some((name.to_string(), value.to_str().ok()?.to_owned()));
        let headers = headers.iter().map(text).collect::<Option<_>>()?;
        let body = std::str::from_utf8(body).ok()?.to_owned();
        serde_json::to_string(&Self { status: status.as_u16(), headers, body }).ok()
    }

    fn again(text: &str) -> Option<Response> {
        let kept: Self = serde_json::from_str(text).ok()?;
        let mut response = Response::new(Body::from(kept.body));
        *response.status_mut() = StatusCode::from_u16(kept.status).ok()?;
        for (name, value) in kept.headers {
            response.headers_mut().append(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
        }
        response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
        Some(response)
    }
}

/// The creates that are under way.
#[derive(Clone, Default)]
pub(crate) struct Creating(Arc<Mutex<HashSet<[u8; 32]>>>);

/// One of them; dropped at its end.
struct UnderWay(Creating, [u8; 32]);

impl Creating {
    fn begin(&self, key: [u8; 32]) -> Result<UnderWay, Problem> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= MOST_UNDER_WAY {
            return Err(Problem::unavailable("too many creates are under way"));
        }
        if !keys.insert(key) {
            return Err(Problem::conflict("Idempotency-Key: the first request with this key is still under way"));
        }
        Ok(UnderWay(self.clone(), key))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

/// What a create that is sent again is answered.
fn replayed(known: Answered, once: &Once) -> Result<Response, Problem> {
    if known.body != once.body {
        return Err(Problem::invalid("Idempotency-Key: this key came with another body before; use a new one"));
    }
    known.answer.as_deref().and_then(Kept::again).ok_or_else(|| {
        Problem::conflict(
            "Idempotency-Key: the first request with this key was carried out, and its answer was lost when the server ended; look \
             at what it made, and make another if it held a token",
        )
    })
}

/// Middleware of routes that make something.
pub(crate) async fn once(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(key) = request.headers().get(HEADER).cloned() else { return next.run(request).await };
    match run(app, key, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn run(app: App, given: HeaderValue, request: Request, next: Next) -> Result<Response, Problem> {
    if given.is_empty() || given.len() > MAX_KEY_BYTES {
        return Err(Problem::bad_request(format_args!("Idempotency-Key: expected 1 to {MAX_KEY_BYTES} characters")));
    }
    let (head, body) = request.into_parts();
    let reader = BodyReader::new(&head.headers, body, app.limits().api_bytes, app.limits().patience);
    let mut pass = app.enter().map_err(Problem::unavailable)?;
    let whole = async { reader?.all(&mut pass).await };
    let bytes = whole.await.map_err(|e| Problem::new(e.status(), e))?;
    drop(pass);
    let call = head.extensions.get::<Call>().cloned();
    let call = call.ok_or_else(|| Problem::internal("a create is outside of its authorisation"))?;
    let who = (call.by(), call.tenant());
    let mut digest = Sha256::new();
    // Lengths keep the parts apart.
    for part in
        [format!("{who:?}").as_bytes(), head.method.as_str().as_bytes(), head.uri.path().as_bytes(), given.as_bytes()]
    {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    let once = Once { key: digest.finalize().into(), body: Sha256::digest(&bytes).into() };
    let under_way = app.creating().begin(once.key)?;
    let catalog = Arc::clone(&call.host.catalog);
    let asked = Arc::clone(&catalog);
    if let Some(known) = blocking(move || asked.answered(&once.key)).await?? {
        return replayed(known, &once);
    }
    let mut request = Request::from_parts(head, Body::from(bytes));
    request.extensions_mut().insert(call.once(once));
    // What was read is there as it is, decompressed if it was not.
    for name in ["content-encoding", "content-length", "transfer-encoding"] {
        request.headers_mut().remove(name);
    }
    let finished = tokio::spawn(async move {
        let (head, body) = next.run(request).await.into_parts();
        let bytes = to_bytes(body, MAX_ANSWER_BYTES).await.map_err(Problem::internal)?;
        let lasting = !head.status.is_server_error() && head.status != StatusCode::TOO_MANY_REQUESTS;
        let kept = if lasting { Kept::of(head.status, &head.headers, &bytes) } else { None };
        if let Some(kept) = kept {
            blocking(move || catalog.keep_answer(&once, &kept)).await??;
        }
        drop(under_way);
        Ok(Response::from_parts(head, Body::from(bytes)))
    });
    finished.await.unwrap_or_else(|error| Err(Problem::internal(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_of_two_at_once_is_told_to_wait_and_a_key_is_free_again_after_its_request() {
        let creating = Creating::default();
        let first = creating.begin([1; 32]).unwrap();
        assert_eq!(creating.begin([1; 32]).err().unwrap().status(), 409);
        assert!(creating.begin([2; 32]).is_ok());
        drop(first);
        assert!(creating.begin([1; 32]).is_ok());
    }

    #[test]
    fn no_more_than_a_thousand_creates_are_under_way() {
        let creating = Creating::default();
        let key = |n: usize| <[u8; 32]>::from(Sha256::digest(n.to_le_bytes()));
        let all: Vec<_> = (0..MOST_UNDER_WAY).map(|n| creating.begin(key(n)).unwrap()).collect();
        assert_eq!(creating.begin(key(MOST_UNDER_WAY)).err().unwrap().status(), 503);
        drop(all);
        assert!(creating.begin(key(0)).is_ok());
    }

    #[test]
    fn of_a_create_whose_answer_was_lost_it_is_told_that_it_was_carried_out() {
        let once = Once { key: [1; 32], body: [2; 32] };
        let told = replayed(Answered { body: [2; 32], answer: None }, &once).unwrap_err();
        assert_eq!((told.status().as_u16(), told.detail().contains("was carried out")), (409, true));
        assert_eq!(replayed(Answered { body: [3; 32], answer: None }, &once).unwrap_err().status(), 422);
        let headers = HeaderMap::from_iter([(HeaderName::from_static("etag"), HeaderValue::from_static("\"x\""))]);
        let kept = Kept::of(StatusCode::CREATED, &headers, &Bytes::from_static(b"{}"));
        let again = replayed(Answered { body: [2; 32], answer: kept }, &once).unwrap();
        assert_eq!((again.status().as_u16(), &again.headers()["etag"]), (201, &HeaderValue::from_static("\"x\"")));
    }
}
