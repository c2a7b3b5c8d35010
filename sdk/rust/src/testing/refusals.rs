//! What the host refuses, so that a native test meets it before an operator does.

use super::{Action, SentRequest};
use crate::settings::{EndpointSchema, Kind, Schema};

/// Headers that describe the connection or frame the message.
const OF_THE_HOST: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];
/// Headers that an adapter sets by credential slot only.
const OF_CREDENTIALS: [&str; 2] = ["authorization", "cookie"];
/// Most headers, and most query parameters.
const MOST: usize = 64;

/// Why the host would refuse the action, if it would. `has_value` tells whether a setting has a value.
pub(crate) fn refusal(schema: &Schema, has_value: impl Fn(&str) -> bool, action: &Action) -> Option<String> {
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
            target(request).or_else(|| headers(request)).or_else(|| slots(schema, has_value, request))
        }
    }
}

fn target(request: &SentRequest) -> Option<String> {
    let path = &request.path;
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/%".contains(c);
    if request.query.len() > MOST {
        return Some(format!("{} query parameters, and a request may have {MOST}", request.query.len()));
    }
    if path.is_empty() {
        return None;
    }
    if !path.starts_with('/') {
        return Some(format!("the path {path:?} does not start with /"));
    }
    if let Some(c) = path.chars().find(|c| !legal(*c)) {
        return Some(format!("the path {path:?} must have {c:?} percent-encoded"));
    }
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        let decoded = segment.to_ascii_lowercase().replace("%2e", ".");
        if matches!(decoded.as_str(), "." | "..") || (segment.is_empty() && segments.peek().is_some()) {
            return Some(format!("the path {path:?} has an empty segment, or one of dots"));
        }
    }
    None
}

fn headers(request: &SentRequest) -> Option<String> {
    let by_hand = request.headers.iter().map(|(name, value)| (name, value, true));
    let by_slot = request.credentials.iter().map(|(_, header, template)| (header, template, false));
    let mut seen: Vec<String> = request.basic_auth.iter().map(|_| "authorization".to_owned()).collect();
    if request.gzip {
        seen.push("content-encoding".to_owned());
    }
    for (name, value, by_hand) in by_hand.chain(by_slot) {
        let lower = name.to_ascii_lowercase();
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let refused = if name.is_empty() || !name.chars().all(token) {
            Some("is not a name")
        } else if OF_THE_HOST.contains(&lower.as_str()) || lower.starts_with("proxy-") {
            Some("is for the host alone to set")
        } else if by_hand && OF_CREDENTIALS.contains(&lower.as_str()) {
            Some("carries credentials; place one by its slot")
        } else if value.chars().any(|c| !matches!(c, ' '..='~')) {
            Some("has a value with other characters than printable ASCII")
        } else if seen.contains(&lower) {
            Some("is set twice")
        } else {
            None
        };
        if let Some(reason) = refused {
            return Some(format!("header {name:?} {reason}"));
        }
        seen.push(lower);
    }
    (seen.len() > MOST).then(|| format!("{} headers, and a request may have {MOST}", seen.len()))
}

fn slots(schema: &Schema, has_value: impl Fn(&str) -> bool, request: &SentRequest) -> Option<String> {
    let kind = |key: &str| schema.settings.iter().find(|s| s.key == key).map(|s| s.kind);
    for (slot, _, template) in &request.credentials {
        if kind(slot) != Some(Kind::Secret) {
            return Some(format!("there is no secret setting {slot:?}"));
        }
        if template.matches("{}").count() != 1 {
            return Some(format!("the template {template:?} must have {{}} once"));
        }
    }
    let basic = request.basic_auth.iter().flat_map(|(user, password)| [user, password]);
    let mut used = request.credentials.iter().map(|(slot, ..)| slot).chain(basic);
    used.find(|key| kind(key).is_none() || !has_value(key)).map(|key| format!("setting {key:?} has no value to place"))
}
