//! `tidegate store`.

use super::client::{ApiClient, AskArgs};
use super::{CliError, Output, adapter_show};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use std::process::ExitCode;
use tidegate_export::STORE_STATES;

/// Commands about stores.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// All stores and how they are doing.
    List(ListArgs),
    /// One store: settings, state, what was delivered; for a pull store what to enter in the product that reads it.
    Show(ShowArgs),
    /// The exact bytes that a store would send or show next; credentials are masked.
    Preview(OneArgs),
    /// Ask the sink of a push store whether it takes the settings; nothing is written to it.
    Check(OneArgs),
    /// Send one labelled point through a push store and tell what its sink says; it is in no metric.
    Test(OneArgs),
    /// What became of a store's windows.
    Windows(super::store_windows::WindowsArgs),
    /// Give a pull store a new URL, and a new login if it has one; what held before is refused at once.
    Rotate(OneArgs),
    /// Hold back a store's deliveries; its windows queue up.
    Pause(OneArgs),
    /// Let a store's deliveries go on.
    Resume(OneArgs),
    /// Give a store another name. Its queue, its history and its series stay as they are.
    Rename(RenameArgs),
    /// Delete a store.
    Delete(DeleteArgs),
}

/// Arguments of `store list`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate store list
  tidegate store list --state failing --state credentials
  tidegate store list --project web --adapter influxdb --sort oldest-undelivered
  tidegate store list --search central --json")]
pub struct ListArgs {
    /// Stores in this state; repeatable.
    #[arg(long, value_name = "STATE", value_parser = PossibleValuesParser::new(STORE_STATES))]
    pub state: Vec<String>,
    /// Stores with this adapter.
    #[arg(long, value_name = "NAME")]
    pub adapter: Option<String>,
    /// Stores of this project.
    #[arg(long)]
    pub project: Option<String>,
    /// Stores that get this metric set.
    #[arg(long, value_name = "SET")]
    pub set: Option<String>,
    /// Stores with these words in name, project, adapter, metric sets or state.
    #[arg(long, value_name = "WORDS")]
    pub search: Option<String>,
    /// What comes first.
    #[arg(long, value_enum)]
    pub sort: Option<StoreOrder>,
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Orders of stores.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum StoreOrder {
    /// By name.
    Name,
    /// By state.
    State,
    /// Those whose oldest window waits longest.
    OldestUndelivered,
    /// Those that shared last.
    LastShared,
}

impl ListArgs {
    fn query(&self) -> Vec<(&'static str, &str)> {
        let mut query: Vec<(&str, &str)> = self.state.iter().map(|state| ("status.state", state.as_str())).collect();
        let texts = [
            ("adapter", &self.adapter),
            ("project", &self.project),
            ("metric_sets", &self.set),
            ("search", &self.search),
        ];
        query.extend(texts.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))));
        query.extend(self.sort.map(|order| {
            let member = match order {
                StoreOrder::Name => "name",
                StoreOrder::State => "status.state",
                StoreOrder::OldestUndelivered => "status.oldest_undelivered",
                StoreOrder::LastShared => "-status.last_shared",
            };
            ("sort", member)
        }));
        query
    }
}

/// Arguments of `store show` and `store preview`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate store show web/central
  tidegate store preview web/central > next-push.txt
  tidegate store show central --project \"a/b\"     for a project with a slash in its name")]
