//! What the receiver's answers mean.
//!
//! There are two generations of it. The present one takes a request or refuses it; the former one takes the valid points and
//! tells how many were not, with the places of some. The trap is 500: it may be a bad moment, and it may be points that the store
//! behind will never take, and nothing in the answer tells which.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use tidegate_adapter::{Outcome, RejectedRows, Sent, Verdict};

/// Bytes of an answer that are read.
const READ: u32 = 32 << 10;

/// What the former generation says of a request. The present one says `published` in small letters.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Reply {
    #[serde(rename = "Invalid")]
    invalid: u64,
    #[serde(rename = "Published")]
    published: u64,
    #[serde(rename = "ValidationErrors")]
    problems: BTreeMap<String, Problem>,
}

/// Points that are invalid for one reason: where some of them are in the request.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Problem {
    #[serde(rename = "ExampleIds")]
    examples: Vec<u64>,
}

pub(crate) fn judge(sent: &Sent, outcome: &Outcome<'_>) -> Verdict {
    let status = outcome.status();
    if matches!(status, Some(200..=299)) {
        return taken(sent, outcome);
    }
    let told = outcome.summary();
    match status {
        // The empty array of a check: the credentials were taken, or this would be another status.
        Some(400) if sent.is_empty() => Verdict::accepted(),
        // Nothing of it was stored, and one point may be the reason.
        Some(400 | 413) => Verdict::split(told),
        // Not about the points: this is our fault, and sending it again would not mend it.
        Some(415) => Verdict::reject(sent, told),
        None | Some(408 | 429 | 500..) => Verdict::retry(told, outcome.retry_after()),
        Some(_) => Verdict::stop(told),
    }
}

fn taken(sent: &Sent, outcome: &Outcome<'_>) -> Verdict {
    let body = outcome.body_prefix(READ);
    if body.trim_ascii_start().starts_with(b"<") {
        let told = outcome.summary();
        return Verdict::stop(format!("{told} (that is a page for people; the URL ends in /metrics)"));
    }
    let reply: Reply = serde_json::from_slice(&body).unwrap_or_default();
    if reply.invalid == 0 { Verdict::accepted() } else { partial(sent, &reply) }
}

/// Some points were invalid, the others are stored.
fn partial(sent: &Sent, reply: &Reply) -> Verdict {
    let reasons: Vec<_> = reply.problems.keys().map(String::as_str).collect();
    let told = format!("{} points invalid: {}", reply.invalid, reasons.join("; "));
    let rows = sent.count();
    if reply.published == 0 || rows == 1 {
        return Verdict::reject(sent, told);
    }
    let places: BTreeSet<u64> = reply.problems.values().flat_map(|problem| &problem.examples).copied().collect();
    let is_one_each = reply.invalid + reply.published == rows;
    if is_one_each && places.len() as u64 == reply.invalid && places.last().is_some_and(|last| *last < rows) {
        return Verdict::reject_rows(by_place(sent, reply));
    }
    Verdict::split(told)
}

/// The rows at the places that the receiver names, where each row is one point.
fn by_place(sent: &Sent, reply: &Reply) -> Vec<RejectedRows> {
    let mut rejected = Vec::new();
    let mut named = BTreeSet::new();
    for (reason, problem) in &reply.problems {
        let mut places: Vec<u64> = problem.examples.iter().copied().filter(|place| named.insert(*place)).collect();
        places.sort_unstable();
        let mut before = 0;
        for part in sent.parts() {
            let within = |place: &&u64| (before..before + part.count()).contains(*place);
            let nth = |place: &u64| part.ranges.iter().cloned().flatten().nth(usize::try_from(place - before).ok()?);
            let rows: Vec<u32> = places.iter().filter(within).filter_map(nth).collect();
            before += part.count();
            if !rows.is_empty() {
                rejected.push(RejectedRows { metric: part.metric, rows, reason: reason.clone() });
            }
        }
    }
    rejected
}
