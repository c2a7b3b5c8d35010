//! `tidegate-adapter-build WORKSPACE PACKAGE...`: builds adapters from the command line and prints where each component is.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what a command is for")]

use std::process::ExitCode;
use tidegate_adapter_build::Build;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((workspace, packages)) = arguments.split_first().filter(|(_, packages)| !packages.is_empty()) else {
        eprintln!("usage: tidegate-adapter-build WORKSPACE PACKAGE...");
        return ExitCode::from(2);
    };
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    match Build::workspace(workspace).run(&packages) {
        Ok(built) => {
            for (_, component) in built {
                println!("{}", component.display());
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
