//! Bulks over HTTP, as a collector sends them: the whole server, from the socket to the disk, beside InfluxDB taking the same
//! events in its own format. Senders are this process; what is measured is the CPU time of the servers' processes.

use super::lines::Lines;
use crate::{report, served::Served};
use anyhow::{Context, ensure};
use serde_json::{Value as Json, json};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const BULKS: u64 = 16;
const EVENTS_OF_A_BULK: u64 = 25_000;
const SENDERS: u64 = 2;
/// InfluxDB takes bodies of 25 MB unless told otherwise.
const EVENTS_OF_A_WRITE: u64 = 10_000;

pub(super) fn run(folder: &Path) -> anyhow::Result<()> {
    let events = (BULKS * EVENTS_OF_A_BULK) as f64;
    let (cpu, wall) = ours(folder)?;
    let theirs = influxd(folder)?;
    report("ingest_http_per_cpu_second", events / cpu, "influxd", events / theirs, "/s");
    println!("      {:.0} events a second by the clock, {SENDERS} senders on the same machine", events / wall);
    Ok(())
}

fn ours(folder: &Path) -> anyhow::Result<(f64, f64)> {
    let folder = tempfile::tempdir_in(folder)?;
    let served = Served::start(folder.path(), &[])?;
    served.ask("POST", "/api/v1/apply", &json!({"projects": [{"name": "web"}]}))?;
    let bulks: Vec<Lines> = (0..BULKS).map(|n| Lines::new(n * EVENTS_OF_A_BULK, EVENTS_OF_A_BULK)).collect();
    let (before, begun) = (served.cpu()?, Instant::now());
    std::thread::scope(|scope| {
        let bulks = &bulks;
        let served = &served;
        let send = |sender: u64| {
            scope.spawn(move || {
                for bulk in bulks.iter().skip(sender as usize).step_by(SENDERS as usize) {
                    let answer = served.post("/api/v1/projects/web/events", bulk.bytes())?;
                    ensure!(answer["taken"] == json!(EVENTS_OF_A_BULK), "{answer}");
                }
                Ok(())
            })
        };
        let senders: Vec<_> = (0..SENDERS).map(send).collect();
        senders.into_iter().try_for_each(|s| s.join().map_err(|_| anyhow::anyhow!("a sender failed"))?)
    })?;
    let wall = begun.elapsed().as_secs_f64();
    // Merges are work that the events have caused, too.
    let mut cpu = served.cpu()?;
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let now = served.cpu()?;
        if now - cpu < 0.05 {
            return Ok((now - before, wall));
        }
        cpu = now;
    }
}

/// The same events as points with a field for each attribute; CPU seconds of the server.
fn influxd(folder: &Path) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir_in(folder)?;
    let at = folder.path().display();
    let port = || Ok::<_, std::io::Error>(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
    let (http, rpc) = (port()?, port()?);
    let config = folder.path().join("influxd.conf");
    std::fs::write(
        &config,
        format!(
            "reporting-disabled = true\nbind-address = \"127.0.0.1:{rpc}\"\n[meta]\n  dir = \"{at}/meta\"\n\
             [data]\n  dir = \"{at}/data\"\n  wal-dir = \"{at}/wal\"\n  query-log-enabled = false\n\
             [http]\n  bind-address = \"127.0.0.1:{http}\"\n  log-enabled = false\n[monitor]\n  store-enabled = false\n"
        ),
    )?;
    let mut command = Command::new("influxd");
    let command = command.arg("-config").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
    let server = Influxd(command.spawn().context("starting influxd; `make setup` installs it")?);
    let address = SocketAddr::from(([127, 0, 0, 1], http));
    let end = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(address).is_err() {
        ensure!(Instant::now() < end, "influxd does not listen");
        std::thread::sleep(Duration::from_millis(100));
    }
    let answer = exchange(address, "POST", "/query?q=CREATE+DATABASE+events", "", b"")?;
    ensure!(answer.0 == 200, "{} {}", answer.0, answer.1);
    let bodies: Vec<Vec<u8>> = (0..BULKS * EVENTS_OF_A_BULK / EVENTS_OF_A_WRITE)
        .map(|n| points(&Lines::new(n * EVENTS_OF_A_WRITE, EVENTS_OF_A_WRITE), n * EVENTS_OF_A_WRITE))
        .collect::<anyhow::Result<_>>()?;
    let process = server.0.id().to_string();
    let before = crate::cpu::of_process(&process)?;
    for body in &bodies {
        let (status, text) = exchange(address, "POST", "/write?db=events", "", body)?;
        ensure!(status == 204, "{status} {text}");
    }
    let mut cpu = crate::cpu::of_process(&process)?;
    loop {
        std::thread::sleep(Duration::from_secs(2));
        let now = crate::cpu::of_process(&process)?;
        if now - cpu < 0.1 {
            return Ok(now - before);
        }
        cpu = now;
    }
}

struct Influxd(Child);

impl Drop for Influxd {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A point for each line, each a nanosecond after the one before, so that none replaces another.
fn points(lines: &Lines, first: u64) -> anyhow::Result<Vec<u8>> {
    let mut out = String::new();
    for (row, line) in (first..).zip(lines.iter()) {
        let event: serde_json::Map<String, Json> = serde_json::from_slice(line)?;
        for (place, (name, value)) in event.iter().enumerate() {
            out.push_str(if place == 0 { "event " } else { "," });
            write!(out, "{name}={value}")?;
        }
        writeln!(out, " {}", 1_700_000_000_000_000_000 + row)?;
    }
    Ok(out.into_bytes())
}

/// One request over a connection of its own; status and body of the answer.
pub(crate) fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> anyhow::Result<(u16, String)> {
    let mut socket = TcpStream::connect(address)?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    socket.write_all(head.as_bytes())?;
    socket.write_all(body)?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).context("a status line")?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status, body.to_owned()))
}
