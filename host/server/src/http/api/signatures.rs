//! Who vouches for a version of an adapter, as the API tells it, and when another version has less of that than the one in use.

use super::adapters::digest_text;
use crate::http::problem::Problem;
use crate::http::state::Host;
use serde_json::{Value, json};
use tidegate_export::Comparison;
use tidegate_export::catalog::Store;
use tidegate_sandbox::{Adapter, Registered, Registry, Signature};

/// The words for what is known of a signature.
const STATES: [&str; 4] = ["part-of-tidegate", "signed", "unknown-key", "unsigned"];

fn state(signature: &Signature) -> &'static str {
    let at = match signature {
        Signature::PartOfTidegate => 0,
        Signature::Signed { .. } => 1,
        Signature::UnknownKey { .. } => 2,
        Signature::Unsigned => 3,
    };
    STATES[at]
}

/// The shape of what [`told`] tells.
pub(super) fn schema() -> Value {
    use super::schema::{object, one_of, text};
    let optional = [("key", text()), ("key_id", text()), ("comment", text())];
    object(&[("state", one_of(&STATES)), ("pinned", text())], &optional)
}

/// Who vouches for the version with this digest, by which stores keep it.
pub(super) fn told(digest: &[u8; 32], signature: &Signature) -> Value {
    let mut told = json!({"state": state(signature), "pinned": digest_text(digest)});
    match signature {
        Signature::Signed { key, key_id, comment } => {
            told["key"] = json!(key);
            told["key_id"] = json!(key_id);
            told["comment"] = json!(comment);
        }
        Signature::UnknownKey { key_id } => told["key_id"] = json!(key_id),
        Signature::PartOfTidegate | Signature::Unsigned => {}
    }
    told
}

/// The keys that count, and whether one of them has to have signed.
pub(super) fn policy(registry: &Registry) -> Value {
    let trust = registry.trust();
    let keys: Vec<Value> = trust.keys().iter().map(|key| json!({"name": key.name, "key_id": key.id})).collect();
    json!({"required": trust.required(), "keys": keys})
}

/// The text of a signature that came as bytes.
pub(super) fn text_of(given: Option<String>) -> Result<Option<String>, Problem> {
    /// As much as is read of a file beside a component.
    const MOST: usize = 8 << 10;
    match given {
        Some(text) if text.len() > MOST => {
            Err(Problem::invalid(format_args!("signature: expected {MOST} bytes at most, found {}", text.len())))
        }
        given => Ok(given),
    }
}

/// Adds to what another version asks for that nobody vouches for it any more, or somebody else does, if that is so.
pub(super) fn compare(host: &Host, store: &Store, adapter: &Adapter, comparison: &mut Comparison) {
    let registry = &host.registry;
    let current = store.pin.as_ref().and_then(|pin| registry.find(&pin.digest));
    let other = registry.find(adapter.digest());
    comparison.asks.extend(current.zip(other).and_then(|(current, other)| less_trusted(&current, &other)));
}

/// The same as a line that somebody has to agree to.
pub(super) fn less_trusted(current: &Registered, other: &Registered) -> Option<String> {
    less(&current.signature, &other.signature)
}

fn less(current: &Signature, other: &Signature) -> Option<String> {
    let vouched = match (current, other) {
        (Signature::Signed { key: before, .. }, Signature::Signed { key, .. }) if before == key => return None,
        (_, Signature::PartOfTidegate) => return None,
        (Signature::Signed { key, .. }, _) => format!("signed with the key {key}"),
        (Signature::PartOfTidegate, _) => "part of Tidegate".to_owned(),
        _ => return None,
    };
    let now = match other {
        Signature::Signed { key, .. } => format!("be trusted for its signature with the key {key}"),
        _ => "be used although no trusted key has signed it".to_owned(),
    };
    Some(format!("{now}; the version in use is {vouched}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_of_a_signature_has_to_be_agreed_to_and_more_of_one_does_not() {
        let signed =
            |key: &str| Signature::Signed { key: key.to_owned(), key_id: String::new(), comment: String::new() };
        let (ours, none) = (Signature::PartOfTidegate, Signature::Unsigned);
        let unknown = Signature::UnknownKey { key_id: String::new() };
        for (current, other) in [
            (&none, &none),
            (&none, &signed("acme")),
            (&unknown, &none),
            (&none, &unknown),
            (&signed("acme"), &signed("acme")),
            (&signed("acme"), &ours),
            (&ours, &ours),
        ] {
            assert_eq!(less(current, other), None, "{current:?} {other:?}");
        }
        for (current, other, told) in [
            (
                signed("acme"),
                &none,
                "be used although no trusted key has signed it; the version in use is signed with the key acme",
            ),
            (
                signed("acme"),
                &unknown,
                "be used although no trusted key has signed it; the version in use is signed with the key acme",
            ),
            (
                signed("acme"),
                &signed("evil"),
                "be trusted for its signature with the key evil; the version in use is signed with the key acme",
            ),
            (
                ours.clone(),
                &none,
                "be used although no trusted key has signed it; the version in use is part of Tidegate",
            ),
            (
                ours,
                &signed("acme"),
                "be trusted for its signature with the key acme; the version in use is part of Tidegate",
            ),
        ] {
            assert_eq!(less(&current, other).as_deref(), Some(told));
        }
    }
}
