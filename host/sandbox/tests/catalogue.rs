//! Rows of the catalogue of hostile guests that no other test program has: attacks on the compiler, on text, on what is between
//! two calls. The whole table, with the test for each row, is in `docs/hostile-guests.md`.

mod common;

use common::*;
use std::sync::Arc;
use std::time::Duration;
use tidegate_sandbox::{Fault, Limits, LoadError, Outcome, Sandbox, SandboxOptions, Step};
use wit_component::StringEncoding;

/// A good adapter with one more module in it, which has to be validated and compiled like the rest.
fn with_module(text: &str) -> Vec<u8> {
    with_section(1, &wat::parse_str(text).unwrap_or_else(|error| panic!("{error}")))
}

fn with_section(id: u8, content: &[u8]) -> Vec<u8> {
    let mut component = Guest::default().component();
    component.push(id);
    let mut length = content.len();
    while length > 0x7f {
        component.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    component.push(u8::try_from(length).unwrap());
    component.extend(content);
    component
}

fn refusal(component: &[u8]) -> LoadError {
    let refused = sandbox().load(component).expect_err("a component that is refused");
    still_serves();
    refused
}

#[test]
fn text_archives_noise_modules_and_machine_code_are_named_for_what_they_are() {
    let component = Guest::default().component();
    let engine = wasmtime::Engine::default();
    let native = engine.precompile_component(&wat::parse_str("(component)").unwrap()).unwrap();
    let mut archive = b"PK\x03\x04".to_vec();
    archive.extend(&component);
    let mut late = vec![0; 64];
    late.extend(&component);
    let cases: [(&[u8], &str); 8] = [
        (b"", "the file is empty"),
        (b"(component)", "the file is text"),
        (&archive, "a zip archive"),
        (&[0x1f, 0x8b, 8, 0], "compressed by gzip"),
        (&native, "the file is machine code"),
        (&wat::parse_str("(module)").unwrap(), "a core WebAssembly module"),
        (&late, "something else (it begins with 00000000)"),
        (&component[..component.len() / 2], "cut off"),
    ];
    for (bytes, told) in cases {
        let error = refusal(bytes).to_string();
        assert!(error.contains(told), "{told}: {error}");
    }
}

#[test]
fn noise_is_never_an_adapter() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    for length in 1..400 {
        let plain: Vec<u8> = (0..length).map(|_| noise()).collect();
        let headed = [b"\0asm\x0d\0\x01\0", &plain[..]].concat();
        for bytes in [plain, headed] {
            assert!(sandbox().load(&bytes).is_err(), "{bytes:02x?}");
        }
    }
    still_serves();
}

#[test]
fn what_is_not_exported_or_of_another_type_is_named_with_the_version_that_is_wanted() {
    let component = |exports: &str| {
        let text = format!(
            r#"(component
                 (core module $m (func (export "f") (result i32) (i32.const 0)))
                 (core instance $i (instantiate $m))
                 (func $describe (result u32) (canon lift (core func $i "f")))
                 (instance $one (export "describe" (func $describe)))
                 {exports})"#
        );
        refusal(&wat::parse_str(text).unwrap_or_else(|error| panic!("{error}")))
    };
    let push = r#"(export "tidegate:adapter/push@1.0.0" (instance $one))"#;
    let about = r#"(export "tidegate:adapter/about@1.0.0" (instance $one))"#;
    assert!(component("").to_string().contains("does not export tidegate:adapter/push or tidegate:adapter/pull"));
    assert!(component(about).to_string().contains("does not export tidegate:adapter/push or tidegate:adapter/pull"));
    assert!(component(push).to_string().contains("does not export tidegate:adapter/about"));
    let types = component(&format!("{about}{push}"));
    assert!(matches!(&types, LoadError::Types { wanted, offered: "1.0.0", .. } if wanted == "1.0.0"), "{types:?}");
    let told = types.to_string();
    assert!(
        told.starts_with("the component does not fit version 1.0.0 of the adapter contract: ")
            && told.contains("does not have export `[constructor]delivery`"),
        "{told}"
    );
    let newer = about.replace("1.0.0", "2.0.0");
    assert!(component(&format!("{newer}{push}")).to_string().contains("is made for version 2.0.0"));
}

#[test]
fn a_crash_while_loading_is_told_as_one_and_the_others_load() {
    let crash = || "(unreachable)".to_owned();
    for guest in [
        Guest { start: crash(), ..Guest::default() },
        Guest { describe: crash(), ..Guest::default() },
        // A description that lies nowhere.
        Guest { describe: "(return (i32.const -4))".to_owned(), ..Guest::default() },
    ] {
        let error = refusal(&guest.component());
        assert!(matches!(&error, LoadError::Describe(Fault::Trap { .. })), "{error:?}");
    }
}

