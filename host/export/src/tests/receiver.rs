//! A receiver that answers as a script tells it, and keeps what it got.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How to answer one request.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// Status line, more headers, body.
    Say(&'static str, &'static str, String),
    /// Never.
    Hang,
    /// By breaking the connection after the request was read.
    Reset,
}

impl Answer {
    pub(super) fn status(line: &'static str) -> Self {
        Self::Say(line, "", String::new())
    }
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Got {
    pub(super) head: String,
    pub(super) body: String,
}

type Rule = Box<dyn Fn(&Got) -> Option<Answer> + Send + Sync>;

#[derive(Default)]
struct State {
    script: Mutex<VecDeque<Answer>>,
    rule: Mutex<Option<Rule>>,
    got: Mutex<Vec<Got>>,
    /// By series and time, as InfluxDB keeps it: what comes again overwrites.
    points: Mutex<BTreeMap<(String, u64), f64>>,
}

/// The receiver. It answers 204 when its script is used up; what it answers 204 it stores.
#[derive(Clone)]
pub(super) struct Receiver {
    pub(super) port: u16,
    state: Arc<State>,
}

impl Receiver {
    pub(super) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self { port: listener.local_addr().unwrap().port(), state: Arc::default() };
        let state = Arc::clone(&receiver.state);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, Arc::clone(&state)));
            }
        });
        receiver
    }

    /// Answers the next requests like this, one after the other.
    pub(super) fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state.script.lock().unwrap().extend(answers);
    }

    /// Answers by what the request says, once the script is used up.
    pub(super) fn rule(&self, rule: impl Fn(&Got) -> Option<Answer> + Send + Sync + 'static) {
        *self.state.rule.lock().unwrap() = Some(Box::new(rule));
    }

    pub(super) fn got(&self) -> Vec<Got> {
        self.state.got.lock().unwrap().clone()
    }

    pub(super) fn points(&self) -> BTreeMap<(String, u64), f64> {
        self.state.points.lock().unwrap().clone()
    }

    pub(super) async fn until_got(&self, requests: usize) {
        for _ in 0..2000 {
            if self.got().len() >= requests {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{requests} requests never came: {:?}", self.got());
    }
}

async fn serve(mut connection: TcpStream, state: Arc<State>) {
    while let Some(got) = read(&mut connection).await {
        state.got.lock().unwrap().push(got.clone());
        let scripted = state.script.lock().unwrap().pop_front();
        let ruled = || state.rule.lock().unwrap().as_ref().and_then(|rule| rule(&got));
        let answer = scripted.or_else(ruled).unwrap_or_else(|| Answer::status("204 No Content"));
        match answer {
            Answer::Hang => std::future::pending().await,
            Answer::Reset => return drop(connection),
            Answer::Say(line, headers, body) => {
                if line.starts_with("204") {
                    store(&state, &got.body);
                }
                let reply = format!("HTTP/1.1 {line}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len());
                let reply = if line.starts_with("204") { format!("HTTP/1.1 {line}\r\n\r\n") } else { reply };
                if connection.write_all(reply.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn store(state: &State, body: &str) {
    let mut points = state.points.lock().unwrap();
    for line in body.lines() {
        let mut parts = line.split(' ');
        let (series, field, stamp) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        let value = field.split_once('=').unwrap().1.parse().unwrap();
        points.insert((series.to_owned(), stamp.parse().unwrap()), value);
    }
}

async fn read(connection: &mut TcpStream) -> Option<Got> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let length =
                head.to_ascii_lowercase().lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok());
            let length: usize = length.unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                let body = String::from_utf8(bytes[end + 4..end + 4 + length].to_vec()).unwrap();
                return Some(Got { head, body });
            }
        }
        match connection.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
        }
    }
}
