//! `tidegate tenant`.

use super::client::{ApiClient, AskArgs};
use super::store::text;
use super::{CliError, Output};
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value as Json, json};
use std::process::ExitCode;

/// Commands about tenants.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  tidegate tenant add acme
  tidegate tenant limit acme --projects 10 --metric-stores 50 --events-per-second 2000 --stored-megabytes 20000
  tidegate tenant limit acme --adapters 5 --adapter-memory 16MiB --adapter-cpu 5000 --evaluation-cpu 10000 --query-cpu 10000
  tidegate tenant show acme
  tidegate project list --tenant acme")]
pub enum TenantCommand {
    /// The tenants.
    List(AskArgs),
    /// Make a tenant, and its first API token, which is shown this once.
    Add(OneArgs),
    /// What a tenant uses of what it may.
    Show(OneArgs),
    /// Say what a tenant may have. A bound that is left out stays as it is, `none` takes one away.
    Limit(LimitArgs),
    /// Remove a tenant that has no projects.
    Remove(OneArgs),
}

/// A tenant.
#[derive(Debug, Args)]
pub struct OneArgs {
    /// The tenant.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Arguments of `tenant limit`.
#[derive(Debug, Args)]
pub struct LimitArgs {
    /// Which tenant.
    #[command(flatten)]
    pub one: OneArgs,
    /// What it may have.
    #[command(flatten)]
    pub quotas: QuotaArgs,
}

/// What a tenant may have, named as in the API.
#[derive(Debug, Args, Serialize)]
#[group(required = true, multiple = true)]
pub struct QuotaArgs {
    /// Projects.
    #[arg(long, value_name = "N")]
    pub projects: Option<Bound>,
    /// Metric stores in all of its projects.
    #[arg(long, value_name = "N")]
    pub metric_stores: Option<Bound>,
    /// Events that come in, in the mean over a second.
    #[arg(long, value_name = "N")]
    pub events_per_second: Option<Bound>,
    /// Megabytes of events, as stored.
    #[arg(long, value_name = "N")]
    pub stored_megabytes: Option<Bound>,
    /// Versions of adapters that its stores use.
    #[arg(long, value_name = "N")]
    pub adapters: Option<Bound>,
    /// Milliseconds of CPU time in a minute that evaluating its metrics may take.
    #[arg(long, value_name = "MS")]
    pub evaluation_cpu: Option<Bound>,
    /// Milliseconds of CPU time in a minute that answering its queries may take.
    #[arg(long, value_name = "MS")]
    pub query_cpu: Option<Bound>,
    /// Milliseconds that one call into an adapter may take. This and what follows can only be less than what the server was started with.
    #[arg(long, value_name = "MS")]
    pub adapter_time: Option<Bound>,
    /// Bytes of memory that one call may use.
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub adapter_memory: Option<Bound>,
    /// Bytes that an adapter may write for one delivery or page.
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub adapter_output: Option<Bound>,
    /// Requests that an adapter may make in one delivery.
    #[arg(long, value_name = "N")]
    pub adapter_actions: Option<Bound>,
    /// Handles that an adapter may hold at once.
    #[arg(long, value_name = "N")]
    pub adapter_handles: Option<Bound>,
    /// Lines that one call may print to the log.
    #[arg(long, value_name = "N")]
    pub adapter_log_lines: Option<Bound>,
    /// Bytes of an adapter's file.
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub adapter_size: Option<Bound>,
    /// Milliseconds of CPU time in a minute, for the adapter of each store.
    #[arg(long, value_name = "MS")]
    pub adapter_cpu: Option<Bound>,
    /// Milliseconds of CPU time in a minute, for all of its adapters together.
    #[arg(long, value_name = "MS")]
    pub tenant_cpu: Option<Bound>,
    /// Deliveries and pages under way at once.
    #[arg(long, value_name = "N")]
    pub tenant_instances: Option<Bound>,
}

/// A number, or the word that takes a bound away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Bound {
    /// So many.
    At(u32),
    /// No bound, written as a word, since what is not written at all stays as it is.
    None(#[serde(serialize_with = "as_word")] ()),
}

const NONE: &str = "none";

fn as_word<S: serde::Serializer>((): &(), serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(NONE)
}

impl std::str::FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            NONE => Ok(Self::None(())),
            _ => text.parse().map(Self::At).map_err(|_| format!("expected a number, or {NONE} for no bound")),
        }
    }
}

/// A size that fits into a quota.
fn bytes(text: &str) -> Result<Bound, String> {
    if text == NONE {
        return Ok(Bound::None(()));
    }
    let bytes = super::serve::size(text)?;
    u32::try_from(bytes)
        .map(Bound::At)
        .map_err(|_| format!("{bytes} bytes are more than a quota can say, which is {} bytes", u32::MAX))
}

/// What is to hold of a tenant's quotas, `now` as the API tells them: what was said on the command line, and otherwise what was set.
fn merged(now: &Json, said: &Json) -> Json {
    let quota = |(name, said): (&String, &Json)| {
        let bound = match said {
            Json::Null => now[name]["set"].clone(),
            Json::String(_) => Json::Null,
            number => number.clone(),
        };
        (name.clone(), bound)
    };
    Json::Object(said.as_object().into_iter().flatten().map(quota).collect())
}

