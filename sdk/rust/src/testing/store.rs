//! An adapter with settings filled in, to be run as the host would.

use super::batch::{BatchBuilder, TestBatch};
use super::{Action, Answer, refusals, values};
use crate::bindings::model;
use crate::delivery::{Delivery, Step};
use crate::pull::{PullAdapter, Scrape, Snapshot};
use crate::push::PushAdapter;
use crate::settings::{Known, Settings, Values};
use crate::verdict::Verdict;
use std::marker::PhantomData;
use std::sync::Arc;

/// A push adapter with settings.
#[derive(Debug)]
pub struct PushStore<A> {
    settings: model::Settings,
    adapter: PhantomData<A>,
}

/// What became of a delivery.
#[derive(Debug)]
pub struct Delivered {
    /// What was sent, in order.
    pub sent: Vec<Action>,
    /// How it was judged.
    pub verdict: Verdict,
}

impl Delivered {
    /// The requests among what was sent.
    pub fn requests(&self) -> impl Iterator<Item = &super::SentRequest> {
        self.sent.iter().filter_map(|action| match action {
            Action::Request(request) => Some(request),
            Action::Stream(_) => None,
        })
    }
}

impl Delivered {
    /// The streams among what was sent.
    pub fn streams(&self) -> impl Iterator<Item = &super::SentStream> {
        self.sent.iter().filter_map(|action| match action {
            Action::Stream(stream) => Some(stream),
            Action::Request(_) => None,
        })
    }
}

impl<A: PushAdapter> PushStore<A> {
    /// A store with these settings, written as an admin would type them.
    ///
    /// # Panics
    /// If the host would refuse them.
    #[must_use]
    pub fn new<'s>(typed: impl IntoIterator<Item = (&'s str, &'s str)>) -> Self {
        Self { settings: typed_in::<A::Settings>(typed), adapter: PhantomData }
    }

    /// Delivers a batch; `answer` plays the server.
    ///
    /// # Panics
    /// If the adapter does something that the host would refuse.
    pub fn deliver(&self, batch: &TestBatch, mut answer: impl FnMut(&Action) -> Answer) -> Delivered {
        let schema = A::Settings::schema();
        let mut delivery = Delivery::<A>::new(&self.settings);
        let mut sent = Vec::new();
        let mut step = delivery.begin(&model::Batch(Arc::clone(&batch.0)));
        loop {
            let action = match step {
                Step::Send(request) => Action::Request(request.0.into_inner()),
                Step::SendStream(stream) => Action::Stream(stream.0.into_inner()),
                Step::Done(verdict) => return Delivered { sent, verdict },
            };
            if let Some(reason) = refusals::refusal(&schema, |key| self.settings.is_set(key), &action) {
                panic!("the host would refuse this: {reason}");
            }
            step = delivery.step(&model::Outcome(answer(&action)));
            sent.push(action);
        }
    }

    /// Asks the server whether the settings hold, as [`PushAdapter::check`] does; `answer` plays the server.
    ///
    /// # Panics
    /// As [`deliver`](Self::deliver).
    pub fn check(&self, answer: impl FnMut(&Action) -> Answer) -> Delivered {
        self.deliver(&BatchBuilder::new("project", "check").check().build(), answer)
    }

    /// Delivers a batch to a server that takes everything.
    ///
    /// # Panics
    /// As [`deliver`](Self::deliver).
    #[must_use]
    pub fn encode(&self, batch: &TestBatch) -> Delivered {
        self.deliver(batch, |action| match action {
            Action::Request(_) => Answer::status(204),
            Action::Stream(_) => Answer::written(),
        })
    }
}

/// A pull adapter with settings.
#[derive(Debug)]
pub struct PullStore<A> {
    settings: model::Settings,
    adapter: PhantomData<A>,
}

/// What a scraper gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedPage {
    /// The content type.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

impl RenderedPage {
    /// The body as text.
    ///
    /// # Panics
    /// If it is not UTF-8.
    #[must_use]
    pub fn text(&self) -> &str {
        match std::str::from_utf8(&self.body) {
            Ok(text) => text,
            Err(error) => panic!("the page is not UTF-8: {error}"),
        }
    }
}

impl<A: PullAdapter> PullStore<A> {
    /// A store with these settings, written as an admin would type them.
    ///
    /// # Panics
    /// If the host would refuse them.
    #[must_use]
    pub fn new<'s>(typed: impl IntoIterator<Item = (&'s str, &'s str)>) -> Self {
        Self { settings: typed_in::<A::Settings>(typed), adapter: PhantomData }
    }

    /// The page for a snapshot and a scraper's headers.
    ///
    /// # Errors
    /// What the adapter said.
    pub fn render(&self, batches: &[TestBatch], headers: &[(&str, &str)]) -> Result<RenderedPage, String> {
        let settings =
            A::Settings::read(&Values::new(&Known::of(&self.settings))).map_err(|error| error.to_string())?;
        let period = batches.iter().map(|batch| batch.0.period).max().unwrap_or(60);
        let data = model::Snapshot { batches: batches.iter().map(|batch| Arc::clone(&batch.0)).collect(), period };
        let by = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let by = model::Scrape(by.collect());
        let page = A::render(&settings, &Snapshot::new(&data), &Scrape::new(&by))?;
        let page = page.finish().ok_or_else(|| "the adapter made no page".to_owned())?;
        Ok(RenderedPage { content_type: page.content_type.clone(), body: page.body.into_inner() })
    }
}

fn typed_in<'s, S: Settings>(typed: impl IntoIterator<Item = (&'s str, &'s str)>) -> model::Settings {
    let typed: Vec<_> = typed.into_iter().collect();
    match values::check(&S::schema(), &typed) {
        Ok(settings) => settings,
        Err(problem) => panic!("the host would refuse these settings: {problem}"),
    }
}
