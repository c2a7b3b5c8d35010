//! `tidegate token`: API tokens by the API, and a way back in for whoever has the machine and has lost the last one.

use super::client::{ApiClient, AskArgs};
use super::store::{moment, text};
use super::user::RoleWord;
use super::{CliError, Output};
use crate::data_dir::DataDir;
use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tidegate_export::catalog::{Catalog, DEFAULT_TENANT, Subject, TokenSpec};
use tidegate_model::SystemClock;

/// Commands about tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// The API tokens of the tenant, without the tokens themselves.
    List(AskArgs),
    /// Make an API token, which is shown this once.
    Create(CreateArgs),
    /// Take an API token back.
    Revoke(RevokeArgs),
}

/// Arguments of `token create`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate token create --name ci --role admin --for-project web --expires-in 90d
  tidegate token create --name dashboards --role viewer

Lost the last token? Stop the server, and on its machine:
  tidegate token create --data-dir /var/lib/tidegate --name recovery")]
pub struct CreateArgs {
    /// What the token is for; each name can be used once.
    #[arg(long, default_value = "recovery")]
    pub name: String,
    /// What it may do.
    #[arg(long, value_enum, default_value = "admin")]
    pub role: RoleWord,
    /// The only project that it opens; without it, all of the tenant.
    #[arg(long, value_name = "PROJECT")]
    pub for_project: Option<String>,
    /// How long it works, as in 12h or 90d; without it, for good.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub expires_in: Option<u32>,
    /// It runs the host: it may do everything in every tenant.
    #[arg(long, conflicts_with_all = ["for_project"])]
    pub operator: bool,
    /// Make it in this data directory and without a server, which must be stopped.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["for_project", "expires_in"])]
    pub data_dir: Option<PathBuf>,
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Arguments of `token revoke`.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// The token's name.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// A time with its unit.
fn seconds(text: &str) -> Result<u32, String> {
    let wrong = || format!("{text:?}: expected a number and s, m, h or d, for example 12h or 90d");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    number.checked_mul(factor).filter(|n| *n > 0).ok_or_else(wrong)
}

pub(crate) async fn run(command: TokenCommand, out: &mut Output) -> Result<ExitCode, CliError> {
    match command {
        TokenCommand::List(args) => {
            let answer = ApiClient::new(&args.server)?.list(&["tokens"], "tokens").await?;
            out.show(args.json, &answer, list)?;
        }
        TokenCommand::Create(args) => match &args.data_dir {
            Some(data_dir) => {
                let made = json!({"name": args.name, "token": make_without_server(data_dir, &args)?});
                out.show(args.ask.json, &made, |out, made| out.line(text(&made["token"])))?;
            }
            None => {
                let wish = json!({"name": args.name, "role": args.role.word(), "project": args.for_project,
                    "operator": args.operator, "expires_in": args.expires_in});
                let answer = ApiClient::new(&args.ask.server)?.post(&["tokens"], &[], &wish).await?;
                out.show(args.ask.json, &answer, |out, made| {
                    out.note("This is the only time that the token is shown:");
                    out.line(text(&made["token"]))
                })?;
            }
        },
        TokenCommand::Revoke(args) => {
            ApiClient::new(&args.ask.server)?.delete(&["tokens", &args.name], &[]).await?;
            out.done(
                args.ask.json,
                &json!({"revoked": args.name}),
                format_args!("{} opens nothing any more", args.name),
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(out: &mut Output, answer: &Json) -> Result<(), CliError> {
    let tokens = answer["tokens"].as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |token: &Json| {
        let place = token["project"].as_str().unwrap_or("all projects");
        let may = match token["operator"] == Json::Bool(true) {
            true => "runs the host".to_owned(),
            false => format!("{} in {place}", text(&token["role"])),
        };
        vec![
            text(&token["name"]),
            format!("tg_{}…", text(&token["hint"])),
            may,
            moment(&token["created"]),
            moment(&token["expires"]),
        ]
    };
    out.table(
        &["token", "begins with", "may", "created", "expires"],
        tokens.iter().map(row).collect(),
        "There are no tokens.",
    )
}

fn make_without_server(data_dir: &Path, args: &CreateArgs) -> Result<String, CliError> {
    if !data_dir.is_dir() {
        return Err(CliError::file(data_dir, "there is no such data directory"));
    }
    // A running server knows the tokens by heart and would not learn of a new one, so the lock is asked for.
    let data = DataDir::open(data_dir).map_err(|e| CliError::Failed(e.to_string()))?;
    let catalog = Catalog::open_with(&data.catalog(), &super::secrets::key_of(&data), Arc::new(SystemClock))
        .map_err(|e| CliError::Failed(e.to_string()))?;
    let tenant = args.ask.server.tenant.as_deref().unwrap_or(DEFAULT_TENANT);
    let made = catalog.edit(|edit| {
        // Whoever has the data directory has everything; in the first tenant, the token says so.
        let spec = match tenant {
            DEFAULT_TENANT => TokenSpec::operator(&args.name),
            _ => TokenSpec::admin(&args.name),
        };
        let (tenant, subject) = (edit.tenant_named(tenant)?.id, Subject::ApiToken(args.name.clone()));
        let why = "made on the host, without the server";
        edit.by_host(tenant, "create", &subject, why, |edit| edit.create_api_token(tenant, &spec))
    });
    Ok(made.map_err(|e| CliError::Failed(e.to_string()))?.expose().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;
    use tidegate_export::catalog::AuditFilter;

    fn create(data_dir: &Path) -> Result<String, CliError> {
        let line = ["tidegate", "token", "create", "--data-dir", data_dir.to_str().unwrap()];
        match Cli::try_parse_from(line).unwrap().command {
            Command::Token(TokenCommand::Create(args)) => make_without_server(data_dir, &args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_token_that_was_made_without_a_server_opens_the_api() {
        let folder = tempfile::tempdir().unwrap();
        let token = create(folder.path()).unwrap();
        let catalog = Catalog::open(&folder.path().join("tidegate.db"), Arc::new(SystemClock)).unwrap();
        let access = catalog.api_access(&token).unwrap();
        assert_eq!((access.actor.to_string().as_str(), access.operator), ("token recovery", true));
        let filter = AuditFilter { limit: 2, ..AuditFilter::default() };
        let lines = catalog.read(|view| view.audit(&filter)).unwrap();
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!((line.actor.as_str(), line.object.as_str()), ("host", "token recovery"));
        assert!(
            line.before.is_none() && line.after.as_ref().is_some_and(|after| after["operator"] == true),
            "{line:?}"
        );
    }

    #[test]
    fn a_directory_that_is_in_use_or_not_there_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let held = DataDir::open(folder.path()).unwrap();
        assert!(create(folder.path()).unwrap_err().to_string().contains("another tidegate uses"));
        drop(held);
        let missing = create(&folder.path().join("missing")).unwrap_err().to_string();
        assert!(missing.contains("there is no such data directory"), "{missing}");
    }

    #[test]
    fn a_time_has_a_unit_and_is_not_nothing() {
        assert_eq!((seconds("90d"), seconds("12h"), seconds("5s")), (Ok(7_776_000), Ok(43_200), Ok(5)));
        for wrong in ["", "5", "d", "0d", "-1d", "99999999d", "5€"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
