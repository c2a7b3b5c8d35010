//! Settings for tests, checked against the schema as the host does.

use crate::bindings::model;
use crate::settings::{Kind, Literal, Schema, SettingSchema};
use crate::template::{Placeholder, Template};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SettingValue {
    Text(String),
    Integer(i64),
    Boolean(bool),
    /// Its text never enters an adapter, so there is none.
    Secret,
}

/// Reads what an admin would type.
pub(crate) fn check(schema: &Schema, typed: &[(&str, &str)]) -> Result<model::Settings, String> {
    if let Some((key, _)) = typed.iter().find(|(key, _)| schema.settings.iter().all(|s| s.key != *key)) {
        let known: Vec<_> = schema.settings.iter().map(|s| s.key).collect();
        return Err(format!("there is no setting {key:?}; there are: {}", known.join(", ")));
    }
    let mut settings = model::Settings::default();
    for setting in &schema.settings {
        let value = match (typed.iter().find(|(key, _)| *key == setting.key), setting.default) {
            (Some((_, text)), _) => Some(read(setting, text)?),
            (None, Some(Literal::Text(text))) => Some(SettingValue::Text(text.to_owned())),
            (None, Some(Literal::Integer(n))) => Some(SettingValue::Integer(n)),
            (None, Some(Literal::Boolean(b))) => Some(SettingValue::Boolean(b)),
            (None, None) => None,
        };
        if let Some(value) = value {
            settings.0.insert(setting.key.to_owned(), value);
        }
    }
    let asked = |setting: &SettingSchema| {
        setting.when.is_none_or(|when| match settings.0.get(when.setting) {
            Some(SettingValue::Text(text)) => when.is.contains(&text.as_str()),
            Some(SettingValue::Boolean(b)) => when.is.contains(&if *b { "true" } else { "false" }),
            _ => false,
        })
    };
    match schema.settings.iter().find(|s| s.required && asked(s) && !settings.is_set(s.key)) {
        Some(setting) => Err(format!("setting {:?} ({}) is required", setting.key, setting.label)),
        None => Ok(settings),
    }
}

fn read(setting: &SettingSchema, text: &str) -> Result<SettingValue, String> {
    let invalid = |expected: &str| Err(format!("setting {:?}: expected {expected}, found {text:?}", setting.key));
    match setting.kind {
        Kind::Secret | Kind::SecretUrl => Ok(SettingValue::Secret),
        Kind::Boolean => text.parse().map(SettingValue::Boolean).or_else(|_| invalid("true or false")),
        Kind::Integer | Kind::Port => match text.parse() {
            Ok(n) if setting.min.is_none_or(|min| min <= n) && setting.max.is_none_or(|max| n <= max) => {
                Ok(SettingValue::Integer(n))
            }
            _ => invalid("a whole number within the bounds"),
        },
        Kind::Choice if setting.choices.iter().all(|choice| choice.value != text) => invalid("one of the choices"),
        Kind::Url if !text.starts_with("http://") && !text.starts_with("https://") => invalid("a URL"),
        Kind::Template => template(setting, text),
        Kind::Choice | Kind::Url | Kind::Text | Kind::Host | Kind::Certificates => {
            Ok(SettingValue::Text(text.to_owned()))
        }
    }
}

fn template(setting: &SettingSchema, text: &str) -> Result<SettingValue, String> {
    let refused = |why: String| format!("setting {:?}: {why}, found {text:?}", setting.key);
    let template = Template::parse(text).map_err(|error| refused(error.to_string()))?;
    let held: Vec<_> = template.placeholders().map(Placeholder::as_str).collect();
    if let Some(unknown) = held.iter().find(|held| !setting.placeholders.contains(held)) {
        return Err(refused(format!("there is no placeholder {{{unknown}}}")));
    }
    match setting.must.iter().find(|must| !held.contains(must)) {
        Some(missing) => Err(refused(format!("must have {{{missing}}} in it"))),
        None => Ok(SettingValue::Text(text.to_owned())),
    }
}