pub(crate) async fn run(command: TenantCommand, out: &mut Output) -> Result<ExitCode, CliError> {
    match command {
        TenantCommand::List(args) => {
            let answer = ApiClient::new(&args.server)?.list(&["tenants"], "tenants").await?;
            out.show(args.json, &answer, |out, answer| {
                answer["tenants"].as_array().into_iter().flatten().try_for_each(|t| out.line(text(&t["name"])))
            })?;
        }
        TenantCommand::Add(args) => {
            let answer = ApiClient::new(&args.ask.server)?.post(&["tenants"], &[], &json!({"name": args.name})).await?;
            out.show(args.ask.json, &answer, |out, made| {
                out.note("This is the only time that the tenant's token is shown:");
                out.line(text(&made["token"]))
            })?;
        }
        TenantCommand::Show(args) => {
            let answer = ApiClient::new(&args.ask.server)?.get(&["tenants", &args.name, "quotas"]).await?;
            out.show(args.ask.json, &answer, show)?;
        }
        TenantCommand::Limit(args) => {
            let (one, said) = (args.one, json!(args.quotas));
            let (api, path) = (ApiClient::new(&one.ask.server)?, ["tenants", &one.name, "quotas"]);
            let wanted = merged(&api.get(&path).await?, &said);
            let answer = api.put(&path, &wanted).await?;
            out.show(one.ask.json, &answer, show)?;
        }
        TenantCommand::Remove(args) => {
            ApiClient::new(&args.ask.server)?.delete(&["tenants", &args.name], &[]).await?;
            out.done(args.ask.json, &json!({"removed": args.name}), format_args!("{} is removed", args.name))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(out: &mut Output, quotas: &Json) -> Result<(), CliError> {
    let row = |(name, quota): (&String, &Json)| {
        let used = quota["used"]
            .as_f64()
            .map_or_else(|| "-".to_owned(), |n| format!("{n:.1}").trim_end_matches(".0").to_owned());
        let limit = quota["limit"].as_u64().map_or_else(|| "none".to_owned(), |n| n.to_string());
        vec![name.replace('_', " "), used, limit, unit(name).to_owned()]
    };
    let rows = quotas.as_object().into_iter().flatten().map(row).collect();
    out.table(&["quota", "used", "limit", "unit"], rows, "There are no quotas.")
}

/// What a quota is counted in, where its name does not say it.
fn unit(quota: &str) -> &'static str {
    match quota {
        "adapter_time" => "ms",
        "adapter_memory" | "adapter_output" | "adapter_size" => "bytes",
        "stored_megabytes" => "MB",
        cpu if cpu.ends_with("_cpu") => "ms a minute",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::testing::Captured;
    use clap::{CommandFactory, FromArgMatches, Parser};
    use tidegate_export::catalog::Quotas;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        quotas: QuotaArgs,
    }

    #[test]
    fn each_quota_has_a_flag_of_its_name_and_no_flag_is_anything_else() {
        let flags: Vec<String> =
            Line::command().get_arguments().filter_map(|flag| Some(format!("--{}", flag.get_long()?))).collect();
        let line = flags.iter().flat_map(|flag| [flag.as_str(), "7"]);
        let matches = Line::command().get_matches_from(["limit"].into_iter().chain(line));
        let wanted = json!(Line::from_arg_matches(&matches).unwrap().quotas);
        let quotas: Quotas = serde_json::from_value(wanted.clone()).unwrap();
        assert_eq!(json!(quotas), wanted);
        assert!(wanted.as_object().unwrap().values().all(|bound| bound == 7), "{wanted}");
    }

    #[test]
    fn a_bound_that_is_left_out_stays_and_none_takes_one_away() {
        let line = |flags: &[&str]| Line::try_parse_from(["limit"].iter().chain(flags)).map(|line| json!(line.quotas));
        let now =
            json!({"projects": {"set": 2}, "adapters": {"limit": 9, "set": null}, "adapter_memory": {"set": 4096}});
        let wanted = merged(&now, &line(&["--projects", "none", "--adapter-cpu", "500"]).unwrap());
        assert_eq!(wanted["projects"], Json::Null);
        assert_eq!((&wanted["adapter_cpu"], &wanted["adapter_memory"]), (&json!(500), &json!(4096)));
        assert_eq!(wanted["adapters"], Json::Null, "the server's own limit is none of the tenant's");
        let _: Quotas = serde_json::from_value(wanted).unwrap();
        assert_eq!(line(&["--adapter-memory", "none"]).unwrap()["adapter_memory"], "none");
        for wrong in [&[][..], &["--projects", "few"], &["--adapter-memory", "nothing"]] {
            assert!(line(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn each_quota_is_shown_with_what_is_used_of_it() {
        let captured = Captured::default();
        let quotas = json!({"projects": {"used": 3, "limit": 10}, "query_cpu": {"used": 1.25, "limit": null}});
        show(&mut captured.output(), &quotas).unwrap();
        let told = captured.text();
        assert!(told.contains("projects   3     10") && told.contains("query cpu  1.2   none   ms a minute"), "{told}");
    }
}
