//! Files that are not adapters, or not yet, or not any more: told apart, named, and no harm to others.

mod common;

use common::*;
use tidegate_sandbox::{LoadError, Sandbox, SandboxOptions};

/// Bytes up to the end of the last section that matters: what follows is names and the like.
fn needed(component: &[u8]) -> usize {
    let mut needed = 0;
    for payload in wasmparser::Parser::new(0).parse_all(component) {
        if let wasmparser::Payload::ComponentExportSection(section) = payload.unwrap() {
            needed = usize::try_from(section.range().end).unwrap();
        }
    }
    needed
}

#[test]
fn a_component_that_is_cut_off_is_refused_at_every_length() {
    let good = Guest::default().component();
    let needed = needed(&good);
    assert!(needed > good.len() / 2);
    for length in 0..needed {
        let error = sandbox().load(&good[..length]).expect_err("a component that is not whole");
        let expected = matches!(error, LoadError::Empty | LoadError::Truncated { .. } | LoadError::Exports { .. });
        assert!(expected, "{length} of {needed}: {error:?}");
    }
    for length in needed + 1..good.len() {
        // Between two sections of names, what is left is whole.
        let result = sandbox().load(&good[..length]);
        assert!(matches!(result, Ok(_) | Err(LoadError::Truncated { .. })), "{length}: {result:?}");
    }
    still_serves();
}

#[test]
fn a_component_with_one_wrong_byte_never_brings_the_host_down() {
    let good = Guest::default().component();
    for at in (8..good.len()).step_by(97) {
        let mut bad = good.clone();
        bad[at] ^= 0x55;
        // Some changes make another good component; it must then work, or fail, as one.
        if let Ok(adapter) = sandbox().load(&bad) {
            let _ = adapter.begin(&settings(), view(), &Default::default());
        }
    }
    still_serves();
}

#[test]
fn a_component_that_wants_other_interfaces_is_refused_with_their_names() {
    let imports = |names: &[&str]| {
        let each: String = names.iter().map(|n| format!("(import \"{n}\" (instance))")).collect();
        let bytes = wat::parse_str(format!("(component {each})")).unwrap();
        sandbox().load(&bytes).unwrap_err()
    };
    let error = imports(&["acme:secrets/vault@1.0.0", "tidegate:adapter/other@1.0.0"]);
    let expected =
        "the component imports what an adapter is not given: acme:secrets/vault@1.0.0, tidegate:adapter/other@1.0.0";
    assert_eq!(error.to_string(), expected);
    // What has a stub is no reason to refuse; what reaches the network has none.
    let error = imports(&["wasi:sockets/tcp@0.2.0", "wasi:http/types@0.2.0", "wasi:http/outgoing-handler@0.2.6"]);
    let expected = "the component imports system interfaces (WASI) that adapters do not have, not even as stubs: \
        wasi:http/types@0.2.0, wasi:http/outgoing-handler@0.2.6; build it for wasm32-unknown-unknown or switch these features off \
        in its toolchain";
    assert_eq!(error.to_string(), expected);
    let error = imports(&["wasi:cli/stdout@0.3.0"]);
    assert!(matches!(&error, LoadError::System { names } if names == &["wasi:cli/stdout@0.3.0"]), "{error:?}");
    let error = imports(&["wasi:sockets/tcp@0.2.0", "wasi:filesystem/types@0.2.6"]);
    assert!(matches!(&error, LoadError::Exports { .. }), "{error:?}");
    let error = imports(&["tidegate:adapter/model@2.1.0"]);
    assert_eq!(
        error.to_string(),
        "the component is made for version 2.1.0 of the adapter contract; this host has 1.0.0"
    );
}

#[test]
fn an_adapter_for_a_newer_minor_version_is_refused_with_a_hint_only_if_it_uses_what_is_new() {
    let newer = |functions: &str| {
        let text = format!(
            r#"(component
                 (import "tidegate:adapter/model@1.3.0" (instance {functions}))
                 (instance $none)
                 (export "tidegate:adapter/about@1.3.0" (instance $none))
                 (export "tidegate:adapter/pull@1.3.0" (instance $none)))"#
        );
        sandbox().load(&wat::parse_str(text).unwrap()).unwrap_err().to_string()
    };
    let told = newer(r#"(export "later" (func))"#);
    assert!(
        told.starts_with("the component does not fit version 1.0.0 of the adapter contract (it is made for 1.3.0): "),
        "{told}"
    );
    assert!(told.contains("later"), "{told}");
    // Without it the imports fit, and only the empty exports are in the way.
    let told = newer("");
    assert!(told.contains("it is made for 1.3.0") && told.contains("describe"), "{told}");
}

