//! Guests in the text format, with everything that the contract offers imported under the names that it has there.

use std::fmt::Write as _;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{Function, PackageId, Resolve, TypeDefKind};

const CONTRACT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../wit/v1/adapter.wit");
const MODEL: &str = "tidegate:adapter/model@1.0.0";
/// Where a guest has the handles of its own deliveries from.
const PUSH: &str = "[export]tidegate:adapter/push@1.0.0";

/// Two endpoints, a secret, and settings of other kinds.
const DESCRIPTION: &str = r#"{"name":"guest","version":"1.0.0","settings":[
 {"key":"url","label":"URL","kind":"url"},{"key":"host","label":"Host","kind":"host"},{"key":"port","label":"Port","kind":"port"},
 {"key":"user","label":"User","kind":"text"},{"key":"token","label":"Token","kind":"secret"},{"key":"script","label":"Script","kind":"text"}],
 "endpoints":[{"key":"out","kind":"http","url":"{url}"},{"key":"line","kind":"tcp","host":"host","port":"port"}]}"#;

/// Allocation that never gives back, and lies if it is told to. Addresses below 1024 are for return areas, texts follow.
const PRELUDE: &str = r#"
  (memory (export "memory") 4)
  (global $heap (mut i32) (i32.const 131072))
  (global $lie (mut i32) (i32.const 0))
  (func (export "cabi_realloc") (param $old i32) (param $olds i32) (param $align i32) (param $new i32) (result i32)
    (local $at i32)
    (if (global.get $lie) (then (return (global.get $lie))))
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get $align))))
    (global.set $heap (i32.add (local.get $at) (local.get $new)))
    (block $fits
      (br_if $fits (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
      (br_if $fits (i32.ne (i32.const -1) (memory.grow (i32.add (i32.const 1)
        (i32.shr_u (i32.sub (global.get $heap) (i32.mul (memory.size) (i32.const 65536))) (i32.const 16))))))
      (unreachable))
    (local.get $at))
"#;

/// A core module in the making.
pub(super) struct Text {
    pub(super) resolve: Resolve,
    package: PackageId,
    body: String,
    data: String,
    end: usize,
}

/// The name of an imported function inside the module.
pub(super) fn id(function: &str) -> String {
    let kinds = [("[constructor]", "new-"), ("[method]", ""), ("[resource-drop]", "drop-")];
    let plain = kinds.iter().find_map(|(kind, short)| Some(format!("${short}{}", function.strip_prefix(kind)?)));
    plain.unwrap_or_else(|| format!("${function}"))
}

impl Text {
    /// With all imports, memory and allocation, and the description of itself.
    pub(super) fn new() -> Self {
        let mut resolve = Resolve::default();
        let package = resolve.push_file(CONTRACT).unwrap_or_else(|error| panic!("{error:#}"));
        let mut text = Self { resolve, package, body: String::new(), data: String::new(), end: 1024 };
        for function in text.functions() {
            let signature = text.resolve.wasm_signature(AbiVariant::GuestImport, &function);
            let list = |kind: &str, types: &[WasmType]| {
                let words: String = types.iter().map(|t| format!(" {}", word(*t))).collect();
                if words.is_empty() { words } else { format!("({kind}{words})") }
            };
            let types = format!("{} {}", list("param", &signature.params), list("result", &signature.results));
            text.import(MODEL, &function.name, &id(&function.name), &types);
        }
        for resource in text.resources() {
            let drops = format!("[resource-drop]{resource}");
            text.import(MODEL, &drops, &id(&drops), "(param i32)");
        }
        text.import(PUSH, "[resource-new]delivery", "$delivery", "(param i32) (result i32)");
        text.prelude();
        text
    }

    /// Every function of the contract that a guest may call.
    pub(super) fn functions(&self) -> Vec<Function> {
        self.model().functions.values().cloned().collect()
    }

    /// Every resource of the contract.
    pub(super) fn resources(&self) -> Vec<String> {
        let resource = |id| matches!(self.resolve.types[id].kind, TypeDefKind::Resource);
        self.model().types.iter().filter(|(_, id)| resource(**id)).map(|(name, _)| name.clone()).collect()
    }

    fn model(&self) -> &wit_parser::Interface {
        let id = self.resolve.packages[self.package].interfaces.get("model");
        id.map_or_else(|| panic!("the contract has no model"), |id| &self.resolve.interfaces[*id])
    }

    fn import(&mut self, from: &str, name: &str, id: &str, types: &str) {
        self.add(&format!("(import \"{from}\" \"{name}\" (func {id} {types}))"));
    }

    pub(super) fn add(&mut self, text: &str) {
        self.body.push_str(text);
        self.body.push('\n');
    }

    /// Lays a text down; gives its address and length.
    pub(super) fn string(&mut self, text: &str) -> (usize, usize) {
        let (at, bytes) = (self.end, text.bytes().map(|b| format!("\\{b:02x}")).collect::<String>());
        let _ = writeln!(self.data, "(data (i32.const {at}) \"{bytes}\")");
        self.end += text.len();
        assert!(self.end < 65_536, "the texts of a guest must end before what comes after them");
        (at, text.len())
    }

    /// The same as two operands.
    pub(super) fn literal(&mut self, text: &str) -> String {
        let (at, length) = self.string(text);
        format!("(i32.const {at}) (i32.const {length})")
    }

    /// Memory and allocation; all imports must be there by now.
    fn prelude(&mut self) {
        self.add(PRELUDE);
        let (at, length) = self.string(DESCRIPTION);
        self.add(&format!(
            "(func (export \"tidegate:adapter/about@1.0.0#describe\") (result i32) (i32.store (i32.const 8) (i32.const {at}))
               (i32.store (i32.const 12) (i32.const {length})) (i32.const 8))"
        ));
    }

    /// The component of `world`.
    pub(super) fn component(self, world: &str) -> Vec<u8> {
        let Self { resolve, package, body, data, .. } = self;
        let made = || {
            let mut module = wat::parse_str(format!("(module\n{body}\n{data})")).map_err(|error| error.to_string())?;
            let world = resolve.select_world(&[package], Some(world)).map_err(|error| format!("{error:#}"))?;
            let embedded = embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false);
            embedded.map_err(|error| format!("{error:#}"))?;
            let mut encoder = ComponentEncoder::default();
            encoder.module(&module).and_then(|e| e.validate(true).encode()).map_err(|error| format!("{error:#}"))
        };
        made().unwrap_or_else(|error: String| panic!("{error}"))
    }
}

fn word(kind: WasmType) -> &'static str {
    match kind {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32",
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
    }
}
