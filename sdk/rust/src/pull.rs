//! The trait of an adapter that is read from, and what it is given.

use crate::batch::Batch;
use crate::bindings::model;
use crate::body::{Body, Sink};
use crate::settings::{GuideEntry, Login, Settings};

/// An adapter that a scraper reads. Export it with [`export_pull!`](crate::export_pull).
///
/// The page must depend on the arguments alone: the host keeps it for equal arguments.
pub trait PullAdapter: 'static {
    /// What the admin fills in.
    type Settings: Settings;

    /// Whether the host wants a user name and a password of the scraper, beside the secret URL.
    const LOGIN: Login = Login::Never;

    /// What an admin has to enter in the product, for `tidegate store show`.
    const GUIDE: &'static [GuideEntry] = &[];

    /// Makes the page that a scraper gets.
    ///
    /// # Errors
    /// One line for the operator, if no page can be made.
    fn render(settings: &Self::Settings, snapshot: &Snapshot<'_>, scrape: &Scrape<'_>) -> Result<Page, String>;
}

/// What a pull store shows: the last window of each metric set that is connected to it.
#[derive(Debug)]
pub struct Snapshot<'a> {
    batches: Vec<model::Batch>,
    host: &'a model::Snapshot,
}

impl<'a> Snapshot<'a> {
    pub(crate) fn new(host: &'a model::Snapshot) -> Self {
        Self { batches: host.batches(), host }
    }

    /// One batch for each metric set. Their order may change from call to call; a page that must not should sort them.
    #[must_use]
    pub fn batches(&self) -> Vec<Batch<'_>> {
        self.batches.iter().map(Batch::shown).collect()
    }

    /// The store's period in seconds.
    #[must_use]
    pub fn period(&self) -> u32 {
        self.host.period()
    }
}

/// The request of the scraper.
#[derive(Debug)]
pub struct Scrape<'a> {
    host: &'a model::Scrape,
}

impl<'a> Scrape<'a> {
    pub(crate) fn new(host: &'a model::Scrape) -> Self {
        Self { host }
    }

    /// The value of a header, by case-insensitive name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.host.header(name)
    }
}

/// The answer to a scraper.
#[derive(Debug)]
pub struct Page {
    body: Body,
}

impl Page {
    /// An empty page of a content type, such as `text/plain; charset=utf-8`.
    #[must_use]
    pub fn new(content_type: &str) -> Self {
        Self { body: Body::new(Sink::Page(model::Page::new(content_type))) }
    }

    /// The body, to be written to.
    pub fn body(&mut self) -> &mut Body {
        &mut self.body
    }

    pub(crate) fn finish(self) -> Option<model::Page> {
        match self.body.finish() {
            Sink::Page(page) => Some(page),
            Sink::Request(_) | Sink::Stream(_) => None,
        }
    }
}
