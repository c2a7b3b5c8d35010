//! Writes without an end into one request.

use tidegate_adapter::{Batch, Endpoint, PushAdapter, Request, Requests, Settings, Verdict, export_push};

/// Where it would send to.
#[derive(Settings)]
pub struct Where {
    #[setting(label = "URL")]
    url: Endpoint,
}

/// The adapter.
pub struct Flood;

impl PushAdapter for Flood {
    type Settings = Where;

    fn encode(settings: &Where, _: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
        let mut request = Request::post(&settings.url);
        let chunk = vec![b'x'; 1 << 20];
        for _ in 0..4096 {
            request.body().write(&chunk);
        }
        requests.send(request);
        Ok(())
    }
}

export_push!(Flood);
