//! Fills credentials into a request: the last thing that happens to it before the wire.

use super::Unsendable;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use tidegate_model::Settings;
use tidegate_model::settings::SettingValue;
use tidegate_sandbox::Credential;
use zeroize::Zeroizing;

/// Adds each of `credentials` to `headers`, marked as sensitive, so that no debug output shows it.
pub(super) fn fill(
    endpoint: &str,
    credentials: &[Credential],
    settings: &Settings,
    headers: &mut HeaderMap,
) -> Result<(), Unsendable> {
    for credential in credentials {
        let (name, text) = match credential {
            Credential::Header { slot, header, template } => {
                let secret = settings.secret(slot).ok_or_else(|| Unsendable::NoCredential(slot.clone()))?;
                let name = HeaderName::try_from(header.as_str()).map_err(|e| invalid(endpoint, &e))?;
                (name, Zeroizing::new(template.replace("{}", secret.expose())))
            }
            Credential::Basic { user_key, password_key } => {
                let pair = Zeroizing::new(format!("{}:{}", part(settings, user_key)?, part(settings, password_key)?));
                (AUTHORIZATION, Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes()))))
            }
        };
        let unfit = |_| Unsendable::Invalid {
            endpoint: endpoint.to_owned(),
            reason: format!("the credential does not fit into the header {name}; it must be printable"),
        };
        let mut value = HeaderValue::from_bytes(text.as_bytes()).map_err(unfit)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(())
}

/// One half of a basic authentication: the text of a setting, secret or not.
fn part<'s>(settings: &'s Settings, key: &str) -> Result<&'s str, Unsendable> {
    match settings.get(key) {
        Some(SettingValue::Text(text)) => Ok(text),
        Some(SettingValue::Secret(secret)) => Ok(secret.expose()),
        _ => Err(Unsendable::NoCredential(key.to_owned())),
    }
}

pub(super) fn invalid(endpoint: &str, reason: &dyn std::fmt::Display) -> Unsendable {
    Unsendable::Invalid { endpoint: endpoint.to_owned(), reason: reason.to_string() }
}
