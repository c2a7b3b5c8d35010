//! The page that a pull adapter writes.

use super::State;
use super::body::{Body, Sink};
use super::rules;
use crate::bindings::push::tidegate::adapter::model;
use crate::exchange::Page;
use crate::fault::Fault;
use wasmtime::component::Resource;

/// A page that is being written.
#[derive(Debug)]
pub struct PageDraft {
    content_type: String,
    body: Body,
}

impl Sink for PageDraft {
    fn body(&mut self) -> &mut Body {
        &mut self.body
    }
}

impl PageDraft {
    /// The page as the scraper will have it.
    pub(crate) fn finish(self) -> Page {
        Page { content_type: self.content_type, body: self.body.finish() }
    }
}

impl model::HostPage for State {
    fn new(&mut self, content_type: String) -> wasmtime::Result<Resource<PageDraft>> {
        self.meter.charge_item(content_type.len())?;
        rules::header_value("content-type", &content_type)?;
        if content_type.is_empty() {
            return Err(Fault::contract("a page must have a content type").into());
        }
        self.push(PageDraft { content_type, body: Body::default() })
    }

    fn write(&mut self, _: Resource<PageDraft>, _: Vec<u8>) -> wasmtime::Result<()> {
        // The linker puts `body::write` in its place.
        Err(Fault::contract("write was not linked").into())
    }

    fn drop(&mut self, this: Resource<PageDraft>) -> wasmtime::Result<()> {
        self.take(this).map(drop)
    }
}
