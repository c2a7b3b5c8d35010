//! The adapters that travel inside the binary.

/// Package name and component of each.
pub const COMPONENTS: &[(&str, &[u8])] = &[];
