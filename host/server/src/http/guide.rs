//! What an admin enters in the product that reads a store's page: the adapter's guide with the store's own values filled in.

use serde::Serialize;
use tidegate_export::catalog::{PullLogin, Store};
use tidegate_model::{Description, SettingValue, Settings};
use url::Url;

/// What stands for a password that is not to be shown.
const HIDDEN: &str = "…";

/// One field, or one piece of configuration.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Entry {
    label: String,
    text: String,
}

/// How to read a store's page.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Reading {
    /// The whole URL, a credential.
    url: String,
    /// The user name, if the page wants a login.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// The password, or what stands for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    /// What to enter where.
    guide: Vec<Entry>,
}

impl Reading {
    /// For a store whose pages others find below `public`; none for a push store.
    pub(crate) fn of(
        public: &Url,
        store: &Store,
        adapter: &Description,
        settings: &Settings,
        login: Option<&PullLogin>,
        reveal: bool,
    ) -> Option<Self> {
        let token = store.pull_token.as_ref()?;
        let base = public.as_str().trim_end_matches('/');
        let url = format!("{base}/pull/{token}");
        let path = format!("{}/pull/{token}", public.path().trim_end_matches('/'));
        let user = login.map(|l| l.user.clone());
        let password = login.map(|l| if reveal { l.password.expose() } else { HIDDEN }.to_owned());
        let port = public.port_or_known_default().map(|p| p.to_string()).unwrap_or_default();
        let period = store.period.seconds().to_string();
        let values = [
            ("{url}", url.as_str()),
            ("{scheme}", public.scheme()),
            ("{host}", public.host_str().unwrap_or_default()),
            ("{port}", port.as_str()),
            ("{path}", path.as_str()),
            ("{user}", user.as_deref().unwrap_or_default()),
            ("{password}", password.as_deref().unwrap_or_default()),
            ("{period}", period.as_str()),
            ("{store}", store.name.as_str()),
        ];
        let shown = adapter.pull.guide.iter().filter(|e| e.when.as_ref().is_none_or(|w| w.holds(settings)));
        let setting = |key: &str| text_of(settings, key);
        let guide = shown.map(|e| Entry { label: e.label.clone(), text: filled(&e.text, &values, &setting) }).collect();
        Some(Self { url, user, password, guide })
    }
}

/// What a setting holds, unless it is a secret.
fn text_of(settings: &Settings, key: &str) -> Option<String> {
    match settings.get(key)? {
        SettingValue::Text(text) => Some(text.clone()),
        SettingValue::Integer(number) => Some(number.to_string()),
        SettingValue::Boolean(flag) => Some(flag.to_string()),
        SettingValue::Secret(_) => None,
    }
}

/// Fills placeholders in, in one pass: what was filled in is not looked at again. `{settings.KEY}` is what `setting` has for the
/// key, `{settings.KEY|text}` the text after the bar if it has nothing, placeholders in it filled in.
fn filled(text: &str, values: &[(&str, &str)], setting: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some((placeholder, value)) = values.iter().find(|(placeholder, _)| rest.starts_with(placeholder)) {
            out.push_str(value);
            rest = &rest[placeholder.len()..];
        } else if let Some((inside, after)) = rest.strip_prefix("{settings.").and_then(closed) {
            let (key, otherwise) = inside.split_once('|').unwrap_or((inside, ""));
            out.push_str(&setting(key).unwrap_or_else(|| filled(otherwise, values, &|_| None)));
            rest = after;
        } else {
            out.push('{');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    out
}

/// What stands before the brace that closes, and what after it; none if there is no such brace.
fn closed(text: &str) -> Option<(&str, &str)> {
    let mut open = 1;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open += 1,
            b'}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some((&text[..at], &text[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_model::Secret;

    #[test]
    fn placeholders_are_filled_in_once_and_other_braces_stay() {
        let values = [("{user}", "{password}"), ("{password}", "p"), ("{url}", "http://h")];
        let nothing = |_: &str| None;
        assert_eq!(filled("{user}:{password}@{url} {a: [b]} {", &values, &nothing), "{password}:p@http://h {a: [b]} {");
        assert_eq!(filled("", &values, &nothing), "");
    }

    #[test]
    fn a_secret_is_never_filled_in() {
        let values = [
            ("key", SettingValue::Secret(Secret::new("hidden".to_owned()))),
            ("flag", SettingValue::Boolean(true)),
            ("number", SettingValue::Integer(7)),
        ];
        let settings = Settings::trusted(values.map(|(key, value)| (key.to_owned(), value)));
        let text = "{settings.key|none} {settings.flag} {settings.number}";
        assert_eq!(filled(text, &[], &|key| text_of(&settings, key)), "none true 7");
    }

    #[test]
    fn a_setting_is_filled_in_and_what_is_not_set_has_a_text_in_its_place() {
        let values = [("{store}", "prom")];
        let setting = |key: &str| (key == "job").then(|| "{store}".to_owned());
        let told = |text| filled(text, &values, &setting);
        assert_eq!(told("[{settings.job|none}] [{settings.job}]"), "[{store}] [{store}]");
        assert_eq!(told("[{settings.other|tidegate-{store}}] [{settings.other}]"), "[tidegate-prom] []");
        assert_eq!(told("{settings.other|{settings.job}} {settings.job {settings"), " {settings.job {settings");
    }
}
