//! What a component finds where it expects a system (WASI 0.2), since the tools for Python, JavaScript and wasip2 import one even
//! for pure code: a closed set of stubs without a way out.
//!
//! Nothing here reaches the machine. There are no arguments, no environment, no files; every socket and every file operation is
//! refused; the clock stands still and randomness repeats, so the same batch still gives the same bytes; what is printed goes to
//! the log in small amounts. Interfaces that are not listed, HTTP above all, are not there: such a component is refused when it
//! is inspected. Only what a component imports is linked.

mod console;
mod link;

pub(crate) use console::{Console, Prints};
pub(crate) use link::link;

use serde::Serialize;
use std::collections::BTreeSet;

/// What becomes of calls into an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StubEffect {
    /// There is nothing in it.
    Empty,
    /// It gives the same each time.
    Fixed,
    /// What is written goes to the log, within limits; what is read has ended.
    Logged,
    /// Every call is refused.
    Refused,
}

/// An interface that a component imports and gets a stub for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Stub {
    /// Its name, without a version.
    pub interface: &'static str,
    /// What becomes of calls into it.
    pub effect: StubEffect,
}

/// All there are. Whatever is not here is not linked.
const STUBS: [(&str, StubEffect); 27] = [
    ("wasi:cli/environment", StubEffect::Empty),
    ("wasi:cli/exit", StubEffect::Refused),
    ("wasi:cli/stdin", StubEffect::Empty),
    ("wasi:cli/stdout", StubEffect::Logged),
    ("wasi:cli/stderr", StubEffect::Logged),
    ("wasi:cli/terminal-input", StubEffect::Empty),
    ("wasi:cli/terminal-output", StubEffect::Empty),
    ("wasi:cli/terminal-stdin", StubEffect::Empty),
    ("wasi:cli/terminal-stdout", StubEffect::Empty),
    ("wasi:cli/terminal-stderr", StubEffect::Empty),
    ("wasi:clocks/monotonic-clock", StubEffect::Fixed),
    ("wasi:clocks/wall-clock", StubEffect::Fixed),
    ("wasi:filesystem/preopens", StubEffect::Empty),
    ("wasi:filesystem/types", StubEffect::Refused),
    ("wasi:io/error", StubEffect::Empty),
    ("wasi:io/poll", StubEffect::Fixed),
    ("wasi:io/streams", StubEffect::Logged),
    ("wasi:random/insecure", StubEffect::Fixed),
    ("wasi:random/insecure-seed", StubEffect::Fixed),
    ("wasi:random/random", StubEffect::Fixed),
    ("wasi:sockets/instance-network", StubEffect::Refused),
    ("wasi:sockets/ip-name-lookup", StubEffect::Refused),
    ("wasi:sockets/network", StubEffect::Refused),
    ("wasi:sockets/tcp", StubEffect::Refused),
    ("wasi:sockets/tcp-create-socket", StubEffect::Refused),
    ("wasi:sockets/udp", StubEffect::Refused),
    ("wasi:sockets/udp-create-socket", StubEffect::Refused),
];

/// The stub for an import such as `wasi:cli/stdout@0.2.6`.
pub(crate) fn stub(import: &str) -> Option<Stub> {
    let (name, version) = import.split_once('@')?;
    let patch = version.strip_prefix("0.2.")?;
    let &(interface, effect) = STUBS.iter().find(|(interface, _)| *interface == name)?;
    let numbered = !patch.is_empty() && patch.bytes().all(|b| b.is_ascii_digit());
    numbered.then_some(Stub { interface, effect })
}

/// What somebody agrees to who takes an adapter with these stubs: a line for each package that they are of.
pub(crate) fn asks(stubs: &[Stub]) -> BTreeSet<String> {
    let line = |stub: &Stub| {
        let package = stub.interface.split('/').next().unwrap_or(stub.interface);
        let given = match package {
            "wasi:cli" => "no arguments and no environment; what it prints goes to the log, within limits",
            "wasi:clocks" => "a clock that stands still",
            "wasi:filesystem" => "no file; every call is refused",
            "wasi:io" => "nothing to read",
            "wasi:random" => "numbers that repeat",
            _ => "no network; every call is refused",
        };
        format!("find {package} in the place of a system ({given})")
    };
    stubs.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listed_interfaces_in_the_versions_of_one_line_have_a_stub() {
        assert_eq!(stub("wasi:cli/stdout@0.2.6").unwrap().effect, StubEffect::Logged);
        assert_eq!(stub("wasi:sockets/tcp@0.2.12").unwrap().effect, StubEffect::Refused);
        for none in [
            "wasi:http/types@0.2.0",
            "wasi:http/outgoing-handler@0.2.6",
            "wasi:cli/stdout",
            "wasi:cli/stdout@0.3.0",
            "wasi:cli/stdout@0.2.",
            "wasi:cli/stdout@0.2.0-rc",
            "wasi:cli/command@0.2.0",
            "wasi:keyvalue/store@0.2.0",
            "acme:cli/stdout@0.2.0",
        ] {
            assert_eq!(stub(none), None, "{none}");
        }
    }

    #[test]
    fn consent_is_to_packages_and_says_what_there_is_in_place_of_each() {
        let stubs: Vec<Stub> = ["wasi:sockets/tcp@0.2.0", "wasi:sockets/udp@0.2.0", "wasi:filesystem/types@0.2.0"]
            .into_iter()
            .filter_map(stub)
            .collect();
        let expected = [
            "find wasi:filesystem in the place of a system (no file; every call is refused)",
            "find wasi:sockets in the place of a system (no network; every call is refused)",
        ];
        assert_eq!(asks(&stubs).into_iter().collect::<Vec<_>>(), expected);
    }
}
