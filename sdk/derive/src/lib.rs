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
/// - `min = ...`, `max = ...`: bounds of an integer or a port;
/// - `must = ["metric"]`: the placeholders that a `Template` has to hold, so that series stay apart;
/// - `placeholders = ["project", "metric"]`: the only ones that it may hold; without it, all five.
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

#[cfg(test)]
mod tests {
    use syn::{DeriveInput, parse_quote};

    fn settings(input: &DeriveInput) -> String {
        crate::settings::derive(input).map_or_else(|error| error.to_string(), |tokens| tokens.to_string())
    }

    fn choice(input: &DeriveInput) -> String {
        crate::choice::derive(input).map_or_else(|error| error.to_string(), |tokens| tokens.to_string())
    }

    #[test]
    fn each_mistake_in_settings_is_told_in_words_of_what_to_do() {
        let table: Vec<(DeriveInput, &str)> = vec![
            (
                parse_quote!(
                    enum S {
                        A,
                    }
                ),
                "Settings is for structs",
            ),
            (
                parse_quote!(
                    struct S(String);
                ),
                "settings need a struct with named fields",
            ),
            (
                parse_quote!(
                    struct S {
                        url: Endpoint,
                    }
                ),
                "a setting needs a label: #[setting(label = \"...\")]",
            ),
            (
                parse_quote!(
                    struct S {
                        #[setting(help = "x")]
                        url: Endpoint,
                    }
                ),
                "a setting needs a label: #[setting(label = \"...\")]",
            ),
            (
                parse_quote!(
                    struct S {
                        #[setting(label = "")]
                        url: Endpoint,
                    }
                ),
                "a label must not be empty",
            ),
            (
                parse_quote!(
                    struct S {
                        #[setting(label = "a\nb")]
                        url: Endpoint,
                    }
                ),
                "must be one line of text",
            ),
            (
                parse_quote!(
                    struct S {
                        #[setting(label = "A", lable = "B")]
                        url: Endpoint,
                    }
                ),
                "expected label, help, secret, required, default, min, max, placeholders, must or when",
            ),
            (
                parse_quote!(
                    struct S {
                        #[setting(label = "A")]
                        Url: Endpoint,
                    }
                ),
                "a key must be at most 64 of a-z, 0-9 and _, with a letter first",
            ),
            (
                parse_quote!(
                    struct S {
                        #[setting(label = "A", secret, default = "x")]
                        a: CredentialSlot,
                    }
                ),
                "a secret cannot have a default",
            ),
            (
                parse_quote!(
                    struct S {
                        #[setting(label = "A", default = "")]
                        a: String,
                    }
                ),
                "a default must not be empty; a setting that may be without a value is an Option",
            ),
            (
                parse_quote!(
                    struct S {
                        #[setting(label = "A")]
                        a: bool,
                        #[setting(label = "B", when(a = "x"))]
                        b: String,
                    }
                ),
                "a setting with `when` may be without a value, so its type must be an Option",
            ),
            (
                parse_quote!(
                    struct S {
                        #[setting(label = "B", when(a = "x"))]
                        b: Option<String>,
                    }
                ),
                "there is no field `a` that this could depend on",
            ),
            (
                parse_quote!(
                    struct S {
                        #[setting(label = "B", when(b = "x"))]
                        b: Option<String>,
                    }
                ),
                "a setting cannot depend on itself",
            ),
            (
                parse_quote!(
                    struct S {
                        #[setting(label = "B", required)]
                        b: Option<String>,
                    }
                ),
                "`required` is for an Option with `when`; without an Option a setting is required anyway",
            ),
            (
                parse_quote!(
                    struct S {
                        #[setting(label = "B", default = "x")]
                        b: Option<String>,
                    }
                ),
                "a setting with a default always has a value, so its type need not be an Option",
            ),
            (
                parse_quote!(
                    struct S {
                        #[setting(label = "B", must = ["metric"])]
                        b: String,
                    }
                ),
                "`placeholders` and `must` are for fields of type Template",
            ),
            (
                parse_quote!(
                    struct S {
                        #[setting(label = "B", must = ["host"])]
                        b: Template,
                    }
                ),
                "`host` is no placeholder here; there are project, metric_set, metric, aggregate, attribute",
            ),
            (
                parse_quote!(
                    struct S {
                        #[setting(label = "B", placeholders = ["project"], must = ["metric"])]
                        b: Template,
                    }
                ),
                "`metric` is no placeholder here; there are project, metric_set, metric, aggregate, attribute",
            ),
            (
                parse_quote!(
                    struct S {
                        #[setting(label = "B", default = "{project}", must = ["metric"])]
                        b: Template,
                    }
                ),
                "the default must hold {metric}",
            ),
            (
                parse_quote!(
                    #[endpoint(tcp, name = "c", host = "h", port = "p")]
                    struct S {
                        #[setting(label = "H")]
                        h: Host,
                    }
                ),
                "there is no field `p`",
            ),
            (
                parse_quote!(
                    #[endpoint(http, name = "c", url = "https://{site}")]
                    struct S {}
                ),
                "there is no field `site`",
            ),
            (
                parse_quote!(
                    #[endpoint(http, name = "c", url = "http://x")]
                    struct S {}
                ),
                "must start with https://; a URL that the admin types in is a field",
            ),
            (
                parse_quote!(
                    #[endpoint(udp, name = "c")]
                    struct S {}
                ),
                "expected #[endpoint(http, name = \"...\", url = \"https://...\")] or \
                 #[endpoint(tcp, name = \"...\", host = \"FIELD\", port = \"FIELD\")]",
            ),
        ];
        for (input, expected) in &table {
            assert_eq!(settings(input), *expected);
        }
    }

    #[test]
    fn each_mistake_in_a_choice_is_told_in_words_of_what_to_do() {
        let wanted = "a variant of a choice needs #[choice(value = \"...\", label = \"...\")]";
        let table: Vec<(DeriveInput, &str)> = vec![
            (
                parse_quote!(
                    struct C;
                ),
                "Choice is for enums",
            ),
            (
                parse_quote!(
                    enum C {}
                ),
                "a choice needs at least one variant",
            ),
            (
                parse_quote!(
                    enum C {
                        A,
                    }
                ),
                wanted,
            ),
            (
                parse_quote!(
                    enum C {
                        #[choice(value = "", label = "A")]
                        A,
                    }
                ),
                wanted,
            ),
            (
                parse_quote!(
                    enum C {
                        #[choice(value = "a", label = "A", more = "x")]
                        A,
                    }
                ),
                wanted,
            ),
            (
                parse_quote!(
                    enum C {
                        #[choice(value = "a", label = "A")]
                        A(u8),
                    }
                ),
                "a variant of a choice has no fields",
            ),
            (
                parse_quote!(
                    enum C {
                        #[choice(value = "a", label = "A")]
                        A,
                        #[choice(value = "a", label = "B")]
                        B,
                    }
                ),
                "another variant has this value",
            ),
        ];
        for (input, expected) in &table {
            assert_eq!(choice(input), *expected);
        }
    }

    #[test]
    fn what_is_right_becomes_an_implementation() {
        let made = settings(&parse_quote!(
            struct S {
                #[setting(label = "A")]
                a: String,
            }
        ));
        assert!(made.contains("impl :: tidegate_adapter :: Settings for S"), "{made}");
    }
}
