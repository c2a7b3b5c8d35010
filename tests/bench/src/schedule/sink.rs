//! The other side, as a process of its own: takes requests on kept connections and notes when each came.
//!
//! How it answers follows from the name of the database in the request, so that one process stands for well and for dead sinks.

use anyhow::Context;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Bytes that are read at a time, at least.
const PIECE: usize = 16 << 10;
/// Between two bytes of an answer that drips.
const DRIP: Duration = Duration::from_secs(1);

/// A request as it was noted.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// The database that was written to, or the target that was scraped.
    pub(crate) to: String,
    /// The time stamp in the body's first line, in seconds; 0 if it has no body.
    pub(crate) stamp: u64,
    /// When its last byte had come, in microseconds since the epoch.
    pub(crate) at: u64,
}

/// Serves until the process is killed; prints the port in the first line.
pub(crate) fn serve(notes: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        std::io::stdout().flush()?;
        let notes = Arc::new(Mutex::new(File::create(notes)?));
        loop {
            let (stream, _) = listener.accept().await?;
            let notes = Arc::clone(&notes);
            tokio::spawn(async move { drop(converse(stream, &notes).await) });
        }
    })
}

pub(crate) fn now_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or_default()
}

async fn converse(mut stream: TcpStream, notes: &Mutex<File>) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut held = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = held.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            more(&mut stream, &mut held).await?;
        };
        let text = String::from_utf8_lossy(&held[..head]).into_owned();
        let length =
            text.lines().filter_map(|l| l.split_once(": ")).find(|(k, _)| k.eq_ignore_ascii_case("content-length"));
        let length: usize = length.map_or(Ok(0), |(_, v)| v.trim().parse()).context("a length")?;
        while held.len() < head + length {
            more(&mut stream, &mut held).await?;
        }
        let at = now_micros();
        // Only the first line is of interest: the sink must not keep healthy requests waiting while it looks at a large one.
        let line = held[head..head + length].split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line).into_owned();
        held.drain(..head + length);
        let path = text.split(' ').nth(1).unwrap_or_default();
        let to = path.split(['=', '&', '/', '?']).find(|part| part.starts_with("to-")).unwrap_or_default().to_owned();
        let stamp = line.rsplit(' ').next().and_then(|stamp| stamp.trim().parse().ok()).unwrap_or(0);
        writeln!(notes.lock().map_err(|e| anyhow::anyhow!("{e}"))?, "{to} {stamp} {at}")?;
        answer(&mut stream, &to, text.starts_with("GET ")).await?;
    }
}

async fn more(stream: &mut TcpStream, held: &mut Vec<u8>) -> anyhow::Result<()> {
    held.reserve(PIECE);
    anyhow::ensure!(stream.read_buf(held).await? > 0, "the connection ended");
    Ok(())
}

async fn answer(stream: &mut TcpStream, to: &str, is_scrape: bool) -> anyhow::Result<()> {
    if to.starts_with("to-silent") {
        std::future::pending::<()>().await;
    } else if to.starts_with("to-drip") {
        loop {
            stream.write_all(b"H").await?;
            tokio::time::sleep(DRIP).await;
        }
    } else if to.starts_with("to-fail") {
        stream.write_all(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n").await?;
    } else if is_scrape {
        let page = "# TYPE errors gauge\nerrors{d=\"v\"} 1\n";
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\n\r\n",
            page.len()
        );
        stream.write_all((head + page).as_bytes()).await?;
    } else {
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
    }
    Ok(())
}

/// What was noted so far.
pub(crate) fn arrivals(notes: &Path) -> anyhow::Result<Vec<Arrival>> {
    let text = std::fs::read_to_string(notes)?;
    let arrivals = text.lines().filter_map(|line| {
        let mut parts = line.split(' ');
        Some(Arrival {
            to: parts.next()?.to_owned(),
            stamp: parts.next()?.parse().ok()?,
            at: parts.next()?.parse().ok()?,
        })
    });
    Ok(arrivals.collect())
}
