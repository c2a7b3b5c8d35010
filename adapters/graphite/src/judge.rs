//! What the end of a connection means.
//!
//! Graphite never says anything: a connection that was read to its end is all the success there is. Whatever went wrong before
//! that leaves unknown which lines arrived, so everything is sent again; a line that comes twice changes nothing.

use tidegate_adapter::{Outcome, Verdict};

/// Bytes of an answer that are shown.
const SHOWN: u32 = 80;

pub(crate) fn judge(outcome: &Outcome<'_>) -> Verdict {
    if let Some(failure) = outcome.failure() {
        return Verdict::retry(failure, None);
    }
    let said = outcome.body_prefix(SHOWN);
    if said.is_empty() {
        return Verdict::accepted();
    }
    let said = String::from_utf8_lossy(&said).escape_debug().to_string();
    Verdict::stop(format!(
        "the other side answered \"{said}\", and Graphite never answers: is this its plaintext port?"
    ))
}
