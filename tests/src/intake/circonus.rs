//! A Circonus broker's module for pushed JSON (HTTPTrap): several documents in a row, typed values, tags in the names.
//!
//! Silent there: names are cleaned and cut, badly spelled tags stay part of the name, arrays are averaged, untyped values are
//! guessed from their text, and of two values for one moment the larger stays. Each is a fault here.

use super::{Book, Rules, reply};
use crate::points::Point;
use crate::receiver::{Received, Reply};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Bytes of a name with its tags: one more is cut.
const NAME: usize = 4095;
/// Tags of one name, and characters of one tag, of its category.
const TAGS: usize = 256;
const TAG: usize = 256;
const CATEGORY: usize = 254;

/// The rules, with the id and the secret of the only check.
#[derive(Debug, Clone)]
pub struct HttpTrap {
    check: String,
    secret: String,
}

impl HttpTrap {
    /// For one check.
    #[must_use]
    pub fn new(check: &str, secret: &str) -> Self {
        Self { check: check.to_owned(), secret: secret.to_owned() }
    }

    /// The path of the Data Submission URL.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/module/httptrap/{}/{}", self.check, self.secret)
    }
}

impl Rules for HttpTrap {
    fn take(&self, request: &Received, book: &mut Book) -> Reply {
        let error = |status: u16, why: &str| reply(status, json!({"error": why}).to_string());
        let parts: Vec<_> = request.path().trim_start_matches('/').split('/').collect();
        let ["module", "httptrap", check, secret] = parts[..] else { return error(404, "bad uri") };
        match (check == self.check, secret == self.secret, request.method()) {
            (false, ..) => return error(404, "no such httptrap check"),
            (_, false, _) => return error(403, "secret mismatch"),
            (.., "PUT" | "POST") => {}
            _ => return error(404, "bad uri"),
        }
        for (header, right) in
            [("content-type", "application/json"), ("accept", "application/json"), ("content-encoding", "")]
        {
            if request.header(header) != right {
                book.fault(format!("{header}: {:?}", request.header(header)));
            }
        }
        // It stores while it reads, so what came before a fault stays.
        let mut stats = 0;
        for document in serde_json::Deserializer::from_slice(&request.body).into_iter::<Document>() {
            let taken = document.map_err(|e| e.to_string()).and_then(|Document(metrics)| {
                metrics.iter().try_for_each(|(name, value)| metric(name, value, book).map(|count| stats += count))
            });
            if let Err(why) = taken {
                book.fault(why.clone());
                return error(406, &why);
            }
        }
        reply(200, json!({"stats": stats, "filtered": 0}).to_string())
    }
}

