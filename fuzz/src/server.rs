//! Parsers of the server, from its sources. A fuzzer that had to build the whole server for them would not be built.
#![allow(dead_code, unreachable_pub, reason = "the server uses more of them than is fuzzed")]

#[path = "../../host/server/src/apply/document.rs"]
pub(crate) mod document;
#[path = "../../host/server/src/http/submission/form.rs"]
pub(crate) mod form;
#[path = "../../host/server/src/http/inflate.rs"]
pub(crate) mod inflate;
#[path = "../../host/server/src/http/lines.rs"]
pub(crate) mod lines;
#[path = "../../host/server/src/http/submission/target.rs"]
pub(crate) mod target;
