//! `tidegate apply`.

use super::client::{ApiClient, AskArgs};
use super::{CliError, Output, references};
use clap::Args;
use serde_json::Value as Json;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `apply`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate apply -f tidegate.yaml --dry-run     what would change
  tidegate apply -f tidegate.yaml               change it; running it again changes nothing

In front of each thing stands + (new), ~ (changed) or = (as it was). What the file does not mention is left alone.
Credentials stay out of the file: write {env: NAME} or {file: PATH} in their place.")]
pub struct ApplyArgs {
    /// The YAML file; - reads standard input.
    #[arg(short, long, value_name = "FILE")]
    pub file: PathBuf,
    /// Only tell what would change.
    #[arg(long)]
    pub dry_run: bool,
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

pub(crate) async fn run(args: ApplyArgs, out: &mut Output) -> Result<ExitCode, CliError> {
    let document = read(&args.file)?;
    let client = ApiClient::new(&args.ask.server)?;
    let query: &[(&str, &str)] = if args.dry_run { &[("dry_run", "true")] } else { &[] };
    let outcome = client.post(&["apply"], query, &document).await?;
    out.show(args.ask.json, &outcome, show)?;
    Ok(ExitCode::SUCCESS)
}

/// Reads a document and puts in what it refers to.
fn read(file: &Path) -> Result<Json, CliError> {
    let wrong = |reason: &dyn std::fmt::Display| CliError::file(file, reason);
    let (text, folder) = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(|e| wrong(&e))?;
        (text, PathBuf::from("."))
    } else {
        let text = std::fs::read_to_string(file).map_err(|e| wrong(&e))?;
        (text, file.parent().unwrap_or(Path::new(".")).to_owned())
    };
    let mut document = parse(&text).map_err(|e| wrong(&e))?;
    references::resolve(&mut document, &folder, &|name| std::env::var(name).ok()).map_err(|e| wrong(&e))?;
    Ok(document)
}

/// Reads YAML as the JSON document that the API takes.
pub(crate) fn parse(yaml: &str) -> Result<Json, String> {
    serde_saphyr::from_str::<Json>(yaml).map_err(|e| e.to_string())
}

fn show(out: &mut Output, outcome: &Json) -> Result<(), CliError> {
    let changes = outcome["changes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut counts = [0; 3];
    for change in changes {
        let text = |member: &str| change[member].as_str().unwrap_or_default();
        let sign = text("sign");
        counts[match sign {
            "+" => 0,
            "~" => 1,
            _ => 2,
        }] += 1;
        let details: Vec<&str> = change["details"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        let details = if details.is_empty() { String::new() } else { format!("  ({})", details.join("; ")) };
        out.line(format_args!("{sign} {} {}{details}", text("kind"), text("name")))?;
    }
    for token in outcome["tokens"].as_array().into_iter().flatten() {
        let text = |member: &str| token[member].as_str().unwrap_or_default();
        out.line(format_args!("\nThe submission token of {} (shown this once): {}", text("project"), text("token")))?;
    }
    let dry = if outcome["dry_run"] == Json::Bool(true) { "; a dry run, nothing was changed" } else { "" };
    out.note(format_args!("{} new, {} changed, {} as they were{dry}", counts[0], counts[1], counts[2]));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::testing::Captured;
    use serde_json::json;

    #[test]
    fn yaml_becomes_the_json_that_it_means() {
        let yaml = "projects:\n  - name: web\n    metric_stores:\n      - {name: s, adapter: influxdb, period: 60, settings: {version: \"1\", gzip: no}}\n    \
                    metric_sets:\n      - name: c\n        metrics:\n          - name: e\n            query: {fold: {_tx: [[count]]}}\n";
        let document = parse(yaml).unwrap();
        assert_eq!(document["projects"][0]["metric_stores"][0]["period"], json!(60));
        assert_eq!(document["projects"][0]["metric_stores"][0]["settings"]["version"], json!("1"));
        assert_eq!(
            document["projects"][0]["metric_sets"][0]["metrics"][0]["query"],
            json!({"fold": {"_tx": [["count"]]}})
        );
    }

    #[test]
    fn a_mistake_in_the_yaml_is_told_with_its_place() {
        let error = parse("projects:\n  - name: [\n").unwrap_err();
        assert!(error.contains("line"), "{error}");
        assert!(parse("a: 1\na: 2\n").is_err());
    }

    #[test]
    fn what_changed_is_told_by_signs_and_counts() {
        let outcome = json!({"dry_run": true, "tokens": [], "changes": [
            {"sign": "+", "kind": "project", "name": "web", "details": []},
            {"sign": "~", "kind": "metric store", "name": "web/central", "details": ["period: 60 -> 10"]}]});
        let captured = Captured::default();
        show(&mut captured.output(), &outcome).unwrap();
        let expected = "+ project web\n~ metric store web/central  (period: 60 -> 10)\n1 new, 1 changed, 0 as they were; a dry run, nothing was changed\n";
        assert_eq!(captured.text(), expected);
    }

    #[test]
    fn the_example_document_is_one() {
        let mut document = parse(include_str!("../../../../examples/tidegate.yaml")).unwrap();
        references::resolve(&mut document, Path::new("."), &|_| Some("secret".to_owned())).unwrap();
        let document = crate::apply::Document::read(document).unwrap();
        assert_eq!(document.projects.len(), 1);
        for metric in document.projects[0].metric_sets.iter().flat_map(|s| &s.metrics) {
            tidegate_model::MetricQuery::parse(&metric.query).unwrap();
        }
    }
}
