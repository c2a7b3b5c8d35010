//! Graphite: each window becomes lines of the plaintext protocol, written to carbon or to a relay over TCP.
//!
//! ```text
//! tidegate.web.crashes.errors.count__tx;app.version=1.2.0 3 1700000040
//! ```
//!
//! [`series`] knows how a series is spelled in either style, [`encode`] the lines and the connections.

mod encode;
mod judge;
mod limits;
mod series;
mod settings;

pub use encode::STREAM_BYTES;
pub use limits::{LINE_BYTES, NODE_BYTES, TAG_CHARS};
pub use settings::{GraphiteSettings, Style};

use tidegate_adapter::{Batch, Outcome, PushAdapter, Requests, Sent, Stream, Verdict, export_push};

/// The adapter.
#[derive(Debug)]
pub struct Graphite;

impl PushAdapter for Graphite {
    type Settings = GraphiteSettings;

    fn encode(settings: &GraphiteSettings, batch: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
        encode::encode(settings, batch, requests)
    }

    fn judge(_: &GraphiteSettings, _: &Sent, outcome: &Outcome<'_>) -> Verdict {
        judge::judge(outcome)
    }

    fn check(_: &GraphiteSettings, requests: &mut Requests) -> Result<(), Verdict> {
        // A connection without a line: it tells whether somebody listens, which is all that Graphite ever tells.
        requests.send_stream(Stream::to(&GraphiteSettings::CARBON));
        Ok(())
    }
}

export_push!(Graphite);
