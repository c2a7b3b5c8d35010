//! What an adapter that pushes has to stand.

use super::drive::{Delivered, body, deliver, go_on, limits, success, takes_all, talk};
use super::stores::{CANARY, Store};
use super::{Findings, batches};
use crate::action::Action;
use crate::adapter::Adapter;
use crate::exchange::{Disposition, Outcome};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tidegate_model::{Batch, BatchView, Name, Period, Window};

/// Seconds that the playing server asks to be left alone.
const ASKED: u64 = 37;

/// What an answer has to be taken for.
#[derive(Clone, Copy)]
enum Taken {
    /// Any verdict.
    Anyhow,
    /// Anything but "all of it arrived".
    NotAccepted,
    /// As a reason to try again.
    Retry,
    /// As a reason to try again, not before the time that was asked for.
    RetryAfter,
    /// As a refusal of the credentials.
    Stop,
}

pub(super) fn all(adapter: &Arc<Adapter>, stores: &[Store], findings: &mut Findings) {
    let (Some(empty), Some(one), Some(many), Some(hostile), Some(values), Some(infinite)) = (
        batches::empty(false),
        batches::rows(1, false),
        batches::rows(batches::MANY, false),
        batches::hostile(false),
        batches::values(false),
        batches::infinities(false),
    ) else {
        return;
    };
    let mut sends = false;
    for (at, store) in stores.iter().enumerate() {
        let good = takes_all(success(adapter, &store.settings, &BatchView::whole(Arc::clone(&one))));
        let run = |batch: &Arc<Batch>| deliver(adapter, &store.settings, BatchView::whole(Arc::clone(batch)), &good);
        let under = |found: Result<(), String>| found.map_err(|problem| format!("{}: {problem}", store.told));
        for batch in &empty {
            findings.note("an empty batch is accepted", under(run(batch).and_then(|d| ended_well(&d))));
        }
        let single = run(&one);
        sends |= single.as_ref().is_ok_and(|d| !d.actions.is_empty());
        findings.note("one row gives a verdict", under(single.map(drop)));
        findings.note("infinities crash nothing", under(run(&infinite).map(drop)));
        for batch in [&hostile, &values] {
            let first = run(batch);
            findings
                .note("hostile names and values crash nothing", under(first.as_ref().map(drop).map_err(Clone::clone)));
            let Ok(first) = first else { continue };
            findings.note("the same batch gives the same bytes", under(same(&first, &run(batch))));
            findings.note("what is sent is UTF-8 and well formed", under(well_formed(&first)));
            findings.note("no name makes a record of its own", under(records(&first, batch)));
            findings.note("no credential is in what the adapter made", under(no_canary(&first)));
        }
        // Once is enough for the expensive one, in the fullest and the plainest of the stores.
        if at < 2 {
            findings.note("100,000 rows stay within the limits", under(run(&many).and_then(|d| counted(&d, &many))));
        }
        answers(adapter, store, &one, findings);
        checks(adapter, store, findings);
    }
    let found =
        if sends { Ok(()) } else { Err("under no settings did one row lead to anything being sent".to_owned()) };
    findings.note("a row is sent", found);
}

fn ended_well(delivered: &Delivered) -> Result<(), String> {
    match &delivered.ended {
        Some(why) if delivered.actions.is_empty() && !why.starts_with("it stopped") => Err(why.clone()),
        _ if delivered.rejected > 0 => Err("rows were rejected, and there are none".to_owned()),
        _ => Ok(()),
    }
}

fn same(first: &Delivered, second: &Result<Delivered, String>) -> Result<(), String> {
    let second = second.as_ref().map_err(Clone::clone)?;
    if first.actions == second.actions {
        return Ok(());
    }
    let at = first.actions.iter().zip(&second.actions).position(|(a, b)| a != b);
    let at = at.unwrap_or_else(|| first.actions.len().min(second.actions.len()));
    Err(format!("action {} differs when the batch is sent again", at + 1))
}

/// The body as text, if it is meant as text.
fn text(action: &Action) -> Result<String, String> {
    String::from_utf8(body(action)).map_err(|e| format!("a body is not UTF-8 at byte {}", e.utf8_error().valid_up_to()))
}

