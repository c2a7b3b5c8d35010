//! Prometheus: a page to scrape, in the text format 0.0.4 or in OpenMetrics 1.0.
//!
//! ```text
//! # HELP errors_count_tx count of _tx in the last window of 60 s.
//! # TYPE errors_count_tx gauge
//! errors_count_tx{project="web",metric_set="crashes",app_version="1.2.0"} 3
//! ```
//!
//! What a window holds is a gauge; what only grows is a counter. One bad line, or one name twice, makes Prometheus throw the whole
//! page away, so [`names`] gives every family and label a legal name of its own, and [`page`] writes each family in one piece.
//! [`negotiate`] finds out which format a scraper wants.

mod names;
mod negotiate;
mod page;

use page::Style;
use tidegate_adapter::{GuideEntry, Login, Page, PullAdapter, Scrape, Settings, Snapshot, When, export_pull};

pub use negotiate::Format;

/// Settings of a Prometheus store.
#[derive(Settings, Debug)]
pub struct PrometheusSettings {
    #[setting(
        label = "Help lines",
        help = "Tells Prometheus what each metric means; turn it off for a smaller page",
        default = true
    )]
    help: bool,
    #[setting(
        label = "Job",
        help = "The job_name in the piece of configuration that is shown to you; Prometheus adds it to every series as the label job. \
                Left out, it is tidegate- and the store's name"
    )]
    #[allow(dead_code, reason = "the host alone fills it in")]
    job: Option<String>,
    #[setting(
        label = "OpenMetrics",
        help = "Scrapers that ask for OpenMetrics 1.0 get it; gauges that have a counter beside them are then called ..._window",
        default = false
    )]
    openmetrics: bool,
    #[setting(
        label = "Login",
        help = "Whether Prometheus has to give a user name and a password beside the secret URL",
        default = false
    )]
    #[allow(dead_code, reason = "the host alone sees to it")]
    login: bool,
}

/// A piece of the configuration of Prometheus, up to the login.
const SNIPPET: &str = "\
scrape_configs:
  - job_name: \"{settings.job|tidegate-{store}}\"
    scheme: {scheme}
    metrics_path: {path}
    scrape_interval: {period}s
    static_configs:
      - targets: [\"{host}:{port}\"]
";
/// The same with a login.
const SNIPPET_WITH_LOGIN: &str = "\
scrape_configs:
  - job_name: \"{settings.job|tidegate-{store}}\"
    scheme: {scheme}
    metrics_path: {path}
    scrape_interval: {period}s
    basic_auth: {username: \"{user}\", password: \"{password}\"}
    static_configs:
      - targets: [\"{host}:{port}\"]
";

/// The adapter.
#[derive(Debug)]
pub struct Prometheus;

impl PullAdapter for Prometheus {
    type Settings = PrometheusSettings;
    const LOGIN: Login = Login::When(When { setting: "login", is: &["true"] });
    const GUIDE: &'static [GuideEntry] = &[
        GuideEntry::new("prometheus.yml", SNIPPET).when("login", &["false"]),
        GuideEntry::new("prometheus.yml", SNIPPET_WITH_LOGIN).when("login", &["true"]),
    ];

    fn render(settings: &PrometheusSettings, snapshot: &Snapshot<'_>, scrape: &Scrape<'_>) -> Result<Page, String> {
        let format = match settings.openmetrics {
            true => Format::for_accept(scrape.header("accept").as_deref()),
            false => Format::Text,
        };
        let mut page = Page::new(format.content_type());
        let apart = settings.openmetrics;
        page::write(page.body(), snapshot, Style { format, apart, help: settings.help });
        Ok(page)
    }
}

export_pull!(Prometheus);
