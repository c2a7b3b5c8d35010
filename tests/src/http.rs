//! A small blocking HTTP client, so that tests read from top to bottom.
//!
//! Each request has a connection of its own: servers are killed and restarted here, and a pooled connection to a dead one would
//! look like a failure of the new one.

use crate::tls::Authority;
use serde_json::Value as Json;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// First value of a header, empty if there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: no JSON in {self}"))
    }

    /// The answer itself, if its status is 2xx.
    ///
    /// # Errors
    /// Status and body of any other answer, in words.
    pub fn ok(self) -> Result<Self, String> {
        if (200..300).contains(&self.status) { Ok(self) } else { Err(self.to_string()) }
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body: String = self.text().chars().take(2000).collect();
        write!(f, "HTTP {}: {body}", self.status)
    }
}

/// A request that is being put together.
#[derive(Debug)]
pub struct Request(reqwest::RequestBuilder);

/// A GET of `url`.
#[must_use]
pub fn get(url: &str) -> Request {
    Request(client().get(url))
}

/// A POST to `url`.
#[must_use]
pub fn post(url: &str) -> Request {
    Request(client().post(url))
}

/// A request with any method.
///
/// # Panics
/// If `method` is none.
#[must_use]
pub fn request(method: &str, url: &str) -> Request {
    let method = method.parse().unwrap_or_else(|e| panic!("{method}: {e}"));
    Request(client().request(method, url))
}

impl Request {
    /// Adds a header.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    /// Adds basic authentication.
    #[must_use]
    pub fn basic(self, user: &str, password: &str) -> Self {
        Self(self.0.basic_auth(user, Some(password)))
    }

    /// Adds a bearer token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        Self(self.0.bearer_auth(token))
    }

    /// Sets the body.
    #[must_use]
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self(self.0.body(body.into()))
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(self, body: &Json) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// Sends it and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// Why no answer came, in words.
    pub fn send(self) -> Result<Answer, String> {
        runtime().block_on(async {
            let response = self.0.send().await.map_err(|e| explain(&e))?;
            let status = response.status().as_u16();
            let text = |v: &reqwest::header::HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
            let headers = response.headers().iter().map(|(n, v)| (n.as_str().to_owned(), text(v))).collect();
            let body = response.bytes().await.map_err(|e| explain(&e))?.to_vec();
            Ok(Answer { status, headers, body })
        })
    }

    /// Sends it and fails the test unless the status is 2xx.
    ///
    /// # Panics
    /// On any other answer, or none.
    #[track_caller]
    pub fn send_well(self) -> Answer {
        self.send().and_then(Answer::ok).unwrap_or_else(|e| panic!("{e}"))
    }
}

/// Percent-encodes everything but letters, digits and `-._~`.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// An error with all its causes: reqwest's own text leaves out why a connection failed.
fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.unwrap_or_else(|e| panic!("no runtime for the HTTP client: {e}"))
    })
}

/// Trusts an authority of a test from now on, beside those of all other tests: whom a product trusts is for its own client to show.
///
/// # Panics
/// If its certificate cannot be read.
pub fn trust(authority: &Authority) {
    let root = reqwest::Certificate::from_pem(authority.root_text().as_bytes());
    let root = root.unwrap_or_else(|e| panic!("{}: {e}", authority.root.display()));
    let mut known = known().lock().unwrap_or_else(PoisonError::into_inner);
    known.roots.push(root);
    known.client = None;
}

/// The client, made anew when there is a new authority.
#[derive(Default)]
struct Known {
    roots: Vec<reqwest::Certificate>,
    client: Option<reqwest::Client>,
}

fn known() -> &'static Mutex<Known> {
    static KNOWN: OnceLock<Mutex<Known>> = OnceLock::new();
    KNOWN.get_or_init(Mutex::default)
}

fn client() -> reqwest::Client {
    let mut known = known().lock().unwrap_or_else(PoisonError::into_inner);
    let Known { roots, client } = &mut *known;
    let made = client.get_or_insert_with(|| {
        // Whoever was first has installed the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(Duration::from_secs(60));
        let client = roots.iter().cloned().fold(builder, reqwest::ClientBuilder::add_root_certificate).build();
        client.unwrap_or_else(|e| panic!("no HTTP client: {}", explain(&e)))
    });
    made.clone()
}