#[test]
fn jumps_to_more_places_than_the_compiler_allows_are_refused_with_the_limit() {
    // Beside the place for all other cases.
    for places in [65_521, 131_041] {
        let many = "0 ".repeat(places + 1);
        let text = format!("(module (func (param i32) (block (br_table {many} (local.get 0)))))");
        let told = refusal(&with_module(&text)).to_string();
        assert!(told.starts_with("the component cannot be compiled: ") && told.contains("65520"), "{places}: {told}");
    }
}

#[test]
fn a_hundred_thousand_segments_or_functions_beyond_the_limit_are_refused_before_they_are_compiled() {
    let segments = "(data (i32.const 0) \"x\")".repeat(100_001);
    let told = refusal(&with_module(&format!("(module (memory 1) {segments})"))).to_string();
    assert!(told.contains("data"), "{told}");
    let locals = "(local i64)".repeat(50_001);
    let told = refusal(&with_module(&format!("(module (func {locals}))"))).to_string();
    assert!(told.contains("local"), "{told}");
}

#[test]
fn components_nested_without_end_are_refused_before_they_are_compiled() {
    // Each is a section in the one around it, so a file of some kilobytes has a thousand of them.
    let mut inner = b"\0asm\x0d\0\x01\0".to_vec();
    for _ in 0..1000 {
        let mut outer = b"\0asm\x0d\0\x01\0\x04".to_vec();
        let mut length = inner.len();
        while length > 0x7f {
            outer.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        outer.push(u8::try_from(length).unwrap());
        outer.extend(inner);
        inner = outer;
    }
    let told = refusal(&with_section(4, &inner)).to_string();
    assert_eq!(told, "the component has components inside of components, more than 16 deep, which is the limit");
}

#[test]
fn exceptions_cannot_dodge_the_deadline_since_there_are_none() {
    let text =
        "(module (tag $t) (func (loop $again (block $caught (try_table (catch_all $caught) (throw $t))) (br $again))))";
    let error = refusal(&with_module(text));
    assert!(matches!(&error, LoadError::Compile(_)) && error.to_string().contains("exceptions"), "{error}");
}

fn brief() -> Limits {
    Limits { call_time: Duration::from_millis(50), ..Limits::default() }
}

#[test]
fn copying_memory_around_without_end_is_stopped() {
    for body in [
        "(memory.fill (i32.const 0) (i32.const 0) (i32.const 65000000))",
        "(memory.copy (i32.const 0) (i32.const 8) (i32.const 65000000))",
    ] {
        let guest = Guest { pages: 1000, ..Guest::begin(&format!("(loop $again {body} (br $again)) (unreachable)")) };
        let fault = fault_within(&guest, &brief());
        assert!(matches!(fault, Fault::Deadline { .. }), "{fault:?}");
    }
}

#[test]
fn an_endless_loop_behind_the_answer_is_stopped_as_well() {
    // What a guest runs when the host has read its answer belongs to the call.
    let guest = Guest {
        extra: "(func (export \"cabi_post_tidegate:adapter/about@1.0.0#describe\") (param i32) (call $spin))"
            .to_owned(),
        ..Guest::default()
    };
    let sandbox = Sandbox::new(SandboxOptions { max_instances: 1, describe: brief(), ..SandboxOptions::default() });
    let error = sandbox.unwrap().load(&guest.component()).unwrap_err();
    assert!(matches!(error, LoadError::Describe(Fault::Deadline { .. })), "{error:?}");
}

#[test]
fn a_destructor_that_spins_holds_nothing_up() {
    let guest = Guest {
        extra: "(func (export \"tidegate:adapter/push@1.0.0#[dtor]delivery\") (param i32) (call $spin))".to_owned(),
        ..Guest::default()
    };
    let adapter = load(&guest);
    // An instance goes as a whole; nobody asks it to tidy up.
    for _ in 0..20 {
        assert!(matches!(adapter.begin(&settings(), view(), &brief()).result, Ok(Step::Done(_))));
    }
}

#[test]
fn an_allocator_that_calls_the_host_is_stopped() {
    // The host is in the middle of handing something over when it asks for memory.
    let guest = Guest {
        extra: "(global $calls (mut i32) (i32.const 0))".to_owned(),
        ..Guest::begin(
            "(global.set $lie (i32.const -2)) (call $metrics (local.get $batch) (i32.const 32)) (unreachable)",
        )
    };
    let fault = fault(&guest);
    let Fault::Trap { reason, .. } = &fault else { panic!("{fault:?}") };
    assert!(reason.contains("cannot leave component instance"), "{reason}");
}

#[test]
fn text_that_is_none_crashes_the_guest_in_either_encoding() {
    // A surrogate without its other half, and a byte that begins no character.
    let wide: String = DESCRIPTION.encode_utf16().flat_map(u16::to_le_bytes).map(|b| format!("\\{b:02x}")).collect();
    let half = "(func $told-wide (param i32 i32) (result i32) (call $told (local.get 0) (i32.shr_u (local.get 1) (i32.const 1))))";
    for (encoding, text) in [(StringEncoding::UTF16, "\\00\\d8\\41\\00"), (StringEncoding::UTF8, "\\ff\\fe")] {
        let mut guest = Guest::begin(&format!("(drop (call $request @\"{text}\" @\"POST\")) (unreachable)"));
        if matches!(encoding, StringEncoding::UTF16) {
            guest.describe = format!("(return (call $told-wide @\"{wide}\"))");
            guest.extra = half.to_owned();
        }
        let adapter = sandbox().load(&guest.component_in(encoding)).unwrap_or_else(|error| panic!("{error}"));
        let fault = adapter.begin(&settings(), view(), &Limits::default()).result.unwrap_err();
        assert!(matches!(fault, Fault::Trap { .. }), "{text}: {fault:?}");
    }
    still_serves();
}

#[test]
fn a_list_of_all_the_bytes_there_could_be_is_refused_before_the_host_takes_memory_for_it() {
    for length in ["-1", "0x7fffffff", "0x10000000"] {
        let fault = fault(&Guest::begin(&format!(
            "(call $write (call $post) (i32.const 0) (i32.const {length})) (unreachable)"
        )));
        assert!(matches!(fault, Fault::Trap { .. }), "{length}: {fault:?}");
        // Rows of a verdict: four bytes each, which overflows what an address can hold.
        let fault = fault_within(
            &Guest::begin(&format!(
                "(call $reject-rows (call $verdict) (i32.const 0) (i32.const 0) (i32.const {length}) @\"x\") (unreachable)"
            )),
            &Limits::default(),
        );
        assert!(matches!(fault, Fault::Trap { .. }), "{length}: {fault:?}");
    }
}

#[test]
fn a_handle_that_was_given_back_or_never_given_crashes_the_guest() {
    for body in [
        "(local.set $a (call $post)) (call $drop-request (local.get $a)) (call $drop-request (local.get $a)) (unreachable)",
        "(local.set $a (call $post)) (call $drop-request (local.get $a)) (call $gzip (local.get $a)) (unreachable)",
        "(call $drop-request (i32.const 0)) (unreachable)",
        "(call $drop-request (i32.const -1)) (unreachable)",
        // What is only lent cannot be given away, nor kept after the call.
        "(call $drop-batch (local.get $batch)) (call $metrics (local.get $batch) (i32.const 32)) (unreachable)",
    ] {
        let fault = fault(&Guest::begin(body));
        assert!(matches!(fault, Fault::Trap { .. }), "{body}: {fault:?}");
    }
}

#[test]
fn what_was_lent_for_a_call_and_is_kept_beyond_it_crashes_the_guest() {
    // Without giving the batch back, which the usual end of begin does.
    let guest = Guest::begin("(return (call $accept))");
    let keeps = Guest { extra: "(func $drop-nothing (param i32))".to_owned(), ..guest };
    let component = keeps.text().replace(
        "(call $begin (local.get 1)) (call $drop-batch (local.get 1))",
        "(call $begin (local.get 1)) (call $drop-nothing (local.get 1))",
    );
    let adapter = sandbox().load(&wrap(&component, "push-adapter")).unwrap();
    let fault = adapter.begin(&settings(), view(), &Limits::default()).result.unwrap_err();
    let Fault::Trap { reason, .. } = &fault else { panic!("{fault:?}") };
    assert!(reason.contains("borrow"), "{reason}");
    still_serves();
}

#[test]
fn memory_of_one_call_is_zero_in_the_next_also_where_it_has_grown() {
    // Grows by 100 pages, looks for a trace of an earlier call in all of them, leaves one.
    let guest = Guest::begin(
        "(local.set $a (i32.mul (memory.grow (i32.const 100)) (i32.const 65536))) \
         (loop $again \
           (if (i64.ne (i64.const 0) (i64.load (i32.add (local.get $a) (local.get $i)))) (then (unreachable))) \
           (i64.store (i32.add (local.get $a) (local.get $i)) (i64.const 0x5ec7e75ec7e7)) \
           (local.set $i (i32.add (local.get $i) (i32.const 8))) \
           (br_if $again (i32.lt_u (local.get $i) (i32.const 6553600)))) (call $accept)",
    );
    // Few places, so that each is used again and again.
    let sandbox = Sandbox::new(SandboxOptions { max_instances: 2, ..SandboxOptions::default() }).unwrap();
    let (one, other) = (sandbox.load(&guest.component()).unwrap(), sandbox.load(&with_name(&guest, "other")).unwrap());
    for _ in 0..20 {
        for adapter in [&one, &other] {
            let result = adapter.begin(&settings(), view(), &Limits::default()).result;
            assert!(matches!(result, Ok(Step::Done(_))), "{result:?}");
        }
    }
}

fn with_name(guest: &Guest, name: &str) -> Vec<u8> {
    let description = guest.description.replace("\"guest\"", &format!("\"{name}\""));
    Guest { description, ..guest.clone() }.component()
}

#[test]
fn a_conversation_that_the_host_gives_up_gives_its_place_back() {
    let sandbox = Sandbox::new(SandboxOptions { max_instances: 1, ..SandboxOptions::default() }).unwrap();
    let adapter = sandbox.load(&Guest::begin("(call $send (call $post))").component()).unwrap();
    for _ in 0..50 {
        let Ok(Step::Act(conversation, _)) = adapter.begin(&settings(), view(), &Limits::default()).result else {
            panic!("no action")
        };
        assert_eq!(sandbox.running(), 1);
        drop(conversation);
        assert_eq!(sandbox.running(), 0);
    }
}

#[test]
fn an_adapter_that_fails_again_and_again_takes_nothing_from_the_one_beside_it() {
    let spin =
        load(&Guest { step: "(call $spin) (unreachable)".to_owned(), ..Guest::begin("(call $send (call $post))") });
    let healthy = load(&Guest::default());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let Ok(Step::Act(conversation, _)) = spin.begin(&settings(), view(), &brief()).result else {
                        return;
                    };
                    assert!(matches!(conversation.step(Outcome::default()).result, Err(Fault::Deadline { .. })));
                }
            });
        }
        for _ in 0..200 {
            assert!(matches!(healthy.begin(&settings(), view(), &Limits::default()).result, Ok(Step::Done(_))));
        }
    });
}

