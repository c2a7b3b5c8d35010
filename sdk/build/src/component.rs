//! A core module becomes a component, and what it imports is looked at.
//!
//! The check belongs here and not only in the host: an author who calls, say, `println!` from a crate that wants WASI learns of it
//! at build time, by name.

use crate::room::with_room;
use wasmparser::{Parser, Payload};
use wit_component::ComponentEncoder;

/// The package that all of an adapter's imports must come from.
const CONTRACT: &str = "tidegate:adapter/";

/// Why a module cannot be made a component of an adapter.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// The encoder refused it.
    #[error("the module cannot be made a component: {0}")]
    Encode(String),
    /// It wants something that no host gives.
    #[error("imports {0:?}; an adapter may import interfaces of tidegate:adapter only")]
    Import(String),
}

/// Wraps the core module of an adapter into a component. Its instances start with some room to grow.
///
/// # Errors
/// [`ComponentError`] if the module carries no component type (it does not use the SDK's export macros), or imports something
/// beside the contract.
pub fn wrap(module: &[u8]) -> Result<Vec<u8>, ComponentError> {
    let module = with_room(module)?;
    let mut encoder = ComponentEncoder::default();
    let encoded = encoder.module(&module).and_then(|encoder| encoder.validate(true).encode());
    let component = encoded.map_err(|error| ComponentError::Encode(format!("{error:#}")))?;
    match imports(&component)?.into_iter().find(|name| !name.starts_with(CONTRACT)) {
        Some(name) => Err(ComponentError::Import(name)),
        None => Ok(component),
    }
}

/// Names of what a component imports.
fn imports(component: &[u8]) -> Result<Vec<String>, ComponentError> {
    let broken = |error: wasmparser::BinaryReaderError| ComponentError::Encode(error.to_string());
    let mut names = Vec::new();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(broken)? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    names.push(import.map_err(broken)?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_without_a_component_type_is_refused_with_the_reason() {
        // An empty module wraps into a component that exports nothing; the bytes of something else are no module at all.
        let error = wrap(b"not wasm").unwrap_err().to_string();
        assert!(error.starts_with("the module cannot be made a component: "), "{error}");
    }
}
