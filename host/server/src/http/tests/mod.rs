//! The HTTP side as clients see it: a whole server on a socket, and a real client.

mod accounts;
mod adapters;
mod api;
mod audit;
mod bulk;
mod console;
mod form;
mod ops;
mod overload;
mod pull;
mod queries;
mod quotas;
mod retention;
mod rights;
mod submissions;
mod tls;

use crate::serve::{Options, Running};
use ipnet::IpNet;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value as Json, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tempfile::TempDir;
use tidegate_export::EgressPolicy;
use tidegate_model::SystemClock;

/// A server with a data directory of its own.
pub(crate) struct Server {
    running: Running,
    client: Client,
    pub(crate) token: String,
    _folder: TempDir,
}

fn options(folder: &TempDir) -> Options {
    let loopback = IpNet::from(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST));
    Options {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        egress: EgressPolicy::allowing(vec![loopback]),
        ..Options::new(folder.path().join("data"))
    }
}

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(&folder);
        change(&mut options);
        let running = Running::start(options, Arc::new(SystemClock)).await.unwrap();
        let token = running.first_token().unwrap().expose().to_owned();
        Self { running, client: client(), token, _folder: folder }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.address())
    }

    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }

    /// A request without any token.
    fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// A request to the API with the first token.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, &format!("/api/v1{path}")).bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Json) {
        told(self.request(Method::GET, path).send().await.unwrap()).await
    }

    async fn send(&self, method: Method, path: &str, body: Json) -> (u16, Json) {
        told(self.request(method, path).body(body.to_string()).send().await.unwrap()).await
    }

    /// Makes a project and gives its submission token.
    pub(crate) async fn project(&self, name: &str) -> String {
        let (status, made) = self.send(Method::POST, "/projects", json!({"name": name})).await;
        assert_eq!(status, 201, "{made}");
        made["submission_token"].as_str().unwrap().to_owned()
    }
}

/// Status and JSON of an answer; null if it has no body.
async fn told(response: Response) -> (u16, Json) {
    let status = response.status().as_u16();
    let bytes = response.bytes().await.unwrap();
    if bytes.is_empty() {
        return (status, Json::Null);
    }
    (
        status,
        serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{status}: {e}: {}", String::from_utf8_lossy(&bytes))),
    )
}

/// A report as client libraries make them.
fn report(uuid: &str, attributes: Json) -> Json {
    json!({
        "uuid": uuid, "timestamp": 1_800_000_000, "lang": "python", "langVersion": "3.13", "agent": "test", "agentVersion": "1",
        "mainThread": "main", "classifiers": ["ValueError"], "attributes": attributes,
        "threads": {"main": {"name": "main", "fault": true, "stack": [{"funcName": "boom"}, {"funcName": "main"}]}},
    })
}

const UUID: &str = "7f9a2b64-0c1d-4e5f-8a9b-0123456789ab";
