//! The whole server as a process of its own: this program itself, told to be `tidegate` by its first argument.

use crate::ingest::http::exchange;
use crate::schedule::Running;
use anyhow::{Context, ensure};
use serde_json::Value as Json;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// Is `tidegate` if the command line is one of its: `serve`, and `compile`, which `serve` starts by itself.
pub(crate) fn played_tidegate() -> Option<ExitCode> {
    let command = std::env::args().nth(1)?;
    matches!(command.as_str(), "serve" | "compile").then(tidegate_server::cli::main)
}

/// A server that is ready, and the token of its first start.
pub(crate) struct Served {
    process: Running,
    address: SocketAddr,
    token: String,
}

impl Served {
    /// Starts one with its data in `folder`.
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        let (data, log) = (folder.join("data"), folder.join("log"));
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").arg("--data-dir").arg(&data).args(["--listen", "127.0.0.1:0"]).args(arguments);
        let process = Running::start(command.stderr(std::fs::File::create(&log)?))?;
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let text = std::fs::read_to_string(&log)?;
            let token = text.split_whitespace().find(|word| word.starts_with("tg_")).map(str::to_owned);
            let address = std::fs::read_to_string(data.join("address")).ok().and_then(|a| a.trim().parse().ok());
            if let (Some(token), Some(address)) = (token, address) {
                return Ok(Self { process, address, token });
            }
            ensure!(Instant::now() < end, "the server is not ready: {text}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// CPU seconds so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<f64> {
        self.process.cpu()
    }

    /// Sends a document, and gives the answer's.
    pub(crate) fn ask(&self, method: &str, path: &str, document: &Json) -> anyhow::Result<Json> {
        self.exchange(method, path, "application/json", document.to_string().as_bytes())
    }

    /// Sends lines, and gives the answer.
    pub(crate) fn post(&self, path: &str, lines: &[u8]) -> anyhow::Result<Json> {
        self.exchange("POST", path, "application/x-ndjson", lines)
    }

    fn exchange(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> anyhow::Result<Json> {
        let headers = format!("Authorization: Bearer {}\r\nContent-Type: {kind}\r\n", self.token);
        let (status, text) = exchange(self.address, method, path, &headers, body)?;
        ensure!((200..300).contains(&status), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).with_context(|| format!("{method} {path}: {text}"))
    }
}
