//! What the product is made of: every package comes from the registry or from this repository, and under a licence that the
//! product may be shipped with.

use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use tidegate_tests::process::run_well;
use tidegate_tests::scratch::repository;

/// Licences that ask for no more than a notice.
const ALLOWED: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Zlib",
];

/// The packages of each workspace with all that they use.
fn packages() -> Vec<Json> {
    let mut packages = Vec::new();
    for workspace in ["Cargo.toml", "adapters/Cargo.toml", "tests/guests/Cargo.toml"] {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["metadata", "--format-version", "1", "--manifest-path"]).arg(repository().join(workspace));
        let metadata: Json = serde_json::from_str(&run_well(&mut command)).expect("cargo metadata gives JSON");
        packages.extend(metadata["packages"].as_array().expect("packages").iter().cloned());
    }
    packages
}

/// Whether an SPDX expression can be met with allowed licences alone.
fn allowed(expression: &str) -> bool {
    // The old way to write OR.
    let expression = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = expression.split_whitespace().collect();
    let mut at = 0;
    let met = any(&words, &mut at);
    met && at == words.len()
}

fn any(words: &[&str], at: &mut usize) -> bool {
    let mut met = all(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all(words, at);
    }
    met
}

fn all(words: &[&str], at: &mut usize) -> bool {
    let mut met = one(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at);
    }
    met
}

fn one(words: &[&str], at: &mut usize) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let met = any(words, at);
        *at += 1;
        return met;
    }
    if words.get(*at) == Some(&"WITH") {
        let licence = format!("{word} WITH {}", words.get(*at + 1).unwrap_or(&""));
        *at += 2;
        return ALLOWED.contains(&licence.as_str());
    }
    ALLOWED.contains(word)
}

#[test]
fn every_dependency_has_a_licence_that_the_product_may_be_shipped_with() {
    let mut refused = BTreeSet::new();
    for package in packages() {
        let licence = package["license"].as_str().unwrap_or("none stated");
        if !allowed(licence) {
            refused.insert(format!("{} {}: {licence}", package["name"], package["version"]));
        }
    }
    assert!(
        refused.is_empty(),
        "licences that are not on the list:\n{}",
        refused.into_iter().collect::<Vec<_>>().join("\n")
    );
}

#[test]
fn every_dependency_comes_from_the_registry_or_from_this_repository() {
    let mut refused = BTreeSet::new();
    for package in packages() {
        let local =
            package["manifest_path"].as_str().is_some_and(|p| std::path::Path::new(p).starts_with(repository()));
        match package["source"].as_str() {
            Some(source) if source.starts_with("registry+") => {}
            None if local => {}
            source => drop(refused.insert(format!("{}: {source:?}", package["name"]))),
        }
    }
    assert!(refused.is_empty(), "{refused:?}");
}

#[test]
fn no_dependency_of_weight_is_there_in_two_versions() {
    // Each of these would double a good part of the build, or of the ways in which the product can be wrong.
    let heavy = [
        "wasmtime",
        "cranelift-codegen",
        "tokio",
        "hyper",
        "axum",
        "rustls",
        "ring",
        "rusqlite",
        "libsqlite3-sys",
        "reqwest",
        "regex",
    ];
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        let name = package["name"].as_str().unwrap_or_default().to_owned();
        versions.entry(name).or_default().insert(package["version"].to_string());
    }
    for name in heavy {
        assert!(versions.get(name).is_none_or(|v| v.len() == 1), "{name} is there in {:?}", versions[name]);
    }
    assert!(versions.contains_key("wasmtime"), "the list of packages is not the one that was meant");
}

#[test]
fn expressions_of_licences_are_read_as_they_are_meant() {
    for good in [
        "MIT",
        "MIT OR Apache-2.0",
        "Apache-2.0/MIT",
        "GPL-3.0 OR MIT",
        "(MIT OR GPL-3.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
    ] {
        assert!(allowed(good), "{good}");
    }
    for bad in [
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT OR ISC) AND AGPL-3.0-only",
        "none stated",
        "",
        "GPL-2.0 WITH Classpath-exception-2.0",
    ] {
        assert!(!allowed(bad), "{bad}");
    }
}
