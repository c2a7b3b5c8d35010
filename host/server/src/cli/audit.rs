//! `tidegate audit`: who changed what.

use super::client::{ApiClient, AskArgs};
use super::store::{moment, text};
use super::{CliError, Output};
use clap::Args;
use serde_json::Value as Json;
use std::process::ExitCode;

/// Arguments of `audit`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate audit
  tidegate audit --object \"project web\" --limit 20
  tidegate audit --object \"metric-store web/central\" --json
  tidegate audit --actor \"user ada\" --action delete

The newest line comes first. With --json each line has what the thing looked like before and after; credentials are never
in it. Lines are kept for 400 days.")]
pub struct AuditArgs {
    /// About this thing and those below it, as in \"project web\" or \"metric-store web/central\".
    #[arg(long)]
    pub object: Option<String>,
    /// By this user or token, as in \"user ada\" or \"token ci\".
    #[arg(long)]
    pub actor: Option<String>,
    /// Of this kind, as in put or delete.
    #[arg(long)]
    pub action: Option<String>,
    /// Most lines.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

pub(crate) async fn run(args: AuditArgs, out: &mut Output) -> Result<ExitCode, CliError> {
    let limit = args.limit.to_string();
    let mut query = vec![("limit", limit.as_str())];
    for (name, value) in [("object", &args.object), ("actor", &args.actor), ("action", &args.action)] {
        if let Some(value) = value {
            query.push((name, value));
        }
    }
    let answer = ApiClient::new(&args.ask.server)?.get_with(&["audit"], &query).await?;
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
    out.table(&head, lines.iter().map(row).collect(), "Nothing was changed.")
}

/// The members that are different.
fn changes(before: &Json, after: &Json) -> Vec<String> {
    let (Some(before), Some(after)) = (before.as_object(), after.as_object()) else { return Vec::new() };
    let changed = after.iter().filter(|(name, value)| before.get(*name) != Some(value));
    changed.map(|(name, value)| format!("{name}: {} -> {value}", before.get(name).unwrap_or(&Json::Null))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::testing::Captured;
    use serde_json::json;

    #[test]
    fn a_line_tells_who_did_what_to_what_and_which_members_are_different() {
        let line = json!({"at": 1_700_000_000_000_000_u64, "actor": "user ada", "address": "192.0.2.1", "action": "put",
            "object": "metric-store web/central", "before": {"period": 60, "paused": false}, "after": {"period": 30, "paused": false},
            "details": ["settings.password: changed"]});
        let captured = Captured::default();
        list(&mut captured.output(), &json!({"audit": [line]})).unwrap();
        let told = captured.text();
        assert!(told.contains("2023-11-14T22:13:20Z  user ada  192.0.2.1  put"), "{told}");
        assert!(told.contains("settings.password: changed; period: 60 -> 30"), "{told}");
    }
}
