//! Settings for an adapter about which nothing is known but its description.

use serde_json::{Map, Value as Json, json};
use std::sync::Arc;
use tidegate_model::adapter::{SettingKind, SettingSchema};
use tidegate_model::{Description, Settings};

/// What every secret has in it, and nothing else: found in what an adapter sends, it is a leak.
pub(super) const CANARY: &str = "conformance-canary-0451";
/// Combinations that are tried.
const MOST: usize = 24;

/// A store: its settings, and in words which they are.
pub(super) struct Store {
    pub(super) told: String,
    pub(super) settings: Arc<Settings>,
}

/// One store for each value of each choice and each boolean, with what is required, and again with everything filled in.
pub(super) fn stores(description: &Description) -> Vec<Store> {
    let mut varied: Vec<Option<(&str, Json)>> = vec![None];
    for setting in &description.settings {
        match setting.kind {
            SettingKind::Choice => {
                varied.extend(setting.choices.iter().map(|c| Some((setting.key.as_str(), json!(c.value)))));
            }
            SettingKind::Boolean => {
                varied.extend([true, false].map(|b| Some((setting.key.as_str(), json!(b)))));
            }
            _ => {}
        }
    }
    let mut found: Vec<(Map<String, Json>, Store)> = Vec::new();
    for change in varied {
        for full in [false, true] {
            let mut raw = filled(description, full);
            if let Some((key, value)) = &change {
                raw.insert((*key).to_owned(), value.clone());
            }
            let Ok(settings) = Settings::check(description, &raw) else { continue };
            if found.len() < MOST && !found.iter().any(|(known, _)| *known == raw) {
                let told = match &change {
                    Some((key, value)) => format!("{key} = {value}{}", if full { ", all settings" } else { "" }),
                    None => if full { "all settings" } else { "required settings" }.to_owned(),
                };
                found.push((raw, Store { told, settings: Arc::new(settings) }));
            }
        }
    }
    found.into_iter().map(|(_, store)| store).collect()
}

/// A value for everything that is, or may be, required; with `full` for everything.
fn filled(description: &Description, full: bool) -> Map<String, Json> {
    let wanted = description.settings.iter().filter(|s| full || s.required);
    wanted.filter_map(|s| Some((s.key.clone(), value(s)?))).collect()
}

fn value(setting: &SettingSchema) -> Option<Json> {
    if let Some(default) = &setting.default {
        return Some(default.clone());
    }
    Some(match setting.kind {
        SettingKind::Text => json!("conformance"),
        SettingKind::Secret => json!(CANARY),
        SettingKind::Url => json!("https://sink.example:8443/base"),
        SettingKind::SecretUrl => json!(format!("https://sink.example:8443/{CANARY}")),
        SettingKind::Host => json!("sink.example"),
        SettingKind::Port => json!(2003),
        SettingKind::Integer => json!(setting.min.or(setting.max).unwrap_or(1)),
        SettingKind::Boolean => json!(false),
        SettingKind::Choice => json!(setting.choices.first()?.value),
        SettingKind::Template => {
            let parts: Vec<String> = setting.must.iter().map(|p| format!("{{{p}}}")).collect();
            json!(if parts.is_empty() { "conformance".to_owned() } else { parts.join(".") })
        }
        SettingKind::Certificates => return None,
    })
}
