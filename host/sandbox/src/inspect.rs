//! Looks at a component before anything of it is compiled or run.
//!
//! What can be refused by reading is refused by reading: the compiler is the most expensive and least guarded part that
//! untrusted bytes can reach. The bytes are walked to the end, so a cut-off file is an error even if what is left makes sense.

use crate::load::LoadError;
use crate::meter::TABLE_ELEMENT_BYTES;
use crate::text::plain;
use crate::version::Version;
use crate::wasi::{self, Stub};
use std::collections::BTreeSet;
use tidegate_model::Direction;
use wasmparser::{Parser, Payload, TypeRef};
use wasmtime::Engine;

/// The version of the contract that this host has.
pub(crate) const OFFERED: &str = "1.0.0";
/// What every name of the contract begins with.
const CONTRACT: &str = "tidegate:adapter/";
/// Components inside of components. Toolchains nest one; composing adapters nests another for each step.
const MAX_DEPTH: u32 = 16;
/// First bytes of every WebAssembly file, and what follows them in a component and in a module.
const MAGIC: &[u8; 4] = b"\0asm";
const COMPONENT: [u8; 4] = [0x0d, 0, 1, 0];
const MODULE: [u8; 4] = [1, 0, 0, 0];

/// What reading told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inspected {
    /// From its exports.
    pub(crate) direction: Direction,
    /// Newest version of the contract that it names.
    pub(crate) contract: String,
    /// System interfaces that it imports, all of which have a stub.
    pub(crate) stubs: Vec<Stub>,
}

/// Reads `bytes`, a component of at most `max_bytes` that starts with at most `max_memory` bytes in each memory and table.
pub(crate) fn inspect(bytes: &[u8], max_bytes: usize, max_memory: usize) -> Result<Inspected, LoadError> {
    if bytes.len() > max_bytes {
        return Err(LoadError::TooLarge { size: bytes.len() as u64, limit: max_bytes });
    }
    kind(bytes)?;
    let mut found = Found::default();
    // Component at depth 0; what is nested in it has imports and exports of its own, which are nobody else's business.
    let mut depth = 0u32;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|error| damaged(&error, bytes.len()))?;
        match &payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(LoadError::Nested { limit: MAX_DEPTH });
                }
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        found.read(&payload, depth, max_memory).map_err(|refusal| refusal.or_damaged(bytes.len()))?;
    }
    found.judge()
}

/// Tells a component from everything else that gets a `.wasm` at its end.
fn kind(bytes: &[u8]) -> Result<(), LoadError> {
    if bytes.is_empty() {
        return Err(LoadError::Empty);
    }
    let component: Vec<u8> = [&MAGIC[..], &COMPONENT[..]].concat();
    if bytes.len() < component.len() && component.starts_with(bytes) {
        return Err(LoadError::Truncated { length: bytes.len() });
    }
    if Engine::detect_precompiled(bytes).is_some() || bytes.starts_with(b"\x7fELF") {
        return Err(LoadError::Native);
    }
    let foreign = |found: &str| Err(LoadError::Foreign { found: found.to_owned() });
    match bytes.strip_prefix(MAGIC) {
        Some(rest) if rest.starts_with(&COMPONENT) => Ok(()),
        Some(rest) if rest.starts_with(&MODULE) => Err(LoadError::CoreModule),
        Some(rest) => {
            foreign(&format!("WebAssembly of an unknown version ({})", hex::encode(&rest[..rest.len().min(4)])))
        }
        None if bytes.starts_with(b"PK") => foreign("a zip archive"),
        None if bytes.starts_with(b"\x1f\x8b") => foreign("compressed by gzip"),
        None => {
            let start = &bytes[..bytes.len().min(512)];
            let text =
                std::str::from_utf8(start).is_ok_and(|t| !t.chars().any(|c| c.is_control() && !c.is_whitespace()));
            if text {
                return Err(LoadError::Text);
            }
            foreign(&format!("something else (it begins with {})", hex::encode(&start[..start.len().min(4)])))
        }
    }
}

/// Why reading stopped.
enum Refusal {
    Damaged(wasmparser::BinaryReaderError),
    Refused(LoadError),
}

