//! An HTTP receiver that keeps what it is sent, byte by byte, and answers what the test wants: for what a real server does not
//! show (exact bytes, headers, credentials) or cannot be made to do (failing on demand).

use crate::tls::Authority;
use flate2::read::MultiGzDecoder;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    /// Method and target, for example `POST /write?db=m`.
    pub line: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, without the marks of chunks.
    pub body: Vec<u8>,
}

impl Received {
    /// First value of a header, empty if there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// The path, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        let target = self.line.split(' ').nth(1).unwrap_or_default();
        target.split('?').next().unwrap_or_default()
    }

    /// The body as its `content-encoding` says: as it is, or inflated.
    ///
    /// # Errors
    /// If the encoding is unknown or the body is not what it says.
    pub fn inflated(&self) -> Result<Vec<u8>, String> {
        match self.header("content-encoding") {
            "" | "identity" => Ok(self.body.clone()),
            "gzip" => {
                let mut body = Vec::new();
                MultiGzDecoder::new(&*self.body).read_to_end(&mut body).map_err(|e| format!("not gzip: {e}"))?;
                Ok(body)
            }
            other => Err(format!("content-encoding {other}")),
        }
    }
}

/// What to answer: status, further header lines (each ended by CRLF), body.
pub type Reply = (u16, String, String);

/// How answers are made.
type Respond = dyn Fn(&Received) -> Reply + Send + Sync;

/// A receiver on a loopback port. It stops when it is dropped.
pub struct Receiver {
    port: u16,
    scheme: &'static str,
    received: Arc<Mutex<Vec<Received>>>,
    stopped: Arc<AtomicBool>,
}

impl Receiver {
    /// Starts one that answers every request with what `respond` says.
    ///
    /// # Panics
    /// If no port can be had.
    #[must_use]
    pub fn start(respond: impl Fn(&Received) -> (u16, String) + Send + Sync + 'static) -> Self {
        Self::answering(move |request| {
            let (status, body) = respond(request);
            (status, String::new(), body)
        })
    }

    /// Starts one that sends every request on to another URL.
    #[must_use]
    pub fn redirecting(to: &str) -> Self {
        let location = format!("location: {to}\r\n");
        Self::answering(move |_| (307, location.clone(), String::new()))
    }

    /// Starts one that says headers, too.
    #[must_use]
    pub fn answering(respond: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::open(None, respond)
    }

    /// Starts one that speaks TLS with the certificate of `authority`.
    #[must_use]
    pub fn with_tls(authority: &Authority, respond: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::open(Some(authority.server()), respond)
    }

    fn open(
        tls: Option<Arc<rustls::ServerConfig>>,
        respond: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|e| panic!("no port for a receiver: {e}"));
        let port = listener.local_addr().unwrap_or_else(|e| panic!("no address: {e}")).port();
        let received = Arc::new(Mutex::new(Vec::new()));
        let stopped = Arc::new(AtomicBool::new(false));
        let respond: Arc<Respond> = Arc::new(respond);
        let (keep, stop) = (received.clone(), stopped.clone());
        let scheme = if tls.is_some() { "https" } else { "http" };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (keep, respond, tls) = (keep.clone(), respond.clone(), tls.clone());
                // A connection that ends early is the sender's affair.
                std::thread::spawn(move || accept(stream, tls, &keep, &*respond));
            }
        });
        Self { port, scheme, received, stopped }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    /// Everything that came so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn accept(
    stream: TcpStream,
    tls: Option<Arc<rustls::ServerConfig>>,
    keep: &Mutex<Vec<Received>>,
    respond: &Respond,
) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    match tls {
        None => serve(BufReader::new(stream), keep, respond),
        Some(config) => {
            let connection = rustls::ServerConnection::new(config).ok()?;
            serve(BufReader::new(rustls::StreamOwned::new(connection, stream)), keep, respond)
        }
    }
}

fn serve<S: Read + Write>(mut stream: BufReader<S>, keep: &Mutex<Vec<Received>>, respond: &Respond) -> Option<()> {
    loop {
        let request = read_request(&mut stream)?;
        let (status, more, body) = respond(&request);
        keep.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        let head = format!(
            "HTTP/1.1 {status} Told\r\ncontent-type: text/plain\r\n{more}content-length: {}\r\n\r\n",
            body.len()
        );
        let writer = stream.get_mut();
        writer.write_all(head.as_bytes()).ok()?;
        writer.write_all(body.as_bytes()).ok()?;
        writer.flush().ok()?;
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Received> {
    let first = read_line(reader)?;
    let line = first.strip_suffix(" HTTP/1.1")?.to_owned();
    let mut headers = Vec::new();
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let mut request = Received { line, headers, body: Vec::new() };
    if request.header("transfer-encoding").eq_ignore_ascii_case("chunked") {
        loop {
            let length = usize::from_str_radix(read_line(reader)?.trim(), 16).ok()?;
            read_bytes(reader, length, &mut request.body)?;
            read_line(reader)?;
            if length == 0 {
                break;
            }
        }
    } else if let Ok(length) = request.header("content-length").parse() {
        read_bytes(reader, length, &mut request.body)?;
    }
    Some(request)
}

fn read_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    let length = reader.read_line(&mut line).ok()?;
    (length > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
}

fn read_bytes(reader: &mut impl BufRead, length: usize, into: &mut Vec<u8>) -> Option<()> {
    let start = into.len();
    into.resize(start + length, 0);
    reader.read_exact(&mut into[start..]).ok()
}
