//! `tidegate ledger`: what an operator asks of the ledger, and does with it. All but `restore` talk to a running server.

use super::client::{ApiClient, AskArgs};
use super::restore::{RestoreArgs, restore};
use super::store::{moment, text};
use super::{CliError, Output, time};
use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use std::process::ExitCode;

/// Commands about the ledger.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  tidegate ledger status
  tidegate ledger gaps
  tidegate ledger show web/crashes 2026-11-22T13:00:00Z
  tidegate ledger replay web/central crashes 2026-11-22T13:00:00Z > request.txt
  tidegate ledger replay web/central crashes 2026-11-22T13:00:00Z --send
  tidegate ledger replay web/central crashes --from 2026-11-22T13:00:00Z --to 2026-11-22T14:00:00Z --send
  tidegate ledger backup
  tidegate ledger restore --data-dir /var/lib/tidegate --from /var/lib/tidegate/backups/20261122T130000Z
  tidegate ledger restore --data-dir /var/lib/tidegate --as-of 2026-11-22T13:00:00Z")]
pub enum LedgerCommand {
    /// What each push store is still owed; who waits longest comes first.
    Status(AskArgs),
    /// Windows that stores will never get, and why.
    Gaps(AskArgs),
    /// What became of one window of a metric set.
    Show(ShowArgs),
    /// The bytes that a store got in a past window, or in all of a range; sends them again if asked to.
    Replay(ReplayArgs),
    /// Look whether the files are sound. Exit code 1 if they are not.
    Verify(AskArgs),
    /// Copy catalog, ledger and events into a new folder below the data directory, while the server runs.
    Backup(AskArgs),
    /// Go back to a backup, or to any second after it that changes were kept for. The server must be stopped.
    Restore(RestoreArgs),
}

/// Arguments of `ledger show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The metric set, as PROJECT/SET.
    #[arg(value_name = "PROJECT/SET")]
    pub set: String,
    /// A moment in the window, as 2026-11-22T13:00:00Z or in seconds since the epoch.
    #[arg(value_name = "TIME", value_parser = time::argument)]
    pub at: u64,
    /// The project, if its name has a slash in it.
    #[arg(long)]
    pub project: Option<String>,
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Arguments of `ledger replay`.
#[derive(Debug, Args)]
#[command(
    after_help = "The bytes are made of the window as it was recorded. If adapter and settings are still those of then, they must be the
same to the byte, or nothing is sent. A sink that keeps one value for each series and time is not changed by it."
)]
pub struct ReplayArgs {
    /// The store, as PROJECT/STORE.
    #[arg(value_name = "PROJECT/STORE")]
    pub store: String,
    /// The metric set.
    #[arg(value_name = "SET")]
    pub set: String,
    /// A moment in the window, as 2026-11-22T13:00:00Z or in seconds since the epoch.
    #[arg(value_name = "TIME", value_parser = time::argument, required_unless_present = "from", conflicts_with = "from")]
    pub at: Option<u64>,
    /// Instead of one: all windows that begin at this time or later, oldest first ...
    #[arg(long, value_name = "TIME", value_parser = time::argument, requires = "to")]
    pub from: Option<u64>,
    /// ... and before this time.
    #[arg(long, value_name = "TIME", value_parser = time::argument, requires = "from")]
    pub to: Option<u64>,
    /// Of one window: the metric that could not be evaluated with its set, and came by itself.
    #[arg(long, value_name = "METRIC", conflicts_with = "from")]
    pub metric: Option<String>,
    /// Send it, rather than only print it.
    #[arg(long)]
    pub send: bool,
    /// The project, if its name has a slash in it.
    #[arg(long)]
    pub project: Option<String>,
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

fn split<'a>(what: &'a str, project: Option<&'a str>, form: &str) -> Result<(&'a str, &'a str), CliError> {
    match project {
        Some(project) => Ok((project, what)),
        None => what.split_once('/').ok_or_else(|| CliError::Failed(format!("{what:?}: expected {form}"))),
    }
}

fn seconds(value: &Json) -> String {
    value.as_u64().map_or_else(|| "-".to_owned(), |s| moment(&json!(s.saturating_mul(1_000_000))))
}

