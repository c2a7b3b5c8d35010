//! The command line: one file per command. Commands that change or show something talk to a running server by its HTTP API, so
//! the CLI can do what the API can and nothing else.
//!
//! The trap is a second path to the data: only `serve`, `demo`, `token create --data-dir` and `ledger restore` open a data directory.

use clap::{Parser, Subcommand};
use std::process::ExitCode;

pub mod adapter;
mod adapter_show;
mod allowances;
pub mod apply;
pub mod audit;
mod client;
pub mod compile;
pub mod completions;
mod config;
pub mod demo;
mod error;
pub mod events;
mod ids;
pub mod ledger;
pub mod login;
pub mod metric;
mod output;
pub mod project;
pub mod query;
mod question;
pub mod receive;
mod references;
mod restore;
pub mod secrets;
mod serve;
mod signals;
pub mod store;
pub(crate) mod store_windows;
pub mod tenant;
#[cfg(test)]
mod tests;
mod time;
pub mod token;
pub mod user;

pub(crate) use apply::parse as parse_document;
pub(crate) use client::{ApiClient, Attempt};
pub use client::{AskArgs, ServerArgs};
pub use error::CliError;
pub(crate) use output::Output;
pub(crate) use references::resolve as resolve_references;
pub(crate) use signals::Signals;

const EXAMPLES: &str = "\
Examples:
  See it work, with made-up crashes and no set-up:
      tidegate demo

  Run it, then tell it what to export (serve prints an API token once):
      tidegate serve --data-dir ./data
      export TIDEGATE_TOKEN=tg_...
      tidegate apply -f tidegate.yaml

  Send it events, see what a store would send next:
      tidegate events import crashes.ndjson --project web
      tidegate store preview web/central

  Ask it about them:
      tidegate query web --group error.type --unique guid --since 24h

Exit codes: 0 done, 1 failed, 2 the command line was wrong.";

/// Evaluates metrics over error and crash events and shares them with monitoring systems.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, about, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server.
    Serve(Box<serve::ServeArgs>),
    /// Bring projects, metric sets, metrics and stores to the state that a YAML file describes.
    Apply(apply::ApplyArgs),
    /// List, make and delete projects, see what their events take, say how long they are kept, make submission tokens.
    #[command(subcommand)]
    Project(project::ProjectCommand),
    /// List stores, see how one is doing, see what it would send.
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// See what stores are owed and what was lost; replay windows, verify, back up, restore.
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
    /// List metric sets and metrics, try a query over the last windows, rename, move, delete.
    #[command(subcommand)]
    Metric(metric::MetricCommand),
    /// Ask about the events that are there: counts, users, times, values, or the events themselves.
    Query(Box<query::QueryArgs>),
    /// List the attributes of a project's events, with types and formats.
    Describe(query::DescribeArgs),
    /// Send events from a file.
    #[command(subcommand)]
    Events(events::EventsCommand),
    /// See which adapters there are and what they want.
    #[command(subcommand)]
    Adapter(adapter::AdapterCommand),
    /// List tenants, make and remove them, say what they may have.
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// List users, make and remove them, give them passwords and roles.
    #[command(subcommand)]
    User(user::UserCommand),
    /// List, make and revoke API tokens.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// See who changed what.
    Audit(audit::AuditArgs),
    /// Remember a server and an API token for the other commands.
    Login(login::LoginArgs),
    /// Forget them.
    Logout(login::LogoutArgs),
    /// Change the key under which secrets lie in the data directory.
    #[command(subcommand)]
    Secrets(secrets::SecretsCommand),
    /// Stand in for a monitoring system: accept pushes and show them.
    Receive(receive::ReceiveArgs),
    /// See the whole way at work: made-up crashes in, a page to scrape and pushes out.
    Demo(demo::DemoArgs),
    /// Print the OpenAPI 3.1 document of the HTTP API; a server has it at /api/v1/openapi.json.
    Openapi,
    /// Print a completion script for your shell.
    Completions(completions::CompletionsArgs),
    /// Compile a component in a process that can do nothing else; the server calls this by itself.
    #[command(hide = true)]
    Compile(compile::CompileArgs),
}

