//! Prometheus, which scrapes once a second, and `promtool`, which checks a page.

use super::{START, installed};
use crate::http;
use crate::process::{Process, run};
use crate::scratch::{Scratch, free_port};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::process::Command;

/// A running Prometheus server with one target.
#[derive(Debug)]
pub struct Prometheus {
    _process: Process,
    port: u16,
}

/// One sample of one series: the labels with `__name__`, the milliseconds of the scrape, the value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Labels that the page gave, `__name__` among them, without those that Prometheus adds.
    pub labels: BTreeMap<String, String>,
    /// When it was scraped, in milliseconds since the epoch. All samples of one scrape have the same.
    pub scraped: u64,
    /// The value.
    pub value: f64,
}

impl Prometheus {
    /// Starts it with the page at `address` (host and port) and `path` as its only target.
    ///
    /// # Panics
    /// If it is not installed or does not come up.
    #[must_use]
    pub fn start(scratch: &Scratch, address: &str, path: &str) -> Self {
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
             scrape_configs:\n  - job_name: tidegate\n    metrics_path: {path}\n    static_configs: [{{targets: [\"{address}\"]}}]\n"
        );
        let config = scratch.file("prometheus.yml", config);
        let port = free_port();
        let mut command = installed("prometheus", "prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", scratch.folder("prometheus").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let mut process = Process::start("prometheus", &mut command, &scratch.path("prometheus.log"));
        let ready = format!("http://127.0.0.1:{port}/-/ready");
        process.until("Prometheus answers", START, || http::get(&ready).send()?.ok());
        Self { _process: process, port }
    }

    /// Health and last error of the target.
    ///
    /// # Errors
    /// Why they could not be read.
    pub fn target(&self) -> Result<(String, String), String> {
        let answer = http::get(&format!("http://127.0.0.1:{}/api/v1/targets", self.port)).send()?.ok()?.json();
        let target = &answer["data"]["activeTargets"][0];
        let text = |name: &str| target[name].as_str().unwrap_or_default().to_owned();
        Ok((text("health"), text("lastError")))
    }

    /// Every sample that it holds of the target's page, oldest first.
    ///
    /// # Errors
    /// Why they could not be read.
    pub fn samples(&self) -> Result<Vec<Sample>, String> {
        // What Prometheus adds about the scrape itself has no `project` label.
        let query = http::encode("{job=\"tidegate\",project!=\"\"}[1h]");
        let url = format!("http://127.0.0.1:{}/api/v1/query?query={query}", self.port);
        let answer = http::get(&url).send()?.ok()?.json();
        let result = answer["data"]["result"].as_array().ok_or_else(|| format!("no result in {answer}"))?;
        let mut samples = Vec::new();
        for series in result {
            let labels = series["metric"].as_object().ok_or("a series without labels")?;
            let own = labels.iter().filter(|(k, _)| !matches!(k.as_str(), "job" | "instance"));
            let labels: BTreeMap<_, _> =
                own.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect();
            for pair in series["values"].as_array().ok_or("a series without values")? {
                samples.push(sample(labels.clone(), pair).ok_or_else(|| format!("not a sample: {pair}"))?);
            }
        }
        samples.sort_by_key(|s| s.scraped);
        Ok(samples)
    }
}

fn sample(labels: BTreeMap<String, String>, pair: &Json) -> Option<Sample> {
    let scraped = (pair[0].as_f64()? * 1000.0).round() as u64;
    Some(Sample { labels, scraped, value: pair[1].as_str()?.parse().ok()? })
}

/// What `promtool check metrics` says of a page: empty if it finds nothing.
///
/// # Panics
/// If it is not installed.
#[must_use]
pub fn promtool_check(scratch: &Scratch, page: &[u8]) -> String {
    let promtool = installed("promtool", "prometheus");
    let page = scratch.file("page.txt", page);
    // It reads standard input only, which a shell can give it from a file.
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" check metrics < \"$1\" 2>&1"]).arg(promtool.get_program()).arg(&page);
    let output = run(&mut command);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { said } else { format!("{}: {said}", output.status) }
}
