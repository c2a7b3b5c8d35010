//! What operators and their tools look at: whether it lives, whether it is ready, its own metrics, and a page that tells a
//! person who opened the address in a browser what this is.

use super::problem::Problem;
use super::state::App;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use prometheus::{Encoder, IntCounter, IntGauge, Opts, Registry, TextEncoder};
use std::sync::{Mutex, PoisonError};
use tidegate_events::EventStats;

const INDEX: &str = "\
Tidegate evaluates metrics over error and crash events and shares them with monitoring systems.

Send reports from Backtrace's client libraries to   POST /post?format=json&token=<submission token>
or, in bulk, one JSON object per line, to           POST /api/v1/projects/<project>/events
Set it up with the command line                     tidegate apply -f tidegate.yaml
in a browser                                        /console/
or by its HTTP API, with an API token               /api/v1/
Scrapers read pull stores at                        /pull/<secret>; `tidegate store show` tells it
Is it alive, is it ready, how is it doing           /healthz  /readyz  /metrics
";

/// `/`: the console for a browser, words for everything else.
pub(crate) async fn index(headers: HeaderMap) -> Response {
    let takes = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    if takes.flat_map(|value| value.split(',')).any(|kind| kind.trim().starts_with("text/html")) {
        return Redirect::to("/console/").into_response();
    }
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], INDEX).into_response()
}

/// `/healthz`: the process answers.
pub(crate) async fn healthz() -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], "ok\n").into_response()
}

/// `/readyz`: events are taken and metrics exported.
pub(crate) async fn readyz(State(app): State<App>) -> Response {
    match app.host() {
        Ok(_) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], "ready\n").into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// `/metrics`: everything that the parts have registered, as Prometheus reads it.
pub(crate) async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    app.metrics().show_load(app.gate());
    if let Ok(host) = app.host() {
        app.event_metrics().show(&host.events.stats());
        app.tenant_metrics().show(&app, &host).await?;
        app.metrics().show_adapters(host.registry.sandbox());
    }
    let mut text = Vec::new();
    let encoder = TextEncoder::new();
    encoder.encode(&app.registry().gather(), &mut text).map_err(Problem::internal)?;
    Ok(([(header::CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response())
}

/// A path of the API that is none.
pub(crate) async fn nothing_here() -> Problem {
    Problem::not_found("the API has nothing here; /api/v1/openapi.json lists what it has")
}

/// A path that is there, and a method that is not.
pub(crate) async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")
}

/// One of the event store's figures.
type Pick = fn(&EventStats) -> u64;

/// The event store's figures as metrics. It counts by itself; here the counts are carried over when somebody looks.
#[derive(Debug)]
pub(crate) struct EventMetrics {
    counters: Vec<(IntCounter, Pick)>,
    gauges: Vec<(IntGauge, Pick)>,
    looking: Mutex<()>,
}

impl EventMetrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// If one of the names is taken.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters: [(&str, &str, Pick); 9] = [
            ("accepted_total", "Events acknowledged, repeats too.", |s| s.accepted),
            ("duplicates_total", "Repeats of a stored uuid.", |s| s.duplicates),
            ("refused_total", "Events refused for a limit of the store.", |s| s.refused),
            ("commits_total", "Groups of events committed.", |s| s.commits),
            ("failed_commits_total", "Groups of events that could not be committed.", |s| s.failed_commits),
            ("removed_total", "Events removed by the retention of their project, or with it.", |s| s.removed_events),
            ("removed_bytes_total", "Stored bytes of removed events.", |s| s.removed_bytes),
            ("cache_hits_total", "Columns that an evaluation found in memory.", |s| s.cache_hits),
            ("cache_misses_total", "Columns that an evaluation had to decode.", |s| s.cache_misses),
        ];
        let gauges: [(&str, &str, Pick); 5] = [
            ("stored", "Events in the store.", |s| s.events),
            ("segments", "Segments in the store.", |s| s.segments),
            ("file_bytes", "Bytes of events.db, without its log.", |s| s.file_bytes),
            ("queued", "Events that wait for the writer.", |s| s.queued_events),
            ("cache_bytes", "Bytes of decoded columns in memory.", |s| s.cache_bytes),
        ];
        let mut ours = Self { counters: Vec::new(), gauges: Vec::new(), looking: Mutex::new(()) };
        for (name, help, pick) in counters {
            let counter = IntCounter::with_opts(Opts::new(format!("tidegate_events_{name}"), help))?;
            registry.register(Box::new(counter.clone()))?;
            ours.counters.push((counter, pick));
        }
        for (name, help, pick) in gauges {
            let gauge = IntGauge::with_opts(Opts::new(format!("tidegate_events_{name}"), help))?;
            registry.register(Box::new(gauge.clone()))?;
            ours.gauges.push((gauge, pick));
        }
        Ok(ours)
    }

    /// Carries the figures over.
    pub(crate) fn show(&self, stats: &EventStats) {
        // Two at once would both see the old count and add the difference twice.
        let _guard = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        for (counter, pick) in &self.counters {
            counter.inc_by(pick(stats).saturating_sub(counter.get()));
        }
        for (gauge, pick) in &self.gauges {
            gauge.set(i64::try_from(pick(stats)).unwrap_or(i64::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_the_event_store_are_carried_over_and_counters_are_not_added_twice() {
        let registry = Registry::new();
        let metrics = EventMetrics::register(&registry).unwrap();
        metrics.show(&EventStats { accepted: 5, events: 3, ..EventStats::default() });
        metrics.show(&EventStats { accepted: 7, events: 2, ..EventStats::default() });
        let mut text = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("\ntidegate_events_accepted_total 7\n"), "{text}");
        assert!(text.contains("\ntidegate_events_stored 2\n"), "{text}");
    }
}
