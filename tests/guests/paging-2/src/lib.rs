//! Version 2 of the same adapter: crashes when a label says bomb.

use tidegate_adapter::{Page, PullAdapter, Scrape, Snapshot, export_pull};

/// The adapter.
pub struct Paging;

impl PullAdapter for Paging {
    type Settings = ();

    fn render((): &(), snapshot: &Snapshot<'_>, _: &Scrape<'_>) -> Result<Page, String> {
        let mut page = Page::new("text/plain");
        page.body().text("made by version 2\n");
        for batch in snapshot.batches() {
            for metric in batch.metrics() {
                for row in metric.columns().live() {
                    assert!(row.labels().all(|(_, label)| label != "bomb"), "boom");
                }
            }
        }
        Ok(page)
    }
}

export_pull!(Paging, name = "paging");
