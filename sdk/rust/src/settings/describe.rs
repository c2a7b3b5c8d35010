//! The JSON document that `describe` returns.
//!
//! Written by hand: a serialiser would make every guest some 60 kB larger for one small document.

use super::Settings;
use super::schema::{EndpointSchema, Literal, SettingSchema, When};
use super::traits::{Login, PullTraits, PushTraits};
use std::fmt::Write;

/// Who an adapter is. The export macros implement it from the package's `Cargo.toml`.
pub trait About {
    /// Short name, in lower case: what stores name it by.
    const NAME: &'static str;
    /// Version of the adapter.
    const VERSION: &'static str;
    /// Who wrote it: the package's authors, separated by colons.
    const VENDOR: &'static str;
    /// One line for lists.
    const SUMMARY: &'static str;
    /// Where to read on.
    const DOCUMENTATION: &'static str;

    /// What it says of the sink that it pushes to.
    #[must_use]
    fn push() -> PushTraits {
        PushTraits::default()
    }

    /// What it says of the scraper that reads it.
    #[must_use]
    fn pull() -> PullTraits {
        PullTraits::default()
    }
}

/// The description of adapter `A` with settings `S`, as the host reads it.
#[must_use]
pub fn describe<A: About, S: Settings>() -> String {
    let schema = S::schema();
    let mut json = String::from("{");
    for (name, text) in [
        ("name", A::NAME),
        ("version", A::VERSION),
        ("vendor", &A::VENDOR.replace(':', ", ")),
        ("summary", A::SUMMARY),
        ("documentation", A::DOCUMENTATION),
    ] {
        member(&mut json, name, text);
    }
    key(&mut json, "settings");
    list(&mut json, &schema.settings, setting);
    key(&mut json, "endpoints");
    list(&mut json, &schema.endpoints, endpoint);
    push_traits(&mut json, A::push());
    pull_traits(&mut json, &A::pull());
    json.push('}');
    json
}

fn setting(json: &mut String, setting: &SettingSchema) {
    json.push('{');
    member(json, "key", setting.key);
    member(json, "label", setting.label);
    member(json, "kind", setting.kind.as_str());
    member(json, "help", setting.help);
    key(json, "required");
    json.push_str(if setting.required { "true" } else { "false" });
    if let Some(default) = setting.default {
        key(json, "default");
        match default {
            Literal::Text(text) => string(json, text),
            Literal::Integer(n) => push(json, n),
            Literal::Boolean(b) => push(json, b),
        }
    }
    for (name, bound) in [("min", setting.min), ("max", setting.max)] {
        if let Some(bound) = bound {
            key(json, name);
            push(json, bound);
        }
    }
    if !setting.choices.is_empty() {
        key(json, "choices");
        list(json, &setting.choices, |json, choice| {
            json.push('{');
            member(json, "value", choice.value);
            member(json, "label", choice.label);
            json.push('}');
        });
    }
    for (name, placeholders) in [("placeholders", setting.placeholders), ("must", setting.must)] {
        if !placeholders.is_empty() {
            key(json, name);
            list(json, placeholders, |json, placeholder| string(json, placeholder));
        }
    }
    if let Some(condition) = setting.when {
        when(json, condition);
    }
    json.push('}');
}

fn when(json: &mut String, when: When) {
    key(json, "when");
    json.push('{');
    member(json, "setting", when.setting);
    key(json, "is");
    list(json, when.is, |json, value| string(json, value));
    json.push('}');
}

fn push_traits(json: &mut String, traits: PushTraits) {
    if traits == PushTraits::default() {
        return;
    }
    key(json, "push");
    json.push('{');
    if let Some(seconds) = traits.look_back {
        key(json, "look-back");
        push(json, seconds);
    }
    if traits.in_order {
        key(json, "in-order");
        push(json, true);
    }
    json.push('}');
}

fn pull_traits(json: &mut String, traits: &PullTraits) {
    if *traits == PullTraits::default() {
        return;
    }
    key(json, "pull");
    json.push('{');
    match traits.login {
        Login::Never => member(json, "login", "never"),
        Login::Always => member(json, "login", "always"),
        Login::When(condition) => {
            key(json, "login");
            json.push('{');
            when(json, condition);
            json.push('}');
        }
    }
    key(json, "guide");
    list(json, traits.guide, |json, entry| {
        json.push('{');
        member(json, "label", entry.label);
        member(json, "text", entry.text);
        if let Some(condition) = entry.when {
            when(json, condition);
        }
        json.push('}');
    });
    json.push('}');
}

fn endpoint(json: &mut String, endpoint: &EndpointSchema) {
    json.push('{');
    match endpoint {
        EndpointSchema::Http { key, url } => {
            member(json, "kind", "http");
            member(json, "key", key);
            member(json, "url", url);
        }
        EndpointSchema::Tcp { key, host, port } => {
            member(json, "kind", "tcp");
            member(json, "key", key);
            member(json, "host", host);
            member(json, "port", port);
        }
    }
    json.push('}');
}

fn list<T>(json: &mut String, items: &[T], mut write: impl FnMut(&mut String, &T)) {
    json.push('[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            json.push(',');
        }
        write(json, item);
    }
    json.push(']');
}

fn member(json: &mut String, name: &str, text: &str) {
    key(json, name);
    string(json, text);
}

fn key(json: &mut String, name: &str) {
    if !json.ends_with('{') {
        json.push(',');
    }
    string(json, name);
    json.push(':');
}

fn string(json: &mut String, text: &str) {
    json.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => json.extend(['\\', letter]),
            control if control < ' ' => push(json, format_args!("\\u{:04x}", u32::from(control))),
            other => json.push(other),
        }
    }
    json.push('"');
}

fn push(json: &mut String, value: impl std::fmt::Display) {
    // Writing to a String cannot fail.
    let _ = write!(json, "{value}");
}
