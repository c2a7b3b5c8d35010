//! Derives for typed adapter settings. Use them through `tidegate-adapter`, which documents them.
//!
//! What can be checked while compiling is checked here and reported at the attribute it concerns: an author should never learn of
//! a bad key, an unlabelled setting or a condition on a field that does not exist from a host that refuses the component.

mod attributes;
mod choice;
mod settings;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct the settings of an adapter.
///
/// Each field has `#[setting(label = "...")]`, and may have in it:
/// - `help = "..."`: a sentence that tells the admin where to find the value;
/// - `secret`: the value is a credential (fields of type `CredentialSlot` and `Endpoint`);
/// - `default = ...`: the value if none is typed in;
/// - `required`: on an `Option`, together with `when`: it must have a value under that condition;
/// - `when(FIELD = "value")` or `when(FIELD = ["a", "b"])`: asked for only if that other setting has one of these values; the
///   field must be an `Option`;
/// - `min = ...`, `max = ...`: bounds of an integer or a port.
///
/// A field of type `Endpoint` is an endpoint of that name. Others are declared on the struct, and become constants of it:
/// - `#[endpoint(http, name = "intake", url = "https://api.{site}")]` gives `Self::INTAKE`; `site` is a field of a choice type;
/// - `#[endpoint(tcp, name = "carbon", host = "host", port = "port")]` gives `Self::CARBON`; `host` and `port` are fields.
#[proc_macro_derive(Settings, attributes(setting, endpoint))]
pub fn derive_settings(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    settings::derive(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Makes an enum a type of setting: one of several values.
///
/// Each variant has `#[choice(value = "...", label = "...")]`: what is stored, and what is shown.
#[proc_macro_derive(Choice, attributes(choice))]
pub fn derive_choice(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    choice::derive(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}
