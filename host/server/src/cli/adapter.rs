//! `tidegate adapter`.

use super::client::{ApiClient, ServerArgs};
use super::{CliError, Output};
use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use std::process::ExitCode;
use tidegate_sandbox::{Finding, Sandbox, SandboxOptions, builtin, conformance};

/// Commands about adapters.
#[derive(Debug, Subcommand)]
pub enum AdapterCommand {
    /// All adapters that the server has.
    List(ListArgs),
    /// What an adapter wants to be told, and what its stores may reach.
    Inspect(InspectArgs),
    /// Put a component through the conformance suite, here and without a server.
    Check(CheckArgs),
}

/// Arguments of `adapter check`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate adapter check target/components/collector.wasm
  tidegate adapter check influxdb          one of those inside the binary

The adapter is run in the same sandbox as in a server, against empty, huge and hostile batches and every kind of answer;
nothing is sent anywhere. Exit code 1 if it fails one of the checks.")]
pub struct CheckArgs {
    /// A component (*.wasm), or the name of an adapter inside the binary.
    #[arg(value_name = "FILE|NAME")]
    pub adapter: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `adapter list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Where the server is.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Arguments of `adapter inspect`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tidegate adapter inspect influxdb
  tidegate adapter inspect influxdb@1.2.0
  tidegate adapter inspect sha256:0123abcd")]
pub struct InspectArgs {
    /// The adapter: its name for the version that new stores get, NAME@VERSION, or its digest (sha256:...).
    #[arg(value_name = "ADAPTER")]
    pub name: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Where the server is.
    #[command(flatten)]
    pub server: ServerArgs,
}

pub(crate) async fn run(command: AdapterCommand, out: &mut Output) -> Result<ExitCode, CliError> {
    match command {
        AdapterCommand::List(args) => {
            let answer = ApiClient::new(&args.server)?.get(&["adapters"]).await?;
            if args.json { out.json(&answer)? } else { list(out, &answer)? }
        }
        AdapterCommand::Inspect(args) => {
            let answer = ApiClient::new(&args.server)?.get(&["adapters", &args.name]).await?;
            if args.json { out.json(&answer)? } else { inspect(out, &answer)? }
        }
        AdapterCommand::Check(args) => return check(&args, out),
    }
    Ok(ExitCode::SUCCESS)
}

/// Loads the file, or the adapter of that name, and runs the suite.
fn check(args: &CheckArgs, out: &mut Output) -> Result<ExitCode, CliError> {
    let told = |e: &dyn std::fmt::Display| CliError::Failed(format!("{}: {e}", args.adapter.display()));
    // Whoever checks an adapter may not have written it.
    let options = SandboxOptions { compile: super::compile::by_child(), ..SandboxOptions::default() };
    let sandbox = Sandbox::new(options).map_err(|e| told(&e))?;
    let name = args.adapter.to_str().unwrap_or_default();
    let builtin = builtin::COMPONENTS.iter().find(|(known, _)| *known == name && !args.adapter.exists());
    let adapter = match builtin {
        Some((_, component)) => sandbox.load(component).map_err(|e| told(&e))?,
        None => {
            let bytes = std::fs::read(&args.adapter).map_err(|e| {
                let names: Vec<_> = builtin::COMPONENTS.iter().map(|(name, _)| *name).collect();
                told(&format_args!("{e}; expected a component, or one of {}", names.join(", ")))
            })?;
            sandbox.load(&bytes).map_err(|e| told(&e))?
        }
    };
    let report = conformance(&adapter);
    if args.json {
        let finding = |f: &Finding| json!({"check": f.check, "passed": f.problems.is_empty(), "problems": f.problems});
        let findings: Vec<Json> = report.findings.iter().map(finding).collect();
        out.json(&json!({"adapter": report.adapter, "passed": report.passed(), "checks": findings}))?;
    } else {
        let row = |f: &Finding| {
            let result = if f.problems.is_empty() { "pass" } else { "FAIL" };
            vec![result.to_owned(), f.check.to_owned(), f.problems.first().cloned().unwrap_or_default()]
        };
        out.table(&["result", "check", "reason"], report.findings.iter().map(row).collect(), "Nothing was checked.")?;
        for finding in report.findings.iter().filter(|f| f.problems.len() > 1) {
            out.line(format_args!("\n{}:", finding.check))?;
            for problem in &finding.problems {
                out.line(format_args!("  {problem}"))?;
            }
        }
        let failed = report.findings.iter().filter(|f| !f.problems.is_empty()).count();
        match failed {
            0 => out.note(format_args!("\n{} passes all {} checks.", report.adapter, report.findings.len())),
            n => out.note(format_args!("\n{} fails {n} of {} checks.", report.adapter, report.findings.len())),
        }
    }
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(value: &Json) -> String {
    value.as_str().map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, ToOwned::to_owned)
}

fn list(out: &mut Output, answer: &Json) -> Result<(), CliError> {
    let adapters = answer["adapters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let place = |a: &Json| match (a["builtin"] == true, a["file"].as_str()) {
        (true, _) => "built in".to_owned(),
        (false, Some(file)) => file.rsplit('/').next().unwrap_or(file).to_owned(),
        (false, None) => "kept for its stores".to_owned(),
    };
    let row = |a: &Json| {
        let mut row = ["name", "version", "direction", "vendor"].map(|m| text(&a[m])).to_vec();
        row.extend([short(&text(&a["digest"])), place(a), text(&a["summary"])]);
        row
    };
    let head = ["name", "version", "direction", "vendor", "digest", "from", "summary"];
    out.table(&head, adapters.iter().map(row).collect(), "There are no adapters.")?;
    let refused = answer["refused"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !refused.is_empty() {
        out.line("\nThese files are no adapters that can be used:\n")?;
        out.table(
            &["file", "reason"],
            refused.iter().map(|r| vec![text(&r["file"]), text(&r["reason"])]).collect(),
            "",
        )?;
    }
    Ok(())
}

/// As much of a digest as people compare.
fn short(digest: &str) -> String {
    digest.chars().take("sha256:".len() + 12).collect()
}

fn inspect(out: &mut Output, adapter: &Json) -> Result<(), CliError> {
    for member in
        ["name", "version", "vendor", "summary", "documentation", "direction", "contract", "digest", "size", "file"]
    {
        let value = text(&adapter[member]);
        if !value.is_empty() {
            out.line(format_args!("{member:<15}{value}"))?;
        }
    }
    out.line("\nSettings")?;
    let settings = adapter["settings"].as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |s: &Json| {
        let needed = match (s["required"] == Json::Bool(true), s["when"].as_object()) {
            (true, Some(when)) => {
                let of = when.get("is").and_then(Json::as_array).into_iter().flatten().map(text).collect::<Vec<_>>();
                format!("if {} is {}", text(&when["setting"]), of.join(" or "))
            }
            (true, None) => "yes".to_owned(),
            (false, _) => "no".to_owned(),
        };
        let choices: Vec<String> = s["choices"].as_array().into_iter().flatten().map(|c| text(&c["value"])).collect();
        let kind = if choices.is_empty() { text(&s["kind"]) } else { choices.join(" | ") };
        vec![text(&s["key"]), kind, needed, text(&s["default"]), text(&s["label"]), text(&s["help"])]
    };
    let head = ["key", "kind", "required", "default", "label", "help"];
    out.table(&head, settings.iter().map(row).collect(), "  none")?;
    let endpoints = adapter["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
    for endpoint in endpoints {
        let to = match endpoint["kind"].as_str() {
            Some("tcp") => format!("tcp {{{}}}:{{{}}}", text(&endpoint["host"]), text(&endpoint["port"])),
            _ => text(&endpoint["url"]),
        };
        out.line(format_args!("\nMay reach      {to}"))?;
    }
    if endpoints.is_empty() {
        out.line("\nReaches nothing.")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::testing::Captured;

    #[test]
    fn an_adapter_is_shown_with_what_it_wants_and_what_it_may_reach() {
        let captured = Captured::default();
        let adapter = json!({"name": "sink", "version": "1.0.0", "direction": "push", "contract": "1.0.0", "digest": "sha256:00",
            "settings": [{"key": "token", "label": "API token", "kind": "secret", "required": true, "help": "From the console.",
                "when": {"setting": "version", "is": ["2"]}}],
            "endpoints": [{"key": "write", "kind": "http", "url": "{url}"}]});
        inspect(&mut captured.output(), &adapter).unwrap();
        let text = captured.text();
        assert!(text.contains("token  secret  if version is 2"), "{text}");
        assert!(text.contains("May reach      {url}"), "{text}");
    }
}
