//! `tidegate login` and `tidegate logout`: a server and a token that the other commands use from then on.

use super::client::{ApiClient, ServerArgs};
use super::config::{self, Login};
use super::{CliError, Output};
use clap::Args;
use std::io::{BufRead, IsTerminal};
use std::process::{Command, ExitCode, Stdio};
use tidegate_model::Secret;

/// Arguments of `login`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate login --server https://tidegate.example        asks for an API token
  tidegate login --server https://tidegate.example < token.txt
  tidegate logout

Server and token are kept in tidegate/config.json in your folder for configuration (TIDEGATE_CONFIG names another file),
readable by you alone. --server, --token and their variables come before it. The token goes to that server only.")]
pub struct LoginArgs {
    /// Which server, and the token if it is not to be asked for.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Arguments of `logout`.
#[derive(Debug, Args)]
pub struct LogoutArgs {}

fn file() -> Result<std::path::PathBuf, CliError> {
    config::path().ok_or_else(|| {
        CliError::Failed(
            "there is no folder for configuration: set HOME, XDG_CONFIG_HOME or TIDEGATE_CONFIG".to_owned(),
        )
    })
}

pub(crate) async fn run(mut args: LoginArgs, out: &mut Output) -> Result<ExitCode, CliError> {
    let file = file()?;
    if args.server.token.is_none() && args.server.token_file.is_none() {
        let token = ask_secret(out, "API token: ")?;
        args.server.token = Some(token.expose().to_owned());
    }
    let client = ApiClient::new(&args.server)?;
    let who = client.get(&["session"]).await?;
    let (Some(token), server) = (client.token().cloned(), client.server().clone()) else {
        return Err(CliError::Failed("expected an API token".to_owned()));
    };
    let ca = args.server.ca.as_ref().map(|ca| std::path::absolute(ca).unwrap_or_else(|_| ca.clone()));
    config::write(&file, &Login { server, token, ca })?;
    let name = who["token"].as_str().or(who["user"].as_str()).unwrap_or("somebody");
    out.note(format_args!("Logged in at {} as {name}; kept in {}.", client.server(), file.display()));
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn forget(out: &mut Output) -> Result<ExitCode, CliError> {
    let file = file()?;
    match config::forget(&file)? {
        true => out.note(format_args!(
            "{} is removed. The token is still good: `tidegate token revoke` ends it.",
            file.display()
        )),
        false => out.note("Nobody is logged in."),
    }
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
