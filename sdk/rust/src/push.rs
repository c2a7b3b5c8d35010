//! The trait of an adapter to which the host lends its hands: it encodes, the host sends.

use crate::batch::Batch;
use crate::request::{Requests, Sent};
use crate::settings::Settings;
use crate::verdict::{Outcome, Verdict};

/// An adapter that sends. Export it with [`export_push!`](crate::export_push).
///
/// It must compute the same requests from the same arguments: what was once sent may have to be sent again, byte for byte.
pub trait PushAdapter: 'static {
    /// What the admin fills in.
    type Settings: Settings;

    /// Seconds for which the sink takes a window after its end. The host lets older windows expire instead of having them
    /// refused, or dropped unseen. None: windows of any age.
    const LOOK_BACK: Option<u32> = None;

    /// Whether the sink refuses a window once it has taken a later one. After an outage the host sends the live window first,
    /// and those that were missed after it; not so if this is true.
    const IN_ORDER: bool = false;

    /// Makes requests of a batch. Rows whose value is NaN are left out; rows that the sink could never take are named with
    /// [`Requests::reject`].
    ///
    /// # Errors
    /// A [`Verdict`] on the whole batch, if nothing of it can be sent.
    fn encode(settings: &Self::Settings, batch: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict>;

    /// Judges the answer to one request; `sent` has the rows that the request carried, as far as `encode` noted them. An accepting
    /// verdict lets the next request go, any other ends the delivery.
    fn judge(settings: &Self::Settings, sent: &Sent, outcome: &Outcome<'_>) -> Verdict {
        let _ = settings;
        Verdict::by_status(sent, outcome)
    }

    /// Makes requests that ask the sink whether it takes the settings, and write nothing to it; [`judge`](Self::judge) gets the
    /// answers, with an empty `sent`. Without a request the admin is told that this sink offers no such check.
    ///
    /// # Errors
    /// A [`Verdict`], if the settings cannot hold whatever the sink says.
    fn check(settings: &Self::Settings, requests: &mut Requests) -> Result<(), Verdict> {
        let _ = (settings, requests);
        Ok(())
    }
}
