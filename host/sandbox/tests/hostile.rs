//! Guests that exceed a limit or break, each stopped with a text that names the limit and the amount; after each, a healthy
//! adapter in the same sandbox is served.

mod common;

use common::*;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tidegate_sandbox::{
    Action, Fault, Limits, LoadError, Outcome, Sandbox, SandboxOptions, Snapshot, Step, take_breaks,
};

fn brief() -> Limits {
    Limits { call_time: Duration::from_millis(50), ..Limits::default() }
}

fn assert_deadline(fault: &Fault) {
    let Fault::Deadline { limit, spent } = fault else { panic!("{fault:?}") };
    assert_eq!(*limit, Duration::from_millis(50));
    assert!(spent >= limit, "stopped early, after {spent:?}");
    let told = fault.to_string();
    let expected = format!("the adapter was stopped after {} ms; one call may take 50 ms", spent.as_millis());
    assert_eq!(told, expected);
}

#[test]
fn an_endless_loop_is_stopped_wherever_it_is() {
    let spin = "(call $spin)".to_owned();
    let guests = [
        Guest { constructor: spin.clone(), ..Guest::default() },
        Guest::begin("(call $spin) (unreachable)"),
        // In the allocator, which runs in the middle of a call into the host.
        Guest::begin(
            "(global.set $lie (i32.const -1)) (call $metrics (local.get $batch) (i32.const 32)) (unreachable)",
        ),
    ];
    for guest in guests {
        assert_deadline(&fault_within(&guest, &brief()));
    }
}

#[test]
fn an_endless_loop_in_a_step_is_stopped_and_the_time_of_each_call_counts_by_itself() {
    let guest = Guest {
        begin: "(call $send (call $post))".to_owned(),
        step: "(call $spin) (unreachable)".to_owned(),
        ..Guest::default()
    };
    let Step::Act(conversation, _) = begin_within(&guest, &brief()).result.unwrap() else { panic!("no action") };
    std::thread::sleep(Duration::from_millis(80));
    assert_deadline(&conversation.step(Outcome::default()).result.unwrap_err());
    still_serves();
}

#[test]
fn a_call_that_takes_breaks_is_stopped_for_what_it_worked_and_its_breaks_only_last() {
    static BREAKS: AtomicU32 = AtomicU32::new(0);
    const BREAK: Duration = Duration::from_millis(20);
    let spins = || begin_within(&Guest::begin("(call $spin) (unreachable)"), &brief());
    assert_deadline(&spins().result.err().unwrap());
    assert_eq!(BREAKS.load(Ordering::Relaxed), 0, "the calls of this thread have none");
    let steps_back = move || {
        take_breaks(|| {
            BREAKS.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(BREAK);
        });
        spins()
    };
    let called = std::thread::spawn(steps_back).join().unwrap();
    assert_deadline(&called.result.err().unwrap());
    assert!(BREAKS.load(Ordering::Relaxed) > 0);
    assert!(called.usage.time >= called.usage.cpu + BREAK, "{:?}", called.usage);
}

#[test]
fn an_endless_loop_in_render_is_stopped() {
    let adapter = load(&Guest::render("(call $spin) (unreachable)"));
    let snapshot = Snapshot { batches: vec![], period: batch().window.period() };
    assert_deadline(&adapter.render(&settings(), snapshot, vec![], &brief()).result.unwrap_err());
    still_serves();
}

fn hasty() -> SandboxOptions {
    SandboxOptions { max_instances: 2, describe: brief(), ..SandboxOptions::default() }
}

#[test]
fn an_endless_loop_while_loading_is_stopped() {
    let sandbox = Sandbox::new(hasty()).unwrap();
    let spin = "(call $spin)".to_owned();
    for guest in [Guest { describe: spin.clone(), ..Guest::default() }, Guest { start: spin, ..Guest::default() }] {
        let LoadError::Describe(fault) = sandbox.load(&guest.component()).unwrap_err() else {
            panic!("not in describe")
        };
        assert_deadline(&fault);
    }
    sandbox.load(&Guest::default().component()).unwrap();
}

