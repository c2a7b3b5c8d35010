//! The delivery of one view: the adapter says what to do, the host does it and comes back with the outcome, until there is a
//! verdict.
//!
//! A conversation is used up by each step. After a fault there is none any more, so an instance that failed half way cannot be
//! called again:
//!
//! ```compile_fail,E0382
//! # use tidegate_sandbox::{Conversation, Outcome};
//! fn twice(conversation: Conversation) {
//!     let _ = conversation.step(Outcome::default());
//!     let _ = conversation.step(Outcome::default());
//! }
//! ```

use crate::action::Action;
use crate::adapter::Adapter;
use crate::bindings::push::{self, exports::tidegate::adapter::push as guest};
use crate::exchange::{Outcome, Verdict};
use crate::fault::Fault;
use crate::host::State;
use crate::host::inputs::OutcomeHandle;
use crate::limits::Called;
use crate::run::Run;
use std::fmt;
use std::sync::Arc;
use wasmtime::component::{Resource, ResourceAny};

/// What an adapter said.
#[derive(Debug)]
pub enum Step {
    /// Do this and come back with what became of it.
    Act(Conversation, Action),
    /// That was all.
    Done(Verdict),
}

/// A delivery that waits for the outcome of an action. It holds one of the sandbox's places until it is dropped.
pub struct Conversation(Box<Talk>);

struct Talk {
    run: Run,
    guest: push::PushAdapter,
    delivery: ResourceAny,
    adapter: Arc<Adapter>,
    actions: u32,
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Conversation");
        out.field("adapter", &self.0.adapter).field("actions", &self.0.actions).finish_non_exhaustive()
    }
}

impl Conversation {
    pub(crate) fn new(adapter: Arc<Adapter>, run: Run, guest: push::PushAdapter, delivery: ResourceAny) -> Self {
        Self(Box::new(Talk { run, guest, delivery, adapter, actions: 0 }))
    }

    /// Tells the adapter what became of its action. CPU work: call it from a thread that may block.
    pub fn step(mut self, outcome: Outcome) -> Called<Step> {
        let Talk { run, guest, delivery, .. } = &mut *self.0;
        let called = run.call(|store| {
            let outcome = store.data_mut().push(OutcomeHandle(outcome))?;
            let lent = Resource::new_borrow(outcome.rep());
            let action = guest.tidegate_adapter_push().delivery().call_step(&mut *store, *delivery, lent)?;
            let state = store.data_mut();
            state.take(outcome)?;
            taken(state, action)
        });
        let Called { result, usage } = called;
        Called { result: result.and_then(|said| self.go_on(said)), usage }
    }

    /// Counts an action, or ends with a verdict.
    pub(crate) fn go_on(mut self, said: Said) -> Result<Step, Fault> {
        let action = match said {
            Said::Verdict(verdict) => return Ok(Step::Done(verdict)),
            Said::Action(action) => action,
        };
        let limit = self.0.run.limits().actions;
        let asked = self.0.actions.saturating_add(1);
        if asked > limit {
            return Err(Fault::Actions { limit, asked });
        }
        self.0.actions = asked;
        Ok(Step::Act(self, action))
    }
}

/// An answer of the adapter, taken out of its instance.
pub(crate) enum Said {
    Action(Action),
    Verdict(Verdict),
}

/// Takes what the adapter's `action` names out of the table of host resources.
pub(crate) fn taken(state: &mut State, action: guest::Action) -> wasmtime::Result<Said> {
    Ok(match action {
        guest::Action::Send(request) => Said::Action(Action::Send(state.take(request)?.finish())),
        guest::Action::SendStream(stream) => Said::Action(Action::SendStream(state.take(stream)?.finish())),
        guest::Action::Done(verdict) => Said::Verdict(state.take(verdict)?.finish()?),
        guest::Action::Other(_) => return Err(Fault::contract("it used the reserved action").into()),
    })
}
