//! Components that are built here have room to grow from the start, and cannot tell.

use proptest::prelude::*;
use tidegate_adapter_build::with_room;
use wasmtime::{Engine, Instance, Store};

/// Two pages at the start; `grow` and `size` as the module sees them, and what lies at an address.
fn module(memory: &str) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(module (import "host" "f" (func)) (memory {memory}) (global $g (mut i32) (i32.const 7))
             (data (i32.const 8) "data")
             (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
             (func (export "size") (result i32) (memory.size))
             (func (export "at") (param i32) (result i32) (i32.load8_u (local.get 0)))
             (func (export "global") (result i32) (global.get $g)))"#
    ))
    .unwrap()
}

/// What a module says to each `grow`, and how large it is after it, by itself and in truth.
fn told(module: &[u8], by: &[i32]) -> (Vec<i32>, u64) {
    let engine = Engine::default();
    let module = wasmtime::Module::new(&engine, module).unwrap();
    let mut store = Store::new(&engine, ());
    let host = wasmtime::Func::wrap(&mut store, || ());
    let instance = Instance::new(&mut store, &module, &[host.into()]).unwrap();
    let number = |store: &mut Store<()>, name: &str| {
        instance.get_typed_func::<(), i32>(&mut *store, name).unwrap().call(store, ()).unwrap()
    };
    let take = |store: &mut Store<()>, name: &str, given: i32| {
        instance.get_typed_func::<i32, i32>(&mut *store, name).unwrap().call(store, given).ok()
    };
    let mut told = vec![number(&mut store, "size"), number(&mut store, "global")];
    for by in by {
        told.push(take(&mut store, "grow", *by).unwrap());
        let size = number(&mut store, "size");
        let last = size.wrapping_mul(1 << 16).wrapping_sub(1);
        told.extend([size, take(&mut store, "at", last).unwrap(), take(&mut store, "at", 8).unwrap()]);
    }
    let truth = instance.get_memory(&mut store, "memory").map_or(0, |memory| memory.size(&store));
    (told, truth)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn a_module_cannot_tell_that_it_has_room(
        by in prop::collection::vec(prop_oneof![0..6_i32, Just(-1), Just(i32::MIN), Just(65_533)], 0..6),
        memory in prop_oneof![Just("2"), Just("2 6"), Just("2 9")],
    ) {
        let plain = module(memory);
        let roomy = with_room(&plain).unwrap();
        prop_assert!(roomy != plain);
        prop_assert_eq!(told(&roomy, &by), told(&plain, &by));
    }
}

#[test]
fn growing_takes_nothing_of_the_system_until_the_room_is_used_up() {
    let plain = module("(export \"memory\") 2");
    let roomy = with_room(&plain).unwrap();
    assert_eq!((told(&plain, &[]).1, told(&roomy, &[]).1), (2, 6));
    assert_eq!((told(&plain, &[4]).1, told(&roomy, &[4]).1), (6, 6));
    assert_eq!((told(&plain, &[3, 2]).1, told(&roomy, &[3, 2]).1), (7, 7));
}

#[test]
fn a_module_without_a_memory_of_its_own_that_can_grow_stays_as_it_is() {
    for text in [
        "(module)",
        "(module (memory 1))",
        r#"(module (import "a" "b" (memory 1)) (global i32 (i32.const 0)) (func (drop (memory.grow (i32.const 1)))))"#,
        "(module (memory 2 5) (global i32 (i32.const 0)) (func (drop (memory.grow (i32.const 1)))))",
    ] {
        let plain = wat::parse_str(text).unwrap();
        assert_eq!(with_room(&plain).unwrap(), plain, "{text}");
    }
    assert!(with_room(b"not wasm").is_err());
}
