//! Datadog: each window becomes series of its metrics API, one point each.
//!
//! ```json
//! {"series":[{"metric":"tidegate.errors.count.tx","type":1,"interval":60,"points":[{"timestamp":1700000040,"value":3}],
//!   "tags":["metric_set:crashes","project:web","app.version:1.2.0"]}]}
//! ```
//!
//! Datadog rewrites names and tags that it does not like and says nothing of it, so two series can become one there. [`names`]
//! writes only what it leaves alone and never lets two rows become one; [`encode`] makes requests that are never too large, and
//! [`judge`] reads the answers.

mod encode;
mod judge;
mod names;
mod settings;

pub use encode::REQUEST_BYTES;
pub use names::{NAME_CHARS, TAG_CHARS, TAGS};
pub use settings::{Api, DatadogSettings, Site};

use tidegate_adapter::{Batch, Outcome, PushAdapter, Requests, Sent, Verdict, export_push};

/// The adapter.
#[derive(Debug)]
pub struct Datadog;

impl PushAdapter for Datadog {
    type Settings = DatadogSettings;
    /// Datadog drops what is older without a word, unless historical metrics are enabled for a metric.
    const LOOK_BACK: Option<u32> = Some(3_600);

    fn encode(settings: &DatadogSettings, batch: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
        encode::encode(settings, batch, requests)
    }

    fn judge(settings: &DatadogSettings, sent: &Sent, outcome: &Outcome<'_>) -> Verdict {
        judge::judge(settings.is_datadog(), sent.is_empty(), outcome)
    }

    fn check(settings: &DatadogSettings, requests: &mut Requests) -> Result<(), Verdict> {
        requests.send(settings.validate()?);
        Ok(())
    }
}

export_push!(Datadog);