/// Parses the command line and runs it.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // The first provider wins; a second call would only say that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut out = Output::stdio();
    match run(cli, &mut out) {
        Ok(code) => code,
        Err(CliError::OutputClosed) => ExitCode::SUCCESS,
        Err(error) => {
            out.problem(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli, out: &mut Output) -> Result<ExitCode, CliError> {
    match cli.command {
        Command::Serve(args) => on_many_threads(serve::run(*args)),
        Command::Demo(args) => on_many_threads(demo::run(args, out)),
        Command::Apply(args) => on_one_thread(apply::run(args, out)),
        Command::Project(command) => on_one_thread(project::run(command, out)),
        Command::Store(command) => on_one_thread(store::run(command, out)),
        Command::Ledger(command) => on_one_thread(ledger::run(command, out)),
        Command::Metric(command) => on_one_thread(metric::run(command, out)),
        Command::Query(args) => on_one_thread(query::run(*args, out)),
        Command::Describe(args) => on_one_thread(query::describe(args, out)),
        Command::Events(command) => on_one_thread(events::run(command, out)),
        Command::Adapter(command) => on_one_thread(adapter::run(command, out)),
        Command::Receive(args) => on_one_thread(receive::run(args, out)),
        Command::Tenant(command) => on_one_thread(tenant::run(command, out)),
        Command::User(command) => on_one_thread(user::run(command, out)),
        Command::Token(command) => on_one_thread(token::run(command, out)),
        Command::Audit(args) => on_one_thread(audit::run(args, out)),
        Command::Login(args) => on_one_thread(login::run(args, out)),
        Command::Logout(args) => on_one_thread(login::forget(&args, out)),
        Command::Openapi => out.json(&crate::http::openapi()).map(|()| ExitCode::SUCCESS),
        Command::Secrets(command) => secrets::run(command, out),
        Command::Completions(args) => completions::run(&args, out),
        Command::Compile(args) => compile::run(&args, out),
    }
}

/// How to call this program: `tidegate` if the shell would find it, its path if not, as after `cargo run`.
pub(crate) fn program() -> String {
    let name = "tidegate";
    let Ok(ours) = std::env::current_exe().and_then(std::fs::canonicalize) else { return name.to_owned() };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).find_map(|folder| std::fs::canonicalize(folder.join(name)).ok());
    if found.as_ref() == Some(&ours) { name.to_owned() } else { ours.display().to_string() }
}

fn on_one_thread<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| CliError::failed("cannot start the runtime", e))?.block_on(work)
}

fn on_many_threads<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| CliError::failed("cannot start the runtime", e))?;
    let result = runtime.block_on(work);
    // A blocking call that hangs (a dead network disk, say) must not keep the process after everything has been put in order.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    result
}

#[cfg(test)]
mod definition {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_every_argument_has_a_help_text() {
        fn check(command: &clap::Command) {
            for argument in command.get_arguments().filter(|a| !matches!(a.get_id().as_str(), "help" | "version")) {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
            for sub in command.get_subcommands() {
                assert!(sub.get_about().is_some(), "{}", sub.get_name());
                check(sub);
            }
        }
        check(&Cli::command());
    }

    /// What prints no data, or prints JSON anyway.
    const WITHOUT_JSON: [&str; 6] = ["serve", "demo", "receive", "openapi", "completions", "compile"];

    #[test]
    fn every_command_that_tells_something_tells_it_as_json_if_asked_to() {
        fn check(command: &clap::Command, path: &str, seen: &mut usize) {
            let subcommands: Vec<_> = command.get_subcommands().filter(|c| c.get_name() != "help").collect();
            for sub in &subcommands {
                check(sub, &format!("{path} {}", sub.get_name()), seen);
            }
            if subcommands.is_empty() && !WITHOUT_JSON.contains(&path.trim()) {
                assert!(command.get_arguments().any(|a| a.get_long() == Some("json")), "{path} takes no --json");
                *seen += 1;
            }
        }
        let mut seen = 0;
        let command = Cli::command();
        check(&command, "", &mut seen);
        assert!(seen > 40, "{seen} commands");
        for name in WITHOUT_JSON {
            assert!(command.find_subcommand(name).is_some(), "{name} is no command any more");
        }
    }

