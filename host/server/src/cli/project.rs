//! `tidegate project`.

use super::client::{ApiClient, AskArgs};
use super::store::{moment, text};
use super::{CliError, Output};
use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use std::num::{NonZeroU32, NonZeroU64};
use std::process::ExitCode;

/// Commands about projects.
#[derive(Debug, Subcommand)]
pub enum ProjectCommand {
    /// All projects, what their events take and how long they are kept.
    List(AskArgs),
    /// One project: events, how long they are kept, metric sets, stores.
    Show(OneArgs),
    /// Make a project, and its first submission token, which is shown this once.
    Add(OneArgs),
    /// Say how long the events of a project are kept.
    Keep(KeepArgs),
    /// The submission tokens of a project, without the tokens themselves.
    Tokens(OneArgs),
    /// Make one more submission token, which is shown this once.
    NewToken(OneArgs),
    /// Revoke a submission token: clients that use it are refused at once.
    RevokeToken(RevokeArgs),
    /// Delete a project with its events, metrics and stores.
    Delete(DeleteArgs),
}

/// Arguments of `project revoke-token`.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// Which project.
    #[command(flatten)]
    pub one: OneArgs,
    /// The number of the token, as `project tokens` tells it.
    #[arg(value_name = "ID")]
    pub id: u64,
}

/// Arguments of `project delete`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tidegate project delete web --with-all-events

Its events, metric sets and metric stores are lost; what was shared stays where it is. This cannot be undone.")]
pub struct DeleteArgs {
    /// Which project.
    #[command(flatten)]
    pub one: OneArgs,
    /// Yes, the events, too.
    #[arg(long, required = true)]
    pub with_all_events: bool,
}

