//! The host's HTTP API as a client sees it.

use crate::http::{self, Answer};
use crate::oracle::Acknowledged;
use crate::wait;
use serde_json::{Map, Value as Json};
use std::time::Duration;

/// How long a sender keeps trying: the host is killed and restarted meanwhile.
const PATIENCE: Duration = Duration::from_secs(180);

/// A client with a token.
#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    token: String,
}

impl Api {
    /// For the server at `base`.
    #[must_use]
    pub fn new(base: String, token: String) -> Self {
        Self { base, token }
    }

    /// The URL of a path under `/api/v1`; each part is percent-encoded.
    #[must_use]
    pub fn url(&self, parts: &[&str]) -> String {
        let parts: Vec<_> = parts.iter().map(|p| http::encode(p)).collect();
        format!("{}/api/v1/{}", self.base, parts.join("/"))
    }

    /// Sends a request and gives the answer, whatever it is.
    ///
    /// # Errors
    /// Why no answer came.
    pub fn send(&self, method: &str, parts: &[&str], body: Option<&Json>) -> Result<Answer, String> {
        let request = http::request(method, &self.url(parts)).bearer(&self.token);
        match body {
            Some(body) => request.json(body).send(),
            None => request.send(),
        }
    }

    /// Reads something that must be there.
    ///
    /// # Panics
    /// On any answer but a success.
    #[must_use]
    #[track_caller]
    pub fn get(&self, parts: &[&str]) -> Json {
        self.send("GET", parts, None).and_then(Answer::ok).unwrap_or_else(|e| panic!("GET {parts:?}: {e}")).json()
    }

    /// The status of a store.
    ///
    /// # Errors
    /// Why it could not be read.
    pub fn store(&self, project: &str, store: &str) -> Result<Json, String> {
        Ok(self.send("GET", &["projects", project, "stores", store], None)?.ok()?.json())
    }

    /// Sends events once, in bulk.
    ///
    /// # Errors
    /// Why they were not all acknowledged.
    pub fn bulk(&self, project: &str, events: &[Map<String, Json>]) -> Result<Vec<Acknowledged>, String> {
        let lines: Vec<_> = events.iter().map(|e| Json::from(e.clone()).to_string()).collect();
        let url = self.url(&["projects", project, "events"]);
        let request = http::post(&url).bearer(&self.token).header("content-type", "application/x-ndjson");
        let answer = request.body(lines.join("\n")).send()?.ok()?.json();
        let count = events.len() as u64;
        if answer["taken"].as_u64() != Some(count) || answer["refused"].as_u64() != Some(0) {
            return Err(format!("of {count} events not all were taken: {answer}"));
        }
        let runs = answer["arrival"].as_array().ok_or_else(|| format!("no arrival times in {answer}"))?;
        let mut arrivals = Vec::new();
        for run in runs {
            let (Some(arrival), Some(count)) = (run[0].as_u64(), run[1].as_u64()) else {
                return Err(format!("not a run of arrivals: {run}"));
            };
            arrivals.extend((0..count).map(|_| arrival));
        }
        if arrivals.len() != events.len() {
            return Err(format!("{} arrival times for {count} events: {answer}", arrivals.len()));
        }
        let acknowledged =
            |(event, arrival): (&Map<String, Json>, u64)| Acknowledged { attributes: event.clone(), arrival };
        Ok(events.iter().zip(arrivals).map(acknowledged).collect())
    }

    /// Sends events in bulk again and again, as they are, until all of them are acknowledged.
    ///
    /// # Panics
    /// If that takes too long.
    #[must_use]
    #[track_caller]
    pub fn bulk_until_acknowledged(&self, project: &str, events: &[Map<String, Json>]) -> Vec<Acknowledged> {
        wait::until("the events are acknowledged", PATIENCE, || self.bulk(project, events))
    }

    /// The value of a series of the host's own metrics, 0 if it is not there. `series` is a name, with labels or without.
    ///
    /// # Panics
    /// If the page cannot be read.
    #[must_use]
    #[track_caller]
    pub fn own_metric(&self, series: &str) -> f64 {
        let page = http::get(&format!("{}/metrics", self.base)).bearer(&self.token).send_well().text();
        let named = page
            .lines()
            .filter_map(|l| l.rsplit_once(' '))
            .filter(|(name, _)| *name == series || (!series.contains('{') && name.split('{').next() == Some(series)));
        named.filter_map(|(_, value)| value.parse::<f64>().ok()).sum()
    }
}
