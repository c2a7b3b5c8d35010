//! What an adapter sends: requests and streams, and the rows that each carries.
//!
//! Remembering the rows is what lets a verdict speak of rows: the sink answers a request, and the batch is gone by then.

use crate::batch::Metric;
use crate::bindings::model;
use crate::body::{Body, Sink};
use crate::settings::{CredentialSlot, Endpoint, TcpEndpoint};
use crate::verdict::{RejectedRows, Rejections};
use std::collections::VecDeque;

/// An HTTP request to one of the store's endpoints.
#[derive(Debug)]
pub struct Request {
    body: Body,
    sent: Sent,
}

impl Request {
    /// A POST request to an endpoint.
    #[must_use]
    pub fn post(endpoint: &Endpoint) -> Self {
        Self::new(endpoint, "POST")
    }

    /// A PUT request to an endpoint.
    #[must_use]
    pub fn put(endpoint: &Endpoint) -> Self {
        Self::new(endpoint, "PUT")
    }

    /// A GET request to an endpoint.
    #[must_use]
    pub fn get(endpoint: &Endpoint) -> Self {
        Self::new(endpoint, "GET")
    }

    fn new(endpoint: &Endpoint, method: &str) -> Self {
        let body = Body::new(Sink::Request(model::Request::new(endpoint.key(), method)));
        Self { body, sent: Sent::default() }
    }

    /// Appends to the path of the endpoint's URL: `/` and what follows, percent-encoded.
    pub fn path(&mut self, path: &str) -> &mut Self {
        self.host(|request| request.path(path))
    }

    /// Adds a parameter to the query string. The host percent-encodes both parts.
    pub fn query(&mut self, name: &str, value: &str) -> &mut Self {
        self.host(|request| request.query(name, value))
    }

    /// Adds a header.
    pub fn header(&mut self, name: &str, value: &str) -> &mut Self {
        self.host(|request| request.header(name, value))
    }

    /// Has the host put a credential into a header. `{}` in the template marks the place, as in `Token {}`.
    pub fn credential(&mut self, slot: &CredentialSlot, header: &str, template: &str) -> &mut Self {
        self.host(|request| request.credential(slot.key(), header, template))
    }

    /// Has the host add basic authentication.
    pub fn basic_auth(&mut self, user: &CredentialSlot, password: &CredentialSlot) -> &mut Self {
        self.host(|request| request.basic_auth(user.key(), password.key()))
    }

    /// Has the host compress the body (gzip).
    pub fn gzip(&mut self) -> &mut Self {
        self.host(model::Request::gzip)
    }

    /// The body, to be written to.
    pub fn body(&mut self) -> &mut Body {
        &mut self.body
    }

    /// Notes that a row is in the body, so that a verdict on this request can speak of it. Cheapest in order of rows.
    #[inline]
    pub fn carries(&mut self, metric: &Metric, row: u32) {
        self.sent.add(metric, row);
    }

    /// Notes how many values were added to the body, for sinks that answer with a count of them.
    #[inline]
    pub fn adds(&mut self, values: u64) {
        self.sent.values += values;
    }

    /// The rows noted so far.
    #[must_use]
    pub fn sent(&self) -> &Sent {
        &self.sent
    }

    fn host(&mut self, act: impl FnOnce(&model::Request)) -> &mut Self {
        if let Sink::Request(request) = self.body.sink() {
            act(request);
        }
        self
    }
}

/// Bytes for a TCP endpoint: the host connects, writes all, closes its half and reads to the end.
#[derive(Debug)]
pub struct Stream {
    body: Body,
    sent: Sent,
}

impl Stream {
    /// A stream to an endpoint.
    #[must_use]
    pub fn to(endpoint: &TcpEndpoint) -> Self {
        Self { body: Body::new(Sink::Stream(model::TcpStream::new(endpoint.key()))), sent: Sent::default() }
    }

    /// The bytes, to be written to.
    pub fn body(&mut self) -> &mut Body {
        &mut self.body
    }

    /// Notes that a row is in the stream.
    #[inline]
    pub fn carries(&mut self, metric: &Metric, row: u32) {
        self.sent.add(metric, row);
    }
}

/// The rows that a request carried, as far as the adapter noted them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    parts: Vec<SentRows>,
    values: u64,
}

/// Rows of one metric that a request carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentRows {
    /// Index of the metric in the batch.
    pub metric: u32,
    /// Its name.
    pub name: String,
    /// The rows, each range from the first to the one after the last.
    pub ranges: Vec<std::ops::Range<u32>>,
}

impl SentRows {
    /// Number of rows.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|range| u64::from(range.end - range.start)).sum()
    }

    /// All of them as rejected for one reason.
    #[must_use]
    pub fn rejected(&self, reason: &str) -> RejectedRows {
        let rows = self.ranges.iter().cloned().flatten().collect();
        RejectedRows { metric: self.metric, rows, reason: reason.to_owned() }
    }
}

impl Sent {
    #[inline]
    fn add(&mut self, metric: &Metric, row: u32) {
        match self.parts.last_mut() {
            Some(part) if part.metric == metric.index() => match part.ranges.last_mut() {
                Some(last) if last.end == row => last.end = row + 1,
                _ => part.ranges.push(row..row + 1),
            },
            _ => self.add_metric(metric, row),
        }
    }

    fn add_metric(&mut self, metric: &Metric, row: u32) {
        let ranges = std::iter::once(row..row + 1).collect();
        self.parts.push(SentRows { metric: metric.index(), name: metric.name().to_owned(), ranges });
    }

    /// The rows, by metric.
    #[must_use]
    pub fn parts(&self) -> &[SentRows] {
        &self.parts
    }

    /// Number of rows.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.parts.iter().map(SentRows::count).sum()
    }

    /// Number of values, as far as the adapter noted them.
    #[must_use]
    pub fn values(&self) -> u64 {
        self.values
    }

    /// Whether no rows were noted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// All of them as rejected for one reason.
    #[must_use]
    pub fn rejected(&self, reason: &str) -> Vec<RejectedRows> {
        self.parts.iter().map(|part| part.rejected(reason)).collect()
    }
}

/// What goes over the wire, ready.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Request(model::Request),
    Stream(model::TcpStream),
}

/// Everything that one batch becomes. Requests go out one after the other; the first that fails ends the delivery.
#[derive(Debug, Default)]
pub struct Requests {
    pub(crate) queue: VecDeque<(Outgoing, Sent)>,
    pub(crate) rejected: Rejections,
}

impl Requests {
    /// Queues a request.
    pub fn send(&mut self, request: Request) {
        if let Sink::Request(host) = request.body.finish() {
            self.queue.push_back((Outgoing::Request(host), request.sent));
        }
    }

    /// Queues a stream.
    pub fn send_stream(&mut self, stream: Stream) {
        if let Sink::Stream(host) = stream.body.finish() {
            self.queue.push_back((Outgoing::Stream(host), stream.sent));
        }
    }

    /// Says that a row cannot be sent at all. The reason is shown to the operator, once for all rows that share it.
    pub fn reject(&mut self, metric: &Metric, row: u32, reason: &str) {
        self.rejected.add(metric.index(), [row], reason);
    }
}
