//! Version 4 of the same adapter: wants a secret and a second endpoint.

use tidegate_adapter::{
    Batch, CredentialSlot, Endpoint, PushAdapter, Request, Requests, Settings, Verdict, export_push,
};

/// Where it sends to.
#[derive(Settings)]
pub struct Where {
    #[setting(label = "URL", help = "Where to send to")]
    url: Endpoint,
    #[setting(label = "Token", help = "What it did not want before", secret)]
    token: Option<CredentialSlot>,
    #[setting(label = "Backup", help = "Where it could send to, too")]
    backup: Option<Endpoint>,
}

/// The adapter.
pub struct Evolving;

impl PushAdapter for Evolving {
    type Settings = Where;

    fn encode(settings: &Where, batch: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
        let mut request = Request::post(&settings.url);
        if let Some(token) = &settings.token {
            request.credential(token, "Authorization", "Bearer {}");
        }
        let _ = &settings.backup;
        for metric in batch.metrics() {
            for row in metric.columns().live() {
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
