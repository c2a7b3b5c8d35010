//! The Backtrace JSON report, as the clients in the field send it.
//!
//! What becomes what: `attributes` as they are; `lang`, `langVersion`, `agent`, `agentVersion` become `lang`, `lang.version`,
//! `backtrace.agent`, `backtrace.version` unless the attributes have those; `classifiers` become one text; the function names
//! of the faulting thread become `callstack` and, unless the client sends one, the `fingerprint`. The bytes as they came stay
//! with the event.
//!
//! A report is the only trace of a crash, so where a line of a bulk would be refused, a report is taken: a nested attribute is
//! kept as its JSON text, of an attribute that occurs twice the last value counts, threads that make no sense give no
//! callstack. What breaks a limit is refused, with the member named.

use crate::scalar::{self, Attributes, FieldError, Scalar, shown};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use indexmap::IndexMap;
use memchr::memchr2;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::fmt;
use tidegate_model::{Event, EventLimits, Value};

/// Why a report is not an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", field.as_ref().map(|f| format!("{f:?}: ")).unwrap_or_default())]
pub struct ReportError {
    /// The member at fault; none if the report as a whole is.
    pub field: Option<String>,
    /// What was expected and what came.
    pub message: String,
}

impl From<FieldError> for ReportError {
    fn from((field, message): FieldError) -> Self {
        Self { field, message }
    }
}

/// The members that matter, not yet looked into.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    uuid: Option<&'a RawValue>,
    timestamp: Option<&'a RawValue>,
    lang: Option<&'a RawValue>,
    lang_version: Option<&'a RawValue>,
    agent: Option<&'a RawValue>,
    agent_version: Option<&'a RawValue>,
    classifiers: Option<&'a RawValue>,
    fingerprint: Option<&'a RawValue>,
    main_thread: Option<&'a RawValue>,
    threads: Option<&'a RawValue>,
    attributes: Option<&'a RawValue>,
}

/// The names of the instructions to the server that clients send among the attributes.
const MODIFIER: &str = "_mod_";

/// Makes an event of a report. `extra` are attributes from the URL or the form; they win over those of the report.
///
/// # Errors
/// [`ReportError`] names the member at fault.
pub fn parse(json: &[u8], extra: Vec<(String, Value)>, limits: &EventLimits) -> Result<Event, ReportError> {
    let whole = |message| ReportError { field: None, message };
    let text = scalar::utf8(json, limits).map_err(whole)?;
    check_nesting(text, limits).map_err(whole)?;
    let report = read(text).map_err(whole)?;
    let mut attributes = Attributes::new(limits);
    if let Some(json) = report.attributes.map(RawValue::get).filter(|json| *json != "null") {
        read_attributes(json, &mut attributes)?;
    }
    for (name, value) in extra {
        attributes.check_name(&name)?;
        attributes.replace(name, value)?;
    }
    attributes.check_count()?;
    let uuid = match report.uuid.map(|json| scalar::scalar(json.get())) {
        Some(Ok(Scalar::Value(value))) => Some(scalar::uuid(&value.text()).map_err(|m| at("uuid", m))?),
        Some(Ok(Scalar::Nested)) => return Err(at("uuid", "expected text".to_owned())),
        Some(Err(message)) => return Err(at("uuid", message)),
        None | Some(Ok(Scalar::Nothing)) => None,
    };
    put_members(&report, &mut attributes, limits)?;
    put_callstack(&report, &mut attributes, limits);
    attributes.list.retain(|(name, _)| !name.starts_with(MODIFIER));
    Ok(Event { uuid, attributes: attributes.list, report: Some(json.to_vec()), attachments: Vec::new() })
}

fn at(field: &str, message: String) -> ReportError {
    ReportError { field: Some(field.to_owned()), message }
}

/// Reads the outermost object, and the one inside `body` if that is all there is.
fn read(json: &str) -> Result<Report<'_>, String> {
    if !json.trim_start().starts_with('{') {
        return Err(format!("expected a report as a JSON object, found {}", shown(json.trim())));
    }
    let told = |error: serde_json::Error| format!("expected a report as a JSON object: {error}");
    let report: Report<'_> = serde_json::from_str(json).map_err(told)?;
    match report.body.map(RawValue::get) {
        Some(body) if body.starts_with('{') && report.threads.is_none() && report.attributes.is_none() => {
            serde_json::from_str(body).map_err(told)
        }
        _ => Ok(report),
    }
}