/// Spins while it is instantiated, but only after it described itself... which no guest can know. So it is loaded by a patient
/// sandbox, and called by hasty limits.
#[test]
fn instantiation_counts_as_a_part_of_the_call() {
    let slow = "(local $n i32) (loop $again (local.set $n (i32.add (local.get $n) (i32.const 1))) \
        (br_if $again (i32.lt_u (local.get $n) (i32.const 2000000000))))";
    let patient = Limits { call_time: Duration::from_secs(600), ..Limits::default() };
    let sandbox =
        Sandbox::new(SandboxOptions { max_instances: 2, describe: patient, ..SandboxOptions::default() }).unwrap();
    let adapter = sandbox.load(&Guest { start: slow.to_owned(), ..Guest::default() }.component()).unwrap();
    assert_deadline(&adapter.begin(&settings(), view(), &brief()).result.unwrap_err());
    assert_eq!(sandbox.running(), 0);
}

#[test]
fn a_crash_is_told_with_its_reason_and_place() {
    let guest = Guest {
        extra:
            "(func $divide (drop (i32.div_u (i32.const 1) (global.get $zero)))) (global $zero (mut i32) (i32.const 0))"
                .to_owned(),
        ..Guest::begin("(call $divide) (unreachable)")
    };
    let told = fault(&guest).to_string();
    assert!(told.starts_with("the adapter crashed: ") && told.contains("integer divide by zero"), "{told}");
    assert!(told.contains("(in divide < begin"), "{told}");
    let told = fault(&Guest::begin("(unreachable)")).to_string();
    assert!(told.contains("`unreachable` instruction executed"), "{told}");
}

#[test]
fn the_names_of_functions_are_guest_text_and_are_escaped() {
    let guest = Guest {
        extra: "(func $\"a\\1b[2J\\0ab\" (unreachable))".to_owned(),
        ..Guest::begin("(call $\"a\\1b[2J\\0ab\") (unreachable)")
    };
    let told = fault(&guest).to_string();
    assert!(told.contains("(in a\\u{1b}[2J\\nb < begin"), "{told}");
}

#[test]
fn unbounded_recursion_ends_as_a_crash() {
    let guest = Guest {
        extra: "(func $deep (call $deep) (call $deep))".to_owned(),
        ..Guest::begin("(call $deep) (unreachable)")
    };
    let told = fault(&guest).to_string();
    assert!(told.contains("call stack exhausted"), "{told}");
    // Of thousands of frames the innermost few are shown.
    assert!(told.ends_with("(in deep < deep < deep < deep < deep)"), "{told}");
}

#[test]
fn one_gibibyte_at_once_is_refused_with_both_figures() {
    let guest = Guest::begin("(drop (memory.grow (i32.const 16384))) (unreachable)");
    let fault = fault(&guest);
    let asked = (1 << 30) + 2 * 65_536 + table_bytes(&guest);
    assert_eq!(fault, Fault::Memory { limit: 64 << 20, asked });
    let expected = format!(
        "the adapter asked for {asked} bytes of memory; the limit is 67108864 bytes for all its memories and tables"
    );
    assert_eq!(fault.to_string(), expected);
}

/// Bytes of tables that wrapping a guest adds.
fn table_bytes(guest: &Guest) -> usize {
    let healthy = Guest { pages: guest.pages, ..Guest::default() };
    begin(&healthy).usage.memory_peak - guest.pages as usize * 65_536
}

#[test]
fn memory_that_grows_page_by_page_stops_at_the_limit() {
    let guest = Guest::begin("(loop $again (drop (memory.grow (i32.const 1))) (br $again)) (unreachable)");
    let limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
    let called = begin_within(&guest, &limits);
    let Err(Fault::Memory { limit, asked }) = called.result else { panic!("{:?}", called.result) };
    assert!(limit == 1 << 20 && asked > limit && asked <= limit + 65_536, "{asked}");
    assert!(called.usage.memory_peak <= limit);
    still_serves();
}

#[test]
fn growth_up_to_the_limit_is_allowed() {
    let guest =
        Guest::begin("(if (i32.eq (memory.grow (i32.const 900)) (i32.const -1)) (then (unreachable))) (call $accept)");
    assert!(begin(&guest).usage.memory_peak >= 902 * 65_536);
    verdict(&guest);
}

