//! What an adapter says of itself: the JSON document that its `describe` returns.
//!
//! The store form, `tidegate adapter inspect`, the checks on settings and the list of what a store may reach are all made from
//! it. It comes from code that the operator did not write, so it is checked, and bounded, before anything reads it.

use crate::settings::{SettingValue, Settings};
use crate::strict;
use crate::traits::{PullTraits, PushTraits};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::HashSet;

/// Longest document in bytes.
pub const MAX_DESCRIPTION_BYTES: usize = 64 << 10;
/// Most settings, and most endpoints.
pub const MAX_SETTINGS: usize = 64;
/// Longest key of a setting or an endpoint, in bytes.
pub const MAX_KEY_BYTES: usize = 64;

/// Which way an adapter works; read from what it exports, not from what it says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The host sends.
    Push,
    /// A scraper comes and reads.
    Pull,
    /// Either; the store's setting decides.
    Both,
}

impl Direction {
    /// Whether the host can send through it.
    #[must_use]
    pub fn pushes(self) -> bool {
        self != Self::Pull
    }

    /// Whether a scraper can read through it.
    #[must_use]
    pub fn pulls(self) -> bool {
        self != Self::Push
    }
}

/// An adapter's description of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Description {
    /// Short name, in lower case: what stores name it by.
    pub name: String,
    /// Version of the adapter, as its vendor counts.
    pub version: String,
    /// Who wrote it.
    #[serde(default)]
    pub vendor: String,
    /// One line for lists.
    #[serde(default)]
    pub summary: String,
    /// Where to read on.
    #[serde(default)]
    pub documentation: String,
    /// What the admin fills in.
    #[serde(default)]
    pub settings: Vec<SettingSchema>,
    /// What a store of it may reach.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
    /// What it says of the sink that it pushes to.
    #[serde(default, skip_serializing_if = "PushTraits::is_default")]
    pub push: PushTraits,
    /// What it says of the scraper that reads it.
    #[serde(default, skip_serializing_if = "PullTraits::is_default")]
    pub pull: PullTraits,
}

/// One setting of an adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SettingSchema {
    /// How adapter and host name it: lower-case letters, digits, `_`.
    pub key: String,
    /// How users of the product know it.
    pub label: String,
    /// What may be typed in.
    pub kind: SettingKind,
    /// Whether it must have a value.
    #[serde(default)]
    pub required: bool,
    /// The value if none is typed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Json>,
    /// A sentence that tells where to find it.
    #[serde(default)]
    pub help: String,
    /// For `choice`: what there is to choose from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
    /// For `integer` and `port`: the least value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// For `integer` and `port`: the greatest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
    /// For `template`: what may stand between braces in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub placeholders: Vec<String>,
    /// For `template`: the placeholders that have to be in it, so that two series never get one name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub must: Vec<String>,
    /// Asked for only when another setting has one of some values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
}

/// What a setting may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SettingKind {
    /// Any line of text.
    Text,
    /// A credential: never shown again, never in the adapter's memory.
    Secret,
    /// An http or https URL.
    Url,
    /// A URL that is a credential as a whole.
    SecretUrl,
    /// A host name or address.
    Host,
    /// A TCP port.
    Port,
    /// A whole number.
    Integer,
    /// Yes or no.
    Boolean,
    /// One of several values.
    Choice,
    /// A text with placeholders in braces, such as `{metric}.{aggregate}`, that names series.
    Template,
    /// Certificates in PEM, which the host trusts for the TLS connections of this store, beside the system's authorities.
    Certificates,
}

impl SettingKind {
    /// Whether what it holds must not be shown.
    #[must_use]
    pub fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::SecretUrl)
    }
}

/// One value of a choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// What is stored.
    pub value: String,
    /// What is shown.
    pub label: String,
}

/// A condition on another setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct When {
    /// The other setting.
    pub setting: String,
    /// The values that it must have one of.
    pub is: Vec<String>,
}

impl When {
    /// Whether it holds. A boolean setting counts as `true` or `false`.
    #[must_use]
    pub fn holds(&self, settings: &Settings) -> bool {
        let value = match settings.get(&self.setting) {
            Some(SettingValue::Text(text)) => text.as_str(),
            Some(SettingValue::Boolean(true)) => "true",
            Some(SettingValue::Boolean(false)) => "false",
            _ => return false,
        };
        self.is.iter().any(|wanted| wanted == value)
    }
}

