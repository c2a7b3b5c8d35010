//! Builds the adapters that travel inside the binary and lists them for `builtin`.
//!
//! The nested build has a folder of its own beside the profiles of the surrounding one, so debug, release and clippy share it.
#![allow(clippy::print_stdout, reason = "a build script talks to cargo on its standard output")]

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tidegate_adapter_build::Build;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in error.to_string().lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let repository = here.ancestors().nth(2).ok_or("the crate must be at host/sandbox of the repository")?;
    let adapters = repository.join("adapters");
    println!("cargo::rerun-if-changed={}", adapters.join("Cargo.toml").display());
    println!("cargo::rerun-if-changed={}", repository.join("wit").display());
    let packages = packages(&adapters)?;
    let names: Vec<&str> = packages.iter().map(String::as_str).collect();
    let build = Build::workspace(&adapters).target_dir(folder(&out)?);
    let built = build.run(&names)?;
    for input in build.inputs(&names)? {
        println!("cargo::rerun-if-changed={}", input.display());
    }
    let mut list = String::from(
        "/// Package and component of each, in the order of their names.\npub const COMPONENTS: &[(&str, &[u8])] = &[\n",
    );
    for (name, component) in built {
        // A copy, since another build may write the shared folder before the compiler has read it.
        let copy = out.join(format!("{name}.wasm"));
        fs::copy(&component, &copy).map_err(|error| format!("{}: {error}", component.display()))?;
        writeln!(list, "    ({name:?}, include_bytes!({:?})),", copy.display().to_string())?;
    }
    list.push_str("];\n");
    fs::write(out.join("builtin.rs"), list)?;
    Ok(())
}

/// Packages of the workspace that are adapters: those that are built as a `cdylib`.
fn packages(adapters: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut packages = Vec::new();
    for entry in fs::read_dir(adapters).map_err(|error| format!("{}: {error}", adapters.display()))? {
        let manifest = entry?.path().join("Cargo.toml");
        let Ok(text) = fs::read_to_string(&manifest) else { continue };
        let name = text.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
        if let Some(name) = name.filter(|_| text.contains("\"cdylib\"")) {
            packages.push(name.to_owned());
        }
    }
    packages.sort();
    if packages.is_empty() {
        return Err(format!("there are no adapters in {}", adapters.display()).into());
    }
    Ok(packages)
}

/// `target/tidegate-adapters`, from `target/<profile>/build/<package>/out`.
fn folder(out: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let target = out.ancestors().nth(4).ok_or("OUT_DIR is not inside a target folder")?;
    Ok(target.join("tidegate-adapters"))
}
