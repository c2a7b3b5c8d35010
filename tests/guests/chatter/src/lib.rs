//! Has one more request to send, and one more, and one more.

use tidegate_adapter::{Batch, Endpoint, PushAdapter, Request, Requests, Settings, Verdict, export_push};

/// Where it sends to.
#[derive(Settings)]
pub struct Where {
    #[setting(label = "URL")]
    url: Endpoint,
}

/// The adapter.
pub struct Chatter;

impl PushAdapter for Chatter {
    type Settings = Where;

    fn encode(settings: &Where, _: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
        for number in 0..200 {
            let mut request = Request::post(&settings.url);
            request.path(&format!("/{number}"));
            requests.send(request);
        }
        Ok(())
    }
}

export_push!(Chatter);