/// Something that a store may reach. The adapter names it by key and never sees more of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Endpoint {
    /// Requests go to this URL: `{key}` of a URL setting, or a literal `https://` URL in which choices are filled in, as in
    /// `https://api.{site}`.
    Http {
        /// How the adapter names it.
        key: String,
        /// The template.
        url: String,
    },
    /// Bytes go to this host and port, both keys of settings.
    Tcp {
        /// How the adapter names it.
        key: String,
        /// Key of a `host` setting.
        host: String,
        /// Key of a `port` setting.
        port: String,
    },
}

impl Endpoint {
    /// How the adapter names it.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Http { key, .. } | Self::Tcp { key, .. } => key,
        }
    }
}

/// An endpoint with a store's settings filled in.
#[derive(Clone, Debug)]
pub enum Target {
    /// A URL, which may be a credential as a whole.
    Http {
        /// The URL.
        url: SettingValue,
    },
    /// A host and port.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
}

/// Why a description cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DescriptionError {
    /// Too long.
    #[error("the description may have {MAX_DESCRIPTION_BYTES} bytes, this one has {0}")]
    TooLong(usize),
    /// Not the JSON document that is wanted.
    #[error("the description is not the JSON document that was expected: {0}")]
    Json(String),
    /// More settings or endpoints than allowed.
    #[error("the description may have {MAX_SETTINGS} {what}, this one has {count}")]
    TooMany {
        /// Settings or endpoints.
        what: &'static str,
        /// How many it has.
        count: usize,
    },
    /// A part that breaks a rule.
    #[error("{part} of the description {rule}")]
    Rule {
        /// Which part.
        part: String,
        /// The rule, and what was found.
        rule: String,
    },
}

impl Description {
    /// Reads and checks the document.
    ///
    /// # Errors
    /// [`DescriptionError`] names the part and the rule that it breaks.
    pub fn parse(document: &str) -> Result<Self, DescriptionError> {
        if document.len() > MAX_DESCRIPTION_BYTES {
            return Err(DescriptionError::TooLong(document.len()));
        }
        let unread = |e: serde_json::Error| DescriptionError::Json(e.to_string());
        let description: Self = serde_json::from_str(document).map_err(unread)?;
        // Once more, for what serde takes and the format does not: lists in the place of objects.
        strict::read::<Self>(serde_json::from_str(document).map_err(unread)?).map_err(unread)?;
        description.check()?;
        Ok(description)
    }

    /// The setting called `key`.
    #[must_use]
    pub fn setting(&self, key: &str) -> Option<&SettingSchema> {
        self.settings.iter().find(|s| s.key == key)
    }

    fn check(&self) -> Result<(), DescriptionError> {
        check_key("the name", &self.name)?;
        let texts = [
            ("the version", &self.version),
            ("the vendor", &self.vendor),
            ("the summary", &self.summary),
            ("the documentation link", &self.documentation),
        ];
        for (part, text) in texts {
            check_line(part, text)?;
        }
        for (what, count) in [("settings", self.settings.len()), ("endpoints", self.endpoints.len())] {
            if count > MAX_SETTINGS {
                return Err(DescriptionError::TooMany { what, count });
            }
        }
        let mut seen = HashSet::new();
        for setting in &self.settings {
            self.check_setting(setting)?;
            if !seen.insert(&setting.key) {
                return Err(broken(format!("setting {:?}", setting.key), "is there twice"));
            }
        }
        let mut seen = HashSet::new();
        for endpoint in &self.endpoints {
            self.check_endpoint(endpoint)?;
            if !seen.insert(endpoint.key()) {
                return Err(broken(format!("endpoint {:?}", endpoint.key()), "is there twice"));
            }
        }
        self.push.check()?;
        self.pull.check(|key| self.setting(key).is_some())
    }

