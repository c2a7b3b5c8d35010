//! The accept loop: a bounded number of connections, a deadline for request headers, and an orderly end.
//!
//! The trap is a client that opens connections and says nothing: without a deadline each of them is held for ever.

use super::auth::Peer;
use super::state::HttpLimits;
use super::tls::Tls;
use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Serves `router` until `stop`, then lets the requests under way finish, for at most `grace`. Tells whether all did.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Arc<Tls>>,
    limits: &HttpLimits,
    stop: CancellationToken,
    grace: Duration,
) -> bool {
    let seats = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
    let graceful = GracefulShutdown::new();
    loop {
        // Beyond the limit connections wait in the kernel's queue.
        let seat = tokio::select! {
            () = stop.cancelled() => break,
            seat = Arc::clone(&seats).acquire_owned() => seat,
        };
        let (stream, peer) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => (stream, peer.ip()),
                Err(error) => {
                    // Out of file descriptors, most likely: those under way must end before another fits.
                    tracing::warn!(%error, "cannot accept a connection; trying again");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let connection =
            Connection { router: router.clone(), peer, patience: limits.patience, watcher: graceful.watcher() };
        tokio::spawn(connection.serve(stream, tls.clone(), seat.ok()));
    }
    drop(listener);
    tokio::time::timeout(grace, graceful.shutdown()).await.is_ok()
}

/// What a connection takes along.
struct Connection {
    router: Router,
    /// The address at its other end.
    peer: IpAddr,
    /// How long the client may take for the TLS handshake, and for the headers of each request.
    patience: Duration,
    watcher: Watcher,
}

impl Connection {
    /// Serves one connection; `seat` is free again when it ends.
    async fn serve<S: Send + 'static>(self, stream: TcpStream, tls: Option<Arc<Tls>>, seat: S) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot turn off Nagle's algorithm");
        }
        match tls {
            None => self.speak(stream).await,
            Some(tls) => match tokio::time::timeout(self.patience, tls.acceptor().accept(stream)).await {
                Ok(Ok(stream)) => self.speak(stream).await,
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            },
        }
        drop(seat);
    }

    async fn speak(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let mut builder = Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.patience);
        let (router, peer) = (TowerToHyperService::new(self.router), Peer(self.peer));
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let mut request: Request<Incoming> = request;
            request.extensions_mut().insert(peer);
            router.call(request)
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        if let Err(error) = self.watcher.watch(connection).await {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}
