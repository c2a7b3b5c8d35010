//! A guest that does what its script says: it calls every function of the contract, in any order, with handles that it has or has
//! not, with texts and lists that are there or nowhere, and answers with any handle or none.
//!
//! No compiler would make such an adapter, and a mutated component is mostly refused before it calls anything. Its code is made from
//! the contract, so a function that is added there is called here too.
//!
//! A script is read byte by byte. Each constructor, `begin`, `step` and `render` does operations until one says that it is done, and
//! then reads how to answer. Where an address is wanted, most bytes mean one that makes sense, or the operations would never get far.

use super::text::{Text, id};
use tidegate_model::SettingValue;
use wit_parser::abi::AbiVariant;
use wit_parser::{Function, Handle, Type, TypeDefKind};

/// Longest script.
pub(super) const MOST_BYTES: usize = 16 << 10;

/// Texts that the contract has a meaning for, and some that it has none for.
const TEXTS: [&str; 20] = [
    "out",
    "line",
    "POST",
    "GET",
    "token",
    "user",
    "url",
    "port",
    "script",
    "x-key",
    "{}",
    "Token {}",
    "/write",
    "/../x",
    "authorization",
    "content-encoding",
    "text/plain",
    "retry-after",
    "",
    "a\r\nb",
];

/// The settings that give the puppet its script: two letters for each byte, since settings are text.
pub(super) fn settings(script: &[u8], secret: &str) -> Vec<(String, SettingValue)> {
    let letter = |half: u8| char::from(b'a' + half);
    let script: String = script.iter().flat_map(|byte| [letter(byte >> 4), letter(byte & 15)]).collect();
    let mut all = super::kept(
        [("url", "http://sink.example/base".to_owned()), ("host", "sink.example".to_owned()), ("script", script)],
        secret,
    );
    all.push(("port".to_owned(), SettingValue::Integer(2003)));
    all.push(("user".to_owned(), SettingValue::Text("ann".to_owned())));
    all
}

