//! `tidegate demo`.

use super::{CliError, Output};
use crate::demo;
use crate::logging::{self, LogForm};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Arguments of `demo`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate demo                        until Ctrl-C
  tidegate demo --duration 30          ends by itself; exit code 0 if pushes arrived and the page was filled
  tidegate demo --seed 7 --rate 500    other events, and more of them

Everything stays on this machine: the server and a stand-in for InfluxDB listen on loopback, in this one process.")]
pub struct DemoArgs {
    /// Which events to make up; equal seeds make up the same ones.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Events in a second.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: u32,
    /// Period of the stores in seconds; the example says 60, which is long to wait for.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub period: u32,
    /// End by itself after this many seconds.
    #[arg(long, value_name = "SECONDS")]
    pub duration: Option<u64>,
    /// Keep the data in this directory; without it, a temporary one is used and removed.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

pub(crate) async fn run(args: DemoArgs, out: &mut Output) -> Result<ExitCode, CliError> {
    logging::start(LogForm::Human, "warn").map_err(|e| CliError::Failed(e.to_string()))?;
    let wishes = demo::Wishes {
        seed: args.seed,
        rate: args.rate,
        period: args.period,
        duration: args.duration.map(Duration::from_secs),
        data_dir: args.data_dir,
    };
    let worked = demo::run(wishes, out).await?;
    Ok(if worked { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
