//! What the host refuses, so that a native test meets it before an operator does.

use super::Action;
use crate::settings::{EndpointSchema, Kind, Schema};

/// Headers that belong to the connection, and so to the host.
const OF_THE_HOST: [&str; 10] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-encoding",
];

/// Why the host would refuse the action, if it would.
pub(crate) fn refusal(schema: &Schema, action: &Action) -> Option<String> {
    match action {
        Action::Stream(stream) => {
            let known = |e: &EndpointSchema| matches!(e, EndpointSchema::Tcp { key, .. } if *key == stream.endpoint);
            (!schema.endpoints.iter().any(known)).then(|| format!("there is no TCP endpoint {:?}", stream.endpoint))
        }
        Action::Request(request) => {
            let known = |e: &EndpointSchema| matches!(e, EndpointSchema::Http { key, .. } if *key == request.endpoint);
            if !schema.endpoints.iter().any(known) {
                return Some(format!("there is no HTTP endpoint {:?}", request.endpoint));
            }
            if !request.path.is_empty() && !request.path.starts_with('/') {
                return Some(format!("the path {:?} does not start with /", request.path));
            }
            let of_credentials = request.credentials.iter().map(|(_, header, template)| (header, template));
            let headers = request.headers.iter().map(|(name, value)| (name, value)).chain(of_credentials);
            headers.into_iter().find_map(|(name, value)| header(name, value)).or_else(|| slots(schema, request))
        }
    }
}

fn header(name: &str, value: &str) -> Option<String> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(token) {
        return Some(format!("{name:?} is not the name of a header"));
    }
    if OF_THE_HOST.contains(&name.to_ascii_lowercase().as_str()) {
        return Some(format!("the header {name} is the host's"));
    }
    value.chars().any(char::is_control).then(|| format!("the header {name} has a control character in {value:?}"))
}

fn slots(schema: &Schema, request: &super::SentRequest) -> Option<String> {
    let kind = |key: &str| schema.settings.iter().find(|s| s.key == key).map(|s| s.kind);
    for (slot, _, template) in &request.credentials {
        if kind(slot) != Some(Kind::Secret) {
            return Some(format!("there is no secret setting {slot:?}"));
        }
        if template.matches("{}").count() != 1 {
            return Some(format!("the template {template:?} must have {{}} once"));
        }
    }
    let (user, password) = request.basic_auth.as_ref()?;
    [user, password].into_iter().find(|key| kind(key).is_none()).map(|key| format!("there is no setting {key:?}"))
}
