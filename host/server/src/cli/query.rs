//! `tidegate query` and `tidegate describe`: questions about the events that are stored.

use super::client::{ApiClient, AskArgs};
use super::question::{Question, QuestionArgs};
use super::{CliError, Output};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `query`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  How many errors and how many users of each kind, the most frequent first:
      tidegate query web --group error.type --unique _tx --unique guid --order=-count --since 24h
  The ten groups of errors that hit most users of one version:
      tidegate query web --filter 'application.version equal 2.1' --group fingerprint --unique guid \\
          --order='-unique(guid)' --limit 10 --since 7d
  Errors per hour, as CSV:
      tidegate query web --column 'hour=quantize(timestamp,3600)' --group hour --since 24h --csv
  The latest events that mention a timeout, with some of their attributes:
      tidegate query web --filter 'error.message contains/i timeout' --select timestamp,hostname,error.message \\
          --order=-timestamp --limit 20
  A query in Backtrace's JSON form, from a file or standard input:
      tidegate query web --query-file errors.json --json
  Keep it as a metric, which is evaluated in each window from then on:
      tidegate query web --group error.type --unique guid --save-as crashes/users

Filters: ATTRIBUTE OPERATOR [VALUE], all of which must hold. Operators: equal, not-equal, at-least, at-most, greater-than,
less-than, contains, not-contains, regular-expression, inverse-regular-expression, is-set, is-not-set; /i after one of the
contains and regular-expression family ignores case. Anything that flags cannot say, JSON can: docs/queries.md.
Without aggregates the events of each group are counted; _tx is the number of an event, so `--unique _tx` counts events, too.")]
pub struct QueryArgs {
    /// The project.
    #[arg(value_name = "PROJECT")]
    pub project: String,
    /// The query, in Backtrace's JSON form.
    #[arg(long, value_name = "JSON", conflicts_with = "query_file")]
    pub query: Option<String>,
    /// A file that holds the query; - reads standard input.
    #[arg(long, value_name = "FILE")]
    pub query_file: Option<PathBuf>,
    /// What to ask, in flags.
    #[command(flatten)]
    pub question: QuestionArgs,
    /// Print CSV, with a line of names first.
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// Print the query itself, as JSON, and ask nothing.
    #[arg(long, conflicts_with_all = ["json", "csv", "save_as"])]
    pub print_query: bool,
    /// Save the query as a metric instead of asking it.
    #[arg(long, value_name = "SET/METRIC", conflicts_with_all = ["csv"])]
    pub save_as: Option<String>,
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Arguments of `describe`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate describe web
  tidegate describe web --json")]
pub struct DescribeArgs {
    /// The project.
    #[arg(value_name = "PROJECT")]
    pub project: String,
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

pub(crate) async fn run(args: QueryArgs, out: &mut Output) -> Result<ExitCode, CliError> {
    let query = query(&args)?;
    if args.print_query {
        out.json(&query)?;
        return Ok(ExitCode::SUCCESS);
    }
    let client = ApiClient::new(&args.ask.server)?;
    if let Some(path) = &args.save_as {
        return save(&client, &args, path, query, out).await;
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent}% {msg}") {
        bar.set_style(style);
    }
    let path = ["projects", &args.project, "query"];
    let answer = client.post_watched(&path, &query, &mut |progress| show_progress(&bar, progress)).await;
    bar.finish_and_clear();
    show(out, &answer?, &args)?;
    Ok(ExitCode::SUCCESS)
}

fn query(args: &QueryArgs) -> Result<Json, CliError> {
    let (text, whence) = match (&args.query, &args.query_file) {
        (Some(query), _) => (query.clone(), "--query".to_owned()),
        (None, Some(file)) if file.as_os_str() == "-" => {
            let text = std::io::read_to_string(std::io::stdin()).map_err(|e| CliError::file(file, e))?;
            (text, "standard input".to_owned())
        }
        (None, Some(file)) => {
            (std::fs::read_to_string(file).map_err(|e| CliError::file(file, e))?, file.display().to_string())
        }
        (None, None) => return Question::new(jiff::Timestamp::now()).query(&args.question, json!({})),
    };
    let query = serde_json::from_str(&text).map_err(|e| CliError::failed(&format!("{whence} is not JSON"), e))?;
    Question::new(jiff::Timestamp::now()).query(&args.question, query)
}

fn show_progress(bar: &ProgressBar, progress: &Json) {
    let figure = |member: &str| progress[member].as_u64().unwrap_or_default();
    bar.set_length(figure("total"));
    bar.set_position(figure("done"));
    bar.set_message(format!("{} events", figure("events")));
}

async fn save(
    client: &ApiClient,
    args: &QueryArgs,
    path: &str,
    query: Json,
    out: &mut Output,
) -> Result<ExitCode, CliError> {
    let (set, metric) = path
        .split_once('/')
        .filter(|(set, metric)| !set.is_empty() && !metric.is_empty())
        .ok_or_else(|| CliError::Failed(format!("{path:?}: expected SET/METRIC, for example crashes/users")))?;
    let segments = ["projects", &args.project, "metric-sets", set, "metrics", metric];
    let document = json!({"query": query});
    let saved = match client.put(&segments, &document).await {
        // A set that is not there yet is made, but only for a metric that can be one.
        Err(CliError::Refused { status: 404, .. }) => {
            client.put(&segments[..4], &json!({})).await?;
            client.put(&segments, &document).await?
        }
        other => other?,
    };
    for dropped in saved["dropped_time_frame"].as_array().into_iter().flatten() {
        out.note(format_args!(
            "time frame dropped, a metric has windows instead: {}",
            dropped.as_str().unwrap_or_default()
        ));
    }
    out.show(args.ask.json, &saved, |out, _| out.line(format_args!("saved as metric {path} of {}", args.project)))?;
    Ok(ExitCode::SUCCESS)
}

fn show(out: &mut Output, answer: &Json, args: &QueryArgs) -> Result<(), CliError> {
    for unknown in answer["unknown_attributes"].as_array().into_iter().flatten().filter_map(Json::as_str) {
        out.note(format_args!(
            "no event of {} ever had the attribute {unknown:?}; `tidegate describe {}` lists those there are",
            args.project, args.project
        ));
    }
    out.show(args.ask.json, answer, |out, answer| table(out, answer, args.csv))
}

/// Rows for people, or as CSV.
fn table(out: &mut Output, answer: &Json, csv: bool) -> Result<(), CliError> {
    let list = |member: &str| answer[member].as_array().map(Vec::as_slice).unwrap_or_default();
    let selects = list("rows").first().is_some_and(|row| row.get("object").is_some())
        || list("columns").first().is_some_and(|column| column["kind"] == "attribute");
    let mut head: Vec<&str> = if selects { vec!["object"] } else { Vec::new() };
    head.extend(list("columns").iter().filter_map(|column| column["name"].as_str()));
    let text = if csv { csv_text } else { table_text };
    let cells = |row: &Json| -> Vec<String> {
        let values = row["values"].as_array().into_iter().flatten();
        if selects {
            std::iter::once(&row["object"]).chain(values).map(text).collect()
        } else {
            let group = row["group"].as_array().into_iter().flatten();
            group.chain(std::iter::once(&row["events"])).chain(values).map(text).collect()
        }
    };
    let rows: Vec<Vec<String>> = list("rows").iter().map(cells).collect();
    if csv {
        out.line(csv_line(&head.iter().map(|name| csv_field(name)).collect::<Vec<_>>()))?;
        return rows.iter().try_for_each(|row| out.line(csv_line(row)));
    }
    out.table(&head, rows, "no events match")?;
    let count = if selects { &answer["events"] } else { &answer["groups_having"] };
    let shown = list("rows").len() as u64;
    if count.as_u64().is_some_and(|all| all > shown && shown > 0) {
        out.note(format_args!("{shown} of {count} rows; --limit and --offset choose others"));
    }
    Ok(())
}

/// A value as people read it.
fn table_text(value: &Json) -> String {
    match value {
        Json::Null => "-".to_owned(),
        // A line break would tear the table apart.
        Json::String(text) => text.replace('\r', "").replace(['\n', '\t'], " "),
        Json::Array(list) => list.iter().map(pair_text).collect::<Vec<_>>().join(" "),
        Json::Object(members) => {
            let values = members.get("values").map(table_text).unwrap_or_default();
            let figure = |name: &str| members.get(name).cloned().unwrap_or_default();
            format!("{values} (of {} values, {} events not listed)", figure("keys"), figure("tail"))
        }
        other => other.to_string(),
    }
}

fn pair_text(value: &Json) -> String {
    match value.as_array().map(Vec::as_slice) {
        Some([from, to, n]) => format!("{}..{}:{}", table_text(from), table_text(to), table_text(n)),
        Some([value, n]) => format!("{}:{}", table_text(value), table_text(n)),
        _ => table_text(value),
    }
}

/// A value as RFC 4180 wants it; what is no plain value stays JSON.
fn csv_text(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => csv_field(text),
        Json::Array(_) | Json::Object(_) => csv_field(&value.to_string()),
        other => other.to_string(),
    }
}