#[test]
fn memory_that_is_too_large_from_the_start_is_refused_before_compiling() {
    let error = refused(&Guest { pages: 1_025, ..Guest::default() });
    assert_eq!(error, LoadError::Memory { asked: 1_025 * 65_536, limit: 64 << 20 });
    assert_eq!(error.to_string(), "the component needs 67174400 bytes of memory to start; the limit is 67108864 bytes");
    let error = refused(&Guest { extra: "(table 9000000 funcref)".to_owned(), ..Guest::default() });
    assert_eq!(error, LoadError::Memory { asked: 72_000_000, limit: 64 << 20 });
}

#[test]
fn what_the_engine_has_switched_off_is_refused() {
    let with = |parts: &str| {
        let text = format!(
            "(component {parts} (instance $i) \
            (export \"tidegate:adapter/about@1.0.0\" (instance $i)) (export \"tidegate:adapter/push@1.0.0\" (instance $i)))"
        );
        sandbox().load(&wat::parse_str(text).unwrap()).unwrap_err()
    };
    let core = [
        ("(memory i64 1)", "memory64"),
        ("(memory 1) (memory 1)", "multiple memories"),
        ("(memory 1 1 shared)", "threads"),
        ("(tag)", "exceptions"),
        ("(func (result v128) (v128.const i64x2 0 0))", "SIMD"),
        ("(func $f (return_call $f))", "tail calls"),
        ("(type (struct))", "gc"),
        (
            "(func (drop (i64.add128 (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0))) (drop))",
            "wide arithmetic",
        ),
    ];
    let core = core.map(|(module, named)| (format!("(core module {module})"), named));
    // What components may do at the same time as others, and kinds of values that are still being tried out.
    let asynchronous = [
        ("(type $s (stream u8)) (core func (canon stream.new $s))", "async"),
        ("(type $f (future u8)) (core func (canon future.new $f))", "async"),
        ("(core func (canon task.cancel))", "async"),
        ("(core func (canon thread.yield))", "async"),
        ("(core func (canon error-context.drop))", "error-context"),
        ("(type (list u8 4))", "fixed"),
        ("(type (map string u8))", "map"),
    ];
    for (parts, named) in core.into_iter().chain(asynchronous.map(|(parts, named)| (parts.to_owned(), named))) {
        let error = with(&parts);
        assert!(matches!(error, LoadError::Compile(_)), "{parts}: {error:?}");
        assert!(error.to_string().contains(named), "{parts}: {error}");
    }
    still_serves();
}

#[test]
fn a_component_of_too_many_parts_is_refused_with_the_number_and_the_limit() {
    let with = |modules: &str| {
        let none = "(instance $i) (export \"tidegate:adapter/about@1.0.0\" (instance $i)) \
            (export \"tidegate:adapter/push@1.0.0\" (instance $i))";
        let text = format!("(component {modules} {none})");
        sandbox().load(&wat::parse_str(text).unwrap()).unwrap_err().to_string()
    };
    let instances = |module: &str, count: usize| {
        let one = "(core instance (instantiate $m))";
        format!("(core module $m {module}) {}", one.repeat(count))
    };
    let cases = [
        (instances("(memory 1)", 3), ["3", "2"]),
        (instances("", 21), ["21", "20"]),
        (instances("(table 1 funcref)", 9), ["9", "8"]),
        (instances("(table 65537 funcref)", 1), ["65537", "65536"]),
    ];
    for (modules, figures) in cases {
        let told = with(&modules);
        assert!(told.starts_with("the component cannot be compiled: "), "{told}");
        assert!(figures.iter().all(|figure| told.contains(figure)), "{figures:?}: {told}");
    }
}

#[test]
fn a_component_over_the_size_limit_of_the_sandbox_is_refused() {
    let options = SandboxOptions { max_instances: 1, max_component_bytes: 100, ..SandboxOptions::default() };
    let error = Sandbox::new(options).unwrap().load(&Guest::default().component()).unwrap_err();
    assert!(matches!(error, LoadError::TooLarge { limit: 100, .. }), "{error}");
}

#[test]
fn options_that_make_no_sense_are_refused_by_name() {
    let error = Sandbox::new(SandboxOptions { max_instances: 0, ..SandboxOptions::default() }).unwrap_err();
    assert_eq!(error.to_string(), "max_instances is 0; it must be at least 1");
}

/// Run by the test below in a process of its own.
#[test]
fn an_adapter_works_in_this_process() {
    still_serves();
}

#[test]
fn where_address_space_is_short_the_sandbox_still_works() {
    // A process that may have 4 GiB in all cannot reserve a pool of 4 GiB places.
    let program = std::env::current_exe().unwrap();
    let script = format!("ulimit -v 4194304 && exec '{}' --exact an_adapter_works_in_this_process", program.display());
    let done = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&done.stderr));
}
