//! `tidegate token`: a way back in for whoever has the machine and has lost the token.

use super::{CliError, Output};
use crate::data_dir::DataDir;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tidegate_export::catalog::{Catalog, DEFAULT_TENANT};
use tidegate_model::SystemClock;

/// Commands about tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make an API token. The server must be stopped.
    Create(CreateArgs),
}

/// Arguments of `token create`.
#[derive(Debug, Args)]
#[command(after_help = "Example, after stopping the server:
  tidegate token create --data-dir /var/lib/tidegate --name recovery

With a running server and a token that works, use the API instead: POST /api/v1/tokens {\"name\": \"...\"}.")]
pub struct CreateArgs {
    /// The data directory of the server.
    #[arg(long, env = "TIDEGATE_DATA_DIR", value_name = "DIR", default_value = "tidegate-data")]
    pub data_dir: PathBuf,
    /// What the token is for; each name can be used once.
    #[arg(long, default_value = "recovery")]
    pub name: String,
    /// The tenant that it speaks for.
    #[arg(long, default_value = DEFAULT_TENANT)]
    pub tenant: String,
}

pub(crate) fn run(command: TokenCommand, out: &mut Output) -> Result<ExitCode, CliError> {
    let TokenCommand::Create(args) = command;
    if !args.data_dir.is_dir() {
        return Err(CliError::file(args.data_dir, "there is no such data directory"));
    }
    // A running server knows the tokens by heart and would not learn of a new one, so the lock is asked for.
    let data = DataDir::open(&args.data_dir).map_err(|e| CliError::Failed(e.to_string()))?;
    let catalog = Catalog::open(&data.catalog(), Arc::new(SystemClock)).map_err(|e| CliError::Failed(e.to_string()))?;
    let made = catalog.edit(|edit| edit.create_api_token(edit.tenant_named(&args.tenant)?.id, &args.name));
    let token = made.map_err(|e| CliError::Failed(e.to_string()))?;
    out.line(token.expose())?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::testing::Captured;

    fn create(data_dir: PathBuf) -> Result<String, CliError> {
        let args = CreateArgs { data_dir, name: "recovery".to_owned(), tenant: DEFAULT_TENANT.to_owned() };
        let captured = Captured::default();
        run(TokenCommand::Create(args), &mut captured.output()).map(|_| captured.text().trim().to_owned())
    }

    #[test]
    fn a_token_that_was_made_opens_the_api() {
        let folder = tempfile::tempdir().unwrap();
        let token = create(folder.path().to_owned()).unwrap();
        let catalog = Catalog::open(&folder.path().join("tidegate.db"), Arc::new(SystemClock)).unwrap();
        assert_eq!(catalog.api_access(&token).unwrap().token_name, "recovery");
    }

    #[test]
    fn a_directory_that_is_in_use_or_not_there_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let held = DataDir::open(folder.path()).unwrap();
        assert!(create(folder.path().to_owned()).unwrap_err().to_string().contains("another tidegate uses"));
        drop(held);
        let missing = create(folder.path().join("missing")).unwrap_err().to_string();
        assert!(missing.contains("there is no such data directory"), "{missing}");
    }
}
