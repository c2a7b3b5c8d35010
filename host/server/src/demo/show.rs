//! What the demo shows: a line for each period, and what to try next.

use super::{PROJECT, Wishes};
use crate::cli::{ApiClient, CliError, Output, Signals, program};
use crate::receiver::{Received, Receiver};
use jiff::Zoned;
use serde_json::Value as Json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The state of the show.
pub(super) struct Show<'s> {
    client: &'s ApiClient,
    server: &'s str,
    token: &'s str,
    period: u32,
    rate: u32,
    receiver: &'s Receiver,
    sent: Arc<AtomicU64>,
    pull_url: String,
    http: reqwest::Client,
    sample: Option<String>,
    shown_sample: bool,
    page_filled: bool,
}

impl<'s> Show<'s> {
    /// Looks up the pull URL.
    pub(super) async fn new(
        client: &'s ApiClient,
        server: &'s str,
        token: &'s str,
        wishes: &Wishes,
        receiver: &'s Receiver,
        sent: Arc<AtomicU64>,
    ) -> Result<Self, CliError> {
        let store = client.get(&["projects", PROJECT, "stores", "prometheus"]).await?;
        let path = store["status"]["pull_path"].as_str();
        let path =
            path.ok_or_else(|| CliError::Failed("the Prometheus store of the example has no pull URL".to_owned()))?;
        Ok(Self {
            client,
            server,
            token,
            period: wishes.period,
            rate: wishes.rate,
            receiver,
            sent,
            pull_url: format!("{server}{path}"),
            http: reqwest::Client::new(),
            sample: None,
            shown_sample: false,
            page_filled: false,
        })
    }

    /// What runs where, and what to try. `setup` is the link that sets the console's first password, if it has none yet.
    pub(super) fn welcome(&self, out: &mut Output, setup: Option<&str>) -> Result<(), CliError> {
        let console = match setup {
            Some(link) => format!("Open this in a browser and choose a password:\n\n  {link}"),
            None => format!("Open this in a browser:\n\n  {}/console/", self.server),
        };
        let (server, token, url, period) = (self.server, self.token, &self.pull_url, self.period);
        out.line(format_args!(
            "Tidegate runs at {server}. Made-up crashes come in, {rate} in a second; each {period} s metrics are evaluated,
shown to Prometheus on a page, and pushed to a stand-in for InfluxDB at http://{influxdb}.

{console}

Or try in another terminal:

  curl {url}
  export TIDEGATE_SERVER={server} TIDEGATE_TOKEN={token}
  {tidegate} store list
  {tidegate} store preview {PROJECT}/influxdb
  {tidegate} metric preview --project {PROJECT} --metric crashes/errors_by_version --period {period}
  curl {server}/metrics

Ctrl-C ends it.
",
            tidegate = program(),
            rate = self.rate,
            influxdb = self.receiver.http,
        ))
    }

    /// A line for each period, until the time is up or Ctrl-C. Tells whether everything worked.
    pub(super) async fn follow(
        &mut self,
        out: &mut Output,
        mut arrived: mpsc::Receiver<Received>,
        duration: Option<Duration>,
    ) -> Result<bool, CliError> {
        let mut signals = Signals::listen()?;
        let end = duration.map(|d| Instant::now() + d);
        let mut beat = tokio::time::interval(Duration::from_secs(u64::from(self.period)));
        beat.tick().await;
        loop {
            tokio::select! {
                _ = beat.tick() => self.line(out).await?,
                what = arrived.recv() => self.keep_sample(what),
                () = until(end) => break,
                () = signals.next() => break,
            }
        }
        self.line(out).await?;
        let (requests, lines, _) = self.receiver.counts();
        let worked = self.page_filled && lines > 0;
        out.line(format_args!(
            "{} events in; {requests} pushes with {lines} points arrived; the page for Prometheus was {}.",
            self.sent.load(Ordering::Relaxed),
            if self.page_filled { "filled" } else { "empty" },
        ))?;
        Ok(worked)
    }

    fn keep_sample(&mut self, what: Option<Received>) {
        if let (None, Some(Received::Http { body, line_protocol: true, .. })) = (&self.sample, what) {
            let text = String::from_utf8_lossy(&body).into_owned();
            // A grouped metric shows more than a bare count.
            let line = text.lines().find(|l| l.starts_with("errors_by_version,")).or_else(|| text.lines().next());
            self.sample = line.map(ToOwned::to_owned);
        }
    }

    async fn line(&mut self, out: &mut Output) -> Result<(), CliError> {
        let stores = self.client.get(&["stores"]).await?;
        let mut line =
            format!("{}  {} events in", Zoned::now().strftime("%H:%M:%S"), self.sent.load(Ordering::Relaxed));
        for store in stores["metric_stores"].as_array().into_iter().flatten() {
            let status = &store["status"];
            let text = |value: &Json| value.as_str().unwrap_or("?").to_owned();
            let what = if status["direction"] == "pull" { self.page().await } else { self.pushes(status) };
            line.push_str(&format!("  |  {} {}: {what}", text(&store["name"]), text(&status["state"])));
            if let Some(problem) = status["problem"].as_str() {
                line.push_str(&format!(" ({problem})"));
            }
        }
        out.line(line)?;
        if let (Some(sample), false) = (&self.sample, self.shown_sample) {
            self.shown_sample = true;
            out.line(format_args!("          InfluxDB was sent, for example: {sample}"))?;
        }
        Ok(())
    }

    fn pushes(&self, status: &Json) -> String {
        let windows = &status["deliveries"]["confirmed"];
        format!("{windows} windows, {} points arrived", self.receiver.counts().1)
    }

    /// Reads the page as Prometheus would.
    async fn page(&mut self) -> String {
        let page = match self.http.get(&self.pull_url).send().await {
            Ok(answer) if answer.status().is_success() => answer.text().await,
            Ok(answer) => return format!("not yet ({})", answer.status().as_u16()),
            Err(error) => Err(error),
        };
        match page {
            Ok(text) => {
                let series = text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).count();
                self.page_filled |= series > 0;
                format!("{series} series on the page")
            }
            Err(error) => format!("cannot be read: {error}"),
        }
    }
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}
