//! What the host calls: the contract's exports, by way of the author's traits.

use crate::bindings::about::exports::tidegate::adapter::about::Guest as AboutGuest;
use crate::bindings::model;
use crate::bindings::pull::exports::tidegate::adapter::pull::Guest as PullGuest;
use crate::bindings::push::exports::tidegate::adapter::push::{Action, Guest as PushGuest, GuestDelivery};
use crate::delivery::{Delivery, Step};
use crate::pull::{PullAdapter, Scrape, Snapshot};
use crate::push::PushAdapter;
use crate::settings::{About, Known, Settings, Values, describe};
use crate::verdict::{Disposition, Verdict};
use std::cell::RefCell;
use std::marker::PhantomData;

/// The exports of a push adapter.
pub struct Push<A>(PhantomData<A>);

/// The exports of a pull adapter.
pub struct Pull<A>(PhantomData<A>);

/// The exports of an adapter that does both.
pub struct PushPull<A>(PhantomData<A>);

impl<A: About + PushAdapter> AboutGuest for Push<A> {
    fn describe() -> String {
        describe::<A, A::Settings>()
    }
}

impl<A: About + PullAdapter> AboutGuest for Pull<A> {
    fn describe() -> String {
        describe::<A, A::Settings>()
    }
}

impl<A: About + PushAdapter + PullAdapter<Settings = <A as PushAdapter>::Settings>> AboutGuest for PushPull<A> {
    fn describe() -> String {
        describe::<A, <A as PushAdapter>::Settings>()
    }
}

impl<A: PushAdapter> PushGuest for Push<A> {
    type Delivery = Exported<A>;
}

impl<A: PushAdapter> PushGuest for PushPull<A> {
    type Delivery = Exported<A>;
}

impl<A: PullAdapter> PullGuest for Pull<A> {
    fn render(settings: &model::Settings, data: &model::Snapshot, by: &model::Scrape) -> Result<model::Page, String> {
        render::<A>(settings, data, by)
    }
}

impl<A: PullAdapter> PullGuest for PushPull<A> {
    fn render(settings: &model::Settings, data: &model::Snapshot, by: &model::Scrape) -> Result<model::Page, String> {
        render::<A>(settings, data, by)
    }
}

fn render<A: PullAdapter>(
    settings: &model::Settings,
    data: &model::Snapshot,
    by: &model::Scrape,
) -> Result<model::Page, String> {
    let settings = A::Settings::read(&Values::new(&Known::of(settings))).map_err(|error| error.to_string())?;
    let page = A::render(&settings, &Snapshot::new(data), &Scrape::new(by))?;
    page.finish().ok_or_else(|| "the adapter made no page".to_owned())
}

/// The contract's `delivery` resource.
pub struct Exported<A: PushAdapter>(RefCell<Delivery<A>>);

impl<A: PushAdapter> GuestDelivery for Exported<A> {
    fn new(settings: &model::Settings) -> Self {
        Self(RefCell::new(Delivery::new(settings)))
    }

    fn begin(&self, data: &model::Batch) -> Action {
        action(self.0.borrow_mut().begin(data))
    }

    fn step(&self, what: &model::Outcome) -> Action {
        action(self.0.borrow_mut().step(what))
    }
}

fn action(step: Step) -> Action {
    match step {
        Step::Send(request) => Action::Send(request),
        Step::SendStream(stream) => Action::SendStream(stream),
        Step::Done(verdict) => Action::Done(told(&verdict)),
    }
}

fn told(verdict: &Verdict) -> model::Verdict {
    let host = model::Verdict::new();
    for part in verdict.rejected() {
        host.reject_rows(part.metric, &part.rows, &part.reason);
    }
    for note in verdict.notes() {
        host.note(note);
    }
    match verdict.disposition() {
        Disposition::Accepted => {}
        Disposition::Rejected(reason) => host.reject(reason),
        Disposition::Retry { reason, after_seconds } => host.retry(reason, *after_seconds),
        Disposition::Split(reason) => host.split(reason),
        Disposition::Stop(reason) => host.stop(reason),
    }
    host
}
