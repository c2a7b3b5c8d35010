//! The way out: performs what an adapter wants done, to the endpoint that an admin typed in and nowhere else.
//!
//! The traps are the name that resolves to something inside, the redirect that leads there, the answer that never ends, and
//! the answer that echoes a credential. So: each connection's address is checked when it is resolved and is the one connected
//! to, redirects and proxies are off, answers are cut in size and time, credentials go in last and are blotted out of
//! whatever comes back before anybody sees it.

#[cfg(test)]
mod attacks;
mod credentials;
mod http;
pub(crate) mod masked;
pub(crate) mod policy;
mod redact;
mod resolve;
pub(crate) mod roots;
mod tcp;
#[cfg(test)]
mod tests;

use futures_util::future::BoxFuture;
use policy::{Denied, EgressPolicy};
use redact::Redactor;
use resolve::{Guard, Names};
use std::sync::Arc;
use std::time::Duration;
use tidegate_model::adapter::Target;
use tidegate_model::{Description, Settings};
use tidegate_sandbox::{Action, Outcome};

/// How long an exchange may take, and how much of an answer is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EgressOptions {
    /// Until a connection stands, TLS included.
    pub(crate) connect: Duration,
    /// From the first step to the last byte of the answer. A sink that drips does not get more.
    pub(crate) total: Duration,
    /// Bytes of an answer that the adapter may look at; the rest is not read.
    pub(crate) answer_bytes: usize,
}

impl Default for EgressOptions {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), total: Duration::from_secs(30), answer_bytes: 64 << 10 }
    }
}

/// What was sent and what came of it.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// For the adapter; free of credentials.
    pub(crate) outcome: Outcome,
    /// Bytes of the body as it went over the wire.
    pub(crate) bytes: u64,
}

/// Why nothing was sent at all. Only an admin or an operator can change that.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsendable {
    /// The settings do not fill in the endpoint.
    #[error("endpoint {0:?} cannot be reached: its settings are not filled in")]
    NoTarget(String),
    /// A credential is asked for that is not set.
    #[error("the credential {0:?} is not set")]
    NoCredential(String),
    /// What was built does not make a valid request.
    #[error("the request to endpoint {endpoint:?} is not valid: {reason}")]
    Invalid {
        /// The endpoint's key.
        endpoint: String,
        /// What is wrong, free of credentials.
        reason: String,
    },
    /// The address is guarded.
    #[error("endpoint {endpoint:?}: {denied}")]
    Denied {
        /// The endpoint's key.
        endpoint: String,
        /// Which address, and why.
        denied: Denied,
    },
}

/// Why the way out cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be set up: {0}")]
pub struct EgressError(reqwest::Error);

/// The way out of one host, shared by all stores.
pub(crate) struct Egress {
    guard: Arc<Guard>,
    options: EgressOptions,
    client: reqwest::Client,
    clients: roots::Clients,
}

impl Egress {
    /// Needs no network.
    pub(crate) fn new(policy: EgressPolicy, options: EgressOptions) -> Result<Self, EgressError> {
        Self::with_names(policy, options, resolve::of_the_system())
    }

    /// The same with a resolver of its own.
    fn with_names(policy: EgressPolicy, options: EgressOptions, names: Names) -> Result<Self, EgressError> {
        let guard = Arc::new(Guard::new(policy, names));
        let client = http::client(&guard, &options, &[]).map_err(EgressError)?;
        Ok(Self { guard, options, client, clients: roots::Clients::default() })
    }

    /// Performs `action` with the settings of one store. What goes wrong on the way is told in the outcome, for the adapter to
    /// judge.
    ///
    /// # Errors
    /// [`Unsendable`] if nothing may or can be sent.
    pub(crate) async fn perform(
        &self,
        action: &Action,
        description: &Description,
        settings: &Settings,
    ) -> Result<Exchange, Unsendable> {
        let endpoint = action.endpoint();
        let unset = || Unsendable::NoTarget(endpoint.to_owned());
        let target = description.target(endpoint, settings).ok_or_else(unset)?;
        let redactor = Redactor::of(settings);
        let mut exchange = match (action, target) {
            (Action::Send(request), Target::Http { url }) => {
                let unfit = |reason| Unsendable::Invalid { endpoint: endpoint.to_owned(), reason };
                let own = self.clients.of(description, settings, &self.guard, &self.options).map_err(unfit)?;
                let client = own.as_ref().unwrap_or(&self.client);
                self.send(client, request, &url, settings, roots::label(description)).await?
            }
            (Action::SendStream(stream), Target::Tcp { host, port }) => self.stream(stream, &host, port).await?,
            _ => return Err(unset()),
        };
        redactor.clean(&mut exchange.outcome);
        Ok(exchange)
    }
}

/// Performs actions: the network, or what stands for it in a simulation.
pub(crate) trait Transport: Send + Sync {
    /// As [`Egress::perform`].
    fn perform<'a>(
        &'a self,
        action: &'a Action,
        description: &'a Description,
        settings: &'a Settings,
    ) -> BoxFuture<'a, Result<Exchange, Unsendable>>;
}

impl Transport for Egress {
    fn perform<'a>(
        &'a self,
        action: &'a Action,
        description: &'a Description,
        settings: &'a Settings,
    ) -> BoxFuture<'a, Result<Exchange, Unsendable>> {
        Box::pin(Self::perform(self, action, description, settings))
    }
}
