//! The conformance suite, over the adapters in the binary, which pass it, and over guests that do not.

mod common;

use common::*;
use std::sync::Arc;
use tidegate_sandbox::{Conformance, Registry, builtin, conformance};

#[test]
fn every_adapter_in_the_binary_conforms() {
    let registry = Registry::new(Arc::clone(sandbox()));
    registry.add_builtin().unwrap();
    let adapters = registry.list();
    assert_eq!(adapters.len(), builtin::COMPONENTS.len());
    let reports: Vec<Conformance> = adapters.iter().map(|r| conformance(&r.adapter)).collect();
    let failed: Vec<String> = reports.iter().filter(|r| !r.passed()).map(ToString::to_string).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(reports.iter().all(|r| r.findings.len() >= 6), "{reports:?}");
}

/// The problems that the suite finds in a check of a guest.
fn problems(guest: &Guest, check: &str) -> Vec<String> {
    let report = conformance(&load(guest));
    let finding = report.findings.iter().find(|f| f.check == check);
    finding.unwrap_or_else(|| panic!("no check {check:?} in {report}")).problems.clone()
}

fn told(guest: &Guest, check: &str, part: &str) {
    let found = problems(guest, check);
    assert!(found.iter().any(|problem| problem.contains(part)), "{check}: {found:?}");
}

/// Sends one line, and takes any answer for a good one.
fn sender() -> Guest {
    sends(r#"(call $write (local.get $a) @"x 1 1\0a")"#)
}

/// Sends what `write` writes, to a URL that every store has.
fn sends(write: &str) -> Guest {
    let optional = r#""label":"URL","kind":"url""#;
    let description = DESCRIPTION.replacen(optional, &format!("{optional},\"required\":true"), 1);
    let begin = format!("(local.set $a (call $post)) {write} (call $send (local.get $a))");
    Guest { description, ..Guest::begin(&begin) }
}

#[test]
fn an_adapter_that_takes_every_answer_for_a_good_one_loses_data_in_silence() {
    let silent = "every answer leads to a verdict that loses nothing in silence";
    for part in
        ["503: expected another try", "401: expected that the store stops", "no connection: expected another try"]
    {
        told(&sender(), silent, part);
    }
    assert_eq!(problems(&sender(), "a row is sent"), Vec::<String>::new());
    assert_eq!(problems(&sender(), "a resend is the same bytes"), Vec::<String>::new());
}

#[test]
fn an_adapter_that_crashes_is_told_where() {
    let guest = Guest::begin("(unreachable)");
    told(&guest, "an empty batch is accepted", "the adapter crashed");
    told(&guest, "one row gives a verdict", "the adapter crashed");
    told(&guest, "hostile names and values crash nothing", "the adapter crashed");
    told(&guest, "a row is sent", "under no settings");
}

#[test]
fn an_adapter_that_never_ends_is_stopped_at_the_limit_of_actions() {
    let mut guest = sender();
    guest.step = "(call $send (call $post))".to_owned();
    told(&guest, "one row gives a verdict", "the limit is 64 actions");
}

#[test]
fn bytes_that_are_no_text_and_lines_beyond_the_rows_are_told() {
    let raw = sends(r#"(call $write (local.get $a) @"x\ff\0a")"#);
    told(&raw, "what is sent is UTF-8 and well formed", "not UTF-8 at byte 1");
    let many = r#"(loop $again (call $write (local.get $a) @"x 1 1\0a")
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 1000))))"#;
    told(&sends(many), "no name makes a record of its own", "1000 lines were sent for at most");
    let json = sends(r#"(call $write (local.get $a) @"{")"#);
    told(&json, "what is sent is UTF-8 and well formed", "not valid JSON");
}

#[test]
fn a_page_that_fails_or_is_not_ended_is_told() {
    told(&Guest::render("(unreachable)"), "a page of nothing can be made", "the adapter crashed");
    let cut = r#"(local.set $a (call $page @"text/plain")) (call $page-write (local.get $a) @"x 1") (call $answer (i32.const 0) (local.get $a))"#;
    told(&Guest::render(cut), "a page is UTF-8 and well formed", "the last line is not ended");
}

#[test]
fn a_description_with_gaps_is_told_gap_by_gap() {
    told(&sender(), "the description is complete", "not there: vendor, summary, help of setting url");
}
