//! `tidegate secrets`: the key under which secrets lie in the data directory.

use super::{CliError, Output};
use crate::data_dir::DataDir;
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tidegate_export::catalog::{Catalog, KeySource, Keyring};
use tidegate_model::{Secret, SystemClock};

/// Where the key is.
#[derive(Clone, Debug, Default, Args)]
pub struct KeyArgs {
    /// The file with the key for the secrets in the data directory; made at the first start. Without it, DIR/tidegate.key.
    #[arg(long, env = "TIDEGATE_KEY_FILE", value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// The key itself: only from the environment, where other users do not see it as they see arguments.
    #[arg(skip = std::env::var("TIDEGATE_KEY").ok().filter(|k| !k.is_empty()).map(Secret::new))]
    pub key: Option<Secret>,
}

impl KeyArgs {
    pub(super) fn source(&self) -> Option<KeySource> {
        let file = || self.key_file.clone().map(KeySource::File);
        self.key.clone().map(KeySource::Given).or_else(file)
    }
}

/// The key for a data directory, by the environment alone: for commands that have no arguments for it.
pub(super) fn key_of(data: &DataDir) -> KeySource {
    let given = std::env::var("TIDEGATE_KEY").ok().filter(|k| !k.is_empty()).map(Secret::new);
    let file = || std::env::var_os("TIDEGATE_KEY_FILE").map_or_else(|| data.key(), PathBuf::from);
    given.map_or_else(|| KeySource::File(file()), KeySource::Given)
}

/// Commands about the key for stored secrets.
#[derive(Debug, Subcommand)]
pub enum SecretsCommand {
    /// Make a new key and seal every stored secret with it; the server has to be stopped.
    Rotate(RotateArgs),
    /// Print a new key, for TIDEGATE_KEY.
    NewKey(NewKeyArgs),
}

/// Arguments of `secrets new-key`.
#[derive(Debug, Args)]
pub struct NewKeyArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `secrets rotate`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  systemctl stop tidegate && tidegate secrets rotate --data-dir /var/lib/tidegate && systemctl start tidegate

The new key goes into the key file, before the old ones, which still open backups that were made with them; remove their lines
when there are no such backups any more. With the key in TIDEGATE_KEY: put a new one in front of it, with a comma between them,
and start the server again; it seals everything with the first.")]
pub struct RotateArgs {
    /// The data directory.
    #[arg(long, env = "TIDEGATE_DATA_DIR", value_name = "DIR", default_value = "tidegate-data")]
    pub data_dir: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// The key.
    #[command(flatten)]
    pub key: KeyArgs,
}

pub(crate) fn run(command: SecretsCommand, out: &mut Output) -> Result<ExitCode, CliError> {
    let failed = |e: &dyn std::fmt::Display| CliError::Failed(e.to_string());
    match command {
        SecretsCommand::NewKey(args) => {
            let key = json!({"key": Keyring::new_key().map_err(|e| failed(&e))?.expose()});
            out.show(args.json, &key, |out, key| out.line(key["key"].as_str().unwrap_or_default()))?;
        }
        SecretsCommand::Rotate(args) => {
            let data = DataDir::open(&args.data_dir).map_err(|e| failed(&e))?;
            let source = args.key.source().unwrap_or_else(|| KeySource::File(data.key()));
            let KeySource::File(file) = &source else {
                let told = "the key is in TIDEGATE_KEY: put a new one (tidegate secrets new-key) in front of it, with a comma \
                            between them, and start the server; it seals everything with the first";
                return Err(CliError::Failed(told.to_owned()));
            };
            // Opened with the old key first: a wrong one is told before a new one is made.
            drop(Catalog::open_with(&data.catalog(), &source, Arc::new(SystemClock)).map_err(|e| failed(&e))?);
            Keyring::add_new_key(file).map_err(|e| failed(&e))?;
            drop(Catalog::open_with(&data.catalog(), &source, Arc::new(SystemClock)).map_err(|e| failed(&e))?);
            let told = format!(
                "Every secret is sealed with the first key in {} now. Keep a copy of that file.",
                file.display()
            );
            out.done(args.json, &json!({"key_file": file.display().to_string()}), told)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
