//! Why a file is not an adapter that can be used, in words that tell the operator what it is instead and what to do.

use crate::compile::CompileError;
use crate::fault::Fault;
use crate::text::plain;
use tidegate_model::DescriptionError;

/// A component that was refused. Nothing of it ran, unless the error is [`Describe`](LoadError::Describe) or
/// [`Description`](LoadError::Description).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// No bytes at all.
    #[error("the file is empty; expected a WebAssembly component")]
    Empty,
    /// Text.
    #[error("the file is text; expected a WebAssembly component in its binary form")]
    Text,
    /// A file of another kind.
    #[error("the file is {found}; expected a WebAssembly component")]
    Foreign {
        /// What it seems to be.
        found: String,
    },
    /// A module that was not made a component.
    #[error("the file is a core WebAssembly module; expected a component (wrap it with: wasm-tools component new)")]
    CoreModule,
    /// Machine code, perhaps from the engine's own cache. It is never loaded, since machine code cannot be checked.
    #[error("the file is machine code; expected a WebAssembly component, which the host compiles itself")]
    Native,
    /// The end is missing.
    #[error("the component is cut off after {length} bytes; copy it again")]
    Truncated {
        /// Bytes there are.
        length: usize,
    },
    /// Not well formed.
    #[error("the component is damaged at byte {at}: {problem}")]
    Malformed {
        /// Where.
        at: u64,
        /// What.
        problem: String,
    },
    /// Too large.
    #[error("the component has {size} bytes; the limit is {limit} bytes")]
    TooLarge {
        /// Bytes there are, or more.
        size: u64,
        /// The limit.
        limit: usize,
    },
    /// Wants things that no adapter is given.
    #[error("the component imports what an adapter is not given: {}", names.join(", "))]
    Imports {
        /// The imports, safe to show.
        names: Vec<String>,
    },
    /// Wants system interfaces that there is no stub for.
    #[error(
        "the component imports system interfaces (WASI) that adapters do not have, not even as stubs: {}; build it for \
         wasm32-unknown-unknown or switch these features off in its toolchain", names.join(", ")
    )]
    System {
        /// The imports, safe to show.
        names: Vec<String>,
    },
    /// Made for another version of the contract.
    #[error("the component is made for version {wanted} of the adapter contract; this host has {offered}")]
    Contract {
        /// The version that it names.
        wanted: String,
        /// The version that there is.
        offered: &'static str,
    },
    /// Does not export what an adapter must.
    #[error("the component is no adapter: it does not export {missing}")]
    Exports {
        /// What is missing.
        missing: String,
    },
    /// Nested more deeply than any toolchain does.
    #[error("the component has components inside of components, more than {limit} deep, which is the limit")]
    Nested {
        /// The limit.
        limit: u32,
    },
    /// Cannot start within the limit.
    #[error("the component needs {asked} bytes of memory to start; the limit is {limit} bytes")]
    Memory {
        /// What it declares.
        asked: u64,
        /// The limit.
        limit: usize,
    },
    /// The compiler refuses it.
    #[error("the component cannot be compiled: {0}")]
    Compile(CompileError),
    /// Its imports or exports are called as they should be, but are of other types.
    #[error(
        "the component does not fit version {offered} of the adapter contract{}: {problem}",
        newer(wanted, offered)
    )]
    Types {
        /// The version that it names.
        wanted: String,
        /// The version that there is.
        offered: &'static str,
        /// What differs.
        problem: String,
    },
    /// Its `describe` failed.
    #[error("the adapter could not describe itself: {0}")]
    Describe(Fault),
    /// What it says of itself breaks a rule.
    #[error("{}", plain(&.0.to_string()))]
    Description(DescriptionError),
    /// The file could not be read.
    #[error("the file could not be read: {0}")]
    Unreadable(String),
    /// Not a regular file.
    #[error("this is {found}; only regular files are loaded")]
    NotAFile {
        /// What it is.
        found: &'static str,
    },
    /// A link that leaves the folder, goes in circles, or leads nowhere.
    #[error("this is a link that is not followed: {0}; links may lead to files in the same folder only")]
    Link(String),
    /// The signature that lies beside it does not fit, or is none.
    #[error("its signature does not hold: {0}")]
    Signature(String),
    /// This host takes only what a trusted key has signed.
    #[error("this host takes only adapters that a trusted key has signed (--require-signatures), and {0}")]
    Unsigned(String),
    /// A file in the folder of keys that holds none.
    #[error("this is no public key: {0}")]
    Key(String),
    /// It changed while it was read.
    #[error("the file changed while it was read; it is read again when it has come to rest")]
    Unsettled,
}

fn newer(wanted: &str, offered: &str) -> String {
    if wanted == offered { String::new() } else { format!(" (it is made for {wanted})") }
}
