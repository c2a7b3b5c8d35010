//! What a broker's answers mean.
//!
//! A broker stores while it reads. So 406 means that what came before the fault is stored and the rest is not; and 200 comes with
//! counts, which are compared with what was sent, since it comes for cut names and for filtered metrics as well.

use serde::Deserialize;
use tidegate_adapter::{Outcome, Sent, Verdict};

/// Bytes of an answer that are read.
const READ: u32 = 4_096;
/// A broker counts a filtered metric once where it takes the time stamp and once where it takes the number.
const COUNTED: u64 = 2;

#[derive(Deserialize, Default)]
struct Answer {
    /// Values that were read, filtered ones too.
    stats: Option<u64>,
    #[serde(default)]
    filtered: u64,
    error: Option<String>,
}

pub(crate) fn judge(sent: &Sent, outcome: &Outcome<'_>) -> Verdict {
    let Some(status) = outcome.status() else {
        return Verdict::retry(outcome.summary(), None);
    };
    // An agent of Circonus in between takes submissions without a word.
    if status == 204 {
        return Verdict::accepted();
    }
    let answer: Answer = serde_json::from_slice(&outcome.body_prefix(READ)).unwrap_or_default();
    if status == 200 && answer.error.is_none() && answer.stats == Some(sent.values()) && answer.filtered == 0 {
        return Verdict::accepted();
    }
    let said = answer.error.as_deref().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    let told = if said.is_empty() { outcome.summary() } else { format!("HTTP {status}: {said}") };
    match status {
        200 => counted(sent, &answer, told),
        406 => Verdict::reject(sent, format!("{told} (values before the fault are stored, those after it are not)")),
        413 => Verdict::split(told),
        408 | 429 | 500.. => Verdict::retry(told, outcome.retry_after()),
        _ => Verdict::stop(told),
    }
}

/// Compares the counts of an answer with what was sent. Sending values again under the same time stamps changes nothing, so halves
/// find out which rows are missing.
fn counted(sent: &Sent, answer: &Answer, told: String) -> Verdict {
    let values = sent.values();
    let Some(stats) = answer.stats else {
        return Verdict::stop(format!("{told} (a broker answers with its counts; does the URL lead to one?)"));
    };
    if answer.error.is_some() {
        return Verdict::split(told);
    }
    if stats < values {
        return Verdict::split(format!("the broker read {stats} of {values} values"));
    }
    if answer.filtered > 0 && (answer.filtered >= COUNTED * values || values == 1) {
        return Verdict::reject(sent, "the check's metric filters take none of these");
    }
    if answer.filtered == 0 {
        return Verdict::accepted();
    }
    // At least: nobody knows of an agent in between that it counts twice, too.
    let filtered = answer.filtered.div_ceil(COUNTED);
    Verdict::accepted().with_note(format!(
        "at least {filtered} of {values} values were filtered by Circonus: the check's metric filters do not take them (it counted {})",
        answer.filtered
    ))
}
