//! The binary `tidegate`. Everything is in the library, where tests reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    tidegate_server::cli::main()
}
