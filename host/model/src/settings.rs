//! The settings of one store, checked against the schema that its adapter gave.
//!
//! Secrets are [`Secret`] from the moment they are read, so what prints or serialises settings cannot reach them.

use crate::adapter::{Description, SettingKind, SettingSchema, placeholders};
use crate::secret::Secret;
use indexmap::IndexMap;
use serde_json::Value as Json;
use url::Url;

/// Longest text of a setting in bytes.
pub const MAX_SETTING_BYTES: usize = 8 << 10;
/// Longest text of a setting that holds certificates: some twenty of them.
pub const MAX_CERTIFICATES_BYTES: usize = 64 << 10;

/// The value of one setting.
#[derive(Clone, Debug)]
pub enum SettingValue {
    /// Text, a URL, a host, a choice, or a template.
    Text(String),
    /// A whole number or a port.
    Integer(i64),
    /// Yes or no.
    Boolean(bool),
    /// A credential, or a URL that is one.
    Secret(Secret),
}

/// A store's settings.
#[derive(Clone, Debug, Default)]
pub struct Settings(IndexMap<String, SettingValue>);

/// Why settings do not fit an adapter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A key that the adapter does not know.
    #[error("the adapter {adapter} has no setting {key:?}; it has: {known}")]
    Unknown {
        /// The adapter's name.
        adapter: String,
        /// What was given.
        key: String,
        /// What there is.
        known: String,
    },
    /// No value for a required one.
    #[error("setting {key:?} ({label}) is required")]
    Missing {
        /// The key.
        key: String,
        /// Its label.
        label: String,
    },
    /// A value that does not fit.
    #[error("setting {key:?}: {problem}")]
    Invalid {
        /// The key.
        key: String,
        /// What was expected, and what came (unless it is secret).
        problem: String,
    },
}

impl SettingValue {
    /// Reads one value as `schema` wants it.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`]; the text of a secret is never in it.
    pub fn read(schema: &SettingSchema, raw: &Json) -> Result<Self, SettingsError> {
        let invalid = |problem: String| SettingsError::Invalid { key: schema.key.clone(), problem };
        let found = if schema.kind.is_secret() { "something else".to_owned() } else { raw.to_string() };
        match schema.kind {
            SettingKind::Boolean => match raw {
                Json::Bool(b) => Ok(Self::Boolean(*b)),
                _ => Err(invalid(format!("expected true or false, found {found}"))),
            },
            SettingKind::Integer | SettingKind::Port => {
                let (low, high) = if schema.kind == SettingKind::Port { (1, 65_535) } else { (i64::MIN, i64::MAX) };
                let (low, high) = (schema.min.unwrap_or(low), schema.max.unwrap_or(high));
                match raw.as_i64() {
                    Some(n) if (low..=high).contains(&n) => Ok(Self::Integer(n)),
                    _ => Err(invalid(format!("expected a whole number from {low} to {high}, found {found}"))),
                }
            }
            kind => {
                // YAML and forms give `2` where a choice is written "2".
                let text = match raw {
                    Json::String(text) => text.clone(),
                    Json::Number(n) => n.to_string(),
                    _ => return Err(invalid(format!("expected text, found {found}"))),
                };
                check_text(kind, schema, &text).map_err(invalid)?;
                Ok(if kind.is_secret() { Self::Secret(Secret::new(text)) } else { Self::Text(text) })
            }
        }
    }
}

fn check_text(kind: SettingKind, schema: &SettingSchema, text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("must not be empty".to_owned());
    }
    let (limit, lines) = match kind {
        SettingKind::Certificates => (MAX_CERTIFICATES_BYTES, true),
        _ => (MAX_SETTING_BYTES, false),
    };
    if text.len() > limit {
        return Err(format!("may have {limit} bytes, this one has {}", text.len()));
    }
    if text.chars().any(|c| c.is_control() && !(lines && matches!(c, '\n' | '\r' | '\t'))) {
        return Err("must not contain control characters".to_owned());
    }
    match kind {
        SettingKind::Url | SettingKind::SecretUrl => {
            let url = Url::parse(text).map_err(|e| format!("expected an http or https URL: {e}"))?;
            if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
                return Err("expected a URL that starts with http:// or https://".to_owned());
            }
            if kind == SettingKind::Url && (!url.username().is_empty() || url.password().is_some()) {
                return Err("must not carry a user name or password; use the settings made for them".to_owned());
            }
            Ok(())
        }
        SettingKind::Host if text.contains(['/', '@', ' ', '?', '#']) => {
            Err(format!("expected a host name or address, found {text:?}"))
        }
        SettingKind::Choice if schema.choices.iter().all(|c| c.value != text) => {
            let known: Vec<_> = schema.choices.iter().map(|c| c.value.as_str()).collect();
            Err(format!("expected one of {}, found {text:?}", known.join(", ")))
        }
        SettingKind::Template => check_template(schema, text),
        _ => Ok(()),
    }
}

