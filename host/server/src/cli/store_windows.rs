//! `tidegate store test` and `tidegate store windows`: a point to try a store with, and what became of its windows.

use super::client::ApiClient;
use super::store::OneArgs;
use super::{CliError, Output, time};
use clap::Args;
use clap::builder::PossibleValuesParser;
use jiff::Timestamp;
use serde_json::Value as Json;
use std::process::ExitCode;
use tidegate_export::WINDOW_OUTCOMES;

/// Arguments of `store windows`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate store windows web/central
  tidegate store windows web/central --outcome rejected --since 24h
  tidegate store windows web/central --set crashes --until 2026-11-22T13:00:00Z --limit 100")]
pub struct WindowsArgs {
    /// Windows of which this became; those of stores that are read are evaluated, not confirmed.
    #[arg(long, value_parser = PossibleValuesParser::new(WINDOW_OUTCOMES))]
    pub outcome: Option<String>,
    /// Windows of this metric set.
    #[arg(long, value_name = "SET")]
    pub set: Option<String>,
    /// Windows that begin at this time or later: 90s, 15m, 24h, 7d ago, or a moment such as 2026-11-01T00:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = time::argument)]
    pub since: Option<u64>,
    /// Windows that begin before this time.
    #[arg(long, value_name = "TIME", value_parser = time::argument)]
    pub until: Option<u64>,
    /// The oldest window first.
    #[arg(long)]
    pub oldest_first: bool,
    /// How many windows.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    /// Which store, and how.
    #[command(flatten)]
    pub one: OneArgs,
}

/// Sends a test point. The exit code says whether it was accepted.
pub(crate) async fn test(args: &OneArgs, out: &mut Output) -> Result<ExitCode, CliError> {
    let [a, b, c, d] = args.path()?;
    let answer = ApiClient::new(&args.ask.server)?.post(&[a, b, c, d, "test"], &[], &Json::Null).await?;
    out.show(args.ask.json, &answer, told)?;
    Ok(if answer["accepted"] == true { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn told(out: &mut Output, answer: &Json) -> Result<(), CliError> {
    if let Some(line) = answer["request_line"].as_str() {
        out.line(format_args!("sent: {line}"))?;
    }
    let status = answer["status"].as_u64().map(|status| format!(" (HTTP status {status})")).unwrap_or_default();
    match answer["reason"].as_str() {
        None => out.line(format_args!("The point tidegate_test was accepted{status}.")),
        Some(reason) => out.line(format_args!("The point tidegate_test was not accepted{status}: {reason}")),
    }
}

/// The windows of a store.
pub(crate) async fn windows(args: &WindowsArgs, out: &mut Output) -> Result<(), CliError> {
    let [a, b, c, d] = args.one.path()?;
    let mut query = vec![("limit", args.limit.to_string())];
    query.extend(args.outcome.iter().map(|outcome| ("outcome", outcome.clone())));
    query.extend(args.set.iter().map(|set| ("metric_set", set.clone())));
    query.extend(args.since.map(|time| ("since", time.to_string())));
    query.extend(args.until.map(|time| ("until", time.to_string())));
    if args.oldest_first {
        query.push(("sort", "start".to_owned()));
    }
    let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let client = ApiClient::new(&args.one.ask.server)?;
    let answer = client.get_with(&[a, b, c, d, "windows"], &query).await?;
    out.show(args.one.ask.json, &answer, |out, answer| {
        let windows = answer["windows"].as_array().map(Vec::as_slice).unwrap_or_default();
        let head = ["metric set", "start", "end", "outcome", "rows", "reason"];
        out.table(&head, windows.iter().map(row).collect(), "No window is like that; none may have ended yet. Windows that were never evaluated are in `tidegate ledger gaps`.")
    })
}

fn row(window: &Json) -> Vec<String> {
    let delivery = &window["delivery"];
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let state = if delivery.is_null() { &window["state"] } else { &delivery["state"] };
    let rows = match (delivery["accepted_rows"].as_u64(), delivery["rejected_rows"].as_u64()) {
        (Some(accepted), Some(rejected)) if accepted + rejected > 0 => {
            format!("{accepted} of {}", accepted + rejected)
        }
        _ => window["rows"].to_string(),
    };
    let reason = if delivery["problem"].is_string() { &delivery["problem"] } else { &window["reason"] };
    vec![
        super::ledger::set_or_metric(window),
        moment(&window["start"]),
        moment(&window["end"]),
        text(state),
        rows,
        text(reason),
    ]
}

fn moment(seconds: &Json) -> String {
    let moment = seconds.as_i64().and_then(|seconds| Timestamp::from_second(seconds).ok());
    moment.map_or_else(|| seconds.to_string(), |moment| moment.to_string())
}