pub(crate) async fn run(command: LedgerCommand, out: &mut Output) -> Result<ExitCode, CliError> {
    match command {
        LedgerCommand::Status(args) => {
            let answer = ApiClient::new(&args.server)?.list(&["ledger"], "stores").await?;
            out.show(args.json, &answer, status)?;
        }
        LedgerCommand::Gaps(args) => {
            let answer = ApiClient::new(&args.server)?.list(&["ledger", "gaps"], "gaps").await?;
            out.show(args.json, &answer, gaps)?;
        }
        LedgerCommand::Show(args) => {
            let (project, set) = split(&args.set, args.project.as_deref(), "PROJECT/SET, for example web/crashes")?;
            let at = args.at.to_string();
            let path = ["projects", project, "metric-sets", set, "windows", &at];
            let answer = ApiClient::new(&args.ask.server)?.get(&path).await?;
            out.show(args.ask.json, &answer, show)?;
        }
        LedgerCommand::Replay(args) => {
            let (project, store) =
                split(&args.store, args.project.as_deref(), "PROJECT/STORE, for example web/central")?;
            let (client, path) = (ApiClient::new(&args.ask.server)?, ["projects", project, "stores", store, "replay"]);
            if let (Some(from), Some(to)) = (args.from, args.to) {
                return replay_range(&client, &path, &args, (from, to), out).await;
            }
            let body = json!({"metric_set": args.set, "metric": args.metric, "at": args.at, "send": args.send});
            let answer = client.post(&path, &[], &body).await?;
            out.show(args.ask.json, &answer, replay)?;
        }
        LedgerCommand::Verify(args) => {
            let answer = ApiClient::new(&args.server)?.post(&["ledger", "verify"], &[], &json!({})).await?;
            return verified(out, &answer, args.json);
        }
        LedgerCommand::Backup(args) => {
            let answer = ApiClient::new(&args.server)?.post(&["ledger", "backup"], &[], &json!({})).await?;
            out.show(args.json, &answer, |out, answer| {
                out.line(text(&answer["backup"]))?;
                out.note(format_args!("{} bytes, checked. Copy the folder to another machine.", answer["bytes"]));
                Ok(())
            })?;
            return Ok(sound(out, &answer));
        }
        LedgerCommand::Restore(args) => restore(&args, out)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn status(out: &mut Output, answer: &Json) -> Result<(), CliError> {
    if let Some(problem) = answer["problem"].as_str() {
        out.note(format_args!("Windows are not recorded at the moment: {problem}"));
    }
    let row = |store: &Json| {
        vec![
            format!("{}/{}", text(&store["project"]), text(&store["store"])),
            seconds(&store["oldest_undelivered"]),
            text(&store["queued"]),
            text(&store["queued_bytes"]),
            text(&store["confirmed"]),
            text(&store["rejected"]),
            text(&store["expired"]),
            text(&store["problem"]),
        ]
    };
    let rows = answer["stores"].as_array().into_iter().flatten().map(row).collect();
    let head = ["store", "oldest undelivered", "queued", "bytes", "confirmed", "rejected", "expired", "problem"];
    out.table(&head, rows, "There are no push stores; `tidegate apply` makes them.")
}

fn gaps(out: &mut Output, answer: &Json) -> Result<(), CliError> {
    let row = |gap: &Json| {
        vec![
            format!("{}/{}", text(&gap["project"]), text(&gap["store"])),
            set_or_metric(gap),
            seconds(&gap["start"]),
            seconds(&gap["end"]),
            text(&gap["windows"]),
            text(&gap["outcome"]),
            text(&gap["reason"]),
        ]
    };
    let rows = answer["gaps"].as_array().into_iter().flatten().map(row).collect();
    let head = ["store", "metric set", "from", "to", "windows", "outcome", "reason"];
    out.table(&head, rows, "No window is missing in any store.")
}

/// The metric set, and the metric if that is all of it that is meant.
pub(super) fn set_or_metric(of: &Json) -> String {
    match of["metric"].as_str() {
        Some(metric) => format!("{}/{metric}", text(&of["metric_set"])),
        None => text(&of["metric_set"]),
    }
}

fn show(out: &mut Output, answer: &Json) -> Result<(), CliError> {
    let array = |name: &str| answer[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let (windows, open) = (array("windows"), array("in_progress"));
    if windows.is_empty() && open.is_empty() {
        out.note("Nothing is on record of a window at that time: no store wanted it, or it ended a moment ago, or it is too long ago.");
    }
    for window in open {
        let (start, end) = (seconds(&window["start"]), seconds(&window["end"]));
        out.note(format_args!("The window [{start}, {end}) is not over; it is recorded after its end."));
    }
    for window in windows {
        out.line(format_args!("window      [{}, {})", seconds(&window["start"]), seconds(&window["end"])))?;
        if let Some(metric) = window["metric"].as_str() {
            out.line(format_args!("metric      {metric}, which could not be evaluated with its set"))?;
        }
        let reason = window["reason"].as_str().map_or_else(String::new, |r| format!(": {r}"));
        out.line(format_args!("state       {}{reason}", text(&window["state"])))?;
        out.line(format_args!("recorded    {}", moment(&window["recorded"])))?;
        out.line(format_args!("revision    {}, {} rows", text(&window["revision"]), text(&window["rows"])))?;
        let kept = if window["kept"] == json!(true) { "kept" } else { "not kept any more" };
        out.line(format_args!("digest      {} ({kept})", text(&window["digest"])))?;
        for delivery in window["deliveries"].as_array().into_iter().flatten() {
            let problem = delivery["problem"].as_str().map_or_else(String::new, |p| format!(": {p}"));
            out.line(format_args!(
                "delivery    {} {} after {} tries, {} rows accepted, {} rejected{problem}",
                text(&delivery["store"]),
                text(&delivery["state"]),
                text(&delivery["attempts"]),
                text(&delivery["accepted_rows"]),
                text(&delivery["rejected_rows"])
            ))?;
            for rejection in delivery["rejections"].as_array().into_iter().flatten() {
                let (metric, series) = (text(&rejection["metric"]), text(&rejection["series"]));
                out.line(format_args!("  rejected  {metric} {{{series}}}: {}", text(&rejection["reason"])))?;
            }
        }
    }
    Ok(())
}

fn replay(out: &mut Output, answer: &Json) -> Result<(), CliError> {
    let window = &answer["window"];
    let same = match answer["bytes"].as_str() {
        Some("same") => "the bytes are those that were sent before",
        Some("not-comparable") => "adapter or settings have changed since it was sent, so the bytes may differ",
        _ => "it was never sent",
    };
    let state = text(&answer["state"]);
    let metric = answer["metric"].as_str().map_or_else(String::new, |metric| format!(", metric {metric}"));
    let (start, end) = (seconds(&window["start"]), seconds(&window["end"]));
    out.note(format_args!("window [{start}, {end}){metric}, {state}; {same}"));
    super::store::message(out, answer)?;
    if let Some(sent) = answer["sent"].as_object() {
        out.note(format_args!("sent: {} rows accepted, {} rejected", sent["accepted_rows"], sent["rejected_rows"]));
    }
    Ok(())
}

/// Replays a range part by part. A window that cannot be replayed is told and does not hold up the others.
async fn replay_range(
    client: &ApiClient,
    path: &[&str],
    args: &ReplayArgs,
    (from, to): (u64, u64),
    out: &mut Output,
) -> Result<ExitCode, CliError> {
    if from >= to {
        return Err(CliError::Failed("--to: expected a later time than --from".to_owned()));
    }
    let (mut windows, mut next) = (Vec::new(), Some(from));
    while let Some(at) = next {
        let body = json!({"metric_set": args.set, "from": at, "to": to, "send": args.send});
        let mut answer = client.post(path, &[], &body).await?;
        next = answer["next"].as_u64().filter(|next| *next > at);
        let Json::Array(part) = answer["windows"].take() else { break };
        for one in &part {
            if let Some(problem) = one["problem"].as_str() {
                let window = &one["window"];
                out.note(format_args!(
                    "window [{}, {}): {problem}",
                    seconds(&window["start"]),
                    seconds(&window["end"])
                ));
            } else if !args.ask.json {
                replay(out, one)?;
            }
        }
        windows.extend(part);
    }
    if windows.is_empty() {
        let told = "the ledger has no window of this metric set and store that begins in that time";
        return Err(CliError::Failed(told.to_owned()));
    }
    let failed = windows.iter().filter(|w| w["problem"].is_string()).count();
    let what = if args.send { "sent again" } else { "shown" };
    let but = if failed > 0 { format!(", {failed} of them were not: see above") } else { String::new() };
    out.note(format_args!("{} windows {what}{but}", windows.len()));
    if args.ask.json {
        out.json(&json!({"windows": windows}))?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tells of problems; the exit code says whether there are any.
fn sound(out: &mut Output, answer: &Json) -> ExitCode {
    let problems = answer["problems"].as_array().map(Vec::as_slice).unwrap_or_default();
    for problem in problems {
        out.note(text(problem));
    }
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn verified(out: &mut Output, answer: &Json, json: bool) -> Result<ExitCode, CliError> {
    out.show(json, answer, |out, answer| match answer["problems"].as_array().is_none_or(Vec::is_empty) {
        true => out.line(format_args!("sound: {} windows compared with their digests", answer["windows"])),
        false => Ok(()),
    })?;
    Ok(sound(out, answer))
}
