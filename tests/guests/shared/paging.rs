//! What both versions of the adapter have in common: a page with a line for each value.

use crate::{EXPLODES, MADE_BY};
use tidegate_adapter::{Page, PullAdapter, Scrape, Snapshot};

/// The adapter.
pub(crate) struct Paging;

impl PullAdapter for Paging {
    type Settings = ();

    fn render((): &(), snapshot: &Snapshot<'_>, _: &Scrape<'_>) -> Result<Page, String> {
        let mut page = Page::new("text/plain");
        page.body().text(MADE_BY);
        for batch in snapshot.batches() {
            for metric in batch.metrics() {
                for row in metric.columns().live() {
                    assert!(!EXPLODES || row.labels().all(|(_, label)| label != "bomb"), "boom");
                    for (_, value) in row.values() {
                        page.body().text(&format!("value {value}\n"));
                    }
                }
            }
        }
        Ok(page)
    }
}