impl Refusal {
    fn or_damaged(self, length: usize) -> LoadError {
        match self {
            Self::Damaged(error) => damaged(&error, length),
            Self::Refused(error) => error,
        }
    }
}

impl From<wasmparser::BinaryReaderError> for Refusal {
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        Self::Damaged(error)
    }
}

fn damaged(error: &wasmparser::BinaryReaderError, length: usize) -> LoadError {
    if error.message().contains("unexpected end") {
        return LoadError::Truncated { length };
    }
    LoadError::Malformed { at: error.offset(), problem: plain(error.message()) }
}

/// What was seen so far.
#[derive(Default)]
struct Found {
    about: bool,
    push: bool,
    pull: bool,
    versions: Vec<String>,
    stubs: BTreeSet<Stub>,
    system: Vec<String>,
    unknown: Vec<String>,
}

/// What to do with an import.
enum Import<'a> {
    /// The contract, in the version that is named.
    Contract(&'a str),
    /// A system interface that there is a stub for.
    Stub(Stub),
    /// A system interface that no adapter is given.
    System,
    /// Anything else.
    Unknown,
}

fn import(name: &str) -> Import<'_> {
    match name.strip_prefix(CONTRACT).and_then(|rest| rest.strip_prefix("model@")) {
        Some(version) => Import::Contract(version),
        None => match wasi::stub(name) {
            Some(stub) => Import::Stub(stub),
            None if name.starts_with("wasi:") => Import::System,
            None => Import::Unknown,
        },
    }
}

