//! InfluxDB 1.x and 2.x: each window becomes line protocol, sent over HTTP.
//!
//! ```text
//! errors,app.version=1.2.0,metric_set=crashes,project=web count__tx=3 1700000040
//! ```
//!
//! A line is a metric (the measurement), project, metric set and dimensions (tags, sorted by key) and one field for each measure.
//! [`line`] knows the format, [`encode`] the requests, [`judge`] the server's answers.

mod encode;
mod judge;
mod line;
mod settings;

pub use encode::{POINTS_PER_REQUEST, REQUEST_BYTES};
pub use line::SERIES_KEY_BYTES;
pub use settings::{InfluxSettings, Version};

use tidegate_adapter::{Batch, Outcome, PushAdapter, Requests, Sent, Verdict, export_push};

/// The adapter.
#[derive(Debug)]
pub struct Influxdb;

impl PushAdapter for Influxdb {
    type Settings = InfluxSettings;

    fn encode(settings: &InfluxSettings, batch: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
        encode::encode(settings, batch, requests)
    }

    fn judge(_: &InfluxSettings, sent: &Sent, outcome: &Outcome<'_>) -> Verdict {
        judge::judge(sent, outcome)
    }

    fn check(settings: &InfluxSettings, requests: &mut Requests) -> Result<(), Verdict> {
        // A write without points: login, database or bucket are looked at all the same.
        requests.send(settings.request()?);
        Ok(())
    }
}

export_push!(Influxdb);
