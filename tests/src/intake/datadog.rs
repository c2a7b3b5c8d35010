//! Datadog's metrics intake, version 2 (`POST /api/v2/series`), and the check of a key.
//!
//! Datadog answers 202 before it looks, and then changes names and tags, merges what has become equal, and leaves out what is too
//! old, all in silence. Here each of these is a fault.

use super::{Book, Rules, fields, now, reply};
use crate::points::Point;
use crate::receiver::{Received, Reply};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Bytes of a request as sent, and inflated: what the API reference allows for version 2.
const SENT_BYTES: usize = 512_000;
const INFLATED_BYTES: usize = 5_242_880;
/// Seconds that a point may be old or early.
const OLDEST: u64 = 3600;
const EARLIEST: u64 = 600;
/// Characters of a metric's name, and of a tag.
const NAME: usize = 200;

/// The rules, with the key that is right.
#[derive(Debug, Clone)]
pub struct Datadog {
    key: String,
}

impl Datadog {
    /// For one key.
    #[must_use]
    pub fn new(key: &str) -> Self {
        Self { key: key.to_owned() }
    }
}

impl Rules for Datadog {
    fn take(&self, request: &Received, book: &mut Book) -> Reply {
        if request.header("dd-api-key") != self.key {
            return errors(403, "Forbidden");
        }
        match (request.method(), request.path()) {
            ("GET", "/api/v1/validate") => reply(200, r#"{"valid":true}"#),
            ("POST", "/api/v2/series") => series(request, book).unwrap_or_else(|reply| reply),
            _ => errors(404, "Not found"),
        }
    }
}

fn errors(status: u16, error: &str) -> Reply {
    reply(status, json!({"errors": [error]}).to_string())
}

fn series(request: &Received, book: &mut Book) -> Result<Reply, Reply> {
    let mut refuse = |status: u16, why: String| {
        book.fault(why.clone());
        errors(status, &why)
    };
    if request.header("content-type") != "application/json" {
        return Err(refuse(415, format!("content-type {:?}", request.header("content-type"))));
    }
    if request.body.len() > SENT_BYTES {
        return Err(refuse(413, format!("{} bytes sent", request.body.len())));
    }
    let body = request.inflated().map_err(|why| refuse(400, why))?;
    if body.len() > INFLATED_BYTES {
        return Err(refuse(413, format!("{} bytes inflated", body.len())));
    }
    let document: Json = serde_json::from_slice(&body).map_err(|why| refuse(400, why.to_string()))?;
    let list = fields(&document, &["series"]).map_err(|why| refuse(400, why))?.get("series").and_then(Json::as_array);
    let list = list.ok_or_else(|| refuse(400, "no list of series".to_owned()))?;
    if list.is_empty() {
        return Err(refuse(400, "an empty list of series".to_owned()));
    }
    for series in list {
        if let Err(why) = one(series, book) {
            book.fault(why.clone());
            return Err(errors(400, &why));
        }
    }
    Ok(reply(202, r#"{"errors":[]}"#))
}

const FIELDS: [&str; 9] =
    ["metric", "type", "interval", "points", "tags", "resources", "unit", "source_type_name", "metadata"];

fn one(series: &Json, book: &mut Book) -> Result<(), String> {
    let known = fields(series, &FIELDS)?;
    let name = series["metric"].as_str().ok_or_else(|| format!("no metric in {series}"))?;
    let mut letters = name.chars();
    let right = letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
    if !right || name.len() > NAME {
        return Err(format!("the name {name:?} would be changed"));
    }
    let kind = match known.get("type").map_or(Some(0), Json::as_u64) {
        Some(kind @ 0..=3) => ["unspecified", "count", "rate", "gauge"][usize::try_from(kind).unwrap_or(0)],
        _ => return Err(format!("type {} of {name}", series["type"])),
    };
    let interval =
        known.get("interval").map(|i| i.as_u64().filter(|i| *i > 0).ok_or(format!("interval {i}"))).transpose()?;
    if matches!(kind, "count" | "rate") && interval.is_none() {
        return Err(format!("{name} is a {kind} without an interval"));
    }
    if let Some(other) = book.kinds.insert(name.to_owned(), kind.to_owned()).filter(|other| other != kind) {
        return Err(format!("{name} was a {other} and is now a {kind}"));
    }
    let mut labels = tags(series.get("tags"))?;
    for resource in series.get("resources").and_then(Json::as_array).into_iter().flatten() {
        fields(resource, &["type", "name"])?;
        let (Some(kind), Some(value)) = (resource["type"].as_str(), resource["name"].as_str()) else {
            return Err(format!("resource {resource}"));
        };
        if value.is_empty() || labels.insert(kind.to_owned(), value.to_owned()).is_some() {
            return Err(format!("resource {resource} is empty or there twice"));
        }
    }
    let points = series["points"].as_array().filter(|p| !p.is_empty()).ok_or_else(|| format!("no points of {name}"))?;
    for point in points {
        fields(point, &["timestamp", "value"])?;
        let (Some(time), Some(value)) = (point["timestamp"].as_u64(), point["value"].as_f64()) else {
            return Err(format!("point {point} of {name}"));
        };
        if time + OLDEST < now() || time > now() + EARLIEST {
            book.fault(format!("{name} at {time} would be left out: the clock says {}", now()));
            continue;
        }
        book.keep(Point { name: name.to_owned(), labels: labels.clone(), time }, value);
    }
    Ok(())
}

/// Tags as labels; several values of one key would be legal there, but no adapter has a use for them.
fn tags(list: Option<&Json>) -> Result<BTreeMap<String, String>, String> {
    let mut labels = BTreeMap::new();
    for tag in list.and_then(Json::as_array).into_iter().flatten() {
        let tag = tag.as_str().ok_or_else(|| format!("tag {tag}"))?;
        let allowed = |c: char| c.is_alphanumeric() || "_-:./".contains(c) || (!c.is_ascii() && !c.is_control());
        let right = tag.chars().next().is_some_and(char::is_alphabetic)
            && tag.chars().all(allowed)
            && !tag.ends_with(':')
            && tag.chars().count() <= NAME;
        if !right || tag.to_lowercase() != tag {
            return Err(format!("the tag {tag:?} would be changed"));
        }
        let (key, value) = tag.split_once(':').unwrap_or((tag, ""));
        if labels.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(format!("the tag {key} is there twice"));
        }
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(key: &str, body: &Json) -> Received {
        let headers =
            vec![("dd-api-key".to_owned(), key.to_owned()), ("content-type".into(), "application/json".into())];
        Received { line: "POST /api/v2/series".to_owned(), headers, body: body.to_string().into_bytes() }
    }

    fn body(name: &str, tag: &str, time: u64) -> Json {
        let host = json!([{"type": "host", "name": "h1"}]);
        json!({"series": [{"metric": name, "type": 3, "points": [{"timestamp": time, "value": 0.5}], "tags": [tag], "resources": host}]})
    }

    #[test]
    fn a_right_body_is_taken_and_its_values_are_kept() {
        let mut book = Book::default();
        let time = now() - 60;
        assert_eq!(Datadog::new("k").take(&sent("k", &body("a.b", "env:prod", time)), &mut book).0, 202);
        let held: Vec<_> = book.points.iter().map(|(point, value)| (point.to_string(), value)).collect();
        assert_eq!(held, [(format!("a.b{{\"env\": \"prod\", \"host\": \"h1\"}}@{time}"), 0.5)]);
        assert_eq!((book.faults, book.kinds["a.b"].as_str()), (vec![], "gauge"));
    }

    #[test]
    fn what_datadog_would_change_leave_out_or_refuse_is_a_fault() {
        let time = now() - 60;
        let mut odd = body("a", "b:c", time);
        odd["series"][0]["host"] = "h".into();
        let mut text = body("a", "b:c", time);
        text["series"][0]["points"][0]["value"] = "1".into();
        let long = "x".repeat(201);
        for wrong in [
            body("9a", "b:c", time),
            body("a b", "b:c", time),
            body("ä", "b:c", time),
            body(&long, "b:c", time),
            body("a", "b:", time),
            body("a", "B:c", time),
            body("a", "b:c d", time),
            body("a", "9:c", time),
            body("a", &format!("b:{long}"), time),
            body("a", "b:c", time - 4000),
            body("a", "b:c", time + 1000),
            odd,
            text,
            json!({"series": []}),
            json!([]),
        ] {
            let mut book = Book::default();
            Datadog::new("k").take(&sent("k", &wrong), &mut book);
            assert!(!book.faults.is_empty() && book.points.is_empty(), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_key_is_forbidden_and_more_bytes_than_allowed_are_too_large() {
        let mut book = Book::default();
        assert_eq!(Datadog::new("k").take(&sent("other", &body("a", "b:c", now())), &mut book).0, 403);
        assert!(book.faults.is_empty());
        let mut large = sent("k", &body("a", "b:c", now()));
        large.body.resize(SENT_BYTES + 1, b' ');
        assert_eq!(Datadog::new("k").take(&large, &mut book).0, 413);
    }
}
