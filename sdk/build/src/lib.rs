//! Builds adapter sources into WebAssembly components.