#[test]
fn a_table_that_grows_counts_as_memory() {
    let guest = Guest {
        extra: "(table $t 1 funcref)".to_owned(),
        ..Guest::begin("(drop (table.grow $t (ref.null func) (i32.const 60000))) (unreachable)")
    };
    let limits = Limits { memory_bytes: 400_000, ..Limits::default() };
    let Fault::Memory { limit, asked } = fault_within(&guest, &limits) else { panic!("not a memory fault") };
    assert!(limit == 400_000 && asked > 480_000 + 2 * 65_536, "{asked}");
}

#[test]
fn the_limit_cannot_be_had_twice_by_two_memories() {
    // Each alone is below it. The second belongs to a module that nobody uses.
    let guest = Guest { pages: 600, ..Guest::default() };
    let mut component = guest.component();
    let modules =
        |payload: wasmparser::Result<_>| matches!(payload.unwrap(), wasmparser::Payload::ModuleSection { .. });
    let index = wasmparser::Parser::new(0).parse_all(&component).map(modules).filter(|is_module| *is_module).count();
    let module = wat::parse_str("(module (memory 600))").unwrap();
    let instance = [1, 0, u8::try_from(index).unwrap(), 0];
    for (section, content) in [(1, &module[..]), (2, &instance[..])] {
        component.extend([section, u8::try_from(content.len()).unwrap()]);
        component.extend(content);
    }
    let error = sandbox().load(&component).unwrap_err();
    let asked = 1200 * 65_536 + table_bytes(&guest);
    let expected = format!(
        "the adapter could not describe itself: the adapter asked for {asked} bytes of memory; the limit is 67108864 bytes for all its memories and tables"
    );
    assert_eq!(error.to_string(), expected);
    still_serves();
}

#[test]
fn the_sandbox_caps_what_a_store_may_allow() {
    let sandbox =
        Sandbox::new(SandboxOptions { max_instances: 1, max_memory_bytes: 1 << 20, ..SandboxOptions::default() })
            .unwrap();
    let guest = Guest::begin("(drop (memory.grow (i32.const 100))) (unreachable)");
    let adapter = sandbox.load(&guest.component()).unwrap();
    let fault = adapter.begin(&settings(), view(), &Limits::default()).result.unwrap_err();
    assert!(matches!(fault, Fault::Memory { limit: 1_048_576, .. }), "{fault}");
}

#[test]
fn a_body_without_end_is_stopped_at_the_limit() {
    let write = |chunk: u32| {
        Guest::begin(&format!(
            "(local.set $a (call $post)) (loop $again (call $write (local.get $a) (i32.const 0) (i32.const {chunk})) (br $again)) (unreachable)"
        ))
    };
    let limits = Limits { output_bytes: 1 << 20, ..Limits::default() };
    for chunk in [1, 1_000, 65_536] {
        let called = begin_within(&write(chunk), &limits);
        let Err(Fault::Output { limit, asked }) = &called.result else { panic!("{:?}", called.result) };
        assert!(*limit == 1 << 20 && *asked > *limit && *asked <= *limit + u64::from(chunk), "{asked}");
        let told = called.result.unwrap_err().to_string();
        assert!(
            told.starts_with("the adapter wrote 10")
                && told.ends_with("the limit is 1048576 bytes for one conversation or page"),
            "{told}"
        );
        assert!(called.usage.output_bytes <= 1 << 20);
        still_serves();
    }
}

#[test]
fn a_page_without_end_is_stopped_at_the_limit() {
    let adapter = load(&Guest::render(
        "(local.set $a (call $page @\"a/b\")) (loop $again (call $page-write (local.get $a) (i32.const 0) (i32.const 65536)) (br $again)) (unreachable)",
    ));
    let snapshot = Snapshot { batches: vec![], period: batch().window.period() };
    let fault = adapter.render(&settings(), snapshot, vec![], &Limits::default()).result.unwrap_err();
    assert!(matches!(fault, Fault::Output { limit: 67_108_864, asked } if asked <= 67_108_864 + 65_536), "{fault}");
    still_serves();
}