#[test]
fn the_same_inputs_give_the_same_action_in_another_engine_too() {
    // Not-a-number has many forms; which one a processor picks must not show.
    let guest = Guest::begin(
        "(local.set $a (call $post)) (f64.store (i32.const 64) (f64.div (f64.const 0) (f64.const 0))) \
         (f64.store (i32.const 72) (f64.sub (f64.const inf) (f64.const inf))) \
         (call $write (local.get $a) (i32.const 64) (i32.const 16)) (call $send (local.get $a))",
    )
    .component();
    let digest = |sandbox: &Arc<Sandbox>| {
        let adapter = sandbox.load(&guest).unwrap();
        match adapter.begin(&settings(), view(), &Limits::default()).result.unwrap() {
            Step::Act(_, action) => action.digest(),
            Step::Done(verdict) => panic!("{verdict:?}"),
        }
    };
    let other = Sandbox::new(SandboxOptions { max_instances: 1, ..SandboxOptions::default() }).unwrap();
    assert_eq!(digest(sandbox()), digest(&other));
}

#[test]
fn more_settings_than_a_form_can_show_or_two_of_one_name_are_refused() {
    let settings: Vec<String> = (0..400).map(|n| format!(r#"{{"key":"k{n}","label":"L","kind":"text"}}"#)).collect();
    let description = format!(r#"{{"name":"guest","version":"1.0.0","settings":[{}]}}"#, settings.join(","));
    let told = refused(&Guest { description, ..Guest::default() }).to_string();
    assert!(told.contains("400") && told.contains("may have 64 settings"), "{told}");
    let twice = r#"{"name":"guest","version":"1.0.0","settings":[{"key":"k","label":"L","kind":"text"},{"key":"k","label":"M","kind":"text"}]}"#;
    let told = refused(&Guest { description: twice.to_owned(), ..Guest::default() }).to_string();
    assert!(told.contains("\"k\"") || told.contains("k "), "{told}");
    still_serves();
}

/// Every test function in the folders of the repository, as text of all sources.
fn sources(folder: &std::path::Path, all: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target" && name != "node_modules") {
            sources(&path, all);
        } else if path.extension().is_some_and(|e| e == "rs") {
            all.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_test_that_the_table_names_exists() {
    let repository = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let mut all = String::new();
    for folder in ["host", "tests", "fuzz"] {
        sources(&repository.join(folder), &mut all);
    }
    let mut named = 0;
    for page in ["docs/hostile-guests.md", "docs/security.md"] {
        let text = std::fs::read_to_string(repository.join(page)).unwrap();
        let words = text.split('`').skip(1).step_by(2);
        // Sentences about behaviour; what else stands in such quotation marks is shorter or has other characters.
        let is_test =
            |word: &&str| word.matches('_').count() >= 4 && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        for test in words.filter(is_test) {
            assert!(all.contains(&format!("fn {test}(")), "{page} names {test}, which does not exist");
            named += 1;
        }
    }
    assert!(named > 80, "{named}");
}
