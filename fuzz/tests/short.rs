//! Each target, for some seconds. For longer: `TIDEGATE_FUZZ_RUNS=10000000 cargo test --release -p tidegate-fuzz`; one run
//! again: `TIDEGATE_FUZZ="query 1234" cargo test -p tidegate-fuzz`. A fuzzer that learns from what it sees: `make fuzz TARGET=query`.

use tidegate_fuzz::{drive, target};

fn runs_of(name: &str) {
    let target = target(name);
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
fn no_report_makes_the_host_panic() {
    runs_of("report");
}

#[test]
fn no_line_of_a_bulk_makes_the_host_panic_and_both_parsers_of_lines_agree() {
    runs_of("line");
}

#[test]
fn a_bulk_is_the_same_lines_however_it_was_cut() {
    runs_of("bulk");
}

#[test]
fn no_form_makes_the_host_panic_or_names_a_file_outside_of_its_event() {
    runs_of("form");
}

#[test]
fn no_url_of_a_submission_makes_the_host_panic() {
    runs_of("url");
}

#[test]
fn a_compressed_body_is_read_to_the_same_bytes_however_it_was_cut() {
    runs_of("inflate");
}

#[test]
fn no_query_makes_the_host_panic_or_changes_when_it_is_written_out() {
    runs_of("query");
}

#[test]
fn no_damage_to_a_stored_batch_makes_the_host_panic() {
    runs_of("stored");
}

#[test]
fn no_document_makes_the_host_panic_or_repeats_a_credential_in_its_refusal() {
    runs_of("document");
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
fn no_file_makes_the_inspection_panic_or_speak_without_an_end() {
    runs_of("inspection");
}

#[test]
fn no_component_makes_the_host_panic_or_reaches_what_it_did_not_describe() {
    runs_of("component");
}

#[test]
fn no_call_of_a_guest_makes_the_host_panic_or_gets_out_what_it_must_not() {
    runs_of("calls");
}

#[test]
fn a_guest_reads_exactly_the_rows_of_its_part_of_a_batch() {
    runs_of("columns");
}

#[test]
fn a_target_that_panics_is_found_and_told_with_its_run() {
    let target = tidegate_fuzz::Target { read: |bytes| assert!(bytes.len() < 5), ..*target("query") };
    let told = drive(&target, 0, 10).expect_err("a panic");
    assert!(told.contains("TIDEGATE_FUZZ=\"query 0\""), "{told}");
}

/// libFuzzer's programs are named one by one, so one could be forgotten.
#[test]
fn every_target_has_a_program_for_the_fuzzer_that_learns_and_the_other_way_round() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("guided/fuzz_targets");
    let manifest = std::fs::read_to_string(folder.join("../Cargo.toml")).expect("its manifest");
    let files = std::fs::read_dir(&folder).expect("its programs").map(|file| file.expect("a file").path());
    let mut programs: Vec<String> =
        files.map(|file| file.file_stem().expect("a name").to_string_lossy().into_owned()).collect();
    programs.sort();
    let mut targets: Vec<&str> = tidegate_fuzz::TARGETS.iter().map(|target| target.name).collect();
    targets.sort_unstable();
    assert_eq!(programs, targets);
    for target in targets {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target} is not in the manifest");
    }
}