#[test]
fn output_is_counted_over_the_whole_conversation() {
    let send = "(local.set $a (call $post)) (call $write (local.get $a) (i32.const 0) (i32.const 60000)) (call $send (local.get $a))";
    let guest = Guest { step: send.to_owned(), ..Guest::begin(send) };
    let limits = Limits { output_bytes: 100_000, ..Limits::default() };
    let Step::Act(conversation, _) = begin_within(&guest, &limits).result.unwrap() else { panic!("no action") };
    let fault = conversation.step(Outcome::default()).result.unwrap_err();
    assert!(matches!(fault, Fault::Output { limit: 100_000, asked } if asked > 120_000), "{fault}");
}

#[test]
fn requests_that_are_only_built_count_as_output_too() {
    let guest = Guest::begin("(loop $again (call $drop-request (call $post)) (br $again)) (unreachable)");
    let limits = Limits { output_bytes: 1 << 20, ..Limits::default() };
    assert!(matches!(fault_within(&guest, &limits), Fault::Output { limit: 1_048_576, .. }));
}

#[test]
fn a_conversation_without_end_is_stopped_at_the_limit_of_actions() {
    let send = "(call $send (call $post))".to_owned();
    let guest = Guest { begin: send.clone(), step: send, ..Guest::default() };
    let limits = Limits { actions: 5, ..Limits::default() };
    let mut called = begin_within(&guest, &limits);
    let mut actions = 0;
    let fault = loop {
        match called.result {
            Ok(Step::Act(conversation, Action::Send(_))) => {
                actions += 1;
                called = conversation.step(Outcome::default());
            }
            Ok(other) => panic!("{other:?}"),
            Err(fault) => break fault,
        }
    };
    assert_eq!((actions, &fault), (5, &Fault::Actions { limit: 5, asked: 6 }));
    assert_eq!(fault.to_string(), "the adapter wanted action number 6; the limit is 5 actions in one conversation");
    still_serves();
}

#[test]
fn handles_to_host_resources_are_capped() {
    let limits = Limits { handles: 100, ..Limits::default() };
    let guest = Guest::begin("(loop $again (drop (call $verdict)) (br $again)) (unreachable)");
    let fault = fault_within(&guest, &limits);
    assert_eq!(
        fault.to_string(),
        "the adapter wanted handle number 101 to resources of the host; the limit is 100 at once"
    );
}

#[test]
fn handles_to_the_guests_own_resources_are_capped_as_well() {
    let limits = Limits { handles: 100, ..Limits::default() };
    let guest = Guest::begin("(loop $again (drop (call $delivery (i32.const 1))) (br $again)) (unreachable)");
    assert_eq!(fault_within(&guest, &limits), Fault::Handles { limit: 100, asked: 101 });
}

#[test]
fn handles_that_are_given_back_do_not_count() {
    let limits = Limits { handles: 100, ..Limits::default() };
    let guest = Guest::begin(
        "(loop $again (call $drop-request (call $post)) (local.set $i (i32.add (local.get $i) (i32.const 1))) \
         (br_if $again (i32.lt_u (local.get $i) (i32.const 1000)))) (call $accept)",
    );
    assert!(matches!(begin_within(&guest, &limits).result, Ok(Step::Done(_))));
}

#[test]
fn pointers_that_lead_nowhere_crash_the_guest_and_not_the_host() {
    let guests = [
        "(call $write (call $post) (i32.const -8) (i32.const 100)) (unreachable)",
        "(call $write (call $post) (i32.const 0) (i32.const -1)) (unreachable)",
        "(drop (call $request @\"\\ff\\fe\" @\"POST\")) (unreachable)",
        "(call $metrics (local.get $batch) (i32.const -4)) (unreachable)",
        "(i32.store8 (i32.const 16) (i32.const 9)) (i32.const 16)",
        "(i32.const -4)",
        "(call $done (i32.const 12345))",
        "(call $send (local.get $batch))",
        "(call $answer (i32.const 3) (i32.const 1))",
        "(local.set $a (call $verdict)) (drop (call $done (local.get $a))) (call $stop (i32.const 999) @\"x\") (unreachable)",
    ];
    for body in guests {
        let fault = fault(&Guest::begin(body));
        assert!(matches!(fault, Fault::Trap { .. }), "{body}: {fault:?}");
    }
}

