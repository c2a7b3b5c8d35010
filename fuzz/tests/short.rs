//! Each target, for some seconds. For longer: `TIDEGATE_FUZZ_RUNS=10000000 cargo test --release -p tidegate-fuzz`; one run
//! again: `TIDEGATE_FUZZ="query 1234" cargo test -p tidegate-fuzz`.

use tidegate_fuzz::{TARGETS, drive};

fn runs_of(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of that name");
    let (mut from, mut to) = (0, target.runs);
    if let Some(runs) = std::env::var("TIDEGATE_FUZZ_RUNS").ok().and_then(|runs| runs.parse().ok()) {
        to = runs;
    }
    if let Ok(one) = std::env::var("TIDEGATE_FUZZ") {
        let (chosen, run) = one.split_once(' ').expect("the name of a target and the number of a run");
        if chosen != name {
            return;
        }
        from = run.parse().expect("the number of a run");
        to = from + 1;
    }
    if let Err(told) = drive(target, from, to) {
        panic!("{told}");
    }
}

#[test]
fn no_component_makes_the_host_panic_or_reaches_what_it_did_not_describe() {
    runs_of("component");
}

#[test]
fn no_report_makes_the_host_panic() {
    runs_of("report");
}

#[test]
fn no_line_of_a_bulk_makes_the_host_panic() {
    runs_of("line");
}

#[test]
fn no_query_makes_the_host_panic_or_changes_when_it_is_written_out() {
    runs_of("query");
}

#[test]
fn no_settings_make_the_host_panic() {
    runs_of("settings");
}

#[test]
fn no_description_makes_the_host_panic_or_changes_when_it_is_written_out() {
    runs_of("description");
}

#[test]
fn a_target_that_panics_is_found_and_told_with_its_run() {
    let target = tidegate_fuzz::Target { name: "query", read: |bytes| assert!(bytes.len() < 5), runs: 1 };
    let told = drive(&target, 0, 10).expect_err("a panic");
    assert!(told.contains("TIDEGATE_FUZZ=\"query 0\""), "{told}");
}
