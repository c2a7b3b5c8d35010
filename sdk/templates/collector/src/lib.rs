//! Sends each window to the Acme collector as lines of text.

use tidegate_adapter::{
    Batch, CredentialSlot, Endpoint, PushAdapter, Request, Requests, Settings, Verdict, export_push,
};

/// What the admin fills in.
#[derive(Settings)]
pub struct CollectorSettings {
    #[setting(label = "URL", help = "Collector page, Address")]
    url: Endpoint,
    #[setting(label = "API key", help = "Collector page, Keys", secret)]
    key: CredentialSlot,
    #[setting(label = "Prefix", help = "Goes before the name of every metric", default = "tidegate.")]
    prefix: String,
}

/// The adapter.
pub struct Collector;

impl PushAdapter for Collector {
    type Settings = CollectorSettings;

    fn encode(settings: &CollectorSettings, batch: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
        let mut request = Request::post(&settings.url);
        request.path("/v1/lines");
        request.credential(&settings.key, "Authorization", "Bearer {}");
        for metric in batch.metrics() {
            for row in metric.columns().live() {
                if row.labels().any(|(_, value)| value.contains('\n')) {
                    requests.reject(&metric, row.index(), "a label with a line break");
                    continue;
                }
                for (measure, value) in row.values() {
                    let body = request.body();
                    body.text(&settings.prefix);
                    body.text(&format!("{}.{}.{}", metric.name(), measure.aggregate, measure.attribute));
                    for (name, label) in row.labels() {
                        body.text(&format!(" {name}={label:?}"));
                    }
                    body.byte(b' ');
                    body.number(value);
                    body.text(&format!(" {}\n", batch.window_end()));
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

export_push!(Collector);
