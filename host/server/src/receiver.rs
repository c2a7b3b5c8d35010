//! A stand-in for monitoring systems: accepts what is pushed to it and hands it on to be shown. For trying things out and for
//! the demo; it keeps nothing.

use crate::http::body::BodyReader;
use crate::http::overload::Gate;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::form_urlencoded;

/// Most bytes of one push.
const MAX_BODY: usize = 256 << 20;
/// How long a push may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest line on the TCP port.
const MAX_LINE: u64 = 1 << 20;

/// One thing that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A request.
    Http {
        /// `POST` and the like.
        method: String,
        /// Path and query; the values of parameters that carry credentials are masked.
        path: String,
        /// Headers; credentials are masked.
        headers: Vec<(String, String)>,
        /// The body, decompressed.
        body: Vec<u8>,
        /// Whether it is a write in InfluxDB's line protocol.
        line_protocol: bool,
    },
    /// A line on the TCP port.
    Line(String),
}

/// What arrived so far.
#[derive(Debug, Default)]
pub struct Counts {
    requests: AtomicU64,
    lines: AtomicU64,
    bytes: AtomicU64,
    not_shown: AtomicU64,
}

/// A running receiver; it ends when it is dropped.
#[derive(Debug)]
pub struct Receiver {
    /// Where it takes requests.
    pub http: SocketAddr,
    /// Where it takes lines.
    pub tcp: Option<SocketAddr>,
    counts: Arc<Counts>,
    _stop: DropGuard,
}

impl Receiver {
    /// Listens, and sends what arrives to `seen`. If nobody reads there fast enough, things are counted and not shown.
    ///
    /// # Errors
    /// If an address cannot be listened on.
    pub async fn start(
        http: SocketAddr,
        tcp: Option<SocketAddr>,
        seen: mpsc::Sender<Received>,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(http).await?;
        let http = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let stop = CancellationToken::new();
        let state = Shared { counts: Arc::clone(&counts), seen, gate: Gate::new(64, 2 * MAX_BODY) };
        let tcp = match tcp {
            None => None,
            Some(address) => {
                let listener = TcpListener::bind(address).await?;
                let address = listener.local_addr()?;
                tokio::spawn(stop.clone().run_until_cancelled_owned(take_lines(listener, state.clone())));
                Some(address)
            }
        };
        let router = Router::new().fallback(take_request).with_state(state);
        let serve = async move { axum::serve(listener, router).await };
        tokio::spawn(stop.clone().run_until_cancelled_owned(serve));
        Ok(Self { http, tcp, counts, _stop: stop.drop_guard() })
    }

    /// Requests, lines (of line protocol and on the TCP port) and decompressed bytes so far.
    #[must_use]
    pub fn counts(&self) -> (u64, u64, u64) {
        let of = |n: &AtomicU64| n.load(Ordering::Relaxed);
        (of(&self.counts.requests), of(&self.counts.lines), of(&self.counts.bytes))
    }

