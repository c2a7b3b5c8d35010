//! Runs an adapter natively, as the host would: the same code, no wasm toolchain.
//!
//! A batch comes from [`BatchBuilder`]; a [`PushStore`] or a [`PullStore`] is an adapter with settings filled in. What the host
//! would refuse (an endpoint or a credential that the schema does not have, a control character in a header) panics here, so a
//! test finds it.
//!
//! ```
//! use tidegate_adapter::testing::{Answer, BatchBuilder, MetricBuilder, PushStore};
//! # use tidegate_adapter::{Batch, Endpoint, PushAdapter, Request, Requests, Settings, Verdict, export_push};
//! # #[derive(Settings)]
//! # struct Lines { #[setting(label = "URL")] url: Endpoint }
//! # struct Collector;
//! # impl PushAdapter for Collector {
//! #     type Settings = Lines;
//! #     fn encode(settings: &Lines, _: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
//! #         requests.send(Request::post(&settings.url));
//! #         Ok(())
//! #     }
//! # }
//! # export_push!(Collector);
//! let errors = MetricBuilder::new("errors", ["app.version"]).measure("count", "_tx").row(["1.2.0"], [3.0]);
//! let batch = BatchBuilder::new("web", "crashes").metric(errors).build();
//! let store = PushStore::<Collector>::new([("url", "http://127.0.0.1:8086")]);
//! let delivered = store.deliver(&batch, |_| Answer::status(429).header("Retry-After", "7"));
//! assert_eq!(delivered.verdict, Verdict::retry("HTTP 429", Some(7)));
//! ```

mod batch;
mod material;
mod refusals;
mod store;
mod values;

pub use batch::{BatchBuilder, MetricBuilder, TestBatch};
pub(crate) use batch::{BatchData, MeasureData, MetricData};
pub use material::{assert_golden, hostile_texts, large_batch, transcript};
pub use store::{Delivered, PullStore, PushStore, RenderedPage};
pub(crate) use values::SettingValue;

use crate::settings::{About, Settings};

/// What an adapter handed over to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// An HTTP request.
    Request(SentRequest),
    /// Bytes for a TCP endpoint.
    Stream(SentStream),
}

/// An HTTP request that an adapter made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentRequest {
    /// Key of the endpoint.
    pub endpoint: String,
    /// GET, POST or PUT.
    pub method: String,
    /// What is appended to the path of the endpoint.
    pub path: String,
    /// Parameters, not yet encoded.
    pub query: Vec<(String, String)>,
    /// Headers in order.
    pub headers: Vec<(String, String)>,
    /// Slot, header and template of each credential.
    pub credentials: Vec<(String, String, String)>,
    /// Keys of user and password.
    pub basic_auth: Option<(String, String)>,
    /// Whether the host compresses the body.
    pub gzip: bool,
    /// The body, not compressed.
    pub body: Vec<u8>,
}

impl SentRequest {
    /// The body as text.
    ///
    /// # Panics
    /// If it is not UTF-8.
    #[must_use]
    pub fn text(&self) -> &str {
        match std::str::from_utf8(&self.body) {
            Ok(text) => text,
            Err(error) => panic!("the body is not UTF-8: {error}"),
        }
    }
}

/// Bytes that an adapter made for a TCP endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentStream {
    /// Key of the endpoint.
    pub endpoint: String,
    /// The bytes.
    pub body: Vec<u8>,
}

impl SentStream {
    /// The bytes as text.
    ///
    /// # Panics
    /// If they are not UTF-8.
    #[must_use]
    pub fn text(&self) -> &str {
        match std::str::from_utf8(&self.body) {
            Ok(text) => text,
            Err(error) => panic!("the bytes are not UTF-8: {error}"),
        }
    }
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub(crate) status: Option<u16>,
    pub(crate) failure: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// An HTTP answer.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status: Some(status), ..Self::default() }
    }

    /// A stream that was written whole.
    #[must_use]
    pub fn written() -> Self {
        Self::default()
    }

    /// No answer.
    #[must_use]
    pub fn failure(reason: &str) -> Self {
        Self { failure: Some(reason.to_owned()), ..Self::default() }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

/// The JSON document that adapter `A` with settings `S` describes itself with.
#[must_use]
pub fn describe<A: About, S: Settings>() -> String {
    crate::settings::describe::<A, S>()
}
