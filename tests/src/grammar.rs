//! Parsers and checkers that others wrote, for bodies and pages that no real product took: each says what is wrong, or nothing.

use crate::clients::python;
use crate::process::{run, run_well};
use crate::scratch::{Scratch, repository};
use crate::servers::installed;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// The two forms of a page for Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageForm {
    /// The text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// A sample: labels with `__name__`, and the value.
pub type PageSample = (BTreeMap<String, String>, f64);

/// Reads a page with prometheus-client's parser for its form, and gives the samples in their order.
///
/// # Errors
/// What the parser said.
///
/// # Panics
/// If the parser is not installed.
pub fn prometheus_client(scratch: &Scratch, form: PageForm, page: &[u8]) -> Result<Vec<PageSample>, String> {
    let form = match form {
        PageForm::Text => "text",
        PageForm::OpenMetrics => "openmetrics",
    };
    let page = scratch.file("page-to-read.txt", page);
    let output = run(script("read_page.py").arg(form).arg(page));
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|e| e.to_string())
}

/// What `json_verify` (YAJL, the parser of Circonus' brokers) says of a stream of JSON documents; none if it takes it.
///
/// # Panics
/// If it is not installed.
#[must_use]
pub fn yajl(scratch: &Scratch, stream: &[u8]) -> Option<String> {
    let verify = installed("json_verify", "yajl-tools");
    let stream = scratch.file("stream.json", stream);
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" -s < \"$1\" 2>&1"]).arg(verify.get_program()).arg(stream);
    let output = run(&mut command);
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What the models of Datadog's own client say of bodies for `/api/v2/series` (or `v1`), each with the number of its body.
///
/// # Panics
/// If the client is not installed.
#[must_use]
pub fn datadog_models(scratch: &Scratch, version: &str, bodies: &[Vec<u8>]) -> Vec<String> {
    let mut command = script("datadog_models.py");
    command.arg(version);
    for (number, body) in bodies.iter().enumerate() {
        command.arg(scratch.file(&format!("series-{number}.json"), body));
    }
    let said = run_well(&mut command);
    serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}"))
}

/// What line-protocol-parser says of each line that it cannot read.
///
/// # Panics
/// If it is not installed.
#[must_use]
pub fn line_protocol(scratch: &Scratch, lines: &[u8]) -> Vec<String> {
    let said = run_well(script("read_lines.py").arg(scratch.file("lines.txt", lines)));
    serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}"))
}

fn script(name: &str) -> Command {
    let mut command = Command::new(python());
    command.arg(repository().join(Path::new("tests/clients/python")).join(name));
    command
}
