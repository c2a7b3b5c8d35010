//! A receiver of Graphite's lines that keeps every byte and can treat connections badly, which a real carbon does not do on demand.

use crate::points::{Point, Points};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What is done with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    /// Read to its end, as carbon does.
    Read,
    /// Close it at once.
    Refuse,
    /// Read so many bytes and close it, with the rest unread.
    CloseAfter(usize),
    /// Read it in small pieces with pauses.
    Slow,
    /// Read it and say something, which carbon never does.
    Say(&'static str),
}

/// What came over one connection.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Whether it was read to its end.
    pub whole: bool,
}

/// A receiver on a loopback port. It stops when it is dropped.
#[derive(Debug)]
pub struct LineReceiver {
    port: u16,
    connections: Arc<Mutex<Vec<Connection>>>,
    stopped: Arc<AtomicBool>,
}

impl LineReceiver {
    /// Starts one; `conduct` says what to do with a connection by its number, from 0.
    ///
    /// # Panics
    /// If no port can be had.
    #[must_use]
    pub fn start(conduct: impl Fn(usize) -> Conduct + Send + 'static) -> Self {
        Self::start_at("127.0.0.1:0", conduct)
    }

    /// Starts one at a loopback address of its own.
    ///
    /// # Panics
    /// If the port cannot be had.
    #[must_use]
    pub fn start_at(address: &str, conduct: impl Fn(usize) -> Conduct + Send + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap_or_else(|e| panic!("no port for a receiver: {e}"));
        let port = listener.local_addr().unwrap_or_else(|e| panic!("no address: {e}")).port();
        let connections = Arc::new(Mutex::new(Vec::new()));
        let stopped = Arc::new(AtomicBool::new(false));
        let (keep, stop) = (connections.clone(), stopped.clone());
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (keep, conduct) = (keep.clone(), conduct(number));
                std::thread::spawn(move || {
                    let connection = serve(stream, conduct);
                    keep.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                });
            }
        });
        Self { port, connections, stopped }
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The connections that have ended so far.
    #[must_use]
    pub fn connections(&self) -> Vec<Connection> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All lines that came whole, sorted; the same one again is the same.
    ///
    /// # Errors
    /// If a connection that was read to its end holds something else than lines of UTF-8, each with its end.
    pub fn lines(&self) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        for connection in self.connections().into_iter().filter(|c| c.whole) {
            let text = String::from_utf8(connection.bytes).map_err(|e| e.to_string())?;
            if !text.is_empty() && !text.ends_with('\n') {
                return Err(format!("the last line has no end: {:?}", text.lines().last()));
            }
            lines.extend(text.lines().map(str::to_owned));
        }
        lines.sort();
        lines.dedup();
        Ok(lines)
    }

    /// All values that came whole.
    ///
    /// # Errors
    /// What is no line, in words.
    pub fn points(&self) -> Result<Points, String> {
        let mut points = Points::default();
        for line in self.lines()? {
            let (point, value) = read(&line).ok_or_else(|| format!("no line of Graphite: {line:?}"))?;
            points.insert(point, value)?;
        }
        Ok(points)
    }
}

impl Drop for LineReceiver {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(mut stream: TcpStream, conduct: Conduct) -> Connection {
    let mut connection = Connection::default();
    // A test that fails must not leave a thread that waits for ever.
    if stream.set_read_timeout(Some(Duration::from_secs(30))).is_err() {
        return connection;
    }
    match conduct {
        Conduct::Refuse => {}
        Conduct::Read | Conduct::Say(_) => {
            connection.whole = stream.read_to_end(&mut connection.bytes).is_ok() && conduct == Conduct::Read;
            if let Conduct::Say(words) = conduct {
                let _ = stream.write_all(words.as_bytes());
            }
        }
        Conduct::CloseAfter(bytes) => {
            let mut taken = stream.try_clone().ok().map(|s| s.take(bytes as u64));
            let _ = taken.as_mut().map(|s| s.read_to_end(&mut connection.bytes));
        }
        Conduct::Slow => {
            let mut piece = [0; 64];
            while let Ok(length) = stream.read(&mut piece) {
                if length == 0 {
                    connection.whole = true;
                    break;
                }
                connection.bytes.extend_from_slice(&piece[..length]);
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
    connection
}

/// `NAME[;TAG=VALUE...] VALUE TIME`, with one space between and a number that carbon reads as itself.
fn read(line: &str) -> Option<(Point, f64)> {
    let fields: Vec<_> = line.split(' ').collect();
    let [path, value, time] = fields[..] else { return None };
    let mut parts = path.split(';');
    let name = parts.next().filter(|name| !name.is_empty() && !name.split('.').any(str::is_empty))?.to_owned();
    let tag = |part: &str| part.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
    let labels = parts.map(tag).collect::<Option<_>>()?;
    let number: f64 = value.parse().ok().filter(|n: &f64| n.is_finite())?;
    let plain = value.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) && !value.starts_with('+');
    plain.then_some((Point { name, labels, time: time.parse().ok()? }, number))
}
