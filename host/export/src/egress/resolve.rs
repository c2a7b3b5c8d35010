//! Names become addresses here, once for each connection, and only addresses that the policy lets through go on. Checking a
//! name in one place and connecting to it in another would let it change its mind in between.

use super::policy::{Denied, EgressPolicy};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The resolver of the HTTP client.
pub(super) struct Guarded(pub(super) Arc<EgressPolicy>);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0.clone();
        Box::pin(async move {
            let found = lookup(&policy, name.as_str(), 0).await?;
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
    NoAddress(String, std::io::Error),
}

/// The addresses of `host` that may be connected to.
pub(super) async fn lookup(policy: &EgressPolicy, host: &str, port: u16) -> Result<Vec<SocketAddr>, Unresolved> {
    if let Some(address) = literal(host) {
        policy.check(address)?;
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let failed = |e| Unresolved::NoAddress(host.to_owned(), e);
    let all: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await.map_err(failed)?.collect();
    let mut denied = None;
    let mut open = Vec::with_capacity(all.len());
    for address in all {
        match policy.check(address.ip()) {
            Ok(()) => open.push(address),
            Err(d) => denied = Some(d),
        }
    }
    match denied {
        Some(denied) if open.is_empty() => Err(denied.into()),
        None if open.is_empty() => Err(failed(std::io::Error::other("it has no address"))),
        _ => Ok(open),
    }
}

/// The address that a host text stands for by itself.
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}
