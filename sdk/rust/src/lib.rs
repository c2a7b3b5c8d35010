//! Write a Tidegate adapter in Rust: one trait to push, one to pull, typed settings, native tests.
//!
//! An adapter computes and the host acts: [`PushAdapter::encode`] makes requests of a batch and [`PushAdapter::judge`] says what an
//! answer means; [`PullAdapter::render`] makes the page that a scraper reads. There is no clock, no randomness, no file and no
//! socket in an adapter, so its tests need none either: [`testing`] runs the same code natively.
//!
//! ```
//! use tidegate_adapter::{Batch, Endpoint, PushAdapter, Request, Requests, Settings, Verdict, export_push};
//!
//! /// What the admin fills in.
//! #[derive(Settings)]
//! struct Lines {
//!     #[setting(label = "URL", help = "Shown on the page of your collector")]
//!     url: Endpoint,
//! }
//!
//! struct Collector;
//!
//! impl PushAdapter for Collector {
//!     type Settings = Lines;
//!
//!     fn encode(settings: &Lines, batch: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
//!         let mut request = Request::post(&settings.url);
//!         for metric in batch.metrics() {
//!             for row in metric.columns().live() {
//!                 for (measure, value) in row.values() {
//!                     request.body().text(&format!("{} {}\n", measure.attribute, value));
//!                 }
//!                 request.carries(&metric, row.index());
//!             }
//!         }
//!         requests.send(request);
//!         Ok(())
//!     }
//! }
//!
//! export_push!(Collector, name = "collector");
//! # fn main() {}
//! ```

mod batch;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod bindings;
#[cfg(not(target_arch = "wasm32"))]
#[path = "native.rs"]
mod bindings;
mod body;
mod delivery;
mod distinct;
mod export;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod guest;
mod packed;
mod pieces;
mod pull;
mod push;
mod request;
pub mod settings;
mod template;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod verdict;

pub use batch::{Batch, Columns, Dictionary, Dimension, Measure, MeasureInfo, Metric, Row, Whole};
pub use body::Body;
pub use delivery::{MAX_ACTIONS, MAX_OUTPUT_BYTES};
pub use distinct::{Distinct, distinct};
pub use pieces::Pieces;
pub use pull::{Page, PullAdapter, Scrape, Snapshot};
pub use push::PushAdapter;
pub use request::{Request, Requests, Sent, SentRows, Stream};
pub use settings::{
    About, Certificates, Choice, CredentialSlot, Endpoint, GuideEntry, Host, Login, Port, Settings, TcpEndpoint, When,
};
pub use template::{Names, Part, Placeholder, Template, TemplateError};
/// Derives [`trait@Choice`] for an enum: each variant has `#[choice(value = "...", label = "...")]`.
pub use tidegate_adapter_derive::Choice;
/// Derives [`trait@Settings`] for a struct: each field has `#[setting(label = "...", ...)]`.
pub use tidegate_adapter_derive::Settings;
pub use verdict::{Disposition, Outcome, RejectedRows, Verdict};