    #[test]
    fn wrong_usage_is_told_apart_by_its_exit_code() {
        let error = Cli::try_parse_from(["tidegate", "apply"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("--file"), "{error}");
    }

    #[test]
    fn a_token_from_the_environment_is_not_shown_in_help() {
        let mut command = Cli::command();
        let apply = command.find_subcommand_mut("apply").unwrap();
        assert!(apply.get_arguments().any(|a| a.get_id() == "token" && a.is_hide_env_values_set()));
    }

    #[test]
    fn the_commands_of_the_documentation_parse() {
        for line in [
            "tidegate serve --data-dir ./data --listen 127.0.0.1:0 --allow-egress 10.0.0.0/8 --allow-egress 127.0.0.1/32 --log json",
            "tidegate apply -f tidegate.yaml --dry-run --server http://127.0.0.1:8460 --token t",
            "tidegate project list --json",
            "tidegate project show web",
            "tidegate project keep web --days 90 --megabytes 20000",
            "tidegate project keep web --for-good",
            "tidegate store list --json",
            "tidegate store list --state failing --state credentials --project web --adapter influxdb --sort oldest-undelivered",
            "tidegate store windows web/central --outcome rejected --since 24h --set crashes",
            "tidegate metric list --project web --search crash",
            "tidegate metric show --project web crashes/errors",
            "tidegate metric delete --project web crashes/errors",
            "tidegate metric delete-set --project web crashes",
            "tidegate project add web",
            "tidegate project tokens web",
            "tidegate project new-token web",
            "tidegate project revoke-token web 3",
            "tidegate project delete web --with-all-events",
            "tidegate store show web/central",
            "tidegate store preview web/central",
            "tidegate metric preview --project web --query {\"fold\":{\"_tx\":[[\"count\"]]}} --period 60 --windows 3",
            "tidegate metric rename --project web crashes/errors faults --rename-series",
            "tidegate metric rename-set --project web crashes health",
            "tidegate metric move --project web crashes/users usage/users",
            "tidegate events import crashes.ndjson.gz --project web",
            "tidegate store delete web/central --drain",
            "tidegate store delete web/central --expire",
            "tidegate store rename web/central middle",
            "tidegate store pause web/central",
            "tidegate store resume web/central",
            "tidegate ledger status --json",
            "tidegate ledger gaps",
            "tidegate ledger show web/crashes 2026-11-22T13:00:00Z",
            "tidegate ledger replay web/central crashes 2026-11-22T13:00:00Z --send",
            "tidegate ledger replay web/central crashes --from 2026-11-22T13:00:00Z --to 2026-11-22T14:00:00Z",
            "tidegate ledger verify",
            "tidegate ledger backup",
            "tidegate ledger restore --data-dir ./data --from ./data/backups/20261122T130000Z",
            "tidegate ledger restore --data-dir ./data --as-of 2026-11-22T13:00:00Z",
            "tidegate serve --backup-every 3600 --backup-keep 48 --backup-dir /mnt/backups",
            "tidegate query web --group error.type --unique _tx --order=-count --since 24h",
            "tidegate query web --select timestamp,hostname --order -timestamp --limit 20 --csv",
            "tidegate query web --query-file errors.json --save-as crashes/users",
            "tidegate describe web --json",
            "tidegate adapter list",
            "tidegate adapter inspect influxdb --json",
            "tidegate adapter install collector.wasm --signature collector.wasm.minisig --dry-run",
            "tidegate serve --adapter-keys /etc/tidegate/keys --require-signatures",
            "tidegate token create --data-dir ./data",
            "tidegate token create --name ci --role member --for-project web --expires-in 90d",
            "tidegate token list --json",
            "tidegate token revoke ci",
            "tidegate user list --tenant acme",
            "tidegate user add ada --operator",
            "tidegate user add bob --role web=viewer --role member",
            "tidegate user role bob --role web=admin",
            "tidegate user role bob --none",
            "tidegate user operator bob yes",
            "tidegate user password bob",
            "tidegate user remove bob",
            "tidegate audit --object web/central --user ada --limit 5",
            "tidegate audit --kind metric-store --action delete --since 7d --until 2026-11-22T13:00:00Z",
            "tidegate audit --search influx --oldest-first --all --json",
            "tidegate login --server https://tidegate.example",
            "tidegate login --server https://tidegate.example --user ada",
            "tidegate logout",
            "tidegate openapi",
            "tidegate tenant limit acme --projects 10 --metric-stores 50 --events-per-second 2000 --stored-megabytes 20000",
            "tidegate tenant show acme --json",
            "tidegate project list --tenant acme",
            "tidegate receive --listen 127.0.0.1:8086 --tcp 127.0.0.1:2003",
            "tidegate demo --seed 7 --rate 50 --period 5 --duration 20",
            "tidegate completions bash",
        ] {
            if let Err(error) = Cli::try_parse_from(line.split(' ')) {
                panic!("{line}: {error}");
            }
        }
    }
}
