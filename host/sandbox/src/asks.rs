//! What an adapter asks for, in lines that a person can agree to. A newer version that asks for a line more than the one in use
//! has to wait until somebody has agreed to that line.

use crate::adapter::Adapter;
use crate::wasi;
use std::collections::BTreeSet;
use tidegate_model::adapter::Endpoint;

impl Adapter {
    /// Everything that it asks for: endpoints with where they lead, secrets, system interfaces, and which way it works.
    #[must_use]
    pub fn asks(&self) -> BTreeSet<String> {
        let description = self.description();
        let mut asks = wasi::asks(self.stubs());
        for endpoint in &description.endpoints {
            asks.insert(match endpoint {
                Endpoint::Http { key, url } => format!("send HTTP requests to {url} (endpoint {key})"),
                Endpoint::Tcp { key, host, port } => format!("send bytes to {{{host}}}:{{{port}}} (endpoint {key})"),
            });
        }
        for setting in description.settings.iter().filter(|s| s.kind.is_secret()) {
            asks.insert(format!("have the secret {} ({}) filled into what it sends", setting.key, setting.label));
        }
        if self.direction().pushes() {
            asks.insert("push".to_owned());
        }
        if self.direction().pulls() {
            asks.insert("make pages for scrapers".to_owned());
        }
        asks
    }

    /// What it asks for that `other` does not.
    #[must_use]
    pub fn asks_beyond(&self, other: &Self) -> Vec<String> {
        let known = other.asks();
        self.asks().into_iter().filter(|ask| !known.contains(ask)).collect()
    }
}
