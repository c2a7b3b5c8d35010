//! Never comes back from a page.

use tidegate_adapter::{Page, PullAdapter, Scrape, Snapshot, export_pull};

/// The adapter.
pub struct SpinPage;

impl PullAdapter for SpinPage {
    type Settings = ();

    fn render((): &(), _: &Snapshot<'_>, _: &Scrape<'_>) -> Result<Page, String> {
        loop {
            std::hint::black_box(());
        }
    }
}

export_pull!(SpinPage);
