//! Version 3 of the same adapter: crashes when a label says bomb.

use tidegate_adapter::{Batch, Endpoint, PushAdapter, Request, Requests, Settings, Verdict, export_push};

/// Where it sends to.
#[derive(Settings)]
pub struct Where {
    #[setting(label = "URL", help = "Where to send to")]
    url: Endpoint,
}

/// The adapter.
pub struct Evolving;

impl PushAdapter for Evolving {
    type Settings = Where;

    fn encode(settings: &Where, batch: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
        let mut request = Request::post(&settings.url);
        for metric in batch.metrics() {
            for row in metric.columns().live() {
                assert!(row.labels().all(|(_, label)| label != "bomb"), "boom");
                for (_, value) in row.values() {
                    request.body().text(&format!("value {} {value}\n", batch.window_end()));
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

export_push!(Evolving, name = "evolving");
