//! Prometheus: a page to scrape, in the text format 0.0.4.
//!
//! ```text
//! # HELP errors_count_tx count of _tx in the last window of 60 s.
//! # TYPE errors_count_tx gauge
//! errors_count_tx{project="web",metric_set="crashes",app_version="1.2.0"} 3
//! ```
//!
//! What a window holds is a gauge; what only grows is a counter. One bad line, or one name twice, makes Prometheus throw the whole
//! page away, so [`names`] gives every family and label a legal name of its own, and [`page`] writes each family in one piece.

mod names;
mod page;

use tidegate_adapter::{Page, PullAdapter, Scrape, Settings, Snapshot, export_pull};

/// What every Prometheus takes; 3.x refuses a page whose content type it does not know.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Settings of a Prometheus store.
#[derive(Settings, Debug)]
pub struct PrometheusSettings {
    #[setting(
        label = "Help lines",
        help = "Tells Prometheus what each metric means; turn it off for a smaller page",
        default = true
    )]
    help: bool,
}

/// The adapter.
#[derive(Debug)]
pub struct Prometheus;

impl PullAdapter for Prometheus {
    type Settings = PrometheusSettings;

    fn render(settings: &PrometheusSettings, snapshot: &Snapshot<'_>, _: &Scrape<'_>) -> Result<Page, String> {
        let mut page = Page::new(CONTENT_TYPE);
        page::write(page.body(), snapshot, settings.help);
        Ok(page)
    }
}

export_pull!(Prometheus);