    fn check_setting(&self, setting: &SettingSchema) -> Result<(), DescriptionError> {
        let part = format!("setting {:?}", setting.key);
        check_key(&part, &setting.key)?;
        check_line(&part, &setting.label)?;
        check_line(&part, &setting.help)?;
        if (setting.kind == SettingKind::Choice) == setting.choices.is_empty() {
            return Err(broken(part, "must have choices if, and only if, its kind is choice"));
        }
        if (setting.kind == SettingKind::Template) == setting.placeholders.is_empty() {
            return Err(broken(part, "must have placeholders if, and only if, its kind is template"));
        }
        for placeholder in &setting.placeholders {
            check_key(&format!("a placeholder of {part}"), placeholder)?;
        }
        if let Some(missing) = setting.must.iter().find(|m| !setting.placeholders.contains(m)) {
            return Err(broken(part, format!("must hold {{{missing}}}, which is none of its placeholders")));
        }
        if setting.kind.is_secret() && setting.default.is_some() {
            return Err(broken(part, "is secret, so it must not have a default"));
        }
        if let Some(default) = &setting.default
            && let Err(error) = SettingValue::read(setting, default)
        {
            return Err(broken(part, format!("has a default that it would refuse: {error}")));
        }
        if let Some(when) = &setting.when
            && (self.setting(&when.setting).is_none() || when.setting == setting.key)
        {
            return Err(broken(part, format!("depends on {:?}, which is no other setting", when.setting)));
        }
        Ok(())
    }

    fn check_endpoint(&self, endpoint: &Endpoint) -> Result<(), DescriptionError> {
        let part = format!("endpoint {:?}", endpoint.key());
        check_key(&part, endpoint.key())?;
        let is = |key: &str, kinds: &[SettingKind]| self.setting(key).is_some_and(|s| kinds.contains(&s.kind));
        match endpoint {
            Endpoint::Tcp { host, port, .. } => {
                if !is(host, &[SettingKind::Host]) || !is(port, &[SettingKind::Port]) {
                    return Err(broken(part, "must name a host setting and a port setting"));
                }
            }
            Endpoint::Http { url, .. } => {
                let whole = url.strip_prefix('{').and_then(|u| u.strip_suffix('}'));
                let fits = match whole {
                    Some(key) => is(key, &[SettingKind::Url, SettingKind::SecretUrl]),
                    None => {
                        url.starts_with("https://")
                            && placeholders(url).is_some_and(|ks| ks.iter().all(|k| is(k, &[SettingKind::Choice])))
                    }
                };
                if !fits {
                    let rule = "must be {key} of a URL setting, or an https:// URL with {key} of choice settings";
                    return Err(broken(part, rule));
                }
            }
        }
        Ok(())
    }

    /// Fills a store's settings into the endpoint called `key`; none if there is no such endpoint or its settings are unset.
    #[must_use]
    pub fn target(&self, key: &str, settings: &Settings) -> Option<Target> {
        match self.endpoints.iter().find(|e| e.key() == key)? {
            Endpoint::Tcp { host, port, .. } => Some(Target::Tcp {
                host: settings.text(host)?.to_owned(),
                port: u16::try_from(settings.integer(port)?).ok()?,
            }),
            Endpoint::Http { url, .. } => {
                if let Some(key) = url.strip_prefix('{').and_then(|u| u.strip_suffix('}')) {
                    return Some(Target::Http { url: settings.get(key)?.clone() });
                }
                let mut filled = url.clone();
                for key in placeholders(url)? {
                    filled = filled.replace(&format!("{{{key}}}"), settings.text(key)?);
                }
                Some(Target::Http { url: SettingValue::Text(filled) })
            }
        }
    }
}

/// The keys between braces; none if a brace has no partner.
pub(crate) fn placeholders(template: &str) -> Option<Vec<&str>> {
    let mut keys = Vec::new();
    let mut rest = template;
    while let Some(open) = rest.find(['{', '}']) {
        let close = rest[open..].find('}')? + open;
        keys.push(rest[open..close].strip_prefix('{').filter(|key| !key.contains('{'))?);
        rest = &rest[close + 1..];
    }
    Some(keys)
}

pub(crate) fn broken(part: impl Into<String>, rule: impl Into<String>) -> DescriptionError {
    DescriptionError::Rule { part: part.into(), rule: rule.into() }
}

fn check_key(part: &str, key: &str) -> Result<(), DescriptionError> {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if key.is_empty()
        || key.len() > MAX_KEY_BYTES
        || !key.starts_with(|c: char| c.is_ascii_lowercase())
        || !key.chars().all(letters)
    {
        let rule =
            format!("must be 1 to {MAX_KEY_BYTES} lower-case letters, digits, - or _, a letter first; found {key:?}");
        return Err(broken(part, rule));
    }
    Ok(())
}

pub(crate) fn check_line(part: &str, text: &str) -> Result<(), DescriptionError> {
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(broken(part, format!("must be one line of text; found {c:?}"))),
        None => Ok(()),
    }
}
