//! VictoriaMetrics, which takes the write protocols of InfluxDB 2.x, Graphite and Datadog (version 1).
//!
//! It is lenient: a 2xx proves little. Lines that it could not read show only in its own counter, see
//! [`VictoriaMetrics::invalid_rows`].

use super::{START, installed};
use crate::http;
use crate::points::{Point, Points};
use crate::process::Process;
use crate::scratch::{Scratch, free_port};
use serde_json::Value as Json;

/// A running VictoriaMetrics server.
#[derive(Debug)]
pub struct VictoriaMetrics {
    _process: Process,
    port: u16,
    graphite_port: u16,
}

impl VictoriaMetrics {
    /// It keeps values as decimal numbers of limited length, so a fraction comes back a little changed: by less than this part of
    /// itself, as measured with means of a few hundred values.
    pub const PRECISION: f64 = 1e-12;

    /// Starts it.
    ///
    /// # Panics
    /// If it is not installed or does not come up.
    #[must_use]
    pub fn start(scratch: &Scratch) -> Self {
        let (port, graphite_port) = (free_port(), free_port());
        let mut command = installed("victoria-metrics", "victoria-metrics");
        command
            .arg(format!("-storageDataPath={}", scratch.folder("victoria-metrics").display()))
            .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
            .arg(format!("-graphiteListenAddr=127.0.0.1:{graphite_port}"))
            .args(["-retentionPeriod=100y", "-search.latencyOffset=0s", "-search.disableCache"]);
        let mut process = Process::start("victoria-metrics", &mut command, &scratch.path("victoria-metrics.log"));
        let health = format!("http://127.0.0.1:{port}/health");
        process.until("VictoriaMetrics answers", START, || http::get(&health).send()?.ok());
        Self { _process: process, port, graphite_port }
    }

    /// The URL for a store's settings.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port for Graphite's lines.
    #[must_use]
    pub fn graphite_port(&self) -> u16 {
        self.graphite_port
    }

    /// All raw samples. Names are `measurement_field`, as the server joins them.
    ///
    /// # Errors
    /// Why they could not be read.
    pub fn points(&self) -> Result<Points, String> {
        http::get(&format!("{}/internal/force_flush", self.url())).send()?.ok()?;
        let select = http::encode("{__name__!=\"\"}");
        // Without an end the export stops at the server's now, and a window may end in this very second.
        let url = format!("{}/api/v1/export?match[]={select}&start=0&end=4000000000", self.url());
        let lines = http::get(&url).send()?.ok()?.text();
        let mut points = Points::default();
        for line in lines.lines().filter(|l| !l.is_empty()) {
            let series: Json = serde_json::from_str(line).map_err(|e| format!("{e} in {line}"))?;
            let metric = series["metric"].as_object().ok_or_else(|| format!("no labels in {line}"))?;
            let label = |v: &Json| v.as_str().unwrap_or_default().to_owned();
            let name = metric.get("__name__").map(label).ok_or_else(|| format!("no name in {line}"))?;
            let labels = metric.iter().filter(|(k, _)| *k != "__name__").map(|(k, v)| (k.clone(), label(v))).collect();
            let point = Point { name, labels, time: 0 };
            let lists = (series["timestamps"].as_array(), series["values"].as_array());
            let (Some(times), Some(values)) = lists else { return Err(format!("no samples in {line}")) };
            for (time, value) in times.iter().zip(values) {
                let millis =
                    time.as_u64().filter(|t| t.is_multiple_of(1000)).ok_or(format!("time {time} in {line}"))?;
                let value = value.as_f64().ok_or_else(|| format!("value {value} in {line}"))?;
                points.insert(Point { time: millis / 1000, ..point.clone() }, value)?;
            }
        }
        Ok(points)
    }

    /// How many lines it could not read, by kind of input.
    ///
    /// # Panics
    /// If it does not say.
    #[must_use]
    pub fn invalid_rows(&self) -> Vec<(String, f64)> {
        let page = http::get(&format!("{}/metrics", self.url())).send_well().text();
        let lines = page.lines().filter(|l| l.starts_with("vm_rows_invalid_total"));
        let pairs = lines.filter_map(|l| l.rsplit_once(' ')).filter_map(|(n, v)| Some((n.to_owned(), v.parse().ok()?)));
        let found: Vec<_> = pairs.collect();
        assert!(found.iter().any(|(name, _)| name.contains("influx")), "no vm_rows_invalid_total for influx:\n{page}");
        found
    }
}