/// An object whose keys may repeat.
struct Document(Vec<(String, Json)>);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Document;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Document(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Takes one metric and gives how many values it was.
fn metric(name: &str, value: &Json, book: &mut Book) -> Result<u64, String> {
    let fields = value.as_object().ok_or_else(|| format!("{name} is {value}: its type would be guessed"))?;
    let Some(kind) = fields.get("_type") else {
        let mut count = 0;
        for (key, inner) in fields {
            count += metric(&format!("{name}`{key}"), inner, book)?;
        }
        return Ok(count);
    };
    let kind = kind.as_str().filter(|k| ["n", "l", "L", "i", "I", "s", "h", "H"].contains(k));
    let kind = kind.ok_or_else(|| format!("_type {} of {name}", fields["_type"]))?;
    if let Some(unknown) = fields.keys().find(|k| !["_type", "_value", "_ts", "_fl", "_tags"].contains(&k.as_str())) {
        return Err(format!("an unknown field {unknown} of {name}"));
    }
    // Milliseconds; none means that the broker's own clock decides, which is kept as 0.
    let millis = match fields.get("_ts") {
        None => 0,
        Some(ts) => ts.as_u64().or_else(|| ts.as_str()?.parse().ok()).ok_or_else(|| format!("_ts {ts} of {name}"))?,
    };
    if millis % 1000 != 0 {
        book.fault(format!("{name} at {millis} ms, which is no whole second"));
    }
    book.kinds.insert(name.to_owned(), kind.to_owned());
    let Some(value) = number(kind, &fields["_value"]).map_err(|why| format!("{name}: {why}"))? else { return Ok(1) };
    match read_name(name) {
        Ok((base, labels)) => book.keep(Point { name: base, labels, time: millis / 1000 }, value),
        Err(why) => book.fault(why),
    }
    Ok(1)
}

/// The number that a value is; none for a text, a histogram and null.
fn number(kind: &str, value: &Json) -> Result<Option<f64>, String> {
    match (kind, value) {
        ("s" | "h" | "H", _) | (_, Json::Null) => Ok(None),
        // How older clients write a histogram.
        ("n", Json::Array(bins)) if bins.iter().all(|b| b.as_str().is_some_and(|b| b.starts_with("H["))) => Ok(None),
        (_, Json::Array(_)) => Err("an array would be averaged".to_owned()),
        (_, Json::Number(number)) => Ok(number.as_f64()),
        (_, Json::String(text)) => text.parse().map(Some).map_err(|_| format!("{text:?} is no number")),
        _ => Err(format!("{value} is no number")),
    }
    .and_then(|number: Option<f64>| match number {
        Some(number) if !number.is_finite() => Err(format!("{number}")),
        Some(number) if kind != "n" && number.fract() != 0.0 => Err(format!("{number} is no {kind}")),
        other => Ok(other),
    })
}

/// A name as the broker reads it: what stands before the tags, and the tags.
///
/// # Errors
/// What the broker would clean, cut or leave in the name.
pub fn read_name(name: &str) -> Result<(String, BTreeMap<String, String>), String> {
    let told: String = name.chars().take(200).collect();
    if name.len() > NAME {
        return Err(format!("a name of {} bytes would be cut: {told}…", name.len()));
    }
    if !name.bytes().all(|b| (b' '..=b'~').contains(&b)) || name.trim() != name {
        return Err(format!("the name {told:?} would be cleaned"));
    }
    let (base, tags) = match name.split_once("|ST[") {
        None => (name, ""),
        Some((base, tags)) => (base, tags.strip_suffix(']').ok_or_else(|| format!("tags without an end: {told}"))?),
    };
    if base.trim().is_empty() || base.contains("|MT{") || tags.contains("|ST[") {
        return Err(format!("the name {told:?} has no text or tags of two kinds"));
    }
    let mut labels = BTreeMap::new();
    for tag in tags.split(',').filter(|t| !t.is_empty()) {
        let (category, value) = tag.split_once(':').ok_or_else(|| format!("the tag {tag:?} has no colon"))?;
        let (category, value) = (part(category, "+")?, part(value, ":=+")?);
        if category.len() > CATEGORY || category.len() + value.len() + 1 > TAG {
            return Err(format!("the tag {category}:{value} is too long"));
        }
        if labels.insert(category.clone(), value).is_some() {
            return Err(format!("the tag {category} is there twice"));
        }
    }
    if labels.len() > TAGS {
        return Err(format!("{} tags", labels.len()));
    }
    Ok((base.to_owned(), labels))
}

/// One side of a tag: plain characters, or base64 between `b"` and `"`.
fn part(text: &str, more: &str) -> Result<String, String> {
    if let Some(encoded) = text.strip_prefix("b\"").and_then(|t| t.strip_suffix('"')) {
        let bytes = STANDARD.decode(encoded).map_err(|e| format!("{text}: {e}"))?;
        return String::from_utf8(bytes).map_err(|e| format!("{text}: {e}"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "`!@#$%^&\"'/?._-".contains(c) || more.contains(c);
    if text.is_empty() || !text.chars().all(plain) {
        Err(format!("{text:?} must be base64"))
    } else {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(body: &str) -> (Reply, Book) {
        let headers = ["content-type", "accept"].map(|h| (h.to_owned(), "application/json".to_owned())).to_vec();
        let rules = HttpTrap::new("c", "s");
        let mut book = Book::default();
        let request = Received { line: format!("PUT {} HTTP", rules.path()), headers, body: body.as_bytes().to_vec() };
        (rules.take(&request, &mut book), book)
    }

    #[test]
    fn documents_in_a_row_are_read_with_their_tags_and_their_times() {
        let body = r#"{"a b|ST[b\"ZW52\":b\"cHJvZA==\",c:d=e]":{"_type":"n","_value":"12.5","_ts":1700000000000}}
                      {"x":{"y":{"_type":"L","_value":3,"_ts":"1700000001000"}}}"#;
        let ((status, _, told), book) = take(body);
        assert_eq!(
            (status, told.as_str(), book.faults.len()),
            (200, r#"{"stats":2,"filtered":0}"#, 0),
            "{:?}",
            book.faults
        );
        let held: Vec<_> = book.points.iter().map(|(point, value)| (point.to_string(), value)).collect();
        let right = [("a b{\"c\": \"d=e\", \"env\": \"prod\"}@1700000000", 12.5), ("x`y{}@1700000001", 3.0)];
        assert_eq!(held, right.map(|(point, value)| (point.to_owned(), value)));
    }

    #[test]
    fn what_was_before_a_fault_stays_stored() {
        let ((status, ..), book) = take(r#"{"a":{"_type":"n","_value":1,"_ts":1000}}{"b":{"_type":"nn","_value":1}}"#);
        assert_eq!((status, book.points.len(), book.faults.len()), (406, 1, 1));
    }

    #[test]
    fn what_the_broker_would_clean_cut_guess_or_average_is_a_fault() {
        let long = "x".repeat(NAME + 1);
        for name in
            ["ä", " a", "a\\n", "|ST[a:b]", "a|ST[a:b", "a|ST[a b:c]", "a|ST[a]", "a|ST[a:b,a:c]", "a|ST[é:c]", &long]
        {
            let (_, book) = take(&format!(r#"{{"{name}":{{"_type":"n","_value":1,"_ts":1000}}}}"#));
            assert!(!book.faults.is_empty() && book.points.is_empty(), "{name}");
        }
        for value in [
            r#"1"#,
            r#"{"_type":"n","_value":[1,2]}"#,
            r#"{"_type":"l","_value":1.5}"#,
            r#"{"_type":"n","_value":"1e400"}"#,
            r#"{"_type":"n","_value":1,"_ts":-1}"#,
            r#"{"_type":"n","_value":1,"_ts":1.5}"#,
            r#"{"_type":"n","_value":true}"#,
        ] {
            let (_, book) = take(&format!(r#"{{"a":{value}}}"#));
            assert!(!book.faults.is_empty() && book.points.is_empty(), "{value}");
        }
    }
}
