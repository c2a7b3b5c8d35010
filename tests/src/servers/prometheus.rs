//! Prometheus, which scrapes once a second, and `promtool`, which checks a page.

use super::{START, installed};
use crate::http;
use crate::process::{Process, run};
use crate::scratch::{Scratch, free_port};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// A running Prometheus server with one target.
#[derive(Debug)]
pub struct Prometheus {
    _process: Process,
    port: u16,
}

/// What it scrapes.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Host and port.
    pub address: &'a str,
    /// The page.
    pub path: &'a str,
    /// User and password.
    pub login: Option<(&'a str, &'a str)>,
    /// The only authority that it trusts; with one it speaks TLS.
    pub root: Option<&'a Path>,
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
    /// Starts it with the page at `address` (host and port) and `path` as its only target, over HTTP and without a login.
    ///
    /// # Panics
    /// If it is not installed or does not come up.
    #[must_use]
    pub fn start(scratch: &Scratch, address: &str, path: &str) -> Self {
        Self::scraping(scratch, &Target { address, path, login: None, root: None })
    }

    /// Starts it with one target.
    ///
    /// # Panics
    /// If it is not installed or does not come up.
    #[must_use]
    pub fn scraping(scratch: &Scratch, target: &Target<'_>) -> Self {
        let Target { address, path, login, root } = target;
        let mut job = serde_json::json!({
            "job_name": "tidegate", "metrics_path": path, "static_configs": [{"targets": [address]}],
        });
        if let Some((username, password)) = login {
            job["basic_auth"] = serde_json::json!({"username": username, "password": password});
        }
        if let Some(root) = root {
            job["scheme"] = "https".into();
            job["tls_config"] = serde_json::json!({"ca_file": root});
        }
        // JSON is YAML, too.
        Self::configured(scratch, &format!("scrape_configs: [{job}]\n"))
    }

    /// Starts it with a piece of configuration that has the `scrape_configs`, in which all jobs begin with `tidegate`.
    ///
    /// # Panics
    /// If it is not installed or does not come up.
    #[must_use]
    pub fn configured(scratch: &Scratch, jobs: &str) -> Self {
        let config = format!("global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n{jobs}");
        let port = free_port();
        let config = scratch.file(&format!("prometheus-{port}.yml"), config);
        let mut command = installed("prometheus", "prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", scratch.folder(&format!("prometheus-{port}")).display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let mut process = Process::start("prometheus", &mut command, &scratch.path(&format!("prometheus-{port}.log")));
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
        let query = http::encode("{job=~\"tidegate.*\",project!=\"\"}[1h]");
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
