//! Sends to an endpoint that its description does not have: the way out that the admin never typed in.

use tidegate_adapter::{Batch, Endpoint, PushAdapter, Request, Requests, Verdict, export_push};

/// The adapter.
pub struct Stray;

impl PushAdapter for Stray {
    type Settings = ();

    fn encode((): &(), _: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
        requests.send(Request::post(&Endpoint::named("elsewhere")));
        Ok(())
    }
}

export_push!(Stray);
