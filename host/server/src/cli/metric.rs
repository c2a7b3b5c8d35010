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
    /// Metric sets with their metrics, and the stores that get them.
    List(ListArgs),
    /// One metric: its query, the name that its series carry, where it goes.
    Show(MetricArgs),
    /// What a query gives over the last windows, without saving or sending anything.
    Preview(PreviewArgs),
    /// Give a metric another name. Its series keep theirs, unless you ask for more.
    Rename(RenameArgs),
    /// Give a metric set another name. Its series keep theirs, unless you ask for more.
    RenameSet(RenameSetArgs),
    /// Put a metric into another set, under its name or another one.
    Move(MoveArgs),
    /// Delete a metric. What was shared of it stays where it is.
    Delete(MetricArgs),
    /// Delete a metric set with its metrics. One that stores get has to be taken from them first.
    DeleteSet(SetArgs),
}

/// A project, and how it is asked about.
#[derive(Debug, Args)]
pub struct InArgs {
    /// The project.
    #[arg(long)]
    pub project: String,
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// A metric.
#[derive(Debug, Args)]
pub struct MetricArgs {
    /// The metric, as SET/METRIC.
    #[arg(value_name = "SET/METRIC")]
    pub metric: String,
    /// In which project.
    #[command(flatten)]
    pub of: InArgs,
}

/// A metric set.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// The metric set.
    #[arg(value_name = "SET")]
    pub set: String,
    /// In which project.
    #[command(flatten)]
    pub of: InArgs,
}

/// Arguments of `metric list`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate metric list --project web
  tidegate metric list --project web --search crash --json")]
pub struct ListArgs {
    /// Sets whose name has these words in it.
    #[arg(long, value_name = "WORDS")]
    pub search: Option<String>,
    /// In which project.
    #[command(flatten)]
    pub of: InArgs,
}

/// A new name, and whether series follow.
#[derive(Debug, Args)]
pub struct NewNameArgs {
    /// The new name.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Whether series follow.
    #[command(flatten)]
    pub series: SeriesArgs,
}

/// Arguments of `metric rename`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate metric rename --project web crashes/errors faults
  tidegate metric rename --project web crashes/errors faults --rename-series")]
pub struct RenameArgs {
    /// Which metric.
    #[command(flatten)]
    pub one: MetricArgs,
    /// Its new name.
    #[command(flatten)]
    pub to: NewNameArgs,
}

/// Arguments of `metric rename-set`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate metric rename-set --project web crashes health
  tidegate metric rename-set --project web crashes health --rename-series")]
pub struct RenameSetArgs {
    /// Which set.
    #[command(flatten)]
    pub one: SetArgs,
    /// Its new name.
    #[command(flatten)]
    pub to: NewNameArgs,
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
    /// Which metric.
    #[command(flatten)]
    pub one: MetricArgs,
    /// Where it goes, as SET/METRIC.
    #[arg(value_name = "NEW-SET/METRIC")]
    pub to: String,
    /// Whether series follow.
    #[command(flatten)]
    pub series: SeriesArgs,
}

/// Arguments of `metric preview`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate metric preview --project web --query '{\"fold\": {\"_tx\": [[\"count\"]]}}'
  tidegate metric preview --project web --metric crashes/errors --windows 5
  tidegate metric preview --project web --query-file users.json --period 3600 --json")]
pub struct PreviewArgs {
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
    /// In which project.
    #[command(flatten)]
    pub of: InArgs,
}

impl InArgs {
    fn client(&self) -> Result<ApiClient, CliError> {
        ApiClient::new(&self.ask.server)
    }

    fn set<'a>(&'a self, set: &'a str) -> [&'a str; 4] {
        ["projects", &self.project, "metric-sets", set]
    }

    fn metric<'a>(&'a self, path: &'a str) -> Result<[&'a str; 6], CliError> {
        let (set, metric) = parts(path)?;
        Ok(["projects", &self.project, "metric-sets", set, "metrics", metric])
    }
}

