//! Grafana Cloud's hosted Graphite: each window becomes JSON, sent over HTTP.
//!
//! ```text
//! [{"name":"tidegate.web.crashes.errors.count__tx","interval":60,"mtype":"gauge","time":1700000040,
//!   "tags":["app_version=1.2.0"],"value":3}]
//! ```
//!
//! [`series`] knows how a series is spelled, [`encode`] the requests, [`judge`] the answers of both generations of receiver.

mod encode;
mod judge;
mod series;
mod settings;

pub use encode::{POINTS_PER_REQUEST, REQUEST_BYTES};
pub use series::{KEY_CHARS, MOST_PARTS};
pub use settings::{Cluster, GrafanaSettings};

use tidegate_adapter::{Batch, Outcome, PushAdapter, Requests, Sent, Verdict, export_push};

/// The adapter.
#[derive(Debug)]
pub struct Grafana;

impl PushAdapter for Grafana {
    type Settings = GrafanaSettings;

    /// Older samples are refused as out of bounds. Where they are not, because the receiver is of one's own, an hour is no loss.
    const LOOK_BACK: Option<u32> = Some(3_600);

    /// Samples of a series are appended; one that is older than the newest is refused.
    const IN_ORDER: bool = true;

    fn encode(settings: &GrafanaSettings, batch: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
        encode::encode(settings, batch, requests)
    }

    fn judge(_: &GrafanaSettings, sent: &Sent, outcome: &Outcome<'_>) -> Verdict {
        judge::judge(sent, outcome)
    }

    fn check(settings: &GrafanaSettings, requests: &mut Requests) -> Result<(), Verdict> {
        // No points: whoever may not write is told so before anybody looks at them.
        let mut request = settings.request()?;
        request.body().text("[]");
        requests.send(request);
        Ok(())
    }
}

export_push!(Grafana);
