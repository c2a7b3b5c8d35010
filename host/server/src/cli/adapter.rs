//! `tidegate adapter`.

use super::client::{ApiClient, AskArgs};
use super::store::OneArgs;
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
    List(AskArgs),
    /// What an adapter wants to be told, and what its stores may reach.
    Inspect(InspectArgs),
    /// Put a component into the server's adapter folder.
    Install(InstallArgs),
    /// Put a component through the conformance suite, here and without a server.
    Check(CheckArgs),
    /// What a store would send with another version of its adapter, over the windows on record. Nothing is sent.
    Diff(VersionArgs),
    /// Have a store use another version of its adapter from its next batch on.
    Upgrade(UpgradeArgs),
    /// Have a store use the version before again.
    Rollback(OneArgs),
    /// Remove a version that no store uses from the adapter folder.
    Remove(InspectArgs),
}

/// Arguments of `adapter install`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate adapter install target/components/collector.wasm --dry-run
  tidegate adapter install target/components/collector.wasm

No store uses it by that: new stores get the newest version, others keep theirs until `tidegate adapter upgrade`.")]
pub struct InstallArgs {
    /// A component (*.wasm).
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Only tell what the server makes of it, and what it asks for.
    #[arg(long)]
    pub dry_run: bool,
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Arguments of `adapter diff`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate adapter diff web/central                       against what a new store would get
  tidegate adapter diff web/central --to influxdb@1.2.0
  tidegate adapter diff web/central --to sha256:0123abcd

Lines that only the version in use sends have a - in front, lines that only the other one sends a +. Exit code 1 if the other
version fails where the one in use does not.")]
pub struct VersionArgs {
    /// Which store.
    #[command(flatten)]
    pub store: OneArgs,
    /// The other version: NAME@VERSION or a digest; without it, what a new store would get.
    #[arg(long, value_name = "ADAPTER")]
    pub to: Option<String>,
}

/// Arguments of `adapter upgrade`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate adapter diff web/central && tidegate adapter upgrade web/central
  tidegate adapter upgrade web/central --to influxdb@1.2.0 --consent

The other version has to stand the windows on record first. What is under way is finished by the version in use. For an hour, or
ten windows if that is longer, a crash takes the store back by itself.")]
pub struct UpgradeArgs {
    /// Which store, and to what.
    #[command(flatten)]
    pub version: VersionArgs,
    /// Agree to everything that it asks for beyond the version in use; `adapter diff` shows it.
    #[arg(long)]
    pub consent: bool,
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
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

pub(crate) async fn run(command: AdapterCommand, out: &mut Output) -> Result<ExitCode, CliError> {
    match command {
        AdapterCommand::List(args) => {
            let answer = ApiClient::new(&args.server)?.list(&["adapters"], "adapters").await?;
            out.show(args.json, &answer, list)?;
        }
        AdapterCommand::Inspect(args) => {
            let answer = ApiClient::new(&args.ask.server)?.get(&["adapters", &args.name]).await?;
            out.show(args.ask.json, &answer, inspect)?;
        }
        AdapterCommand::Check(args) => return check(&args, out),
        AdapterCommand::Install(args) => install(&args, out).await?,
        AdapterCommand::Diff(args) => return diff(&args, out).await,
        AdapterCommand::Upgrade(args) => upgrade(&args, out).await?,
        AdapterCommand::Rollback(args) => {
            let answer = ApiClient::new(&args.ask.server)?
                .post(&below(&args, &["adapter", "rollback"])?, &[], &json!({}))
                .await?;
            out.show(args.ask.json, &answer, |out, answer| {
                used(out, &args, answer);
                Ok(())
            })?;
        }
        AdapterCommand::Remove(args) => {
            ApiClient::new(&args.ask.server)?.delete(&["adapters", &args.name], &[]).await?;
            out.done(args.ask.json, &json!({"removed": args.name}), format_args!("{} is removed.", args.name))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The path of something below a store.
fn below<'a>(store: &'a OneArgs, more: &[&'a str]) -> Result<Vec<&'a str>, CliError> {
    Ok(store.path()?.into_iter().chain(more.iter().copied()).collect())
}

fn used(out: &mut Output, store: &OneArgs, answer: &Json) {
    out.note(format_args!(
        "{} uses version {} ({}).",
        store.store,
        text(&answer["version"]),
        short(&text(&answer["digest"]))
    ));
}

async fn install(args: &InstallArgs, out: &mut Output) -> Result<(), CliError> {
    let component = std::fs::read(&args.file).map_err(|e| CliError::file(&args.file, e))?;
    let query: &[(&str, &str)] = if args.dry_run { &[("dry_run", "true")] } else { &[] };
    let answer = ApiClient::new(&args.ask.server)?.post_bytes(&["adapters"], query, component).await?;
    if args.ask.json {
        return out.json(&answer);
    }
    for member in ["name", "version", "vendor", "summary", "direction", "digest", "size", "file"] {
        let value = text(&answer[member]);
        if !value.is_empty() {
            out.line(format_args!("{member:<15}{value}"))?;
        }
    }
    out.line("\nIts stores would let it")?;
    for ask in answer["asks"].as_array().into_iter().flatten() {
        out.line(format_args!("  {}", text(ask)))?;
    }
    if args.dry_run {
        out.note("\nIt was not installed.");
    } else if answer["default"] == true {
        out.note("\nNew stores get it. Others keep their version until `tidegate adapter upgrade PROJECT/STORE`.");
    } else {
        out.note("\nNew stores get another version, which is newer or built in; see `tidegate adapter list`.");
    }
    Ok(())
}

async fn compared(args: &VersionArgs) -> Result<Json, CliError> {
    let path = below(&args.store, &["adapter", "diff"])?;
    ApiClient::new(&args.store.ask.server)?.post(&path, &[], &json!({"to": args.to})).await
}

async fn diff(args: &VersionArgs, out: &mut Output) -> Result<ExitCode, CliError> {
    let answer = compared(args).await?;
    if args.store.ask.json {
        out.json(&answer)?;
    } else {
        let to = &answer["to"];
        out.line(format_args!("To version {} ({})", text(&to["version"]), short(&text(&to["digest"]))))?;
        for ask in answer["asks"].as_array().into_iter().flatten() {
            out.line(format_args!("asks for more: {}", text(ask)))?;
        }
        let windows = answer["windows"].as_array().map(Vec::as_slice).unwrap_or_default();
        for window in windows {
            let outcome = match window["outcome"].as_str().unwrap_or_default() {
                "same" => "the same bytes".to_owned(),
                "different" => "other bytes".to_owned(),
                "now-fails" => format!("FAILS, which it does not now: {}", text(&window["reason"])),
                "still-fails" => format!("fails, as it does now: {}", text(&window["reason"])),
                "now-works" => format!("works, which it does not now ({})", text(&window["reason"])),
                other => other.to_owned(),
            };
            let set = text(&window["metric_set"]);
            out.line(format_args!("\n{set} window ending {}: {outcome}", text(&window["window_end"])))?;
            for line in window["lines"].as_array().into_iter().flatten() {
                out.line(format_args!("  {}", text(line)))?;
            }
        }
        if windows.is_empty() {
            out.note("There is no window on record yet that the versions could be compared over.");
        }
    }
    match answer["objection"].as_str() {
        Some(objection) => {
            out.note(format_args!("\nThe store should not change: {objection}"));
            Ok(ExitCode::FAILURE)
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

async fn upgrade(args: &UpgradeArgs, out: &mut Output) -> Result<(), CliError> {
    let version = &args.version;
    // Agreed to is what is there to be seen now, and nothing that comes later.
    let consent = if args.consent { compared(version).await?["asks"].clone() } else { json!([]) };
    for ask in consent.as_array().into_iter().flatten() {
        out.note(format_args!("agreed: {}", text(ask)));
    }
    let path = below(&version.store, &["adapter", "upgrade"])?;
    let body = json!({"to": version.to, "consent": consent});
    let answer = ApiClient::new(&version.store.ask.server)?.post(&path, &[], &body).await?;
    if version.store.ask.json {
        return out.json(&answer);
    }
    used(out, &version.store, &answer);
    out.note("Until its trial ends, a crash takes it back by itself. By hand: tidegate adapter rollback PROJECT/STORE");
    Ok(())
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
    let stubs = adapter["system"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !stubs.is_empty() {
        out.line("\nIt expects a system, and finds stubs that lead nowhere:\n")?;
        let row = |stub: &Json| {
            let finds = match stub["effect"].as_str().unwrap_or_default() {
                "empty" => "nothing in it",
                "fixed" => "the same each time",
                "logged" => "what it prints goes to the log, within limits",
                _ => "every call is refused",
            };
            vec![text(&stub["interface"]), finds.to_owned()]
        };
        out.table(&["interface", "what it finds"], stubs.iter().map(row).collect(), "")?;
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
            "endpoints": [{"key": "write", "kind": "http", "url": "{url}"}],
            "system": [{"interface": "wasi:sockets/tcp", "effect": "refused"}]});
        inspect(&mut captured.output(), &adapter).unwrap();
        let text = captured.text();
        assert!(text.contains("token  secret  if version is 2"), "{text}");
        assert!(text.contains("May reach      {url}"), "{text}");
        assert!(text.contains("wasi:sockets/tcp  every call is refused"), "{text}");
    }
}