/// What a template may hold, and what it must, so that two series never get one name.
fn check_template(schema: &SettingSchema, text: &str) -> Result<(), String> {
    let list = |keys: &[String]| keys.iter().map(|key| format!("{{{key}}}")).collect::<Vec<_>>().join(", ");
    let known = list(&schema.placeholders);
    let Some(found) = placeholders(text) else {
        return Err(format!("each {{ needs its }} after it, around one of {known}; found {text:?}"));
    };
    if let Some(unknown) = found.iter().find(|key| schema.placeholders.iter().all(|known| known != *key)) {
        return Err(format!("there is no placeholder {{{unknown}}}; there are {known}"));
    }
    match schema.must.iter().find(|key| !found.contains(&key.as_str())) {
        None => Ok(()),
        Some(missing) => Err(format!(
            "must have {{{missing}}} in it, or series that differ there would get one name; it has to hold {}, found {text:?}",
            list(&schema.must)
        )),
    }
}

impl Settings {
    /// Checks what an admin typed in against the adapter's schema, and fills in defaults. Null counts as unset.
    ///
    /// # Errors
    /// The first [`SettingsError`], in the order of the schema.
    pub fn check(description: &Description, raw: &serde_json::Map<String, Json>) -> Result<Self, SettingsError> {
        if let Some(key) = raw.keys().find(|k| description.setting(k).is_none()) {
            let known: Vec<_> = description.settings.iter().map(|s| s.key.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(SettingsError::Unknown { adapter: description.name.clone(), key: key.clone(), known });
        }
        let mut settings = Self::default();
        for schema in &description.settings {
            let given = raw.get(&schema.key).filter(|v| !v.is_null()).or(schema.default.as_ref());
            if let Some(given) = given {
                settings.0.insert(schema.key.clone(), SettingValue::read(schema, given)?);
            }
        }
        let unmet = description.settings.iter().find(|schema| {
            let asked = schema.when.as_ref().is_none_or(|when| when.holds(&settings));
            schema.required && asked && !settings.0.contains_key(&schema.key)
        });
        match unmet {
            Some(s) => Err(SettingsError::Missing { key: s.key.clone(), label: s.label.clone() }),
            None => Ok(settings),
        }
    }

    /// Settings that were checked before and come from the catalog.
    #[must_use]
    pub fn trusted(values: impl IntoIterator<Item = (String, SettingValue)>) -> Self {
        Self(values.into_iter().collect())
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&SettingValue> {
        self.0.get(key)
    }

    /// The text of `key`; none if it is unset, not text, or secret.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.0.get(key)? {
            SettingValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number in `key`.
    #[must_use]
    pub fn integer(&self, key: &str) -> Option<i64> {
        match self.0.get(key)? {
            SettingValue::Integer(n) => Some(*n),
            _ => None,
        }
    }

    /// The yes or no in `key`.
    #[must_use]
    pub fn boolean(&self, key: &str) -> Option<bool> {
        match self.0.get(key)? {
            SettingValue::Boolean(b) => Some(*b),
            _ => None,
        }
    }

    /// The credential in `key`.
    #[must_use]
    pub fn secret(&self, key: &str) -> Option<&Secret> {
        match self.0.get(key)? {
            SettingValue::Secret(secret) => Some(secret),
            _ => None,
        }
    }

    /// All values, in the order of the schema.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &SettingValue)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v))
    }

    /// All values for showing: a secret is there as `"…"`.
    #[must_use]
    pub fn shown(&self) -> serde_json::Map<String, Json> {
        let shown = |value: &SettingValue| match value {
            SettingValue::Text(text) => Json::from(text.as_str()),
            SettingValue::Integer(n) => Json::from(*n),
            SettingValue::Boolean(b) => Json::from(*b),
            SettingValue::Secret(_) => Json::from("…"),
        };
        self.0.iter().map(|(k, v)| (k.clone(), shown(v))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::Target;
    use serde_json::json;

    fn description() -> Description {
        let document = json!({
            "name": "sink", "version": "1.0.0",
            "settings": [
                {"key": "version", "label": "Version", "kind": "choice", "default": "2",
                 "choices": [{"value": "1", "label": "1.x"}, {"value": "2", "label": "2.x"}]},
                {"key": "url", "label": "URL", "kind": "url", "required": true},
                {"key": "token", "label": "API token", "kind": "secret", "required": true,
                 "when": {"setting": "version", "is": ["2"]}},
                {"key": "port", "label": "Port", "kind": "port", "default": 2003},
            ],
            "endpoints": [{"key": "write", "kind": "http", "url": "{url}"}],
        });
        Description::parse(&document.to_string()).unwrap()
    }

    fn check(raw: Json) -> Result<Settings, SettingsError> {
        Settings::check(&description(), raw.as_object().unwrap())
    }

    #[test]
    fn defaults_are_filled_in_and_secrets_are_never_shown() {
        let settings = check(json!({"url": "http://h:1/x", "token": "hunter2"})).unwrap();
        assert_eq!(settings.text("version"), Some("2"));
        assert_eq!(settings.integer("port"), Some(2003));
        assert_eq!(settings.text("token"), None);
        assert_eq!(settings.secret("token").unwrap().expose(), "hunter2");
        let shown = format!("{settings:?} {}", Json::from(settings.shown()));
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_setting_is_required_only_when_its_condition_holds() {
        assert!(check(json!({"url": "http://h", "version": "1"})).is_ok());
        let error = check(json!({"url": "http://h"})).unwrap_err().to_string();
        assert_eq!(error, r#"setting "token" (API token) is required"#);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_was_expected() {
        let told = |raw| check(raw).unwrap_err().to_string();
        assert!(told(json!({"urn": "x"})).contains("no setting \"urn\"; it has: version, url, token, port"));
        assert!(told(json!({"version": 3})).contains("expected one of 1, 2, found \"3\""));
        assert!(told(json!({"url": "ftp://h"})).contains("http:// or https://"));
        assert!(told(json!({"url": "http://u:p@h"})).contains("must not carry"));
        assert!(told(json!({"url": "http://h", "token": "t", "port": 70_000})).contains("1 to 65535"));
        assert!(!told(json!({"url": "http://h", "token": ["hunter2"]})).contains("hunter2"));
    }

    #[test]
    fn a_template_that_holds_too_little_or_something_unknown_is_refused_with_the_placeholder_named() {
        let document = json!({"name": "sink", "version": "1", "settings": [{
            "key": "naming", "label": "Naming", "kind": "template", "default": "{project}.{metric}",
            "placeholders": ["project", "metric", "aggregate"], "must": ["project", "metric"]
        }]});
        let description = Description::parse(&document.to_string()).unwrap();
        let check = |text: &str| {
            let raw = json!({"naming": text});
            Settings::check(&description, raw.as_object().unwrap()).map_err(|error| error.to_string())
        };
        assert_eq!(
            check("a.{metric}-{project}{aggregate}").unwrap().text("naming"),
            Some("a.{metric}-{project}{aggregate}")
        );
        let told = |text: &str| check(text).unwrap_err();
        assert_eq!(
            told("{project}"),
            "setting \"naming\": must have {metric} in it, or series that differ there would get one name; it has to hold \
             {project}, {metric}, found \"{project}\""
        );
        assert_eq!(
            told("{project}.{metric}.{host}"),
            "setting \"naming\": there is no placeholder {host}; there are {project}, {metric}, {aggregate}"
        );
        for unpaired in ["{project}.{metric", "{project}.metric}", "{{project}.{metric}}", "}{"] {
            assert!(told(unpaired).contains("each { needs its } after it"), "{unpaired}");
        }
        assert!(told("{project}\n{metric}").contains("control characters"));
        let unset = Settings::check(&description, json!({}).as_object().unwrap()).unwrap();
        assert_eq!(unset.text("naming"), Some("{project}.{metric}"));
    }

    #[test]
    fn an_endpoint_is_reached_by_key_and_an_unknown_key_reaches_nothing() {
        let settings = check(json!({"url": "http://h:1/x", "token": "t"})).unwrap();
        let target = description().target("write", &settings);
        assert!(matches!(target, Some(Target::Http { url: SettingValue::Text(u) }) if u == "http://h:1/x"));
        assert!(description().target("other", &settings).is_none());
    }

    #[test]
    fn a_description_that_breaks_a_rule_is_refused_with_the_part_named() {
        let told = |document: Json| Description::parse(&document.to_string()).unwrap_err().to_string();
        let with = |settings: Json, endpoints: Json| json!({"name": "a", "version": "1", "settings": settings, "endpoints": endpoints});
        let text = |key: &str| json!({"key": key, "label": "L", "kind": "text"});
        assert!(
            told(with(json!([text("a"), text("a")]), json!([])))
                .contains("setting \"a\" of the description is there twice")
        );
        assert!(told(with(json!([text("A")]), json!([]))).contains("lower-case letters"));
        let many: Vec<_> = (0..65).map(|i| text(&format!("k{i}"))).collect();
        assert!(told(with(json!(many), json!([]))).contains("may have 64 settings, this one has 65"));
        let to = |url: &str| json!([{"key": "e", "kind": "http", "url": url}]);
        assert!(told(with(json!([text("a")]), to("{a}"))).contains("endpoint \"e\""));
        assert!(told(with(json!([]), to("http://x"))).contains("endpoint \"e\""));
        assert!(told(with(json!([]), to("https://{x"))).contains("endpoint \"e\""));
        let template = |placeholders: Json, must: Json, default: &str| json!([{"key": "t", "label": "L", "kind": "template", "placeholders": placeholders, "must": must, "default": default}]);
        assert!(
            told(with(template(json!([]), json!([]), "x"), json!([])))
                .contains("must have placeholders if, and only if")
        );
        assert!(
            told(with(template(json!(["a b"]), json!([]), "x"), json!([]))).contains("a placeholder of setting \"t\"")
        );
        assert!(
            told(with(template(json!(["a"]), json!(["b"]), "x"), json!([])))
                .contains("{b}, which is none of its placeholders")
        );
        assert!(
            told(with(template(json!(["a"]), json!(["a"]), "x"), json!([]))).contains("default that it would refuse")
        );
        let long = json!({"name": "a", "version": "1", "summary": "s".repeat(70_000)});
        assert!(told(long).contains("may have 65536 bytes"));
    }
}
