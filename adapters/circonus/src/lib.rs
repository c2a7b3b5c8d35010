//! Circonus, both ways: each window goes to a check's Data Submission URL, or a broker comes and reads the last one.
//!
//! ```json
//! {"web`crashes`errors`count__tx|ST[app.version:1.2.0]":{"_type":"n","_value":"3","_ts":1700000040000}}
//! ```
//!
//! [`names`] spells names and stream tags within the broker's rules, [`series`] prepares what repeats from row to row, [`push`] and
//! [`pull`] write the two documents, and [`judge`] reads the broker's answers.

mod judge;
mod names;
mod pull;
mod push;
mod series;
mod settings;

pub use names::{NAME_BYTES, TAG_BYTES, TAGS};
pub use push::{METRICS_PER_REQUEST, REQUEST_BYTES};
pub use settings::CirconusSettings;

use tidegate_adapter::{
    Batch, GuideEntry, Login, Outcome, Page, PullAdapter, PushAdapter, Requests, Scrape, Sent, Snapshot, Verdict,
    export_push_pull,
};

/// The adapter.
#[derive(Debug)]
pub struct Circonus;

impl PushAdapter for Circonus {
    type Settings = CirconusSettings;

    fn encode(settings: &CirconusSettings, batch: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
        push::encode(settings, batch, requests)
    }

    fn judge(_: &CirconusSettings, sent: &Sent, outcome: &Outcome<'_>) -> Verdict {
        judge::judge(sent, outcome)
    }

    fn check(settings: &CirconusSettings, requests: &mut Requests) -> Result<(), Verdict> {
        // A submission without metrics: the broker looks up the check and its secret, and has nothing to store.
        let mut request = settings.request()?;
        request.body().text("{}");
        requests.send(request);
        Ok(())
    }
}

impl PullAdapter for Circonus {
    type Settings = CirconusSettings;
    const LOGIN: Login = Login::Always;
    const GUIDE: &'static [GuideEntry] = &[
        GuideEntry::new("URL", "{url}"),
        // The broker takes it from a field of its own, and not from the URL.
        GuideEntry::new("Port", "{port}"),
        GuideEntry::new("HTTP Auth User", "{user}"),
        GuideEntry::new("HTTP Auth Password", "{password}"),
    ];

    fn render(settings: &CirconusSettings, snapshot: &Snapshot<'_>, _: &Scrape<'_>) -> Result<Page, String> {
        let mut page = Page::new("application/json");
        pull::write(page.body(), settings, snapshot);
        Ok(page)
    }
}

export_push_pull!(Circonus);