fn is_json(text: &str) -> bool {
    text.starts_with(['{', '['])
}

fn well_formed(delivered: &Delivered) -> Result<(), String> {
    for action in &delivered.actions {
        let text = text(action)?;
        if is_json(&text) {
            serde_json::from_str::<serde::de::IgnoredAny>(&text)
                .map_err(|e| format!("a body is not valid JSON: {e}"))?;
        } else if let Some(c) = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t' | '\r')) {
            return Err(format!("a body has the control character {c:?} in it"));
        } else if !text.is_empty() && !text.ends_with('\n') && matches!(action, Action::SendStream(_)) {
            return Err("a stream does not end with a line break, so its last line may be lost".to_owned());
        }
    }
    Ok(())
}

/// Line formats have one line for a value, at most, or one for a row.
fn records(delivered: &Delivered, batch: &Batch) -> Result<(), String> {
    let most: usize = batch.metrics.iter().map(|m| m.live_rows as usize * m.measures.len()).sum();
    let mut lines = 0;
    for action in &delivered.actions {
        let text = text(action)?;
        if !is_json(&text) {
            lines += text.split(['\n', '\r']).filter(|l| !l.is_empty() && !l.starts_with('#')).count();
        }
    }
    if lines > most { Err(format!("{lines} lines were sent for at most {most} values")) } else { Ok(()) }
}

fn no_canary(delivered: &Delivered) -> Result<(), String> {
    for action in &delivered.actions {
        let leaked = body(action).windows(CANARY.len()).any(|w| w == CANARY.as_bytes())
            || matches!(action, Action::Send(r) if format!("{r:?}").contains(CANARY));
        if leaked {
            return Err("a secret is in a request".to_owned());
        }
    }
    Ok(())
}

/// Every row is accounted for.
fn counted(delivered: &Delivered, batch: &Batch) -> Result<(), String> {
    if delivered.ended.is_some() {
        // A server that says less than the product would; other checks look at that.
        return Ok(());
    }
    let rows = batch.live_rows();
    let told = delivered.accepted + delivered.rejected;
    if told != rows {
        return Err(format!("{told} of {rows} rows were accounted for"));
    }
    if delivered.rejected > rows / 10 {
        return Err(format!("{} of {rows} ordinary rows were rejected", delivered.rejected));
    }
    Ok(())
}

fn answered(status: u16, headers: &[(&str, &str)], body: &'static [u8]) -> Outcome {
    let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    Outcome { status: Some(status), headers, body: Bytes::from_static(body), ..Outcome::default() }
}

fn unanswered(reason: &str) -> Outcome {
    Outcome { failure: Some(reason.to_owned()), ..Outcome::default() }
}

