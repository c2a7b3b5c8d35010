//! What the admin fills in, for both ways.

use tidegate_adapter::{Certificates, Endpoint, Request, Settings, Template, Verdict};

/// Settings of a Circonus store.
#[derive(Settings, Debug)]
pub struct CirconusSettings {
    #[setting(
        label = "Data Submission URL",
        help = "For stores that send: shown on the page of a JSON Push check. It is a secret as a whole; stores that Circonus reads need none",
        secret
    )]
    submission_url: Option<Endpoint>,
    #[setting(
        label = "Certificates",
        help = "For stores that send to a broker whose certificate is signed by an authority of Circonus or of your own: that of the authority, in PEM"
    )]
    #[allow(dead_code, reason = "the host alone sees to it")]
    authorities: Option<Certificates>,
    #[setting(
        label = "Names",
        help = "How metrics are called; what of project and metric set is not in it becomes a tag",
        default = "{project}`{metric_set}`{metric}`{aggregate}_{attribute}",
        must = ["metric", "aggregate", "attribute"]
    )]
    name: Template,
    #[setting(
        label = "Totals",
        help = "For stores that Circonus reads: counts and sums over all windows so far beside those of the last one, called ..._total",
        default = true
    )]
    totals: bool,
}

impl CirconusSettings {
    pub(crate) fn name(&self) -> &Template {
        &self.name
    }

    pub(crate) fn totals(&self) -> bool {
        self.totals
    }

    /// An empty submission. Its body is not compressed, since no document says that a broker unpacks it.
    pub(crate) fn request(&self) -> Result<Request, Verdict> {
        let unset = "setting \"submission_url\" (Data Submission URL) is needed to send, and has no value";
        let url = self.submission_url.ok_or_else(|| Verdict::stop(unset))?;
        let mut request = Request::put(&url);
        request.header("Content-Type", "application/json").header("Accept", "application/json");
        Ok(request)
    }
}
