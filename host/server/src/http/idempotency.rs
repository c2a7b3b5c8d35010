//! `Idempotency-Key`: a create that is sent again, since its answer was lost, makes nothing twice and is answered as it was.
//!
//! Answers hold tokens that are told once, so they are kept in memory alone, for a day and in a bounded number. The trap is the
//! client that goes away in the middle: the work is finished all the same, and its answer is there for the next try.

use super::body::BodyReader;
use super::problem::Problem;
use super::state::App;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const HEADER: &str = "idempotency-key";
/// Longest key.
const MAX_KEY_BYTES: usize = 255;
/// How long an answer is kept.
const KEEP: Duration = Duration::from_secs(86_400);
/// Answers that are kept.
const MOST: usize = 1000;
/// Longest answer that is kept; creates answer with much less.
const MAX_ANSWER_BYTES: usize = 64 << 10;

type Key = [u8; 32];

struct Entry {
    body: [u8; 32],
    at: Instant,
    /// None while the first one is under way.
    answer: Option<(StatusCode, HeaderMap, Bytes)>,
}

/// What was answered under which key.
#[derive(Default)]
pub(crate) struct Answers(Mutex<HashMap<Key, Entry>>);

enum Found {
    New,
    Again(Box<Response>),
}

impl Answers {
    fn begin(&self, key: Key, body: [u8; 32], now: Instant) -> Result<Found, Problem> {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|_, entry| now.saturating_duration_since(entry.at) < KEEP);
        if let Some(entry) = answers.get(&key) {
            if entry.body != body {
                return Err(Problem::invalid("Idempotency-Key: this key came with another body before; use a new one"));
            }
            let Some((status, headers, bytes)) = &entry.answer else {
                return Err(Problem::conflict("Idempotency-Key: the first request with this key is still under way"));
            };
            let mut response = Response::new(Body::from(bytes.clone()));
            *response.status_mut() = *status;
            *response.headers_mut() = headers.clone();
            response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
            return Ok(Found::Again(Box::new(response)));
        }
        if answers.len() >= MOST {
            let oldest = answers.iter().filter(|(_, e)| e.answer.is_some()).min_by_key(|(_, e)| e.at).map(|(k, _)| *k);
            let oldest = oldest.ok_or_else(|| Problem::unavailable("too many creates are under way"))?;
            answers.remove(&oldest);
        }
        answers.insert(key, Entry { body, at: now, answer: None });
        Ok(Found::New)
    }

    fn end(&self, key: &Key, answer: Option<(StatusCode, HeaderMap, Bytes)>) {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            None => drop(answers.remove(key)),
            Some(answer) => {
                if let Some(entry) = answers.get_mut(key) {
                    entry.answer = Some(answer);
                }
            }
        }
    }
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
    let who = head.extensions.get::<super::auth::Call>().map(|call| (call.by(), call.tenant()));
    let mut digest = Sha256::new();
    // Lengths keep the parts apart.
    for part in
        [format!("{who:?}").as_bytes(), head.method.as_str().as_bytes(), head.uri.path().as_bytes(), given.as_bytes()]
    {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    let (key, hash) = (digest.finalize().into(), Sha256::digest(&bytes).into());
    if let Found::Again(response) = app.answers().begin(key, hash, Instant::now())? {
        return Ok(*response);
    }
    let mut request = Request::from_parts(head, Body::from(bytes));
    // What was read is there as it is, decompressed if it was not.
    for name in ["content-encoding", "content-length", "transfer-encoding"] {
        request.headers_mut().remove(name);
    }
    let ends = app.clone();
    let finished = tokio::spawn(async move {
        let (head, body) = next.run(request).await.into_parts();
        let bytes = to_bytes(body, MAX_ANSWER_BYTES).await;
        let lasting = !head.status.is_server_error() && head.status != StatusCode::TOO_MANY_REQUESTS;
        let kept = bytes.as_ref().ok().filter(|_| lasting).cloned();
        app.answers().end(&key, kept.map(|bytes| (head.status, head.headers.clone(), bytes)));
        bytes.map(|bytes| Response::from_parts(head, Body::from(bytes))).map_err(Problem::internal)
    });
    finished.await.unwrap_or_else(|error| {
        ends.answers().end(&key, None);
        Err(Problem::internal(error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Option<(StatusCode, HeaderMap, Bytes)> {
        Some((StatusCode::CREATED, HeaderMap::new(), Bytes::from_static(b"{}")))
    }

    #[test]
    fn the_second_of_two_at_once_is_told_to_wait_and_a_failed_one_may_be_tried_again() {
        let (answers, now) = (Answers::default(), Instant::now());
        assert!(matches!(answers.begin([1; 32], [1; 32], now), Ok(Found::New)));
        assert_eq!(answers.begin([1; 32], [1; 32], now).err().unwrap().status(), 409);
        answers.end(&[1; 32], None);
        assert!(matches!(answers.begin([1; 32], [1; 32], now), Ok(Found::New)));
        answers.end(&[1; 32], answer());
        assert!(matches!(answers.begin([1; 32], [1; 32], now), Ok(Found::Again(_))));
        assert!(matches!(answers.begin([1; 32], [1; 32], now + KEEP), Ok(Found::New)), "after a day");
    }

    #[test]
    fn no_more_than_a_thousand_answers_are_kept_and_the_oldest_go_first() {
        let (answers, now) = (Answers::default(), Instant::now());
        let key = |n: usize| <[u8; 32]>::from(Sha256::digest(n.to_le_bytes()));
        for n in 0..=MOST {
            assert!(matches!(answers.begin(key(n), [0; 32], now + Duration::from_millis(n as u64)), Ok(Found::New)));
            answers.end(&key(n), answer());
        }
        assert_eq!(answers.0.lock().unwrap().len(), MOST);
        let later = now + Duration::from_secs(60);
        assert!(matches!(answers.begin(key(MOST), [0; 32], later), Ok(Found::Again(_))));
        assert!(matches!(answers.begin(key(0), [0; 32], later), Ok(Found::New)));
    }
}