pub struct OneArgs {
    /// The store, as PROJECT/STORE.
    #[arg(value_name = "PROJECT/STORE")]
    pub store: String,
    /// The project, if its name has a slash in it.
    #[arg(long)]
    pub project: Option<String>,
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Arguments of `store show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Show the password of a pull store's page.
    #[arg(long)]
    pub reveal: bool,
    /// Which store, and how.
    #[command(flatten)]
    pub one: OneArgs,
}

/// Arguments of `store rename`.
#[derive(Debug, Args)]
pub struct RenameArgs {
    /// Which store.
    #[command(flatten)]
    pub store: OneArgs,
    /// Its new name.
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// Arguments of `store delete`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("backlog").required(true))]
pub struct DeleteArgs {
    /// Which store.
    #[command(flatten)]
    pub store: OneArgs,
    /// Deliver what is queued first; no new windows are queued.
    #[arg(long, group = "backlog")]
    pub drain: bool,
    /// Delete it at once: what is queued is recorded as expired.
    #[arg(long, group = "backlog")]
    pub expire: bool,
}

impl OneArgs {
    pub(super) fn path(&self) -> Result<[&str; 4], CliError> {
        let (project, store) = match &self.project {
            Some(project) => (project.as_str(), self.store.as_str()),
            None => self.store.split_once('/').ok_or_else(|| {
                CliError::Failed(format!("{:?}: expected PROJECT/STORE, for example web/central", self.store))
            })?,
        };
        Ok(["projects", project, "stores", store])
    }
}

pub(crate) async fn run(command: StoreCommand, out: &mut Output) -> Result<ExitCode, CliError> {
    match command {
        StoreCommand::List(args) => {
            let client = ApiClient::new(&args.ask.server)?;
            let answer = client.list_with(&["stores"], "metric_stores", &args.query()).await?;
            out.show(args.ask.json, &answer, list)?;
        }
        StoreCommand::Show(args) => {
            let ShowArgs { reveal, one: args } = args;
            let query: &[(&str, &str)] = if reveal { &[("reveal", "true")] } else { &[] };
            let answer = ApiClient::new(&args.ask.server)?.get_with(&args.path()?, query).await?;
            out.show(args.ask.json, &answer, |out, store| show(out, store, reveal))?;
        }
        StoreCommand::Pause(args) => act(&args, "pause", &json!({}), out, "paused").await?,
        StoreCommand::Resume(args) => act(&args, "resume", &json!({}), out, "goes on").await?,
        StoreCommand::Rename(args) => {
            let told = format!("is now called {}", args.name);
            act(&args.store, "rename", &json!({"name": args.name}), out, &told).await?;
        }
        StoreCommand::Delete(args) => {
            let backlog = if args.drain { "drain" } else { "expire" };
            let client = ApiClient::new(&args.store.ask.server)?;
            let answer = client.delete(&args.store.path()?, &[("backlog", backlog)]).await?;
            let (store, queued) = (&args.store.store, answer["queued"].as_u64());
            let told = match queued {
                Some(queued) => format!("{store} is deleted once {queued} windows are delivered"),
                None => format!("{store} is deleted"),
            };
            out.done(
                args.store.ask.json,
                &json!({"store": store, "deleted": queued.is_none(), "queued": queued}),
                told,
            )?;
        }
        StoreCommand::Preview(args) => {
            let [a, b, c, d] = args.path()?;
            let answer = ApiClient::new(&args.ask.server)?.get(&[a, b, c, d, "preview"]).await?;
            out.show(args.ask.json, &answer, preview)?;
        }
        StoreCommand::Check(args) => {
            let [a, b, c, d] = args.path()?;
            let answer = ApiClient::new(&args.ask.server)?.post(&[a, b, c, d, "check"], &[], &Json::Null).await?;
            out.show(args.ask.json, &answer, checked)?;
            let good = matches!(answer["outcome"].as_str(), Some("holds" | "not-offered"));
            return Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        StoreCommand::Test(args) => return super::store_windows::test(&args, out).await,
        StoreCommand::Windows(args) => super::store_windows::windows(&args, out).await?,
        StoreCommand::Rotate(args) => {
            let [a, b, c, d] = args.path()?;
            let answer = ApiClient::new(&args.ask.server)?.post(&[a, b, c, d, "pull-token"], &[], &Json::Null).await?;
            out.show(args.ask.json, &answer, |out, answer| {
                out.note("The old URL and login are refused from now on. Enter the new ones in the product:");
                reading(out, &answer["pull"], true)
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Posts to a store's action.
async fn act(args: &OneArgs, action: &str, body: &Json, out: &mut Output, told: &str) -> Result<(), CliError> {
    let [a, b, c, d] = args.path()?;
    ApiClient::new(&args.ask.server)?.post(&[a, b, c, d, action], &[], body).await?;
    out.done(args.ask.json, &json!({"store": args.store, "done": action}), format_args!("{} {told}", args.store))
}

pub(super) fn text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => "-".to_owned(),
        Json::Array(items) if items.is_empty() => "-".to_owned(),
        Json::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// Microseconds since the epoch, as people write a time.
pub(super) fn moment(value: &Json) -> String {
    let at = value.as_u64().and_then(|micros| Timestamp::from_second(i64::try_from(micros / 1_000_000).ok()?).ok());
    at.map_or_else(|| "never".to_owned(), |at| at.to_string())
}

fn list(out: &mut Output, answer: &Json) -> Result<(), CliError> {
    let stores = answer["metric_stores"].as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |store: &Json| {
        let status = &store["status"];
        vec![
            format!("{}/{}", text(&store["project"]), text(&store["name"])),
            text(&store["adapter"]),
            text(&status["direction"]),
            format!("{} s", text(&store["period"])),
            text(&status["state"]),
            moment(&status["last_shared"]),
            text(&status["deliveries"]["queued"]),
            text(&status["summary"]),
        ]
    };
    let head = ["store", "adapter", "direction", "period", "state", "last shared", "queued", "summary"];
    out.table(&head, stores.iter().map(row).collect(), "There is no such store; `tidegate apply` makes stores.")
}

fn checked(out: &mut Output, answer: &Json) -> Result<(), CliError> {
    let reason = answer["reason"].as_str().unwrap_or_default();
    match answer["outcome"].as_str() {
        Some("holds") => out.line("The sink takes these settings."),
        Some("fails") => out.line(format_args!("The sink does not take these settings: {reason}")),
        Some("not-offered") => {
            out.line("Not checked: this sink offers no such check. `tidegate store show` tells how deliveries go.")
        }
        _ => out.line(format_args!("No answer that says either: {reason}")),
    }
}

/// What to enter in the product: each field by itself, so that it can be copied as it stands.
fn reading(out: &mut Output, pull: &Json, revealed: bool) -> Result<(), CliError> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for entry in pull["guide"].as_array().into_iter().flatten() {
        fields.push((text(&entry["label"]), text(&entry["text"])));
    }
    if fields.is_empty() {
        for (label, member) in [("URL", "url"), ("User name", "user"), ("Password", "password")] {
            if let Some(value) = pull[member].as_str() {
                fields.push((label.to_owned(), value.to_owned()));
            }
        }
    }
    for (label, value) in fields {
        out.line(format_args!("\n{label}:"))?;
        out.line(value.trim_end())?;
    }
    if !revealed && pull["password"].is_string() {
        out.note("\nThe password is hidden; --reveal shows it.");
    }
    Ok(())
}

fn show(out: &mut Output, store: &Json, revealed: bool) -> Result<(), CliError> {
    let status = &store["status"];
    let mut line = |name: &str, value: String| out.line(format_args!("{name:<16}{value}"));
    line("store", format!("{}/{}", text(&store["project"]), text(&store["name"])))?;
    line("adapter", format!("{} ({})", text(&store["adapter"]), text(&status["direction"])))?;
    for (name, told) in adapter_show::version(store) {
        line(name, told)?;
    }
    line("period", format!("{} s", text(&store["period"])))?;
    line("metric sets", text(&store["metric_sets"]))?;
    for (key, value) in store["settings"].as_object().into_iter().flatten() {
        line("setting", format!("{key} = {}", text(value)))?;
    }
    line("state", format!("{}: {}", text(&status["state"]), text(&status["summary"])))?;
    if let Some(problem) = status["problem"].as_str() {
        line("problem", problem.to_owned())?;
    }
    if let Some(note) = status["note"].as_str() {
        line("note", note.to_owned())?;
    }
    for folded in status["folded"].as_array().into_iter().flatten() {
        let of = |member: &str| text(&folded[member]);
        let told = format!(
            "{}/{}: {} groups share the row `other`; fewer groups, or --max-groups of `tidegate serve`, give each its own",
            of("metric_set"),
            of("metric"),
            of("groups")
        );
        line("too many groups", told)?;
    }
    line("last shared", moment(&status["last_shared"]))?;
    line("next window", format!("ends {}", moment(&status["next_window_end"])))?;
    if !status["next_try"].is_null() {
        line("next try", format!("not before {}", moment(&status["next_try"])))?;
    }
    if let Some(url) = store["pull"]["url"].as_str() {
        line("pages read", text(&status["pages"]))?;
        line("pull URL", url.to_owned())?;
        reading(out, &store["pull"], revealed)?;
    } else {
        let count = |name: &str| text(&status["deliveries"][name]);
        line(
            "windows",
            format!(
                "{} delivered, {} queued, {} rejected, {} expired",
                count("confirmed"),
                count("queued"),
                count("rejected"),
                count("expired")
            ),
        )?;
        line("rows", format!("{} accepted, {} rejected", count("accepted_rows"), count("rejected_rows")))?;
    }
    for (n, limit) in status["limits"].as_array().into_iter().flatten().enumerate() {
        let of = |member: &str| text(&limit[member]);
        let told = format!("{:<22}{} of {} {}", of("name"), of("used"), of("limit"), of("unit"));
        out.line(format_args!("{:<16}{}", if n == 0 { "limits" } else { "" }, told.trim_end()))?;
    }
    Ok(())
}

fn preview(out: &mut Output, answer: &Json) -> Result<(), CliError> {
    for part in answer["parts"].as_array().into_iter().flatten() {
        let set =
            part["metric_set"].as_str().map_or_else(|| "all metric sets".to_owned(), |set| format!("metric set {set}"));
        let window = &part["window"];
        let so_far = if part["in_progress"] == Json::Bool(true) { ", which is in progress" } else { "" };
        let at = |member: &str| moment(&json!(window[member].as_u64().unwrap_or_default().saturating_mul(1_000_000)));
        out.note(format_args!("{set}, window [{}, {}){so_far}", at("start"), at("end")));
        message(out, part)?;
    }
    Ok(())
}

/// A request, stream or page as it would leave.
pub(super) fn message(out: &mut Output, part: &Json) -> Result<(), CliError> {
    if let Some(reason) = part["nothing"].as_str() {
        out.note(format_args!("nothing: {reason}\n"));
        return Ok(());
    }
    out.line(text(&part["request_line"]))?;
    for header in part["headers"].as_array().into_iter().flatten() {
        out.line(format_args!("{}: {}", text(&header[0]), text(&header[1])))?;
    }
    if part["gzip"] == Json::Bool(true) {
        out.note("The body is shown as it is before compression.");
    }
    out.line("")?;
    match (part["body"]["text"].as_str(), part["body"]["base64"].as_str()) {
        (Some(text), _) => out.bytes(text.as_bytes())?,
        (None, Some(coded)) => {
            let bytes = BASE64_STANDARD.decode(coded).map_err(|e| CliError::failed("the answer is damaged", e))?;
            out.bytes(&bytes)?;
        }
        (None, None) => {}
    }
    out.line("")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::testing::Captured;

    fn store() -> Json {
        json!({"project": "web", "name": "central", "adapter": "influxdb", "period": 60, "metric_sets": ["crashes"],
            "settings": {"url": "http://h", "password": "…"},
            "status": {"direction": "push", "state": "ok", "summary": "All shared.", "problem": null,
                "last_shared": 1_800_000_000_000_000_u64, "next_window_end": 1_800_000_060_000_000_u64, "pull_path": null,
                "deliveries": {"queued": 0, "confirmed": 5, "rejected": 0, "expired": 0, "accepted_rows": 9, "rejected_rows": 0}}})
    }

    #[test]
    fn a_store_is_shown_with_its_state_and_times_for_people() {
        let captured = Captured::default();
        let mut out = captured.output();
        show(&mut out, &store(), false).unwrap();
        list(&mut out, &json!({"metric_stores": [store()]})).unwrap();
        let text = captured.text();
        assert!(text.contains("last shared     2027-01-15T08:00:00Z"), "{text}");
        assert!(text.contains("windows         5 delivered, 0 queued"), "{text}");
        assert!(text.contains("web/central  influxdb  push"), "{text}");
    }

    #[test]
    fn a_pull_store_is_shown_with_each_field_on_lines_of_its_own() {
        let mut store = store();
        store["status"]["pages"] = json!(3);
        store["pull"] = json!({"url": "https://h/pull/abc", "user": "u", "password": "…",
            "guide": [{"label": "URL", "text": "https://h/pull/abc"}, {"label": "Configuration", "text": "a: b\n  c: d\n"}]});
        let captured = Captured::default();
        show(&mut captured.output(), &store, false).unwrap();
        let text = captured.text();
        assert!(text.contains("pull URL        https://h/pull/abc\n"), "{text}");
        assert!(text.contains("\nURL:\nhttps://h/pull/abc\n"), "{text}");
        assert!(text.contains("\nConfiguration:\na: b\n  c: d\n"), "{text}");
        let captured = Captured::default();
        reading(&mut captured.output(), &json!({"url": "https://h/pull/abc"}), true).unwrap();
        assert_eq!(captured.text(), "\nURL:\nhttps://h/pull/abc\n");
    }

    #[test]
    fn each_outcome_of_a_check_is_told_in_words() {
        for (outcome, part) in [
            ("holds", "takes these"),
            ("fails", "does not take these settings: why"),
            ("not-offered", "Not checked"),
            ("unclear", "either: why"),
        ] {
            let captured = Captured::default();
            checked(&mut captured.output(), &json!({"outcome": outcome, "reason": "why"})).unwrap();
            assert!(captured.text().contains(part), "{}", captured.text());
        }
    }

    #[test]
    fn a_preview_gives_the_bytes_as_they_would_leave() {
        let captured = Captured::default();
        let part = json!({"metric_set": "crashes", "request_line": "POST http://h/write", "headers": [["authorization", "Token <token>"]],
            "body": {"text": "errors v=1 2\n"}});
        let binary = json!({"request_line": "POST http://h/x", "headers": [], "body": {"base64": "AAE="}});
        preview(&mut captured.output(), &json!({"parts": [part, binary]})).unwrap();
        let text = captured.text();
        assert!(text.contains("POST http://h/write\nauthorization: Token <token>\n\nerrors v=1 2\n"), "{text}");
        assert!(text.ends_with("POST http://h/x\n\n\0\u{1}\n"), "{text:?}");
    }
}