/// Arguments of `project show`.
#[derive(Debug, Args)]
pub struct OneArgs {
    /// The project.
    #[arg(value_name = "PROJECT")]
    pub project: String,
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Arguments of `project keep`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate project keep web --days 30
  tidegate project keep web --days 90 --megabytes 20000     whichever is reached first
  tidegate project keep web --for-good

Both bounds are set anew each time: the one that is left out is no bound. Old events go within minutes, a day's worth at a
time at most after their last day; what a metric store is still owed is never removed.")]
pub struct KeepArgs {
    /// The project.
    #[arg(value_name = "PROJECT")]
    pub project: String,
    /// Days that events are kept at least after they arrived.
    #[arg(long, value_name = "N", required_unless_present_any = ["megabytes", "for_good"])]
    pub days: Option<NonZeroU32>,
    /// Megabytes that are kept at most, as stored; the oldest events go first.
    #[arg(long, value_name = "N")]
    pub megabytes: Option<NonZeroU64>,
    /// Keep all events.
    #[arg(long, conflicts_with_all = ["days", "megabytes"])]
    pub for_good: bool,
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

pub(crate) async fn run(command: ProjectCommand, out: &mut Output) -> Result<ExitCode, CliError> {
    match command {
        ProjectCommand::List(args) => {
            let answer = ApiClient::new(&args.server)?.list(&["projects"], "projects").await?;
            out.show(args.json, &answer, list)?;
        }
        ProjectCommand::Show(args) => {
            let answer = ApiClient::new(&args.ask.server)?.get(&["projects", &args.project]).await?;
            out.show(args.ask.json, &answer, show)?;
        }
        ProjectCommand::Add(args) => {
            let made =
                ApiClient::new(&args.ask.server)?.post(&["projects"], &[], &json!({"name": args.project})).await?;
            out.show(args.ask.json, &made, |out, made| token(out, &made["submission_token"]))?;
        }
        ProjectCommand::Tokens(args) => {
            let path = ["projects", &args.project, "submission-tokens"];
            let answer = ApiClient::new(&args.ask.server)?.list(&path, "submission_tokens").await?;
            out.show(args.ask.json, &answer, tokens)?;
        }
        ProjectCommand::NewToken(args) => {
            let path = ["projects", &args.project, "submission-tokens"];
            let made = ApiClient::new(&args.ask.server)?.post(&path, &[], &json!({})).await?;
            out.show(args.ask.json, &made, |out, made| token(out, &made["token"]))?;
        }
        ProjectCommand::RevokeToken(RevokeArgs { one, id }) => {
            let path = ["projects", &one.project, "submission-tokens", &id.to_string()];
            ApiClient::new(&one.ask.server)?.delete(&path, &[]).await?;
            out.done(one.ask.json, &json!({"revoked": id}), format_args!("token {id} of {} is revoked", one.project))?;
        }
        ProjectCommand::Delete(DeleteArgs { one, .. }) => {
            ApiClient::new(&one.ask.server)?.delete(&["projects", &one.project], &[]).await?;
            let told = format_args!("{} is deleted with all that was in it", one.project);
            out.done(one.ask.json, &json!({"deleted": one.project}), told)?;
        }
        ProjectCommand::Keep(args) => {
            let wanted = json!({"days": args.days, "megabytes": args.megabytes});
            let path = ["projects", &args.project, "retention"];
            let answer = ApiClient::new(&args.ask.server)?.put(&path, &wanted).await?;
            out.show(args.ask.json, &answer, |out, answer| {
                out.line(format_args!("events of {} are kept {}", args.project, kept(answer)))
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The one line that is data is the token.
fn token(out: &mut Output, token: &Json) -> Result<(), CliError> {
    out.note("This is the only time that the submission token is shown:");
    out.line(text(token))
}

fn tokens(out: &mut Output, answer: &Json) -> Result<(), CliError> {
    let tokens = answer["submission_tokens"].as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |t: &Json| vec![text(&t["id"]), format!("{}…", text(&t["hint"])), moment(&t["created"])];
    let nothing = "Nobody can send events: make a token with `tidegate project new-token`.";
    out.table(&["id", "begins with", "made"], tokens.iter().map(row).collect(), nothing)
}

fn kept(retention: &Json) -> String {
    match (retention["days"].as_u64(), retention["megabytes"].as_u64()) {
        (None, None) => "for good".to_owned(),
        (Some(days), None) => format!("{days} days"),
        (None, Some(megabytes)) => format!("up to {megabytes} MB"),
        (Some(days), Some(megabytes)) => format!("{days} days, up to {megabytes} MB"),
    }
}

fn list(out: &mut Output, answer: &Json) -> Result<(), CliError> {
    let projects = answer["projects"].as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |project: &Json| {
        let events = &project["events"];
        vec![
            text(&project["name"]),
            text(&events["stored"]),
            megabytes(&events["bytes"]),
            moment(&events["oldest_arrival"]),
            kept(&project["retention"]),
        ]
    };
    let head = ["project", "events", "size", "oldest", "kept"];
    out.table(
        &head,
        projects.iter().map(row).collect(),
        "There are no projects; `tidegate project add NAME` or `tidegate apply` makes them.",
    )
}

fn megabytes(bytes: &Json) -> String {
    format!("{:.1} MB", bytes.as_f64().unwrap_or_default() / 1e6)
}

fn show(out: &mut Output, project: &Json) -> Result<(), CliError> {
    let events = &project["events"];
    let mut line = |name: &str, value: String| out.line(format_args!("{name:<16}{value}"));
    line("project", text(&project["name"]))?;
    line("metric sets", text(&project["metric_sets"]))?;
    line("metric stores", text(&project["metric_stores"]))?;
    line("events", format!("{} in {} segments", text(&events["stored"]), text(&events["segments"])))?;
    line("size", megabytes(&events["bytes"]))?;
    line("oldest", moment(&events["oldest_arrival"]))?;
    line("kept", kept(&project["retention"]))?;
    let owed = &project["owed_since"];
    line("owed to stores", if owed.is_null() { "nothing".to_owned() } else { format!("since {}", moment(owed)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::testing::Captured;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    #[test]
    fn a_project_is_shown_with_its_size_and_how_long_its_events_are_kept() {
        let project = json!({"name": "web", "metric_sets": ["crashes"], "metric_stores": [], "retention": {"days": 30, "megabytes": 500},
            "events": {"stored": 12, "segments": 2, "bytes": 1_260_000, "oldest_arrival": 1_700_000_000_000_000_u64}, "owed_since": null});
        let captured = Captured::default();
        show(&mut captured.output(), &project).unwrap();
        let told = captured.text();
        for line in [
            "events          12 in 2 segments",
            "size            1.3 MB",
            "oldest          2023-11-14T22:13:20Z",
            "kept            30 days, up to 500 MB",
            "owed to stores  nothing",
        ] {
            assert!(told.lines().any(|l| l == line), "{line} in {told}");
        }
    }

    #[test]
    fn a_bound_is_asked_for_and_none_of_zero_is_taken() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' ').chain(["--token", "t"]));
        for wrong in ["", " --days 0", " --megabytes 0", " --for-good --days 1"] {
            assert_eq!(parse(&format!("tidegate project keep web{wrong}")).unwrap_err().exit_code(), 2, "{wrong}");
        }
        let Ok(Cli { command: Command::Project(ProjectCommand::Keep(args)) }) =
            parse("tidegate project keep web --megabytes 5")
        else {
            panic!("not parsed");
        };
        assert_eq!((args.days, args.megabytes.map(NonZeroU64::get)), (None, Some(5)));
    }
}
