//! `tidegate audit`: who changed what.

use super::client::{ApiClient, AskArgs};
use super::store::{moment, text};
use super::{CliError, Output, time};
use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::Value as Json;
use std::process::ExitCode;
use tidegate_export::catalog::AUDIT_KINDS;

/// Arguments of `audit`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate audit
  tidegate audit --object \"project web\" --since 7d
  tidegate audit --object web/central --json
  tidegate audit --user ada --action delete
  tidegate audit --kind metric-store --search influx --all

The newest line comes first. With --json each line has what the thing looked like before and after; credentials are never
in it. Lines are kept for 400 days.")]
pub struct AuditArgs {
    /// About this thing and those below it, as in `project web`, `metric-store web/central` or, whatever it is, `web/central`.
    #[arg(long)]
    pub object: Option<String>,
    /// About things of this kind.
    #[arg(long, value_parser = PossibleValuesParser::new(AUDIT_KINDS))]
    pub kind: Option<String>,
    /// By this user or token: its name, or as in `user ada` or `token ci`.
    #[arg(long, visible_alias = "user", value_name = "NAME")]
    pub actor: Option<String>,
    /// What was done, as in put, delete or sign-in.
    #[arg(long)]
    pub action: Option<String>,
    /// Lines with all of these words in them, wherever, also in what the thing looked like.
    #[arg(long, value_name = "WORDS")]
    pub search: Option<String>,
    /// From this time on: 90s, 15m, 24h, 7d ago, or a moment such as 2026-11-01T00:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = time::argument)]
    pub since: Option<u64>,
    /// Before this time.
    #[arg(long, value_name = "TIME", value_parser = time::argument)]
    pub until: Option<u64>,
    /// The oldest line first.
    #[arg(long)]
    pub oldest_first: bool,
    /// Most lines.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    /// All lines, however many.
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

impl AuditArgs {
    fn query(&self) -> Vec<(&'static str, String)> {
        let texts = [
            ("object", &self.object),
            ("kind", &self.kind),
            ("actor", &self.actor),
            ("action", &self.action),
            ("search", &self.search),
        ];
        let mut query: Vec<(&str, String)> =
            texts.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect();
        for (name, time) in [("since", self.since), ("until", self.until)] {
            query.extend(time.map(|time| (name, time.to_string())));
        }
        if self.oldest_first {
            query.push(("sort", "at".to_owned()));
        }
        let limit = if self.all { 1000 } else { self.limit };
        query.push(("limit", limit.to_string()));
        query
    }
}

pub(crate) async fn run(args: AuditArgs, out: &mut Output) -> Result<ExitCode, CliError> {
    let query = args.query();
    let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let client = ApiClient::new(&args.ask.server)?;
    let answer = match args.all {
        true => client.list_with(&["audit"], "audit", &query).await?,
        false => client.get_with(&["audit"], &query).await?,
    };
    out.show(args.ask.json, &answer, list)?;
    Ok(ExitCode::SUCCESS)
}

fn list(out: &mut Output, answer: &Json) -> Result<(), CliError> {
    let lines = answer["audit"].as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |line: &Json| {
        let what = changes(&line["before"], &line["after"]);
        let details = line["details"].as_array().into_iter().flatten().map(text);
        vec![
            moment(&line["at"]),
            text(&line["actor"]),
            text(&line["address"]),
            text(&line["action"]),
            text(&line["object"]),
            details.chain(what).collect::<Vec<_>>().join("; "),
        ]
    };
    let head = ["at", "who", "from", "did", "to", "changes"];
    out.table(&head, lines.iter().map(row).collect(), "No change is like that.")?;
    if answer["next"].is_string() {
        out.note(format_args!(
            "\nThere are more than these {}: ask for --all, or for fewer by --since and the like.",
            lines.len()
        ));
    }
    Ok(())
}

/// The members that are different, those of members by their path.
fn changes(before: &Json, after: &Json) -> Vec<String> {
    let (Some(before), Some(after)) = (before.as_object(), after.as_object()) else { return Vec::new() };
    let mut told = Vec::new();
    for (name, value) in after {
        let old = before.get(name).unwrap_or(&Json::Null);
        match (old, value) {
            _ if old == value => {}
            (Json::Object(_), Json::Object(_)) => {
                told.extend(changes(old, value).into_iter().map(|one| format!("{name}.{one}")));
            }
            _ => told.push(format!("{name}: {old} -> {value}")),
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::testing::Captured;
    use serde_json::json;

    #[test]
    fn a_line_tells_who_did_what_to_what_and_which_members_are_different() {
        let line = json!({"at": 1_700_000_000_000_000_u64, "actor": "user ada", "address": "192.0.2.1", "action": "put",
            "object": "metric-store web/central", "before": {"period": 60, "paused": false, "quotas": {"a": null, "b": 1}},
            "after": {"period": 30, "paused": false, "quotas": {"a": 2, "b": 1}},
            "details": ["settings.password: changed"]});
        let captured = Captured::default();
        list(&mut captured.output(), &json!({"audit": [line], "next": "7"})).unwrap();
        let told = captured.text();
        assert!(told.contains("2023-11-14T22:13:20Z  user ada  192.0.2.1  put"), "{told}");
        assert!(told.contains("settings.password: changed; period: 60 -> 30; quotas.a: null -> 2"), "{told}");
        assert!(told.contains("more than these 1: ask for --all"), "{told}");
    }
}
