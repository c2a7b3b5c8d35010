//! The least client that both sides can be asked with: one request, one connection.

use anyhow::{Context, ensure};
use std::io::{Read, Write};
use std::net::TcpStream;

pub(super) struct Client {
    address: String,
    authorization: String,
}

impl Client {
    pub(super) fn new(address: &str, token: Option<&str>) -> Self {
        let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        Self { address: address.to_owned(), authorization }
    }

    /// The body of a good answer; chunks stay as they are.
    pub(super) fn get(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let Self { address, authorization } = self;
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n{authorization}Connection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").context("no head in the answer")?;
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        ensure!(head.split(' ').nth(1) == Some("200"), "{path}: {head} {}", String::from_utf8_lossy(&answer[end..]));
        Ok(answer.split_off(end + 4))
    }
}
