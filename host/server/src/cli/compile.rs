//! `tidegate compile`: the process in which the server has components compiled. It is called by the server alone.
//!
//! The trap is to do anything here before the walls stand: no logging, no runtime, no files.

use super::{CliError, Output};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use tidegate_sandbox::{CompileOptions, Job, probe_walls, run_job};

/// Arguments of `compile`.
#[derive(Debug, Args)]
#[command(
    after_help = "The server starts this by itself for each component that is not in its cache: the component comes in on standard input,
machine code goes out on standard output. Before it reads anything, it limits its memory and CPU time and gives up files,
network and processes. To see whether that works on this machine:
  tidegate compile --probe"
)]
pub struct CompileArgs {
    /// What to compile for, as the server writes it.
    #[arg(value_name = "JOB", value_parser = Job::parse, required_unless_present = "probe")]
    job: Option<Job>,
    /// Try what the walls must refuse, and show what came of it; exit code 1 if something was let through.
    #[arg(long, conflicts_with = "job")]
    probe: bool,
}

pub(crate) fn run(args: &CompileArgs, out: &mut Output) -> Result<ExitCode, CliError> {
    match &args.job {
        Some(job) => match run_job(job) {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(error) => Err(CliError::Failed(error)),
        },
        None => probe(out),
    }
}

fn probe(out: &mut Output) -> Result<ExitCode, CliError> {
    let mut passed = true;
    for probe in probe_walls() {
        passed &= probe.refusal.is_some();
        let (mark, answer) = probe.refusal.map_or(("OPEN", "it was let through".to_owned()), |answer| ("shut", answer));
        out.line(format_args!("{mark}  {:<30}{answer}", probe.tried))?;
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Compiling in a process of this very program.
pub(crate) fn by_child() -> CompileOptions {
    CompileOptions { program: Some(this_program()), ..CompileOptions::default() }
}

/// This program, also after its file was replaced by a newer one: machine code has to come from the same version of the engine.
fn this_program() -> PathBuf {
    if cfg!(target_os = "linux") {
        PathBuf::from("/proc/self/exe")
    } else {
        std::env::current_exe().unwrap_or_default()
    }
}
