//! Names become addresses here, once for each connection, and only addresses that the policy lets through go on. Checking a
//! name in one place and connecting to it in another would let it change its mind in between.

use super::policy::{Denied, EgressPolicy};
use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Looks a name up, with a port to go with each address.
pub(super) type Names = Box<dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The resolver of the system.
pub(super) fn of_the_system() -> Names {
    Box::new(|host, port| Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) }))
}

/// The one way from a host text to an address that may be connected to.
pub(super) struct Guard {
    policy: EgressPolicy,
    names: Names,
}

impl Guard {
    pub(super) fn new(policy: EgressPolicy, names: Names) -> Self {
        Self { policy, names }
    }

    /// Checks an address that needs no looking up.
    pub(super) fn check(&self, address: IpAddr) -> Result<(), Denied> {
        self.policy.check(address)
    }

    /// The addresses of `host` that may be connected to.
    pub(super) async fn lookup(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Unresolved> {
        if let Some(address) = literal(host) {
            self.check(address)?;
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let failed = |e| Unresolved::NoAddress(host.to_owned(), e);
        let all = (self.names)(host.to_owned(), port).await.map_err(failed)?;
        let mut denied = None;
        let mut open = Vec::with_capacity(all.len());
        for address in all {
            match self.check(address.ip()) {
                Ok(()) => open.push(address),
                Err(d) => denied = Some(d),
            }
        }
        match denied {
            Some(denied) if open.is_empty() => Err(denied.into()),
            None if open.is_empty() => Err(failed(io::Error::other("it has no address"))),
            _ => Ok(open),
        }
    }
}

/// The resolver of the HTTP client.
pub(super) struct Guarded(pub(super) Arc<Guard>);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.0);
        Box::pin(async move {
            let found = guard.lookup(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Why a name has no address to connect to.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unresolved {
    /// All of its addresses are guarded.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The resolver has none.
    #[error("the name {0:?} cannot be resolved: {1}")]
    NoAddress(String, io::Error),
}

/// The address that a host text stands for by itself.
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}