/// Reading the script. Registers with handles lie from 0 to 63, the script from 65,536 on.
const READING: &str = r#"
  (global $at (mut i32) (i32.const 65536))
  (global $end (mut i32) (i32.const 65536))
  (global $next (mut i32) (i32.const 0))
  (global $from (mut i32) (i32.const 0))
  (global $length (mut i32) (i32.const 0))
  (func $byte (result i32)
    (if (i32.ge_u (global.get $at) (global.get $end)) (then (return (i32.const 0))))
    (i32.load8_u (global.get $at))
    (global.set $at (i32.add (global.get $at) (i32.const 1))))
  (func $word (result i32)
    (i32.or (call $byte) (i32.or (i32.shl (call $byte) (i32.const 8))
      (i32.or (i32.shl (call $byte) (i32.const 16)) (i32.shl (call $byte) (i32.const 24))))))
  (func $number (result i32) (local $first i32)
    (local.set $first (call $byte))
    (if (i32.lt_u (local.get $first) (i32.const 200)) (then (return (local.get $first))))
    (call $word))
  (func $keep (param $handle i32)
    (i32.store (i32.shl (i32.and (global.get $next) (i32.const 15)) (i32.const 2)) (local.get $handle))
    (global.set $next (i32.add (global.get $next) (i32.const 1))))
  (func $handle (result i32) (local $first i32)
    (local.set $first (call $byte))
    ;; Counted back from the newest.
    (if (i32.lt_u (local.get $first) (i32.const 200)) (then (return (i32.load (i32.shl
      (i32.and (i32.sub (i32.sub (global.get $next) (i32.const 1)) (local.get $first)) (i32.const 15)) (i32.const 2))))))
    (call $word))
  (func $keep-all (local $i i32)
    (block $done (loop $again
      (br_if $done (i32.ge_u (local.get $i) (i32.load (i32.const 132))))
      (br_if $done (i32.ge_u (local.get $i) (i32.const 8)))
      (call $keep (i32.load (i32.add (i32.load (i32.const 128)) (i32.shl (local.get $i) (i32.const 2)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $again))))
  (func $return-area (result i32)
    (if (i32.lt_u (call $byte) (i32.const 250)) (then (return (i32.const 128))))
    (call $word))
  (func $load-script (param $settings i32) (local $i i32) (local $source i32)
    (call $settings.text (local.get $settings) SCRIPT (i32.const 512))
    (local.set $source (i32.load (i32.const 516)))
    (block $done (loop $again
      (br_if $done (i32.ge_u (local.get $i) (i32.shr_u (i32.load (i32.const 520)) (i32.const 1))))
      (i32.store8 (i32.add (i32.const 65536) (local.get $i)) (i32.or
        (i32.shl (i32.sub (i32.load8_u (local.get $source)) (i32.const 97)) (i32.const 4))
        (i32.sub (i32.load8_u offset=1 (local.get $source)) (i32.const 97))))
      (local.set $source (i32.add (local.get $source) (i32.const 2)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $again)))
    (global.set $end (i32.add (i32.const 65536) (local.get $i))))
  (func $answer (result i32) (local $how i32)
    (local.set $how (call $byte))
    (i32.store8 (i32.const 256) (i32.and (local.get $how) (i32.const 3)))
    (i32.store (i32.const 260) (call $handle))
    (i32.store (i32.const 264) (call $number))
    (if (i32.lt_u (local.get $how) (i32.const 240)) (then (return (i32.const 256))))
    (i32.store (i32.const 256) (call $word))
    (if (i32.lt_u (local.get $how) (i32.const 250)) (then (return (i32.const 256))))
    (call $word))
  ;; What was lent has to be given back, unless the script says otherwise.
  (func $gives-back (result i32) (i32.lt_u (call $byte) (i32.const 250)))
"#;

const EXPORTS: &str = r#"
  (func (export "tidegate:adapter/push@1.0.0#[constructor]delivery") (param $settings i32) (result i32)
    (call $load-script (local.get $settings)) (call $keep (local.get $settings)) (call $run)
    (if (call $gives-back) (then (call $drop-settings (local.get $settings))))
    (call $delivery (i32.const 1)))
  (func (export "tidegate:adapter/push@1.0.0#[method]delivery.begin") (param $self i32) (param $batch i32) (result i32)
    (call $keep (local.get $batch)) (call $run) (call $answer)
    (if (call $gives-back) (then (call $drop-batch (local.get $batch)))))
  (func (export "tidegate:adapter/push@1.0.0#[method]delivery.step") (param $self i32) (param $outcome i32) (result i32)
    (call $keep (local.get $outcome)) (call $run) (call $answer)
    (if (call $gives-back) (then (call $drop-outcome (local.get $outcome)))))
  (func (export "tidegate:adapter/pull@1.0.0#render") (param $settings i32) (param $snapshot i32) (param $scrape i32) (result i32)
    (call $load-script (local.get $settings))
    (call $keep (local.get $scrape)) (call $keep (local.get $snapshot)) (call $run) (call $answer)
    (call $drop-settings (local.get $settings))
    (if (call $gives-back) (then (call $drop-snapshot (local.get $snapshot)) (call $drop-scrape (local.get $scrape)))))
"#;

/// The component.
pub(crate) fn component() -> Vec<u8> {
    let mut text = Text::new();
    let script = text.literal("script");
    text.add(&READING.replace("SCRIPT", &script));
    texts(&mut text);
    run(&mut text);
    text.add(EXPORTS);
    text.component("push-and-pull-adapter")
}

/// `$text` finds an address and a length: of a known text, of a piece of the script, or none that makes sense.
fn texts(text: &mut Text) {
    let mut known = String::new();
    for (at, one) in TEXTS.iter().enumerate() {
        let (address, length) = text.string(one);
        known.push_str(&format!(
            "(if (i32.eq (local.get $first) (i32.const {at})) (then (global.set $from (i32.const {address}))
               (global.set $length (i32.const {length})) (return)))\n"
        ));
    }
    text.add(&format!(
        "(func $text (local $first i32)
           (local.set $first (call $byte))
           {known}
           (if (i32.lt_u (local.get $first) (i32.const 230)) (then
             (global.set $length (call $byte))
             (global.set $from (global.get $at))
             (global.set $at (i32.add (global.get $at) (global.get $length)))
             (return)))
           (global.set $from (call $word))
           (global.set $length (call $word)))"
    ));
}

/// `$run` does operations until one says that it is done, or the script ends.
fn run(text: &mut Text) {
    let mut operations: Vec<String> = text.functions().iter().map(|function| call(text, function)).collect();
    operations
        .extend(text.resources().iter().map(|r| format!("call $handle call {}", id(&format!("[resource-drop]{r}")))));
    operations.push("call $byte memory.grow drop".to_owned());
    operations.push("call $word global.set $lie".to_owned());
    operations.push("call $word i32.const 262143 i32.and call $word i32.store align=1".to_owned());
    let count = operations.len() + 1;
    let mut cases = String::new();
    for (at, operation) in operations.iter().enumerate() {
        cases.push_str(&format!("local.get $what i32.const {} i32.eq if {operation} br $again end\n", at + 1));
    }
    text.add(&format!(
        "(func $run (local $what i32)
           block $done loop $again
             global.get $at global.get $end i32.ge_u br_if $done
             call $byte i32.const {count} i32.rem_u local.tee $what i32.eqz br_if $done
             {cases}
           end end)"
    ));
}

