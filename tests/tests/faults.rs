//! The table of faults in the documentation names a test for each, and the tests are there.

use std::collections::BTreeSet;
use std::path::Path;
use tidegate_tests::scratch::repository;

/// Cases that cannot arise here, with the words by which the table says so.
const NONE: [(usize, &str); 1] = [(7, "none: there are no segment files")];

/// The names of all tests in the sources below a folder.
fn tests_below(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() && name != "target" && name != "node_modules" {
            tests_below(&path, names);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).expect("sources are text");
            let mut is_test = false;
            for line in text.lines().map(str::trim) {
                let function = line.split_once("fn ").filter(|(before, _)| matches!(*before, "" | "async "));
                match function {
                    Some((_, name)) if is_test => {
                        names.insert(name.split('(').next().unwrap_or_default().to_owned());
                        is_test = false;
                    }
                    _ => {
                        let begins =
                            line.starts_with("#[test]") || line.starts_with("#[tokio::test") || line == "proptest! {";
                        is_test =
                            begins || is_test && (line.starts_with("#[") || line.starts_with("//") || line.is_empty());
                    }
                }
            }
        }
    }
}

#[test]
fn each_of_the_forty_faults_names_tests_that_are_there() {
    let mut tests = BTreeSet::new();
    for folder in ["host", "sdk", "adapters", "tests"] {
        tests_below(&repository().join(folder), &mut tests);
    }
    assert!(tests.len() > 500, "{} tests found", tests.len());
    let table = std::fs::read_to_string(repository().join("docs/faults.md")).expect("the table");
    let mut cases = Vec::new();
    let mut missing = Vec::new();
    for line in table.lines() {
        let columns: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [number, _, named, outcome] = columns[..] else { continue };
        let Ok(number) = number.parse::<usize>() else { continue };
        cases.push(number);
        assert!(!outcome.is_empty(), "case {number} has no outcome");
        if let Some((_, words)) = NONE.iter().find(|(none, _)| *none == number) {
            assert!(named.starts_with(words), "case {number}: {named}");
            continue;
        }
        let names: Vec<&str> = named.split('`').skip(1).step_by(2).filter(|name| !name.starts_with("make ")).collect();
        assert!(!names.is_empty(), "case {number} names no test");
        missing.extend(
            names.iter().filter(|name| !tests.iter().any(|t| t.starts_with(*name))).map(|n| format!("{number}: {n}")),
        );
    }
    assert_eq!(cases, (1..=40).collect::<Vec<_>>());
    assert_eq!(missing, Vec::<String>::new(), "there are no such tests");
}