pub(crate) async fn run(command: MetricCommand, out: &mut Output) -> Result<ExitCode, CliError> {
    match command {
        MetricCommand::List(args) => {
            let query: Vec<(&str, &str)> = args.search.iter().map(|words| ("search", words.as_str())).collect();
            let path = ["projects", &args.of.project, "metric-sets"];
            let answer = args.of.client()?.list_with(&path, "metric_sets", &query).await?;
            out.show(args.of.ask.json, &answer, list)?;
        }
        MetricCommand::Show(args) => show_one(&args, out).await?,
        MetricCommand::Preview(args) => {
            let client = args.of.client()?;
            let query = query(&args, &client).await?;
            let wish = json!({"query": query, "period": args.period, "windows": args.windows});
            let answer = client.post(&["projects", &args.of.project, "metric-preview"], &[], &wish).await?;
            out.show(args.of.ask.json, &answer, show)?;
        }
        MetricCommand::Rename(RenameArgs { one, to }) => {
            let (set, _) = parts(&one.metric)?;
            move_to(&one, &format!("{set}/{}", to.name), &to.series, out).await?;
        }
        MetricCommand::RenameSet(args) => rename_set(&args, out).await?,
        MetricCommand::Move(args) => move_to(&args.one, &args.to, &args.series, out).await?,
        MetricCommand::Delete(args) => {
            args.of.client()?.delete(&args.of.metric(&args.metric)?, &[]).await?;
            let told = format_args!("{} is deleted", args.metric);
            out.done(args.of.ask.json, &json!({"deleted": args.metric}), told)?;
        }
        MetricCommand::DeleteSet(args) => {
            args.of.client()?.delete(&args.of.set(&args.set), &[]).await?;
            let told = format_args!("{} is deleted with its metrics", args.set);
            out.done(args.of.ask.json, &json!({"deleted": args.set}), told)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn parts(path: &str) -> Result<(&str, &str), CliError> {
    let parts = path.split_once('/');
    parts.ok_or_else(|| CliError::Failed(format!("{path:?}: expected SET/METRIC, for example crashes/errors")))
}

async fn move_to(one: &MetricArgs, to: &str, series: &SeriesArgs, out: &mut Output) -> Result<(), CliError> {
    // A name may have slashes in it; that of a set has none here.
    let (to_set, name) = parts(to)?;
    let path: Vec<&str> = one.of.metric(&one.metric)?.into_iter().chain(["move"]).collect();
    let wish = json!({"metric_set": to_set, "name": name, "rename_series": series.rename_series});
    let moved = one.of.client()?.post(&path, &[], &wish).await?;
    let told = format!("{} is now {to}; its series carry the name {}", one.metric, text(&moved["series"]));
    out.done(one.of.ask.json, &moved, told)
}

async fn rename_set(RenameSetArgs { one, to }: &RenameSetArgs, out: &mut Output) -> Result<(), CliError> {
    let path: Vec<&str> = one.of.set(&one.set).into_iter().chain(["rename"]).collect();
    let client = one.of.client()?;
    client.post(&path, &[], &json!({"name": to.name, "rename_series": to.series.rename_series})).await?;
    let set = client.get(&one.of.set(&to.name)).await?;
    let told = format!("{} is now {}; its series carry the name {}", one.set, to.name, text(&set["series"]));
    out.done(one.of.ask.json, &set, told)
}

/// A metric, with the stores that get its set.
async fn show_one(args: &MetricArgs, out: &mut Output) -> Result<(), CliError> {
    let client = args.of.client()?;
    let mut metric = client.get(&args.of.metric(&args.metric)?).await?;
    let mut set = client.get(&args.of.set(parts(&args.metric)?.0)).await?;
    metric["metric_stores"] = set["metric_stores"].take();
    out.show(args.of.ask.json, &metric, |out, metric| {
        out.line(format_args!("metric   {}", args.metric))?;
        out.line(format_args!("series   {}", text(&metric["series"])))?;
        out.line(format_args!("goes to  {}", stores(metric)))?;
        out.line(format_args!("query    {}", metric["query"]))
    })
}

/// The names of the stores that get a set.
fn stores(set: &Json) -> String {
    let names: Vec<String> = set["metric_stores"].as_array().into_iter().flatten().map(|s| text(&s["name"])).collect();
    if names.is_empty() { "no store".to_owned() } else { names.join(", ") }
}

fn list(out: &mut Output, answer: &Json) -> Result<(), CliError> {
    let mut rows = Vec::new();
    for set in answer["metric_sets"].as_array().into_iter().flatten() {
        let series = set["last_window"]["rows"].as_u64().map_or_else(|| "-".to_owned(), |rows| rows.to_string());
        let metrics = set["metrics"].as_array().map(Vec::as_slice).unwrap_or_default();
        if metrics.is_empty() {
            rows.push(vec![text(&set["name"]), stores(set), series.clone(), "no metric".to_owned()]);
        }
        for (at, metric) in metrics.iter().enumerate() {
            let of_set = [stores(set), series.clone()].map(|cell| if at == 0 { cell } else { String::new() });
            let mut row = vec![format!("{}/{}", text(&set["name"]), text(&metric["name"]))];
            row.extend(of_set);
            row.push(metric["query"].to_string());
            rows.push(row);
        }
    }
    let nothing = "There are no metric sets; `tidegate query --save-as SET/METRIC` or `tidegate apply` makes them.";
    out.table(&["metric", "stores of its set", "rows of it, last window", "query"], rows, nothing)
}

async fn query(args: &PreviewArgs, client: &ApiClient) -> Result<Json, CliError> {
    if let Some(path) = &args.metric {
        return Ok(client.get(&args.of.metric(path)?).await?["query"].take());
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
    fn a_set_is_listed_with_its_metrics_and_where_it_goes() {
        let captured = Captured::default();
        let metric = |name: &str| json!({"name": name, "query": {"fold": {"_tx": [["count"]]}}});
        let sets = json!({"metric_sets": [
            {"name": "crashes", "metrics": [metric("errors"), metric("users")], "metric_stores": [{"name": "central", "period": 60}],
                "last_window": {"rows": 7, "end": 0}},
            {"name": "empty", "metrics": [], "metric_stores": [], "last_window": null}]});
        list(&mut captured.output(), &sets).unwrap();
        let told = captured.text();
        let lines: Vec<&str> = told.lines().collect();
        assert!(lines[1].starts_with("crashes/errors  central"), "{told}");
        assert!(lines[1].contains("  7  ") && lines[1].ends_with(r#"{"fold":{"_tx":[["count"]]}}"#), "{told}");
        assert!(lines[2].starts_with("crashes/users    ") && !lines[2].contains("central"), "{told}");
        assert!(lines[3].starts_with("empty           no store") && lines[3].ends_with("no metric"), "{told}");
    }

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