/// A call with arguments from the script, and its handles kept.
fn call(text: &Text, function: &Function) -> String {
    let signature = text.resolve.wasm_signature(AbiVariant::GuestImport, function);
    assert!(!signature.indirect_params, "{} has more arguments than a puppet knows to pass", function.name);
    let mut code: String = function.params.iter().map(|param| argument(text, &param.ty)).collect();
    if signature.retptr {
        code.push_str("call $return-area ");
    }
    code.push_str(&format!("call {} ", id(&function.name)));
    let result = function.result.as_ref().and_then(|result| kind(text, result));
    code.push_str(match result {
        Some(TypeDefKind::Handle(_)) => "call $keep",
        Some(TypeDefKind::List(of)) if matches!(kind(text, of), Some(TypeDefKind::Handle(_))) => "call $keep-all",
        _ if signature.results.is_empty() => "",
        _ => "drop",
    });
    code
}

/// What a type is, through its other names; none for a plain one.
fn kind<'t>(text: &'t Text, of: &Type) -> Option<&'t TypeDefKind> {
    let Type::Id(id) = of else { return None };
    match &text.resolve.types[*id].kind {
        TypeDefKind::Type(of) => kind(text, of),
        kind => Some(kind),
    }
}

fn argument(text: &Text, of: &Type) -> String {
    match (of, kind(text, of)) {
        (Type::Bool | Type::U8 | Type::U16 | Type::U32 | Type::S8 | Type::S16 | Type::S32 | Type::Char, _) => {
            "call $number ".to_owned()
        }
        (Type::U64 | Type::S64, _) => "call $word i64.extend_i32_u ".to_owned(),
        (Type::F64, _) => "call $word i64.extend_i32_u i64.const 32 i64.shl f64.reinterpret_i64 ".to_owned(),
        (Type::String, _) | (_, Some(TypeDefKind::List(_))) => {
            "call $text global.get $from global.get $length ".to_owned()
        }
        (_, Some(TypeDefKind::Handle(Handle::Own(_) | Handle::Borrow(_)))) => "call $handle ".to_owned(),
        (_, Some(TypeDefKind::Option(of))) => format!("call $number {}", argument(text, of)),
        other => panic!("the puppet has to be taught what {other:?} is"),
    }
}
