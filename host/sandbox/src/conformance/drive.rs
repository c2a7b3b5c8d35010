//! Leads a delivery as the host does: actions and outcomes, halves where the adapter asks for them, an end in any case.

use crate::action::Action;
use crate::adapter::Adapter;
use crate::conversation::Step;
use crate::exchange::{Disposition, Outcome, Verdict};
use crate::limits::Limits;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tidegate_model::{BatchView, Settings};

/// Conversations about one batch, at most.
const MOST_PARTS: usize = 4096;

/// The host's own limits, but for time: this may run on a busy laptop.
pub(super) fn limits() -> Limits {
    Limits { call_time: Duration::from_secs(30), ..Limits::default() }
}

/// One conversation.
pub(super) struct Talk {
    pub(super) actions: Vec<Action>,
    pub(super) verdict: Verdict,
}

/// Talks about `view`; `answer` plays the server.
pub(super) fn talk(
    adapter: &Arc<Adapter>,
    settings: &Arc<Settings>,
    view: BatchView,
    answer: &dyn Fn(&Action) -> Outcome,
) -> Result<Talk, String> {
    go_on(adapter.begin(settings, view, &limits()).result.map_err(|f| f.to_string())?, answer)
}

/// From the first step to the verdict.
pub(super) fn go_on(mut step: Step, answer: &dyn Fn(&Action) -> Outcome) -> Result<Talk, String> {
    let mut actions = Vec::new();
    loop {
        match step {
            Step::Done(verdict) => return Ok(Talk { actions, verdict }),
            Step::Act(conversation, action) => {
                let outcome = answer(&action);
                actions.push(action);
                step = conversation.step(outcome).result.map_err(|f| f.to_string())?;
            }
        }
    }
}

/// A whole batch, in as many parts as the adapter asks for.
#[derive(Default)]
pub(super) struct Delivered {
    pub(super) actions: Vec<Action>,
    /// Rows that were neither rejected nor left for later.
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    /// The verdict that ended it, if one did.
    pub(super) ended: Option<String>,
}

pub(super) fn deliver(
    adapter: &Arc<Adapter>,
    settings: &Arc<Settings>,
    view: BatchView,
    answer: &dyn Fn(&Action) -> Outcome,
) -> Result<Delivered, String> {
    let mut delivered = Delivered::default();
    let mut left = vec![view];
    let mut parts = 0;
    while let Some(view) = left.pop() {
        parts += 1;
        if parts > MOST_PARTS {
            return Err(format!("more than {MOST_PARTS} parts were asked for"));
        }
        let rows = view.len();
        let talk = talk(adapter, settings, view.clone(), answer)?;
        let refused: u64 = talk.verdict.rejected.iter().map(|r| r.rows.len() as u64).sum();
        match talk.verdict.disposition {
            Disposition::Accepted => {
                delivered.actions.extend(talk.actions);
                delivered.rejected += refused;
                delivered.accepted += rows - refused;
            }
            Disposition::Rejected(_) => {
                delivered.actions.extend(talk.actions);
                delivered.rejected += rows;
            }
            Disposition::Split(_) => match view.halves() {
                Some((first, second)) => left.extend([second, first]),
                None => delivered.rejected += rows,
            },
            Disposition::Retry { reason, .. } => {
                delivered.actions.extend(talk.actions);
                delivered.ended = Some(format!("it wants to try again: {reason}"));
                return Ok(delivered);
            }
            Disposition::Stop(reason) => {
                delivered.actions.extend(talk.actions);
                delivered.ended = Some(format!("it stopped: {reason}"));
                return Ok(delivered);
            }
        }
    }
    Ok(delivered)
}

/// A server that takes everything and says so with `status`: products differ in which they say.
pub(super) fn takes_all(status: u16) -> impl Fn(&Action) -> Outcome {
    move |action| match action {
        Action::SendStream(_) => Outcome::default(),
        Action::Send(_) => Outcome {
            status: Some(status),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: if status == 204 { Bytes::new() } else { Bytes::from_static(b"{}") },
            ..Outcome::default()
        },
    }
}

/// What a server says that this adapter takes for success, as far as one of the usual words is.
pub(super) fn success(adapter: &Arc<Adapter>, settings: &Arc<Settings>, one: &BatchView) -> u16 {
    let taken = |status: &u16| {
        deliver(adapter, settings, one.clone(), &takes_all(*status)).is_ok_and(|d| d.accepted > 0 && d.ended.is_none())
    };
    [204, 200, 202].into_iter().find(taken).unwrap_or(200)
}

/// The body of an action in one piece.
pub(super) fn body(action: &Action) -> Vec<u8> {
    match action {
        Action::Send(request) => request.body.concat(),
        Action::SendStream(stream) => stream.body.concat(),
    }
}
