//! Bytes to a TCP endpoint: connect, write everything, close our half, read to the end.
//!
//! The first write after the other side has closed often "succeeds", so only reading to the end tells whether the bytes had
//! a chance. And an end that comes before ours, or with a reset behind it, is no reader's: a proxy with nobody behind it takes the
//! connection and closes it. What comes back is handed to the adapter; Graphite, for one, says nothing at all.

use super::resolve::Unresolved;
use super::{Egress, Exchange, Unsendable};
use bytes::BytesMut;
use std::io;
use std::time::Duration;
use tidegate_sandbox::{Outcome, StreamBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

impl Egress {
    pub(super) async fn stream(&self, stream: &StreamBytes, host: &str, port: u16) -> Result<Exchange, Unsendable> {
        let failed = |failure: String| Outcome { failure: Some(failure), ..Outcome::default() };
        let exchange = async {
            let addresses = match self.guard.lookup(host, port).await {
                Ok(addresses) => addresses,
                Err(Unresolved::Denied(denied)) => {
                    return Err(Unsendable::Denied { endpoint: stream.endpoint.clone(), denied });
                }
                Err(other) => return Ok(failed(other.to_string())),
            };
            let connected = timeout(self.options.connect, TcpStream::connect(addresses.as_slice())).await;
            Ok(match connected {
                Err(_) => failed("timed out while connecting".to_owned()),
                Ok(Err(e)) => failed(format!("cannot connect: {e}")),
                Ok(Ok(socket)) => match converse(socket, stream, self.options.answer_bytes).await {
                    Ok(answer) => Outcome { body: answer.freeze(), ..Outcome::default() },
                    Err(e) => failed(format!("the connection broke: {e}")),
                },
            })
        };
        let outcome = match timeout(self.options.total, exchange).await {
            Ok(outcome) => outcome?,
            Err(_) => failed("timed out before the other side had read everything".to_owned()),
        };
        Ok(Exchange { outcome, bytes: stream.body_len() as u64 })
    }
}

/// How long the other side has, after the last byte, to show that it closed before it could read it.
const EARLY_END: Duration = Duration::from_millis(2);

async fn converse(mut socket: TcpStream, stream: &StreamBytes, limit: usize) -> io::Result<BytesMut> {
    for piece in &stream.body {
        socket.write_all(piece).await?;
    }
    let mut answer = BytesMut::new();
    let mut piece = [0; 4096];
    if timeout(EARLY_END, socket.peek(&mut piece)).await.unwrap_or(Ok(1))? == 0 {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the other side closed it before it had read everything",
        ));
    }
    socket.shutdown().await?;
    loop {
        let read = socket.read(&mut piece).await?;
        if read == 0 {
            return socket.take_error()?.map_or(Ok(answer), Err);
        }
        let fits = read.min(limit - answer.len());
        answer.extend_from_slice(&piece[..fits]);
    }
}