    /// What arrived faster than it could be shown.
    #[must_use]
    pub fn not_shown(&self) -> u64 {
        self.counts.not_shown.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
struct Shared {
    counts: Arc<Counts>,
    seen: mpsc::Sender<Received>,
    gate: Gate,
}

impl Shared {
    fn arrived(&self, what: Received, lines: u64, bytes: usize) {
        self.counts.lines.fetch_add(lines, Ordering::Relaxed);
        self.counts.bytes.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
        if self.seen.try_send(what).is_err() {
            self.counts.not_shown.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn take_request(State(shared): State<Shared>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = match read(&shared, &head.headers, body).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let line_protocol = matches!(head.uri.path(), "/write" | "/api/v2/write");
    let lines = if line_protocol { body.split(|b| *b == b'\n').filter(|l| !l.is_empty()).count() } else { 0 };
    let bytes = body.len();
    let what = Received::Http {
        method: head.method.to_string(),
        path: shown_path(&head.uri),
        headers: shown_headers(&head.headers),
        body,
        line_protocol,
    };
    shared.counts.requests.fetch_add(1, Ordering::Relaxed);
    shared.arrived(what, u64::try_from(lines).unwrap_or(u64::MAX), bytes);
    let status = if line_protocol { StatusCode::NO_CONTENT } else { StatusCode::OK };
    status.into_response()
}

async fn read(shared: &Shared, headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Response> {
    let mut pass = shared.gate.enter().map_err(|e| (StatusCode::SERVICE_UNAVAILABLE, e.to_string()).into_response())?;
    let whole = async { BodyReader::new(headers, body, MAX_BODY, PATIENCE)?.all(&mut pass).await };
    whole.await.map(|b| b.to_vec()).map_err(|e| (e.status(), e.to_string()).into_response())
}

/// Names of headers and parameters whose values are credentials.
fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(name.as_str(), "p" | "authorization" | "cookie" | "proxy-authorization")
        || ["token", "password", "secret", "api-key", "api_key", "apikey"].iter().any(|part| name.contains(part))
}

fn shown_path(uri: &Uri) -> String {
    let Some(query) = uri.query() else { return uri.path().to_owned() };
    let pairs = form_urlencoded::parse(query.as_bytes());
    let shown: Vec<_> =
        pairs.map(|(n, v)| if is_credential(&n) { format!("{n}=…") } else { format!("{n}={v}") }).collect();
    format!("{}?{}", uri.path(), shown.join("&"))
}

fn shown_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let value = |name: &str, value: &[u8]| {
        let text = String::from_utf8_lossy(value);
        match (is_credential(name), text.split_once(' ')) {
            (false, _) => text.into_owned(),
            // The scheme of an Authorization header is no secret, and useful to see.
            (true, Some((scheme, _))) if name == "authorization" => format!("{scheme} …"),
            (true, _) => "…".to_owned(),
        }
    };
    headers.iter().map(|(n, v)| (n.to_string(), value(n.as_str(), v.as_bytes()))).collect()
}

async fn take_lines(listener: TcpListener, shared: Shared) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(lines_of(stream, shared.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; trying again");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn lines_of(stream: TcpStream, shared: Shared) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        // A line without an end is cut into pieces, so that it cannot fill the memory.
        match (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
                shared.arrived(Received::Line(text), 1, bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;
    use tokio::io::AsyncWriteExt;

    const ANY: &str = "127.0.0.1:0";

    async fn post(address: SocketAddr, head: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        let extra = "Authorization: Token hunter2\r\nContent-Encoding: gzip\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(extra.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_push_is_unpacked_answered_and_shown_without_its_credentials() {
        let (seen, mut shown) = mpsc::channel(8);
        let receiver = Receiver::start(ANY.parse().unwrap(), None, seen).await.unwrap();
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(b"a v=1 1\nb v=2 1\n").unwrap();
        let packed = packed.finish().unwrap();
        let answer = post(receiver.http, "POST /write?db=m&u=me&p=hunter2", &packed).await;
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
        let answer = post(receiver.http, "POST /api/put", &packed).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let Some(Received::Http { path, headers, body, line_protocol, .. }) = shown.recv().await else { panic!() };
        assert_eq!(
            (path.as_str(), line_protocol, &body[..]),
            ("/write?db=m&u=me&p=…", true, &b"a v=1 1\nb v=2 1\n"[..])
        );
        assert!(headers.contains(&("authorization".to_owned(), "Token …".to_owned())), "{headers:?}");
        assert_eq!(receiver.counts(), (2, 2, 32));
    }

    #[tokio::test]
    async fn lines_on_the_tcp_port_are_shown_one_by_one() {
        let (seen, mut shown) = mpsc::channel(8);
        let any = ANY.parse().unwrap();
        let receiver = Receiver::start(any, Some(any), seen).await.unwrap();
        let mut stream = TcpStream::connect(receiver.tcp.unwrap()).await.unwrap();
        stream.write_all(b"a 1 2\r\nb 3 4\n").await.unwrap();
        drop(stream);
        assert_eq!(shown.recv().await, Some(Received::Line("a 1 2".to_owned())));
        assert_eq!(shown.recv().await, Some(Received::Line("b 3 4".to_owned())));
    }
}
