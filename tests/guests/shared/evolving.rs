//! What the first three versions of the adapter have in common: a line for each value.

use crate::{EXPLODES, WORD};
use tidegate_adapter::{Batch, Endpoint, PushAdapter, Request, Requests, Settings, Verdict};

/// Where it sends to.
#[derive(Settings)]
pub(crate) struct Where {
    #[setting(label = "URL", help = "Where to send to")]
    url: Endpoint,
}

/// The adapter.
pub(crate) struct Evolving;

impl PushAdapter for Evolving {
    type Settings = Where;

    fn encode(settings: &Where, batch: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
        let mut request = Request::post(&settings.url);
        for metric in batch.metrics() {
            for row in metric.columns().live() {
                assert!(!EXPLODES || row.labels().all(|(_, label)| label != "bomb"), "boom");
                for (_, value) in row.values() {
                    request.body().text(&format!("{WORD} {} {value}\n", batch.window_end()));
                }
                request.carries(&metric, row.index());
            }
        }
        if !request.body().is_empty() {
            requests.send(request);
        }
        Ok(())
    }
}
