//! One conversation with an adapter about one view: it says what to do, the host does it and tells what came of it, until
//! there is a verdict. The adapter runs on threads that may block, and what costs time with its size (to begin and end an instance,
//! to make the digest of a body) is done there, too; only the waiting is asynchronous. Two threads wait for all stores, and one that
//! took care of a large one meanwhile would hold up the others.

use crate::budget::Entered;
use crate::config::Config;
use crate::egress::{Exchange, Transport, Unsendable};
use crate::ledger::{FirstAction, Ledger, LedgerError, note_first_action};
use crate::observe::Observed;
use crate::offload::adapter_call;
use std::sync::Arc;
use tidegate_model::{BatchView, Name, Window};
use tidegate_sandbox::{Action, Called, Disposition, Fault, Outcome, Step, Verdict};

/// HTTP's word for "too large".
const PAYLOAD_TOO_LARGE: u16 = 413;

/// What conversations need.
#[derive(Clone)]
pub(crate) struct Converse {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) observed: Arc<Observed>,
}

/// Where the first action of a delivery is noted.
pub(crate) struct Note {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) delivery: i64,
}

impl Note {
    /// On disk when this returns. It is an error if an earlier try was another under the same adapter and settings.
    async fn take(self, config: &Config, rows: u64, now: [u8; 32]) -> Result<(), Trouble> {
        let first = FirstAction {
            digest: now,
            rows,
            adapter: *config.adapter.digest(),
            settings_revision: config.store.revision,
        };
        let delivery = self.delivery;
        match self.ledger.together(move |t| note_first_action(t, delivery, &first)).await? {
            None => Ok(()),
            Some(then) => Err(Trouble::OtherBytes { then, now }),
        }
    }
}

/// Why a conversation came to no verdict.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The adapter failed.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// Nothing may or can be sent.
    #[error("{0}")]
    Unsendable(#[from] Unsendable),
    /// The same window gives other bytes than before, under the same adapter and settings.
    #[error(
        "the adapter made another request of the same window than before (SHA-256 {} then, {} now), so it was not sent",
        hex::encode(&then[..8]), hex::encode(&now[..8])
    )]
    OtherBytes { then: [u8; 32], now: [u8; 32] },
    /// The ledger could not take the note that comes before sending.
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    /// A thread of the host died.
    #[error("the conversation was cut off: {0}")]
    Cut(String),
}

/// What a conversation came to.
struct Said {
    verdict: Verdict,
    /// Of the last answer, if there was one.
    status: Option<u16>,
    actions: u32,
}

impl Converse {
    /// Talks about `view` until there is a verdict; the status of the last answer, if there was one, comes with it. The first
    /// action is noted in the ledger before it is performed, if it is to be.
    pub(crate) async fn about(
        &self,
        config: &Arc<Config>,
        view: BatchView,
        note: Option<Note>,
    ) -> Result<(Verdict, Option<u16>), Trouble> {
        let _place = self.enter(config)?;
        let (held, rows) = (Arc::clone(config), view.len());
        let begin = move || held.adapter.begin(&held.settings, view, &held.account.allowance().call);
        let begun = self.run(config, 0, begin).await?;
        let said = self.go_on(config, begun, note.map(|note| (note, rows))).await?;
        Ok((said.verdict, said.status))
    }

    /// Has the adapter ask the sink whether the settings hold. Tells the verdict, and how many actions it took to get there.
    pub(crate) async fn check(
        &self,
        config: &Arc<Config>,
        project: Name,
        window: Window,
    ) -> Result<(Verdict, u32), Trouble> {
        let _place = self.enter(config)?;
        let (held, set) = (Arc::clone(config), project.clone());
        let begin = move || held.adapter.check(&held.settings, project, set, window, &held.account.allowance().call);
        let begun = self.run(config, 0, begin).await?;
        let said = self.go_on(config, begun, None).await?;
        Ok((said.verdict, said.actions))
    }

    /// From the first step to the verdict.
    async fn go_on(
        &self,
        config: &Arc<Config>,
        (mut step, digest): (Step, Option<[u8; 32]>),
        note: Option<(Note, u64)>,
    ) -> Result<Said, Trouble> {
        let (mut status, mut actions) = (None, 0);
        let mut note = note.zip(digest);
        loop {
            let (conversation, action) = match step {
                Step::Done(verdict) => return Ok(Said { verdict: judged(verdict, status), status, actions }),
                Step::Act(conversation, action) => (conversation, action),
            };
            let outcome = match self.act(config, &action, note.take()).await {
                Ok(outcome) => outcome,
                Err(trouble) => {
                    let end = move || drop((conversation, action));
                    // If even this is cut off, the host is going down.
                    let _ = adapter_call(config.account.is_slow(), end).await;
                    return Err(trouble);
                }
            };
            status = outcome.status;
            actions += 1;
            (step, _) = self.run(config, actions, move || conversation.step(outcome)).await?;
        }
    }

    /// Notes an action if it is the first one, performs it, and looks whether the adapter may be told what came of it.
    async fn act(
        &self,
        config: &Config,
        action: &Action,
        note: Option<((Note, u64), [u8; 32])>,
    ) -> Result<Outcome, Trouble> {
        if let Some(((note, rows), digest)) = note {
            note.take(config, rows, digest).await?;
        }
        let outcome = self.perform(config, action).await?;
        config.account.check().map_err(|fault| self.failed(fault))?;
        Ok(outcome)
    }

    async fn perform(&self, config: &Config, action: &Action) -> Result<Outcome, Trouble> {
        let description = config.adapter.description();
        let Exchange { outcome, bytes } = self.transport.perform(action, description, &config.settings).await?;
        self.observed.sent_bytes.inc_by(bytes);
        Ok(outcome)
    }

    /// Calls the adapter. The digest of what it wants to do comes with its first step.
    async fn run(
        &self,
        config: &Config,
        actions: u32,
        call: impl FnOnce() -> Called<Step> + Send + 'static,
    ) -> Result<(Step, Option<[u8; 32]>), Trouble> {
        let is_slow = config.account.is_slow();
        let call = move || {
            let called = call();
            let digest = match &called.result {
                Ok(Step::Act(_, action)) if actions == 0 => Some(action.digest()),
                _ => None,
            };
            (called, digest)
        };
        let (called, digest) = adapter_call(is_slow, call).await.map_err(|e| Trouble::Cut(e.to_string()))?;
        self.observed.used(&called.usage, is_slow);
        let wanted = u32::from(matches!(called.result, Ok(Step::Act(..))));
        config.account.used(&called.usage, actions + wanted);
        called.result.map(|step| (step, digest)).map_err(|fault| self.failed(fault))
    }

    /// A place for a conversation, if the store and its tenant have one left.
    fn enter(&self, config: &Config) -> Result<Entered, Trouble> {
        config.account.enter().map_err(|fault| self.failed(fault))
    }

    fn failed(&self, fault: Fault) -> Trouble {
        self.observed.fault(&fault);
        Trouble::Fault(fault)
    }
}

/// "Too large" means halves, whatever an adapter makes of it; unless it says that all went well.
fn judged(verdict: Verdict, status: Option<u16>) -> Verdict {
    let too_large = status == Some(PAYLOAD_TOO_LARGE);
    match verdict.disposition {
        Disposition::Rejected(reason) | Disposition::Retry { reason, .. } if too_large => {
            Verdict { rejected: Vec::new(), disposition: Disposition::Split(reason), notes: Vec::new() }
        }
        _ => verdict,
    }
}
