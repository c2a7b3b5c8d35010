//! `tidegate metric`.

use super::client::{ApiClient, AskArgs};
use super::store::{moment, text};
use super::{CliError, Output};
use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// Commands about metrics.
#[derive(Debug, Subcommand)]
pub enum MetricCommand {
    /// What a query gives over the last windows, without saving or sending anything.
    Preview(PreviewArgs),
    /// Give a metric another name. Its series keep theirs, unless you ask for more.
    Rename(RenameArgs),
    /// Give a metric set another name. Its series keep theirs, unless you ask for more.
    RenameSet(RenameSetArgs),
    /// Put a metric into another set, under its name or another one.
    Move(MoveArgs),
}

/// Arguments of `metric rename`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate metric rename --project web crashes/errors faults
  tidegate metric rename --project web crashes/errors faults --rename-series")]
pub struct RenameArgs {
    /// The project.
    #[arg(long)]
    pub project: String,
    /// The metric, as SET/METRIC.
    #[arg(value_name = "SET/METRIC")]
    pub metric: String,
    /// Its new name.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Whether series follow.
    #[command(flatten)]
    pub series: SeriesArgs,
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Arguments of `metric rename-set`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate metric rename-set --project web crashes health
  tidegate metric rename-set --project web crashes health --rename-series")]
pub struct RenameSetArgs {
    /// The project.
    #[arg(long)]
    pub project: String,
    /// The metric set.
    #[arg(value_name = "SET")]
    pub set: String,
    /// Its new name.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Whether series follow.
    #[command(flatten)]
    pub series: SeriesArgs,
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Whether series follow a rename.
#[derive(Debug, Args)]
pub struct SeriesArgs {
    /// Send the new name, too, from the next window on. Graphs and alerts that ask for the old one find nothing newer then.
    #[arg(long)]
    pub rename_series: bool,
}

/// Arguments of `metric move`.
#[derive(Debug, Args)]
#[command(
    after_help = "The stores of the other set get it from the next window on, those of the old one no more. Where the name of the set stands in
series (Graphite and Circonus, for example), they begin anew.

Examples:
  tidegate metric move --project web crashes/errors sales/errors
  tidegate metric move --project web crashes/errors sales/faults --rename-series"
)]
pub struct MoveArgs {
    /// The project.
    #[arg(long)]
    pub project: String,
    /// The metric, as SET/METRIC.
    #[arg(value_name = "SET/METRIC")]
    pub from: String,
    /// Where it goes, as SET/METRIC.
    #[arg(value_name = "NEW-SET/METRIC")]
    pub to: String,
    /// Whether series follow.
    #[command(flatten)]
    pub series: SeriesArgs,
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Arguments of `metric preview`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate metric preview --project web --query '{\"fold\": {\"_tx\": [[\"count\"]]}}'
  tidegate metric preview --project web --metric crashes/errors --windows 5
  tidegate metric preview --project web --query-file users.json --period 3600 --json")]
pub struct PreviewArgs {
    /// The project.
    #[arg(long)]
    pub project: String,
    /// The query, in Backtrace's JSON form.
    #[arg(long, value_name = "JSON", group = "what", required = true)]
    pub query: Option<String>,
    /// A file that holds the query.
    #[arg(long, value_name = "FILE", group = "what")]
    pub query_file: Option<PathBuf>,
    /// A metric that is saved already.
    #[arg(long, value_name = "SET/METRIC", group = "what")]
    pub metric: Option<String>,
    /// Length of a window in seconds.
    #[arg(long, default_value_t = 60)]
    pub period: u32,
    /// How many windows, the last one first.
    #[arg(long, default_value_t = 1)]
    pub windows: u32,
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

pub(crate) async fn run(command: MetricCommand, out: &mut Output) -> Result<ExitCode, CliError> {
    let args = match command {
        MetricCommand::Preview(args) => args,
        MetricCommand::Rename(args) => {
            let (set, _) = parts(&args.metric)?;
            let to = format!("{set}/{}", args.name);
            let (from, follow) = (&args.metric, args.series.rename_series);
            return move_to(&args.ask, &args.project, (from, &to), follow, out).await;
        }
        MetricCommand::RenameSet(args) => return rename_set(&args, out).await,
        MetricCommand::Move(args) => {
            let (path, follow) = ((&*args.from, &*args.to), args.series.rename_series);
            return move_to(&args.ask, &args.project, path, follow, out).await;
        }
    };
    let client = ApiClient::new(&args.ask.server)?;
    let query = query(&args, &client).await?;
    let wish = json!({"query": query, "period": args.period, "windows": args.windows});
    let answer = client.post(&["projects", &args.project, "metric-preview"], &[], &wish).await?;
    out.show(args.ask.json, &answer, show)?;
    Ok(ExitCode::SUCCESS)
}

fn parts(path: &str) -> Result<(&str, &str), CliError> {
    let parts = path.split_once('/');
    parts.ok_or_else(|| CliError::Failed(format!("{path:?}: expected SET/METRIC, for example crashes/errors")))
}

async fn move_to(
    ask: &AskArgs,
    project: &str,
    (from, to): (&str, &str),
    follow: bool,
    out: &mut Output,
) -> Result<ExitCode, CliError> {
    let (set, metric) = parts(from)?;
    // A name may have slashes in it; that of a set has none here.
    let (to_set, name) = parts(to)?;
    let path = ["projects", project, "metric-sets", set, "metrics", metric, "move"];
    let wish = json!({"metric_set": to_set, "name": name, "rename_series": follow});
    let moved = ApiClient::new(&ask.server)?.post(&path, &[], &wish).await?;
    let told = format!("{from} is now {to}; its series carry the name {}", text(&moved["series"]));
    out.done(ask.json, &moved, told)?;
    Ok(ExitCode::SUCCESS)
}

async fn rename_set(args: &RenameSetArgs, out: &mut Output) -> Result<ExitCode, CliError> {
    let path = ["projects", &args.project, "metric-sets", &args.set, "rename"];
    let (client, follow) = (ApiClient::new(&args.ask.server)?, args.series.rename_series);
    client.post(&path, &[], &json!({"name": args.name, "rename_series": follow})).await?;
    let set = client.get(&["projects", &args.project, "metric-sets", &args.name]).await?;
    let series = text(&set["series"]);
    let told = format!("{} is now {}; its series carry the name {series}", args.set, args.name);
    out.done(args.ask.json, &set, told)?;
    Ok(ExitCode::SUCCESS)
}

async fn query(args: &PreviewArgs, client: &ApiClient) -> Result<Json, CliError> {
    if let Some(path) = &args.metric {
        let (set, metric) = parts(path)?;
        let path = ["projects", &args.project, "metric-sets", set, "metrics", metric];
        return Ok(client.get(&path).await?["query"].take());
    }
    let (text, whence) = match (&args.query, &args.query_file) {
        (Some(query), _) => (query.clone(), "--query".to_owned()),
        (None, Some(file)) => {
            (std::fs::read_to_string(file).map_err(|e| CliError::file(file, e))?, file.display().to_string())
        }
        (None, None) => return Err(CliError::Failed("give --query, --query-file or --metric".to_owned())),
    };
    serde_json::from_str(&text).map_err(|e| CliError::failed(&format!("{whence} is not JSON"), e))
}

fn show(out: &mut Output, answer: &Json) -> Result<(), CliError> {
    for dropped in answer["dropped_time_frame"].as_array().into_iter().flatten() {
        out.note(format_args!("time frame dropped: {}", dropped.as_str().unwrap_or_default()));
    }
    for shown in answer["windows"].as_array().into_iter().flatten() {
        let at = |member: &str| {
            moment(&json!(shown["window"][member].as_u64().unwrap_or_default().saturating_mul(1_000_000)))
        };
        out.line(format_args!("[{}, {})  {} rows", at("start"), at("end"), shown["rows_in_all"]))?;
        let mut head: Vec<String> = shown["dimensions"].as_array().into_iter().flatten().map(text).collect();
        let measures = shown["measures"].as_array().into_iter().flatten();
        head.extend(measures.map(|m| format!("{}({})", text(&m["aggregate"]), text(&m["attribute"]))));
        let rows = shown["rows"].as_array().into_iter().flatten().map(cells).collect();
        let head: Vec<&str> = head.iter().map(String::as_str).collect();
        out.table(&head, rows, "  no rows")?;
    }
    Ok(())
}

fn cells(row: &Json) -> Vec<String> {
    let group = row["group"].as_array().into_iter().flatten().map(|g| g.as_str().unwrap_or_default().to_owned());
    let value = |v: &Json| v.as_f64().map_or_else(|| "-".to_owned(), |number| number.to_string());
    group.chain(row["values"].as_array().into_iter().flatten().map(value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::testing::Captured;

    #[test]
    fn windows_are_shown_as_tables_and_a_missing_value_as_a_dash() {
        let captured = Captured::default();
        let answer = json!({"dropped_time_frame": [], "windows": [{
            "window": {"start": 1_800_000_000, "end": 1_800_000_060}, "rows_in_all": 2, "dimensions": ["app.version"],
            "measures": [{"attribute": "_tx", "aggregate": "count"}],
            "rows": [{"group": ["1.0"], "values": [12.0]}, {"group": [""], "values": [null]}]}]});
        show(&mut captured.output(), &answer).unwrap();
        let text = captured.text();
        assert!(
            text.starts_with("[2027-01-15T08:00:00Z, 2027-01-15T08:01:00Z)  2 rows\nAPP.VERSION  COUNT(_TX)\n1.0"),
            "{text}"
        );
        assert!(text.contains("12") && text.trim_end().ends_with('-'), "{text}");
    }
}
