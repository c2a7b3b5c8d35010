//! What Datadog's answers mean.
//!
//! An answer is about the whole request and 202 says only that it was accepted for processing; what is too old, for one, is left
//! out without a word, so the host does not send it. The wait after 429 is in `X-RateLimit-Reset`, as the vendor's clients read it.

use serde::Deserialize;
use tidegate_adapter::{Outcome, Verdict};

/// Bytes of an answer that are read for the server's message.
const READ: u32 = 4_096;

#[derive(Deserialize, Default)]
struct Problem {
    #[serde(default)]
    errors: Vec<String>,
}

/// `is_datadog` tells whether the request went to a site of Datadog's own, which answers as documented; `is_check` whether it only
/// asked about the key.
pub(crate) fn judge(is_datadog: bool, is_check: bool, outcome: &Outcome<'_>) -> Verdict {
    let Some(status) = outcome.status() else {
        return Verdict::retry(outcome.summary(), None);
    };
    match status {
        202 if !is_check => return Verdict::accepted(),
        200 if is_check => return Verdict::accepted(),
        200..=299 if !is_datadog => return Verdict::accepted(),
        _ => {}
    }
    let told = told(status, outcome);
    match status {
        200..=299 if is_check => Verdict::stop(format!("{told} (Datadog answers 200; is something in between?)")),
        200..=299 => Verdict::stop(format!("{told} (Datadog answers 202; is something in between?)")),
        400 | 413 => Verdict::split(told),
        408 | 429 | 500.. => Verdict::retry(told, wait(outcome)),
        _ => Verdict::stop(told),
    }
}

/// The status and what the server said, in one line.
fn told(status: u16, outcome: &Outcome<'_>) -> String {
    let problem: Problem = serde_json::from_slice(&outcome.body_prefix(READ)).unwrap_or_default();
    let said = problem.errors.join("; ");
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    if said.is_empty() { outcome.summary() } else { format!("HTTP {status}: {said}") }
}

/// Seconds until the limit is lifted.
fn wait(outcome: &Outcome<'_>) -> Option<u32> {
    let reset = outcome.header("x-ratelimit-reset").and_then(|text| text.trim().parse().ok());
    reset.or_else(|| outcome.retry_after())
}
