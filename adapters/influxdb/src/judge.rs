//! What InfluxDB's answers mean.
//!
//! The hard one is the partial write: the server stored some points, says how many it did not, and names at most one. If that is
//! all of them the rows are named; else the batch is halved until it is, which takes few steps where a whole metric is refused.
//! Sending stored points again changes nothing, since a point with the same series and time is overwritten. Lines that 1.x could
//! not even parse are no points to it: it quotes them, and says `dropped=0`.

use serde::Deserialize;
use tidegate_adapter::{Outcome, Sent, Verdict};

/// Bytes of an answer that are read for the server's message.
const READ: u32 = 4_096;

/// The error document of 1.x (`error`) and of 2.x (`message`).
#[derive(Deserialize, Default)]
struct Problem {
    error: Option<String>,
    message: Option<String>,
}

pub(crate) fn judge(sent: &Sent, outcome: &Outcome<'_>) -> Verdict {
    let Some(status) = outcome.status() else {
        return Verdict::retry(outcome.summary(), None);
    };
    if status == 204 {
        return Verdict::accepted();
    }
    let message = message(outcome);
    let told = if message.is_empty() { outcome.summary() } else { format!("HTTP {status}: {message}") };
    match status {
        200..=299 => Verdict::stop(format!("{told} (a write is answered 204; does the URL lead to InfluxDB?)")),
        // To the empty write of a check 2.x says that points are missing, having found nothing else amiss.
        400 if sent.is_empty() && message.contains("requires points") => Verdict::accepted(),
        400 | 422 | 500 if message.contains("retention policy not found") => Verdict::stop(told),
        400 | 422 | 500 => match dropped(&message) {
            Some(dropped) => partial(sent, dropped, &message, told),
            // All points of a batch have one time, so the server keeps none of them.
            None if status != 500 && message.contains("retention policy") => Verdict::reject(sent, told),
            None if status != 500 => Verdict::split(told),
            None => Verdict::retry(told, outcome.retry_after()),
        },
        413 => Verdict::split(told),
        408 | 429 | 500.. => Verdict::retry(told, outcome.retry_after()),
        _ => Verdict::stop(told),
    }
}

/// What the server said, in one line.
fn message(outcome: &Outcome<'_>) -> String {
    let body = outcome.body_prefix(READ);
    let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
    let said = problem.error.or(problem.message).or_else(|| outcome.header("x-influxdb-error")).unwrap_or_default();
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// How many points a partial write left out.
fn dropped(message: &str) -> Option<u64> {
    if !message.contains("partial write") {
        return None;
    }
    let (_, count) = message.rsplit_once("dropped=")?;
    count.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn partial(sent: &Sent, dropped: u64, message: &str, told: String) -> Verdict {
    if dropped >= sent.count() {
        return Verdict::reject(sent, told);
    }
    // Counting the lines that are quoted would trust the text of labels, so halves tell which they are.
    if dropped > 0 || message.contains("unable to parse") { Verdict::split(told) } else { Verdict::accepted() }
}
