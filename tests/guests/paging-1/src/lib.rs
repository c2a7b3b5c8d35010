//! Version 1 of an adapter whose page changes between versions: a line for each value.

use tidegate_adapter::{Page, PullAdapter, Scrape, Snapshot, export_pull};

/// The adapter.
pub struct Paging;

impl PullAdapter for Paging {
    type Settings = ();

    fn render((): &(), snapshot: &Snapshot<'_>, _: &Scrape<'_>) -> Result<Page, String> {
        let mut page = Page::new("text/plain");
        page.body().text("made by version 1\n");
        for batch in snapshot.batches() {
            for metric in batch.metrics() {
                for row in metric.columns().live() {
                    for (_, value) in row.values() {
                        page.body().text(&format!("value {value}\n"));
                    }
                }
            }
        }
        Ok(page)
    }
}

export_pull!(Paging, name = "paging");