#[test]
fn one_call_of_the_host_takes_no_more_than_the_guests_memory_may_hold() {
    let limits = Limits { memory_bytes: 196_608, ..Limits::default() };
    // The same bytes, named twice.
    let query = |bytes: u32| {
        let text = format!("(i32.const 1024) (i32.const {bytes})");
        Guest::begin(&format!("(call $query (call $post) {text} {text}) (unreachable)"))
    };
    let told = fault_within(&query(100_000), &limits).to_string();
    let expected = "it handed over more than 196608 bytes in one call of the host, all that its memory may hold";
    assert!(told.contains(expected), "{told}");
    // Half of that gets through to the limit of a request.
    assert!(matches!(fault_within(&query(50_000), &limits), Fault::Contract(_)));
}

#[test]
fn an_allocator_that_lies_crashes_the_guest_and_not_the_host() {
    let with = |address: i32, then: &str| {
        Guest::begin(&format!(
            "(global.set $lie (i32.const {address})) (call $metrics (local.get $batch) (i32.const 32)) {then}"
        ))
    };
    // Not aligned, and outside of memory.
    for (address, named) in [(3, "not aligned"), (-8, "beyond end of memory")] {
        let fault = fault(&with(address, "(unreachable)"));
        let Fault::Trap { reason, .. } = &fault else { panic!("{address}: {fault:?}") };
        assert!(reason.contains(named), "{address}: {reason}");
    }
    // The same place for everything, which is the guest's own loss.
    let begun = begin(&with(8, "(call $accept)"));
    assert!(matches!(begun.result, Ok(Step::Done(_))), "{begun:?}");
    still_serves();
}

#[test]
fn when_every_place_is_taken_the_next_call_is_told_to_come_back() {
    let sandbox = Sandbox::new(hasty()).unwrap();
    let adapter = sandbox.load(&Guest::begin("(call $send (call $post))").component()).unwrap();
    let begin = || adapter.begin(&settings(), view(), &Limits::default()).result;
    let (first, second) = (begin().unwrap(), begin().unwrap());
    assert_eq!(sandbox.running(), 2);
    let fault = begin().unwrap_err();
    assert_eq!(fault, Fault::Busy { limit: 2 });
    assert_eq!(fault.to_string(), "all 2 places for running adapters are taken; try again");
    drop(first);
    begin().unwrap();
    drop(second);
    assert_eq!(sandbox.running(), 0);
}

#[test]
fn nothing_of_one_call_is_there_in_the_next() {
    // Answers with a request if its memory was touched before.
    let adapter = load(&Guest::begin(
        "(if (result i32) (i32.load (i32.const 100000)) (then (call $send (call $post))) \
         (else (i32.store (i32.const 100000) (i32.const 1)) (call $accept)))",
    ));
    for _ in 0..300 {
        let result = adapter.begin(&settings(), view(), &Limits::default()).result;
        assert!(matches!(result, Ok(Step::Done(_))), "{result:?}");
    }
}

#[test]
fn a_description_that_is_too_long_is_refused_with_both_figures() {
    // Fewer than 60,000 bytes fit below the heap, so it points to 70,000 bytes of its memory, all zero.
    let guest =
        Guest { describe: "(return (call $told (i32.const 60000) (i32.const 70000)))".to_owned(), ..Guest::default() };
    assert_eq!(refused(&guest).to_string(), "the description may have 65536 bytes, this one has 70000");
    still_serves();
}

#[test]
fn a_description_cannot_steer_the_terminal_of_who_reads_the_refusal() {
    // In JSON the escape character is written as an escape, so it is there only after parsing.
    let kind = r#"{"name":"a","version":"1","settings":[{"key":"k","label":"L","kind":"\u001b[2Jgone"}]}"#;
    let told = refused(&Guest { description: kind.to_owned(), ..Guest::default() }).to_string();
    assert!(told.contains("\\u{1b}[2Jgone") && !told.contains('\u{1b}'), "{told}");
    let long = format!(
        r#"{{"name":"a","version":"1","settings":[{{"key":"k","label":"L","kind":"{}"}}]}}"#,
        "x".repeat(20_000)
    );
    let told = refused(&Guest { description: long, ..Guest::default() }).to_string();
    assert!(told.chars().count() <= 301 && told.ends_with('…'), "{told}");
}
