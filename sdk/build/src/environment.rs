//! The environment of the nested cargo.
//!
//! Inside a build script the surrounding cargo has set dozens of variables for *its* target: flags, wrappers of clippy or
//! rust-analyzer, profile overrides, a job server. Each of them would change what the guest is compiled to, or rebuild it whenever
//! one differs. What names a user's own toolchain, proxy or registry stays.

use std::env;
use std::process::Command;

/// Variables of cargo that configure the user's machine, not a build.
const KEPT: [&str; 8] = [
    "CARGO_HOME",
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTRIES_",
    "CARGO_REGISTRY_",
    "CARGO_SOURCE_",
    "CARGO_RESOLVER_",
    "CARGO_CACHE_",
];

/// Variables without the prefix that change what is compiled, or how.
const DROPPED: [&str; 18] = [
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_LINKER",
    "RUSTDOC",
    "CLIPPY_ARGS",
    "CLIPPY_CONF_DIR",
    "MAKEFLAGS",
    "MFLAGS",
    "TARGET",
    "HOST",
    "OUT_DIR",
    "PROFILE",
    "OPT_LEVEL",
    "DEBUG",
    "NUM_JOBS",
    "LD_LIBRARY_PATH",
];

/// A cargo, the one that runs this build if one does, with a clean environment: for builds of guests that go another way than
/// [`Build`](crate::Build).
#[must_use]
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    clean(&mut command);
    command
}

/// Removes from `command` what belongs to the surrounding build.
pub(crate) fn clean(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(belongs_to_the_surrounding_build) {
            command.env_remove(&name);
        }
    }
}

fn belongs_to_the_surrounding_build(name: &str) -> bool {
    let of_cargo = name.starts_with("CARGO") || name.starts_with("__CARGO") || name.starts_with("DEP_");
    DROPPED.contains(&name) || (of_cargo && !KEPT.iter().any(|kept| name.starts_with(kept)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shapes_a_build_is_dropped_and_what_describes_the_machine_is_kept() {
        let dropped = [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_TARGET_DIR",
            "CARGO_BUILD_TARGET",
            "CARGO_PROFILE_RELEASE_LTO",
            "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
            "CARGO_MAKEFLAGS",
            "CARGO_INCREMENTAL",
            "CARGO",
            "CARGO_PKG_NAME",
            "RUSTC_WRAPPER",
            "RUSTC_WORKSPACE_WRAPPER",
            "OUT_DIR",
        ];
        for name in dropped {
            assert!(belongs_to_the_surrounding_build(name), "{name}");
        }
        let kept = ["CARGO_HOME", "CARGO_HTTP_PROXY", "CARGO_NET_OFFLINE", "RUSTC", "RUSTUP_TOOLCHAIN", "PATH", "HOME"];
        for name in kept {
            assert!(!belongs_to_the_surrounding_build(name), "{name}");
        }
    }
}