/// Depth is counted before anything is parsed, so that no part of the report can go deeper than allowed.
fn check_nesting(json: &str, limits: &EventLimits) -> Result<(), String> {
    let json = json.as_bytes();
    let (mut depth, mut deepest, mut at) = (0usize, 0, 0);
    while let Some(byte) = json.get(at) {
        at += 1;
        match byte {
            b'"' => at = end_of_text(json, at),
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    let most = limits.nesting;
    if deepest > most { Err(format!("a report may nest {most} levels deep, this one has {deepest}")) } else { Ok(()) }
}

/// The place behind the quote that ends the text whose inside begins at `at`; the end of the report if there is none.
fn end_of_text(json: &[u8], mut at: usize) -> usize {
    while let Some(found) = json.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found + 1;
        if json[at - 1] == b'"' {
            return at;
        }
        // What follows a backslash is part of the text, whatever it is.
        at += 1;
    }
    json.len()
}

fn read_attributes(json: &str, attributes: &mut Attributes<'_>) -> Result<(), ReportError> {
    let mut fault = None;
    let mut from = serde_json::Deserializer::from_str(json);
    let done = from.deserialize_map(Members { attributes, fault: &mut fault });
    done.map_err(|error| match fault {
        Some(fault) => fault.into(),
        None => at("attributes", format!("expected an object ({error}), found {}", shown(json))),
    })
}

struct Members<'a, 'b> {
    attributes: &'a mut Attributes<'b>,
    fault: &'a mut Option<FieldError>,
}

impl<'de> Visitor<'de> for Members<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let json = map.next_value::<&RawValue>()?.get();
            if let Err(fault) = put_attribute(self.attributes, name, json) {
                *self.fault = Some(fault);
                return Err(A::Error::custom("an attribute is at fault"));
            }
        }
        Ok(())
    }
}

fn put_attribute(attributes: &mut Attributes<'_>, name: String, json: &str) -> Result<(), FieldError> {
    attributes.check_name(&name)?;
    let value = match scalar::scalar(json).map_err(|message| (Some(name.clone()), message))? {
        Scalar::Nothing => return Ok(()),
        Scalar::Value(value) => value,
        Scalar::Nested => Value::Str(json.to_owned()),
    };
    attributes.replace(name, value)
}

/// Puts what stands outside of `attributes`.
fn put_members(report: &Report<'_>, attributes: &mut Attributes<'_>, limits: &EventLimits) -> Result<(), ReportError> {
    let texts = [
        ("lang", "lang", report.lang),
        ("langVersion", "lang.version", report.lang_version),
        ("agent", "backtrace.agent", report.agent),
        ("agentVersion", "backtrace.version", report.agent_version),
    ];
    for (member, name, json) in texts {
        if let Some(Scalar::Value(value)) = json.and_then(|json| scalar::scalar(json.get()).ok()) {
            let text = value.text().into_owned();
            check_length(member, &text, limits)?;
            attributes.put_own(name.to_owned(), Value::Str(text));
        }
    }
    let classifiers: Option<Vec<&RawValue>> = report.classifiers.and_then(|json| serde_json::from_str(json.get()).ok());
    let classifiers: Vec<String> =
        classifiers.unwrap_or_default().into_iter().filter_map(|json| scalar::text(json.get()).ok()).collect();
    if !classifiers.is_empty() {
        let text = classifiers.join(" ");
        check_length("classifiers", &text, limits)?;
        attributes.put_own("classifiers".to_owned(), Value::Str(text));
    }
    let time = match report.timestamp.map(|json| scalar::scalar(json.get())) {
        Some(Ok(Scalar::Value(value))) => scalar::seconds(value).map_err(|message| at("timestamp", message))?,
        Some(Ok(Scalar::Nested)) => return Err(at("timestamp", "expected Unix seconds such as 1700000000".to_owned())),
        Some(Err(message)) => return Err(at("timestamp", message)),
        // An attribute of this name takes the place if it is a time, and stays as it is if it is not.
        None | Some(Ok(Scalar::Nothing)) => {
            let own = attributes.get("timestamp").cloned().map(scalar::seconds);
            let Some(Ok(time)) = own else { return Ok(()) };
            time
        }
    };
    attributes.replace("timestamp".to_owned(), time)?;
    Ok(())
}