fn csv_field(text: &str) -> String {
    // Empty text is quoted, so that it differs from no value.
    let plain = !text.is_empty() && !text.contains(['"', ',', '\n', '\r']);
    if plain { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

fn csv_line(fields: &[String]) -> String {
    fields.join(",")
}

pub(crate) async fn describe(args: DescribeArgs, out: &mut Output) -> Result<ExitCode, CliError> {
    let client = ApiClient::new(&args.ask.server)?;
    let answer = client.list(&["projects", &args.project, "describe"], "attributes").await?;
    if args.ask.json {
        out.json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let row = |attribute: &Json| {
        let types: Vec<String> = attribute["types"].as_array().into_iter().flatten().map(text).collect();
        let texts = attribute["texts"].as_u64().filter(|n| *n > 0).map_or_else(|| "-".to_owned(), |n| n.to_string());
        vec![text(&attribute["name"]), types.join(", "), text(&attribute["format"]), texts]
    };
    let rows: Vec<_> = answer["attributes"].as_array().into_iter().flatten().map(row).collect();
    let empty = rows.len() < 2;
    out.table(&["attribute", "types", "format", "distinct texts"], rows, "")?;
    if empty {
        out.note(format_args!("{} has no events yet; `tidegate events import` sends some", args.project));
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::testing::Captured;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn shown(line: &[&str], answer: Json) -> String {
        let cli = Cli::try_parse_from(["tidegate", "query", "web"].iter().chain(line)).unwrap();
        let Command::Query(args) = cli.command else { panic!("another command") };
        let captured = Captured::default();
        show(&mut captured.output(), &answer, &args).unwrap();
        captured.text()
    }

    fn groups() -> Json {
        json!({
            "columns": [{"name": "error.type", "kind": "group"}, {"name": "events", "kind": "count"}, {"name": "unique(guid)", "kind": "fold"},
                        {"name": "histogram(host)", "kind": "fold"}, {"name": "distribution(host)", "kind": "fold"}],
            "rows": [
                {"group": ["a \"b\"\nc"], "events": 3, "values": [2, [["h1", 2], ["h2", 1]], {"keys": 2, "tail": 1, "values": [["h1", 2]]}]},
                {"group": [null], "events": 1, "values": [null, [], {"keys": 0, "tail": 0, "values": []}]}],
            "events": 4, "groups_having": 7, "unknown_attributes": ["hots"],
        })
    }

    #[test]
    fn groups_are_shown_as_a_table_with_what_is_left_out_and_what_is_misspelt() {
        let text = shown(&[], groups());
        assert!(text.contains("\"hots\""), "{text}");
        assert!(text.contains("a \"b\" c") && text.contains("h1:2 h2:1"), "{text}");
        assert!(text.contains("h1:2 (of 2 values, 1 events not listed)"), "{text}");
        assert!(text.ends_with("2 of 7 rows; --limit and --offset choose others\n"), "{text}");
    }

    #[test]
    fn csv_keeps_every_character_and_tells_no_value_from_empty_text() {
        let answer = json!({
            "columns": [{"name": "a,b", "kind": "attribute"}, {"name": "c", "kind": "attribute"}],
            "rows": [{"object": "1f", "values": ["x\n\"y\"", null]}, {"object": "20", "values": ["", true]}], "events": 2,
        });
        assert_eq!(shown(&["--csv"], answer), "object,\"a,b\",c\n1f,\"x\n\"\"y\"\"\",\n20,\"\",true\n");
    }

    #[test]
    fn an_empty_answer_says_so() {
        assert_eq!(
            shown(&[], json!({"columns": [{"name": "events", "kind": "count"}], "rows": []})),
            "no events match\n"
        );
    }
}
