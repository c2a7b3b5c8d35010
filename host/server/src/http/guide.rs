//! What an admin enters in the product that reads a store's page: the adapter's guide with the store's own values filled in.

use serde::Serialize;
use tidegate_export::catalog::{PullLogin, Store};
use tidegate_model::{Description, Settings};
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
        let guide = shown.map(|e| Entry { label: e.label.clone(), text: filled(&e.text, &values) }).collect();
        Some(Self { url, user, password, guide })
    }
}

/// Fills placeholders in, in one pass: what was filled in is not looked at again.
fn filled(text: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match values.iter().find(|(placeholder, _)| rest.starts_with(placeholder)) {
            Some((placeholder, value)) => {
                out.push_str(value);
                rest = &rest[placeholder.len()..];
            }
            None => {
                out.push('{');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in_once_and_other_braces_stay() {
        let values = [("{user}", "{password}"), ("{password}", "p"), ("{url}", "http://h")];
        assert_eq!(filled("{user}:{password}@{url} {a: [b]} {", &values), "{password}:p@http://h {a: [b]} {");
        assert_eq!(filled("", &values), "");
    }
}
