//! Tries everything that a system offers, and reports what came of it. Built for wasm32-wasip2, where the standard library asks
//! the host's stubs.

#![allow(clippy::print_stdout, reason = "printing is one of the things that it tries")]

use std::collections::hash_map::RandomState;
use std::fmt::Debug;
use std::fs::{self, File};
use std::hash::BuildHasher;
use std::io::{self, IsTerminal, Read};
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, process, thread};
use tidegate_adapter::{
    Batch, CredentialSlot, Endpoint, Outcome, PushAdapter, Request, Requests, Sent, Settings, Verdict, export_push,
};

/// What to do besides.
#[derive(Settings)]
pub struct Plan {
    #[setting(label = "URL")]
    url: Endpoint,
    #[setting(label = "End", help = "report, exit, panic, print or blab", default = "report")]
    end: String,
    #[setting(label = "Key", secret)]
    key: Option<CredentialSlot>,
}

/// The adapter.
pub struct System;

impl PushAdapter for System {
    type Settings = Plan;

    fn encode(plan: &Plan, _: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
        match plan.end.as_str() {
            "exit" => process::exit(3),
            "panic" => panic!("it has \u{1b}[2J had enough"),
            "print" => (0..1000).for_each(|line| println!("line {line} of \u{1b}[31mmany")),
            _ => {}
        }
        let mut request = Request::post(&plan.url);
        if let Some(key) = &plan.key {
            request.credential(key, "Authorization", "Bearer {}");
        }
        for (tried, result) in attempts() {
            request.body().text(&format!("{tried}: {result}\n"));
        }
        requests.send(request);
        Ok(())
    }

    fn judge(plan: &Plan, sent: &Sent, outcome: &Outcome<'_>) -> Verdict {
        if plan.end == "blab" {
            // All that it can get hold of, in its last words.
            let body = outcome.body_prefix(4096);
            panic!("the sink said {} {:?}", String::from_utf8_lossy(&body), outcome.header("x-echo"));
        }
        Verdict::by_status(sent, outcome)
    }
}

fn told<T: Debug>(result: io::Result<T>) -> String {
    match result {
        Ok(value) => format!("GOT {value:?}"),
        Err(error) => format!("refused, {error}"),
    }
}

fn attempts() -> Vec<(&'static str, String)> {
    let started = Instant::now();
    thread::sleep(Duration::from_secs(3600));
    let mut input = Vec::new();
    vec![
        ("arguments", env::args().count().to_string()),
        ("variables", env::vars().count().to_string()),
        ("read a file", told(fs::read("/etc/passwd").map(|bytes| bytes.len()))),
        ("write a file", told(File::create("here"))),
        ("list a folder", told(fs::read_dir("/").map(Iterator::count))),
        ("make a folder", told(fs::create_dir("/tmp/here"))),
        ("connect", told(TcpStream::connect("127.0.0.1:80"))),
        ("listen", told(TcpListener::bind("127.0.0.1:0"))),
        ("send a datagram", told(UdpSocket::bind("127.0.0.1:0"))),
        ("resolve a name", told(("localhost", 80).to_socket_addrs().map(Iterator::count))),
        ("standard input", told(io::stdin().read_to_end(&mut input))),
        ("a terminal", io::stdout().is_terminal().to_string()),
        (
            "seconds since the epoch",
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().to_string(),
        ),
        ("seconds that an hour takes", started.elapsed().as_secs().to_string()),
        ("random", RandomState::new().hash_one(1).to_string()),
    ]
}

export_push!(System);
