//! The adapters that travel inside the binary, built from source by the build script.

include!(concat!(env!("OUT_DIR"), "/builtin.rs"));