/// Plays every answer that a server, or what stands before it, gives.
fn answers(adapter: &Arc<Adapter>, store: &Store, one: &Arc<Batch>, findings: &mut Findings) {
    let asked = ASKED.to_string();
    let retry_after = [("retry-after", asked.as_str())];
    let html: &[u8] = b"<html>\xff\xfe<h1>It works!</h1>\x00";
    let http = [
        ("200", answered(200, &[], b""), Taken::Anyhow),
        ("202", answered(202, &[], b"{\"errors\":[]}"), Taken::Anyhow),
        ("204", answered(204, &[], b""), Taken::Anyhow),
        ("200 with a body of garbage", answered(200, &[("content-type", "text/html")], html), Taken::Anyhow),
        ("302", answered(302, &[("location", "http://elsewhere.example/")], b""), Taken::NotAccepted),
        ("400", answered(400, &[], b"{\"error\":\"bad\"}"), Taken::NotAccepted),
        ("400 with a body of garbage", answered(400, &[], html), Taken::NotAccepted),
        ("401", answered(401, &[], b""), Taken::Stop),
        ("403", answered(403, &[], b""), Taken::NotAccepted),
        ("404", answered(404, &[], b""), Taken::NotAccepted),
        ("408", answered(408, &[], b""), Taken::Retry),
        ("413", answered(413, &[], b""), Taken::NotAccepted),
        ("429 with Retry-After", answered(429, &retry_after, b""), Taken::RetryAfter),
        ("500", answered(500, &[], b""), Taken::Retry),
        ("503", answered(503, &[], b""), Taken::Retry),
        ("503 with a body of garbage", answered(503, &[], html), Taken::Retry),
    ];
    let wire = [
        ("no connection", unanswered("cannot connect: connection refused"), Taken::Retry),
        ("a timeout", unanswered("timed out while waiting for the answer"), Taken::Retry),
        ("a broken connection", unanswered("the exchange broke off: connection reset"), Taken::Retry),
    ];
    for (what, outcome, taken) in http.into_iter().chain(wire) {
        let is_http = outcome.status.is_some();
        let view = BatchView::whole(Arc::clone(one));
        let answer = |action: &Action| match action {
            Action::SendStream(_) if is_http => Outcome::default(),
            _ => outcome.clone(),
        };
        let first = talk(adapter, &store.settings, view.clone(), &answer);
        let found = first.as_ref().map_err(Clone::clone).and_then(|talk| {
            let streamed = is_http && talk.actions.iter().all(|a| matches!(a, Action::SendStream(_)));
            if talk.actions.is_empty() || streamed {
                Ok(())
            } else {
                fits(taken, &talk.verdict.disposition, talk.verdict.rejected.is_empty())
            }
        });
        let found = found.map_err(|problem| format!("{}: {what}: {problem}", store.told));
        findings.note("every answer leads to a verdict that loses nothing in silence", found);
        // What comes next, after whatever answer, is the same request.
        let again = first.and_then(|first| {
            let second = talk(adapter, &store.settings, view, &takes_all(204))?;
            let differs = !first.actions.is_empty() && first.actions.first() != second.actions.first();
            if differs { Err(format!("after {what} another request is sent")) } else { Ok(()) }
        });
        findings.note("a resend is the same bytes", again.map_err(|problem| format!("{}: {problem}", store.told)));
    }
}

fn fits(taken: Taken, disposition: &Disposition, none_rejected: bool) -> Result<(), String> {
    let accepted = matches!(disposition, Disposition::Accepted) && none_rejected;
    let wrong = |wanted: &str| Err(format!("expected {wanted}, found {disposition:?}"));
    match (taken, disposition) {
        (Taken::Anyhow, _) => Ok(()),
        (Taken::NotAccepted, _) if accepted => wrong("anything but acceptance"),
        (Taken::NotAccepted, _) => Ok(()),
        (Taken::Stop, Disposition::Stop(_)) => Ok(()),
        (Taken::Stop, _) => wrong("that the store stops until the credentials change"),
        (Taken::Retry, Disposition::Retry { .. }) => Ok(()),
        (Taken::RetryAfter, Disposition::Retry { after: Some(after), .. }) if *after >= Duration::from_secs(ASKED) => {
            Ok(())
        }
        (Taken::Retry, _) => wrong("another try"),
        (Taken::RetryAfter, _) => wrong("another try after the time that was asked for"),
    }
}

/// The question whether the settings hold.
fn checks(adapter: &Arc<Adapter>, store: &Store, findings: &mut Findings) {
    let Some(window) = Window::starting_at(1_800_000_000, Period::default()) else { return };
    let (Ok(project), Ok(set)) = (Name::new("web"), Name::new("check")) else { return };
    for (what, outcome) in
        [("takes all", answered(200, &[], b"{\"valid\":true}")), ("refuses", answered(403, &[], b""))]
    {
        let asked = adapter.check(&store.settings, project.clone(), set.clone(), window, &limits());
        let asked = asked.result.map_err(|f| f.to_string()).and_then(|step| go_on(step, &|_: &Action| outcome.clone()));
        let found = asked.and_then(|talk| {
            let deliveries = Delivered { actions: talk.actions, ..Delivered::default() };
            no_canary(&deliveries)?;
            let refused = what == "refuses" && !deliveries.actions.is_empty();
            let streamed = deliveries.actions.iter().all(|a| matches!(a, Action::SendStream(_)));
            if refused && !streamed && talk.verdict.disposition == Disposition::Accepted {
                return Err("a sink that refuses the settings is taken for one that accepts them".to_owned());
            }
            Ok(())
        });
        findings.note("a check of the settings comes to an end", found.map_err(|p| format!("{}: {p}", store.told)));
    }
}