impl Found {
    fn read(&mut self, payload: &Payload<'_>, depth: u32, max_memory: usize) -> Result<(), Refusal> {
        match payload {
            Payload::ComponentImportSection(section) if depth == 0 => {
                for one in section.clone() {
                    self.import(&one?.name.full_name());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for one in section.clone() {
                    self.export(&one?.name.full_name());
                }
            }
            Payload::MemorySection(section) => {
                for memory in section.clone() {
                    starts_with(memory_bytes(&memory?), max_memory)?;
                }
            }
            Payload::TableSection(section) => {
                for table in section.clone() {
                    starts_with(table?.ty.initial.saturating_mul(TABLE_ELEMENT_BYTES as u64), max_memory)?;
                }
            }
            Payload::ImportSection(section) => {
                for one in section.clone().into_imports() {
                    match one?.ty {
                        TypeRef::Memory(memory) => starts_with(memory_bytes(&memory), max_memory)?,
                        TypeRef::Table(table) => {
                            starts_with(table.initial.saturating_mul(TABLE_ELEMENT_BYTES as u64), max_memory)?;
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn import(&mut self, name: &str) {
        match import(name) {
            Import::Contract(version) => self.versions.push(version.to_owned()),
            Import::Stub(stub) => drop(self.stubs.insert(stub)),
            Import::System => self.system.push(plain(name)),
            Import::Unknown => self.unknown.push(plain(name)),
        }
    }

    fn export(&mut self, name: &str) {
        let Some((interface, version)) = name.strip_prefix(CONTRACT).and_then(|rest| rest.split_once('@')) else {
            return;
        };
        match interface {
            "about" => self.about = true,
            "push" => self.push = true,
            "pull" => self.pull = true,
            _ => return,
        }
        self.versions.push(version.to_owned());
    }

    fn judge(mut self) -> Result<Inspected, LoadError> {
        if !self.unknown.is_empty() {
            self.unknown.append(&mut self.system);
            return Err(LoadError::Imports { names: shortened(self.unknown) });
        }
        if !self.system.is_empty() {
            return Err(LoadError::System { names: shortened(self.system) });
        }
        let contract = newest(&self.versions)?;
        let direction = match (self.push, self.pull) {
            (true, true) => Direction::Both,
            (true, false) => Direction::Push,
            (false, true) => Direction::Pull,
            (false, false) => {
                return Err(LoadError::Exports { missing: format!("{CONTRACT}push or {CONTRACT}pull") });
            }
        };
        if !self.about {
            return Err(LoadError::Exports { missing: format!("{CONTRACT}about") });
        }
        Ok(Inspected { direction, contract, stubs: self.stubs.into_iter().collect() })
    }
}

/// Newest of the versions that a component names. All must have the major number of the one that is offered.
fn newest(versions: &[String]) -> Result<String, LoadError> {
    let refused = |wanted: &str| LoadError::Contract { wanted: plain(wanted), offered: OFFERED };
    let offered = Version::parse(OFFERED);
    let mut newest: Option<(Version, &String)> = None;
    for text in versions {
        let version = Version::parse(text).filter(|v| offered.as_ref().is_some_and(|o| v.fits(o)));
        let version = version.ok_or_else(|| refused(text))?;
        if newest.as_ref().is_none_or(|(n, _)| version > *n) {
            newest = Some((version, text));
        }
    }
    Ok(newest.map_or_else(|| OFFERED.to_owned(), |(_, text)| text.clone()))
}

fn memory_bytes(memory: &wasmparser::MemoryType) -> u64 {
    let page = 1u64.checked_shl(memory.page_size_log2.unwrap_or(16)).unwrap_or(u64::MAX);
    memory.initial.saturating_mul(page)
}

fn starts_with(asked: u64, limit: usize) -> Result<(), Refusal> {
    if asked > limit as u64 {
        return Err(Refusal::Refused(LoadError::Memory { asked, limit }));
    }
    Ok(())
}

/// The first names of a list that the guest made as long as it liked.
fn shortened(mut names: Vec<String>) -> Vec<String> {
    const SHOWN: usize = 20;
    if names.len() > SHOWN {
        let more = names.len() - SHOWN;
        names.truncate(SHOWN);
        names.push(format!("and {more} more"));
    }
    names.iter_mut().for_each(|name| *name = name.replace('"', "\\\""));
    names
}

/// What an engine's message says about `wanted`, safe to show.
pub(crate) fn types(wanted: &str, error: &wasmtime::Error) -> LoadError {
    LoadError::Types { wanted: wanted.to_owned(), offered: OFFERED, problem: plain(&format!("{error:#}")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(bytes: &[u8]) -> String {
        inspect(bytes, 1 << 20, 1 << 20).unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_a_component_is_called_by_its_name() {
        assert!(told(b"").starts_with("the file is empty"));
        assert!(told(b"(component)\n").starts_with("the file is text"));
        assert!(told(b"\0asm\x01\0\0\0").starts_with("the file is a core WebAssembly module"));
        assert!(told(b"\0asm\x0d\0\x02\0").contains("unknown version (0d000200)"));
        assert!(told(b"\x7fELF\x02\x01\x01").starts_with("the file is machine code"));
        assert!(told(b"PK\x03\x04").contains("a zip archive"));
        assert!(told(b"\x1f\x8b\x08").contains("gzip"));
        assert!(told(&[0xff, 0xfe, 0x01]).contains("begins with fffe01"));
        for cut in 1..8 {
            assert!(told(&b"\0asm\x0d\0\x01\0"[..cut]).contains(&format!("cut off after {cut} bytes")));
        }
    }

    #[test]
    fn a_component_over_the_size_limit_is_refused_unread_with_both_figures() {
        let error = inspect(&[0; 101], 100, 1).unwrap_err();
        assert_eq!(error.to_string(), "the component has 101 bytes; the limit is 100 bytes");
    }

    #[test]
    fn an_empty_component_is_no_adapter() {
        assert!(told(b"\0asm\x0d\0\x01\0").contains("does not export tidegate:adapter/push or tidegate:adapter/pull"));
    }

    #[test]
    fn the_newest_version_of_the_same_major_number_counts_and_another_major_is_refused() {
        let newest = |versions: &[&str]| newest(&versions.iter().map(|&v| v.to_owned()).collect::<Vec<_>>());
        assert_eq!(newest(&["1.0.0", "1.10.0", "1.9.3"]).unwrap(), "1.10.0");
        let error = newest(&["1.0.0", "2.0.0"]).unwrap_err().to_string();
        assert_eq!(error, "the component is made for version 2.0.0 of the adapter contract; this host has 1.0.0");
        for odd in ["", "1", "1.0.0-rc1", "x", "0.9.0"] {
            assert!(newest(&[odd]).is_err(), "{odd}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_behind_the_head_of_a_component_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = inspect(&[b"\0asm\x0d\0\x01\0", &bytes[..]].concat(), 1 << 20, 1 << 20);
        }
    }
}
