//! `tidegate adapter`.

use super::adapter_show::{self as show, text};
use super::client::{ApiClient, AskArgs};
use super::store::OneArgs;
use super::{CliError, Output};
use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;
use tidegate_sandbox::{Finding, SIGNATURE_SUFFIX, Sandbox, SandboxOptions, builtin, conformance};

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
  tidegate adapter install collector.wasm --signature collector.wasm.minisig

No store uses it by that: new stores get the newest version, others keep theirs until `tidegate adapter upgrade`.")]
pub struct InstallArgs {
    /// A component (*.wasm).
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Its signature, as `minisign -Sm` makes it; without this, FILE.minisig if that is there.
    #[arg(long, value_name = "FILE")]
    pub signature: Option<PathBuf>,
    /// Only tell what the server makes of it, and what it asks for.
    #[arg(long)]
    pub dry_run: bool,
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

impl InstallArgs {
    /// The text of the signature, if there is one.
    fn signature(&self) -> Result<Option<String>, CliError> {
        let mut beside = self.file.clone().into_os_string();
        beside.push(SIGNATURE_SUFFIX);
        let file = self.signature.clone().unwrap_or_else(|| beside.into());
        match std::fs::read_to_string(&file) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound && self.signature.is_none() => Ok(None),
            Err(error) => Err(CliError::file(&file, error)),
        }
    }
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
            out.show(args.json, &answer, show::list)?;
        }
        AdapterCommand::Inspect(args) => {
            let answer = ApiClient::new(&args.ask.server)?.get(&["adapters", &args.name]).await?;
            out.show(args.ask.json, &answer, show::inspect)?;
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
                show::used(out, &args.store, answer);
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

async fn install(args: &InstallArgs, out: &mut Output) -> Result<(), CliError> {
    let component = std::fs::read(&args.file).map_err(|e| CliError::file(&args.file, e))?;
    let signature = args.signature()?;
    let mut query: Vec<(&str, &str)> = if args.dry_run { vec![("dry_run", "true")] } else { Vec::new() };
    query.extend(signature.as_deref().map(|text| ("signature", text)));
    let answer = ApiClient::new(&args.ask.server)?.post_bytes(&["adapters"], &query, component).await?;
    out.show(args.ask.json, &answer, |out, answer| show::installed(out, answer, args.dry_run))
}

async fn compared(args: &VersionArgs) -> Result<Json, CliError> {
    let path = below(&args.store, &["adapter", "diff"])?;
    ApiClient::new(&args.store.ask.server)?.post(&path, &[], &json!({"to": args.to})).await
}

async fn diff(args: &VersionArgs, out: &mut Output) -> Result<ExitCode, CliError> {
    let answer = compared(args).await?;
    out.show(args.store.ask.json, &answer, show::difference)?;
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
    out.show(version.store.ask.json, &answer, |out, answer| {
        show::used(out, &version.store.store, answer);
        out.note(
            "Until its trial ends, a crash takes it back by itself. By hand: tidegate adapter rollback PROJECT/STORE",
        );
        Ok(())
    })
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
    let finding = |f: &Finding| json!({"check": f.check, "passed": f.problems.is_empty(), "problems": f.problems});
    let findings: Vec<Json> = report.findings.iter().map(finding).collect();
    let document = json!({"adapter": report.adapter, "passed": report.passed(), "checks": findings});
    out.show(args.json, &document, |out, _| show::checked(out, &report))?;
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
