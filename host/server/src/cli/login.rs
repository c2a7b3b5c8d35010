//! `tidegate login` and `tidegate logout`: a server, and who uses it, for the other commands from then on.

use super::client::{ApiClient, ServerArgs};
use super::config::{self, Key, Login};
use super::{CliError, Output};
use clap::Args;
use serde_json::json;
use std::io::{BufRead, IsTerminal};
use std::process::{Command, ExitCode, Stdio};
use tidegate_model::Secret;

/// Arguments of `login`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate login --server https://tidegate.example --user ada     asks for ada's password
  tidegate login --server https://tidegate.example                asks for an API token
  tidegate login --server https://tidegate.example < token.txt
  tidegate logout

With --user, commands act as that person until `tidegate logout`, or until the session ends: after 12 hours in which it was not
used, and after 7 days in any case. For programs there are API tokens, which do not end by themselves.
What was given is kept in tidegate/config.json in your folder for configuration (TIDEGATE_CONFIG names another file), readable by
you alone; a password is never kept. --server, --token and their variables come before it. It goes to that server only.")]
pub struct LoginArgs {
    /// Sign in as this user; the password is asked for, or read from standard input.
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Which server, and the token if it is not to be asked for.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Arguments of `logout`.
#[derive(Debug, Args)]
pub struct LogoutArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

fn file() -> Result<std::path::PathBuf, CliError> {
    config::path().ok_or_else(|| {
        CliError::Failed(
            "there is no folder for configuration: set HOME, XDG_CONFIG_HOME or TIDEGATE_CONFIG".to_owned(),
        )
    })
}

pub(crate) async fn run(mut args: LoginArgs, out: &mut Output) -> Result<ExitCode, CliError> {
    let file = file()?;
    let who = match &args.user {
        Some(user) => {
            // A token that stands in the environment for other commands has no say here.
            args.server.token = Some(String::new());
            args.server.token_file = None;
            let mut client = ApiClient::new(&args.server)?;
            let password = ask_secret(out, &format!("Password of {user} at {}: ", client.server()))?;
            let who = client.sign_in(user, &password).await?;
            keep(&file, &args.server, &client)?;
            who
        }
        None => {
            if args.server.token.is_none() && args.server.token_file.is_none() {
                args.server.token = Some(ask_secret(out, "API token: ")?.expose().to_owned());
            }
            let client = ApiClient::new(&args.server)?;
            let who = client.get(&["session"]).await?;
            keep(&file, &args.server, &client)?;
            who
        }
    };
    let name = who["token"].as_str().or(who["user"].as_str()).unwrap_or("somebody");
    let document = json!({"user": who["user"], "token": who["token"], "operator": who["operator"], "file": file.display().to_string()});
    out.done(args.json, &document, format_args!("Logged in as {name}; kept in {}.", file.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn keep(file: &std::path::Path, args: &ServerArgs, client: &ApiClient) -> Result<(), CliError> {
    let key = client.key().cloned().ok_or_else(|| CliError::Failed("expected an API token".to_owned()))?;
    let ca = args.ca.as_ref().map(|ca| std::path::absolute(ca).unwrap_or_else(|_| ca.clone()));
    config::write(file, &Login { server: client.server().clone(), key, ca })
}

pub(crate) async fn forget(args: &LogoutArgs, out: &mut Output) -> Result<ExitCode, CliError> {
    let file = file()?;
    let Some(login) = config::read(&file)? else {
        out.done(args.json, &json!({"removed": null}), "Nobody is logged in.")?;
        return Ok(ExitCode::SUCCESS);
    };
    // A session can be ended; a token may be in use elsewhere.
    let ended = match &login.key {
        Key::Token(_) => Ok("The token is still good: `tidegate token revoke` ends it.".to_owned()),
        Key::Session { .. } => {
            let server =
                ServerArgs { server: Some(login.server), token: None, ca: login.ca, token_file: None, tenant: None };
            let ended = async { ApiClient::new(&server)?.delete(&["session"], &[]).await };
            match ended.await {
                Ok(_) => Ok("The session is ended.".to_owned()),
                Err(CliError::Token { .. }) => Ok("The session had ended.".to_owned()),
                Err(error) => Err(error),
            }
        }
    };
    config::forget(&file)?;
    let told = ended.unwrap_or_else(|e| format!("The session could not be ended ({e}); it ends by itself."));
    let document = json!({"removed": file.display().to_string()});
    out.done(args.json, &document, format_args!("{} is removed. {told}", file.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Reads one line of standard input; from a terminal, after a question and without showing what is typed.
pub(crate) fn ask_secret(out: &mut Output, question: &str) -> Result<Secret, CliError> {
    let stdin = std::io::stdin();
    let terminal = stdin.is_terminal();
    let echo = |mode: &str| {
        // The terminal's own tool; where there is none, what is typed can be seen, which is better than not to ask.
        let done = Command::new("stty").arg(mode).stdin(Stdio::inherit()).stderr(Stdio::null()).status();
        done.is_ok_and(|status| status.success())
    };
    let hidden = terminal && {
        out.ask(question);
        echo("-echo")
    };
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    if hidden {
        echo("echo");
        out.note("");
    }
    read.map_err(|e| CliError::failed("cannot read standard input", e))?;
    let text = line.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(CliError::Failed("expected one line on standard input, and there was none".to_owned()));
    }
    Ok(Secret::new(text.to_owned()))
}
