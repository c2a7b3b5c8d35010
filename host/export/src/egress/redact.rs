//! Blots credentials out of what comes back. A sink may echo the request, its headers, or the URL, in plain text or in one
//! of the forms in which the host itself put them on the wire.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use tidegate_model::settings::SettingValue;
use tidegate_model::{Secret, Settings};
use tidegate_sandbox::Outcome;
use zeroize::Zeroize;

/// What stands where a credential was.
const BLOT: &str = "[redacted]";
/// Shorter texts would blot out ordinary words; no real credential is that short.
const SHORTEST: usize = 4;

/// The credentials of a store in every form that may come back, longest first.
pub(crate) struct Redactor(Vec<String>);

impl Drop for Redactor {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Redactor {
    /// For the credentials in `settings`.
    pub(crate) fn of(settings: &Settings) -> Self {
        let secrets: Vec<&Secret> = settings
            .iter()
            .filter_map(|(_, value)| match value {
                SettingValue::Secret(secret) => Some(secret),
                _ => None,
            })
            .collect();
        let mut forms = Vec::new();
        for secret in &secrets {
            add_forms(&mut forms, secret.expose());
            // Basic authentication joins the secret with any other setting.
            for (_, value) in settings.iter() {
                if let SettingValue::Text(user) = value {
                    forms.push(STANDARD.encode(format!("{user}:{}", secret.expose())));
                }
            }
        }
        forms.retain(|form| form.len() >= SHORTEST);
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self(forms)
    }

    /// `text` without credentials.
    pub(crate) fn text(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, form| text.replace(form, BLOT))
    }

    /// Blots the credentials out of an outcome.
    pub(crate) fn clean(&self, outcome: &mut Outcome) {
        if self.0.is_empty() {
            return;
        }
        if let Some(failure) = &mut outcome.failure {
            *failure = self.text(failure);
        }
        for (_, value) in &mut outcome.headers {
            *value = self.text(value);
        }
        outcome.body = self.bytes(&outcome.body);
    }

    /// `body` without credentials; one that the cut of the answer left a beginning of is blotted out too.
    fn bytes(&self, body: &Bytes) -> Bytes {
        let mut clean: Option<Vec<u8>> = None;
        for form in &self.0 {
            let from: &[u8] = clean.as_deref().unwrap_or(body);
            if let Some(replaced) = without(from, form.as_bytes()) {
                clean = Some(replaced);
            }
        }
        clean.map_or_else(|| body.clone(), Bytes::from)
    }
}

fn add_forms(forms: &mut Vec<String>, secret: &str) {
    forms.push(secret.to_owned());
    forms.push(url::form_urlencoded::byte_serialize(secret.as_bytes()).collect());
    let percent: String = secret
        .bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect();
    forms.push(lower_escapes(&percent));
    forms.push(percent);
    forms.push(STANDARD.encode(secret));
    forms.push(STANDARD_NO_PAD.encode(secret));
    forms.push(URL_SAFE_NO_PAD.encode(secret));
    // As it stands inside JSON text.
    if let Ok(json) = serde_json::to_string(secret) {
        forms.push(json.trim_matches('"').to_owned());
    }
    // A URL that is a credential as a whole comes back in parts: its path is where the credential is.
    if let Ok(url) = url::Url::parse(secret) {
        let path = url.path().to_owned();
        forms.extend(url.query().map(str::to_owned));
        forms.extend(path.split('/').filter(|part| part.len() >= 8).map(str::to_owned));
        forms.push(path);
    }
}

/// The same percent-encoding with its digits in lower case.
fn lower_escapes(percent: &str) -> String {
    let mut left = 0;
    let lower = |c: char| {
        let digit = left > 0;
        left = if c == '%' { 2 } else { left - usize::from(digit) };
        if digit { c.to_ascii_lowercase() } else { c }
    };
    percent.chars().map(lower).collect()
}

/// `from` with each `form` blotted out; none if there is none.
fn without(from: &[u8], form: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut copied, mut at) = (0, 0);
    while at < from.len() {
        let rest = &from[at..];
        let whole = rest.starts_with(form);
        let cut = !whole && rest.len() < form.len() && rest.len() >= SHORTEST && form.starts_with(rest);
        if whole || cut {
            out.extend_from_slice(&from[copied..at]);
            out.extend_from_slice(BLOT.as_bytes());
            at += if whole { form.len() } else { rest.len() };
            copied = at;
        } else {
            at += 1;
        }
    }
    if copied == 0 {
        return None;
    }
    out.extend_from_slice(&from[copied..]);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        let text = |t: &str| SettingValue::Text(t.to_owned());
        let secret = |t: &str| SettingValue::Secret(Secret::new(t.to_owned()));
        Settings::trusted([
            ("user".to_owned(), text("writer")),
            ("password".to_owned(), secret("p\"ss wörd/1")),
            ("trap".to_owned(), secret("https://broker:43191/module/httptrap/0a1b2c3d/s3cr3tpart")),
        ])
    }

    #[test]
    fn every_form_in_which_a_credential_may_come_back_is_blotted_out() {
        let redactor = Redactor::of(&settings());
        let basic = STANDARD.encode("writer:p\"ss wörd/1");
        let bare = STANDARD.encode("p\"ss wörd/1");
        let echoes = [
            "p\"ss wörd/1",
            "p\\\"ss wörd/1",
            "p%22ss+w%C3%B6rd%2F1",
            "p%22ss%20w%C3%B6rd%2F1",
            "p%22ss%20w%c3%b6rd%2f1",
            basic.as_str(),
            bare.as_str(),
            "/module/httptrap/0a1b2c3d/s3cr3tpart",
            "s3cr3tpart",
        ];
        for echo in echoes {
            let mut outcome = Outcome {
                failure: Some(format!("told {echo} off")),
                headers: vec![("x".to_owned(), echo.to_owned())],
                body: Bytes::from(format!("<{echo}> and <{echo}>")),
                ..Outcome::default()
            };
            redactor.clean(&mut outcome);
            assert_eq!(outcome.failure.as_deref(), Some("told [redacted] off"), "{echo}");
            assert_eq!(outcome.headers[0].1, "[redacted]", "{echo}");
            assert_eq!(outcome.body, "<[redacted]> and <[redacted]>", "{echo}");
        }
    }

    #[test]
    fn a_credential_that_the_cut_of_the_answer_left_half_of_is_blotted_out() {
        let mut outcome = Outcome { body: Bytes::from_static(b"echo: s3cr3tp"), ..Outcome::default() };
        Redactor::of(&settings()).clean(&mut outcome);
        assert_eq!(outcome.body, "echo: [redacted]");
    }

    #[test]
    fn what_is_not_a_credential_stays() {
        let mut outcome = Outcome { body: Bytes::from_static(b"partial write: dropped=1"), ..Outcome::default() };
        Redactor::of(&settings()).clean(&mut outcome);
        assert_eq!(outcome.body, "partial write: dropped=1");
    }
}
