//! What an adapter says beyond its settings: how old a window its sink still takes, whether its scraper has to log in, and what
//! an admin has to enter in the product.

use crate::adapter::{DescriptionError, When, broken, check_line};
use crate::settings::Settings;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Most entries of a guide.
pub const MAX_GUIDE_ENTRIES: usize = 32;
/// Longest text of an entry in bytes.
pub const MAX_GUIDE_BYTES: usize = 8 << 10;

/// What an adapter says of the sink that it pushes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PushTraits {
    /// Seconds for which the sink takes a window after its end; none if it takes windows of any age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_back: Option<u32>,
    /// Whether the sink refuses a window once it has taken a later one: it gets them strictly one after the other.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_order: bool,
}

/// What an adapter says of the scraper that reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PullTraits {
    /// Whether the scraper has to log in.
    #[serde(default)]
    pub login: Login,
    /// What to enter in the product.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guide: Vec<GuideEntry>,
}

/// Whether the host wants a user name and a password, which it makes up, of whoever reads a store's page (HTTP Basic).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Login {
    /// The secret URL is enough.
    #[default]
    Never,
    /// Of every store.
    Always,
    /// Of stores with a setting.
    When(When),
}

/// Something to enter in the product. In its text stand `{url}` `{scheme}` `{host}` `{port}` `{path}` `{user}` `{password}`
/// `{period}` and `{store}` for what the host fills in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct GuideEntry {
    /// How users of the product know the field.
    pub label: String,
    /// What to enter; may have several lines.
    pub text: String,
    /// Shown only for stores with a setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
}

impl PushTraits {
    /// How long windows may be sent, where the host allows `host`: the shorter of the host's time and the sink's.
    #[must_use]
    pub fn look_back(&self, host: Duration) -> Duration {
        self.look_back.map_or(host, |seconds| host.min(Duration::from_secs(seconds.into())))
    }

    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn check(&self) -> Result<(), DescriptionError> {
        if self.look_back == Some(0) {
            return Err(broken("push.look-back", "must be at least 1 second"));
        }
        Ok(())
    }
}

impl PullTraits {
    /// Whether a store with these settings wants a login.
    #[must_use]
    pub fn wants_login(&self, settings: &Settings) -> bool {
        match &self.login {
            Login::Never => false,
            Login::Always => true,
            Login::When(when) => when.holds(settings),
        }
    }

    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn check(&self, is_setting: impl Fn(&str) -> bool) -> Result<(), DescriptionError> {
        if self.guide.len() > MAX_GUIDE_ENTRIES {
            let rule = format!("may have {MAX_GUIDE_ENTRIES} entries, this one has {}", self.guide.len());
            return Err(broken("pull.guide", rule));
        }
        let known = |part: &str, when: Option<&When>| match when {
            Some(when) if !is_setting(&when.setting) => {
                Err(broken(part, format!("depends on {:?}, which is no setting", when.setting)))
            }
            _ => Ok(()),
        };
        if let Login::When(when) = &self.login {
            known("pull.login", Some(when))?;
        }
        for entry in &self.guide {
            let part = format!("the guide's entry {:?}", entry.label);
            check_line(&part, &entry.label)?;
            known(&part, entry.when.as_ref())?;
            if entry.text.len() > MAX_GUIDE_BYTES {
                let rule = format!("may have {MAX_GUIDE_BYTES} bytes, this one has {}", entry.text.len());
                return Err(broken(part, rule));
            }
            if let Some(c) = entry.text.chars().find(|c| c.is_control() && *c != '\n') {
                return Err(broken(part, format!("must be text; found {c:?}")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Description;
    use serde_json::{Value as Json, json};

    fn with(extra: Json) -> Result<Description, String> {
        let mut document = json!({"name": "a", "version": "1", "settings": [
            {"key": "secure", "label": "Log in", "kind": "boolean", "default": false},
        ]});
        document.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        Description::parse(&document.to_string()).map_err(|error| error.to_string())
    }

    fn settings(description: &Description, raw: Json) -> Settings {
        Settings::check(description, raw.as_object().unwrap()).unwrap()
    }

    #[test]
    fn the_shorter_look_back_holds() {
        let (hour, day) = (Duration::from_secs(3600), Duration::from_secs(86_400));
        let sink = with(json!({"push": {"look-back": 3600}})).unwrap().push;
        assert_eq!((sink.look_back(day), sink.look_back(hour / 2)), (hour, hour / 2));
        assert_eq!(with(json!({})).unwrap().push.look_back(day), day);
        assert!(with(json!({"push": {"look-back": 0}})).unwrap_err().contains("at least 1 second"));
    }

    #[test]
    fn a_login_is_wanted_always_never_or_by_a_setting() {
        let wants = |login: Json, raw: Json| {
            let description = with(json!({"pull": {"login": login}})).unwrap();
            description.pull.wants_login(&settings(&description, raw))
        };
        assert!(wants(json!("always"), json!({})));
        assert!(!wants(json!("never"), json!({})));
        let when = || json!({"when": {"setting": "secure", "is": ["true"]}});
        assert!(wants(when(), json!({"secure": true})));
        assert!(!wants(when(), json!({})));
        assert!(!with(json!({})).unwrap().pull.wants_login(&Settings::default()));
    }

    #[test]
    fn a_guide_that_breaks_a_rule_is_refused_with_the_entry_named() {
        let entry = |label: &str, text: &str| json!({"pull": {"guide": [{"label": label, "text": text}]}});
        assert_eq!(with(entry("URL", "{url}\nin two lines")).unwrap().pull.guide.len(), 1);
        assert!(with(entry("U\nRL", "x")).unwrap_err().contains("must be one line of text"));
        assert!(with(entry("URL", "\u{1b}[2J")).unwrap_err().contains("the guide's entry \"URL\""));
        assert!(with(entry("URL", &"x".repeat(9_000))).unwrap_err().contains("may have 8192 bytes, this one has 9000"));
        let many: Vec<_> = (0..33).map(|_| json!({"label": "a", "text": "b"})).collect();
        assert!(with(json!({"pull": {"guide": many}})).unwrap_err().contains("may have 32 entries, this one has 33"));
        let when = json!({"pull": {"login": {"when": {"setting": "other", "is": ["x"]}}}});
        assert!(with(when).unwrap_err().contains("depends on \"other\", which is no setting"));
    }
}
