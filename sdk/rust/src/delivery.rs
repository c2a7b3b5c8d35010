//! The state machine of one push delivery, the same for guests and for native tests.
//!
//! All requests are made in `begin`, since the batch is only lent for that call. They go out one after the other. An answer that
//! the adapter does not accept ends the delivery; rows that were rejected so far, and notes, are reported only if the rest was taken,
//! for if the batch comes again, so do they.

use crate::batch::Batch;
use crate::bindings::model;
use crate::push::PushAdapter;
use crate::request::{Outgoing, Requests, Sent};
use crate::settings::{Known, Settings, Values};
use crate::verdict::{Disposition, Outcome, Verdict};

/// Requests and streams that a host lets one delivery have.
pub const MAX_ACTIONS: usize = 64;
/// Bytes that a host lets one delivery, or one page, have in all bodies together.
pub const MAX_OUTPUT_BYTES: u64 = 64 << 20;

/// What the host is to do next.
#[derive(Debug)]
pub(crate) enum Step {
    Send(model::Request),
    SendStream(model::TcpStream),
    Done(Verdict),
}

/// One delivery of one batch, or of a part of one.
pub(crate) struct Delivery<A: PushAdapter> {
    settings: Result<A::Settings, String>,
    requests: Requests,
    current: Sent,
    /// Of the answers so far.
    notes: Vec<String>,
}

impl<A: PushAdapter> Delivery<A> {
    pub(crate) fn new(settings: &model::Settings) -> Self {
        let settings = A::Settings::read(&Values::new(&Known::of(settings))).map_err(|error| error.to_string());
        Self { settings, requests: Requests::default(), current: Sent::default(), notes: Vec::new() }
    }

    pub(crate) fn begin(&mut self, data: &model::Batch) -> Step {
        let batch = Batch::new(data);
        let encoded = match &self.settings {
            Ok(settings) if batch.is_check() => A::check(settings, &mut self.requests),
            Ok(settings) => A::encode(settings, &batch, &mut self.requests),
            Err(problem) => Err(Verdict::stop(problem.clone())),
        };
        match encoded {
            Ok(()) if self.requests.queue.len() > MAX_ACTIONS => {
                let count = self.requests.queue.len();
                self.finish(Verdict::split(format!("{count} requests, and a delivery may have {MAX_ACTIONS}")))
            }
            Ok(()) => self.next(),
            Err(verdict) => self.finish(verdict),
        }
    }

    pub(crate) fn step(&mut self, outcome: &model::Outcome) -> Step {
        let verdict = match &self.settings {
            Ok(settings) => A::judge(settings, &self.current, &Outcome::new(outcome)),
            Err(problem) => Verdict::stop(problem.clone()),
        };
        if verdict.disposition != Disposition::Accepted {
            return self.finish(verdict);
        }
        self.requests.rejected.add_all(verdict.rejected);
        self.notes.extend(verdict.notes);
        self.next()
    }

    fn next(&mut self) -> Step {
        let Some((outgoing, sent)) = self.requests.queue.pop_front() else {
            return self.finish(Verdict::accepted());
        };
        self.current = sent;
        match outgoing {
            Outgoing::Request(request) => Step::Send(request),
            Outgoing::Stream(stream) => Step::SendStream(stream),
        }
    }

    fn finish(&mut self, mut verdict: Verdict) -> Step {
        self.requests.queue.clear();
        let mut rejected = std::mem::take(&mut self.requests.rejected);
        rejected.add_all(std::mem::take(&mut verdict.rejected));
        let mut notes = std::mem::take(&mut self.notes);
        notes.append(&mut verdict.notes);
        if matches!(verdict.disposition, Disposition::Accepted | Disposition::Rejected(_)) {
            (verdict.rejected, verdict.notes) = (rejected.into_rows(), notes);
        }
        Step::Done(verdict)
    }
}