fn check_length(field: &str, text: &str, limits: &EventLimits) -> Result<(), ReportError> {
    let most = limits.value_bytes;
    if text.len() > most {
        return Err(at(field, format!("a value may have {most} bytes, this one has {}", text.len())));
    }
    Ok(())
}

#[derive(Deserialize)]
struct Thread<'a> {
    #[serde(borrow)]
    fault: Option<&'a RawValue>,
    stack: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow, rename = "funcName")]
    function: Option<&'a RawValue>,
}

fn put_callstack(report: &Report<'_>, attributes: &mut Attributes<'_>, limits: &EventLimits) {
    let functions = faulting_stack(report).unwrap_or_default();
    if !functions.is_empty() {
        // As many frames from the top as fit: a deep recursion must not cost the report.
        let mut callstack = String::from("{\"frame\":[");
        for (i, function) in functions.iter().enumerate() {
            let frame = Value::Str(function.clone());
            let frame = serde_json::to_string(&frame).unwrap_or_default();
            if callstack.len() + frame.len() + 3 > limits.value_bytes {
                break;
            }
            if i > 0 {
                callstack.push(',');
            }
            callstack.push_str(&frame);
        }
        callstack.push_str("]}");
        attributes.put_own("callstack".to_owned(), Value::Str(callstack));
    }
    let fingerprint = client_fingerprint(report, attributes).unwrap_or_else(|| match functions.is_empty() {
        true => "0".repeat(64),
        false => hex::encode(Sha256::digest(functions.join("\n"))),
    });
    if let Some(place) = attributes.find("fingerprint") {
        attributes.list[place].1 = Value::Str(fingerprint);
    } else {
        attributes.put_own("fingerprint".to_owned(), Value::Str(fingerprint));
    }
}

/// The threads by their identifiers. They are most of a report, so they are read in one go; only where one of them is no thread
/// each is looked at by itself, so that the others count.
fn threads(json: &str) -> Option<IndexMap<String, Thread<'_>>> {
    serde_json::from_str(json).ok().or_else(|| {
        let each: IndexMap<String, &RawValue> = serde_json::from_str(json).ok()?;
        Some(each.into_iter().filter_map(|(id, json)| Some((id, serde_json::from_str(json.get()).ok()?))).collect())
    })
}

/// The function names of the faulting thread, top frame first: of the main thread if it is at fault or none is.
fn faulting_stack(report: &Report<'_>) -> Option<Vec<String>> {
    let threads = threads(report.threads?.get())?;
    let main = report.main_thread.and_then(|json| match scalar::scalar(json.get()) {
        Ok(Scalar::Value(value)) => Some(value.text().into_owned()),
        _ => None,
    });
    let at_fault = |thread: &&Thread<'_>| thread.fault.is_some_and(|fault| fault.get() == "true");
    let main = main.and_then(|id| threads.get(&id));
    let thread = main.filter(at_fault).or_else(|| threads.values().find(at_fault)).or(main);
    let stack = thread.or_else(|| threads.values().next())?.stack?;
    let frames: Vec<&RawValue> = serde_json::from_str(stack.get()).ok()?;
    let function = |json: &RawValue| {
        let frame: Frame<'_> = serde_json::from_str(json.get()).ok()?;
        scalar::text(frame.function?.get()).ok().filter(|name| !name.is_empty())
    };
    Some(frames.into_iter().filter_map(function).collect())
}

/// The fingerprint that the client wants: 64 hexadecimal digits, or 32 bytes in base64.
fn client_fingerprint(report: &Report<'_>, attributes: &Attributes<'_>) -> Option<String> {
    let digits = |text: &str| {
        let digits = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        digits.then(|| text.to_ascii_lowercase())
    };
    let bytes = |text: &str| STANDARD.decode(text).ok().filter(|bytes| bytes.len() == 32).map(hex::encode);
    let attribute = |name: &str| attributes.get(name).and_then(|value| digits(&value.text()));
    let member = || {
        let text = scalar::text(report.fingerprint?.get()).ok()?;
        digits(&text).or_else(|| bytes(&text))
    };
    attribute("_mod_fingerprint").or_else(member).or_else(|| attribute("fingerprint"))
}

#[cfg(test)]
mod tests;
