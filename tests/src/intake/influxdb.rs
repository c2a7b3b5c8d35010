//! InfluxDB's write APIs, `POST /write` of 1.x and `POST /api/v2/write` of 2.x: all of a request or nothing, as the documents of 2.x
//! say of a line that it cannot read.
//!
//! The protocol itself is shown by real products elsewhere; this one is for answers that those do not give on demand.

use super::{Book, Rules, reply};
use crate::points::Point;
use crate::receiver::{Received, Reply};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::collections::BTreeMap;

/// The rules, with the token that is right.
#[derive(Debug, Clone)]
pub struct InfluxTwo {
    token: String,
}

impl InfluxTwo {
    /// For one token.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self { token: token.to_owned() }
    }
}

impl Rules for InfluxTwo {
    fn take(&self, request: &Received, book: &mut Book) -> Reply {
        let error =
            |status: u16, code: &str, why: &str| reply(status, json!({"code": code, "message": why}).to_string());
        if request.header("authorization") != format!("Token {}", self.token) {
            return error(401, "unauthorized", "unauthorized access");
        }
        if request.method() != "POST" || request.path() != "/api/v2/write" || !request.line.contains("precision=s") {
            return error(404, "not found", "path not found");
        }
        written(request, book, |why| error(400, "invalid", why))
    }
}

/// The rules of 1.x, with the user and the password that are right.
#[derive(Debug, Clone)]
pub struct InfluxOne {
    authorization: String,
}

impl InfluxOne {
    /// For one user.
    #[must_use]
    pub fn new(user: &str, password: &str) -> Self {
        Self { authorization: format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))) }
    }
}

impl Rules for InfluxOne {
    fn take(&self, request: &Received, book: &mut Book) -> Reply {
        let error = |status: u16, why: &str| reply(status, json!({"error": why}).to_string());
        if request.header("authorization") != self.authorization {
            return error(401, "authorization failed");
        }
        if request.method() != "POST" || request.path() != "/write" || !request.line.contains("precision=s") {
            return error(404, "not found");
        }
        written(request, book, |why| error(400, why))
    }
}

/// Keeps the points of a request, or refuses all of it.
fn written(request: &Received, book: &mut Book, refused: impl Fn(&str) -> Reply) -> Reply {
    let lines = request.inflated().and_then(|body| String::from_utf8(body).map_err(|e| e.to_string()));
    let points: Result<Vec<_>, _> = lines.and_then(|text| text.split_terminator('\n').map(line).collect());
    match points {
        Err(why) => {
            book.fault(why.clone());
            refused(&why)
        }
        Ok(points) if points.is_empty() => refused("writing requires points"),
        Ok(points) => {
            for (point, value) in points.into_iter().flatten() {
                book.keep(point, value);
            }
            reply(204, "")
        }
    }
}

/// Cuts at every `mark` that has no backslash before it.
fn cut(text: &str, mark: char) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        if c == mark && !escaped {
            parts.push(&text[start..at]);
            start = at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    parts.push(&text[start..]);
    parts
}

fn unescape(text: &str) -> String {
    text.replace("\\,", ",").replace("\\=", "=").replace("\\ ", " ")
}

/// The values of one line; the name is `measurement.field`.
fn line(line: &str) -> Result<Vec<(Point, f64)>, String> {
    let fault = || format!("no line: {line:?}");
    let [key, fields, time] = cut(line, ' ')[..] else { return Err(fault()) };
    let mut parts = cut(key, ',').into_iter();
    let measurement = parts.next().filter(|m| !m.is_empty()).map(unescape).ok_or_else(fault)?;
    let mut labels = BTreeMap::new();
    for part in parts {
        let [key, value] = cut(part, '=')[..] else { return Err(fault()) };
        if key.is_empty() || value.is_empty() || labels.insert(unescape(key), unescape(value)).is_some() {
            return Err(fault());
        }
    }
    let time = time.parse().map_err(|_| fault())?;
    let mut points = Vec::new();
    for field in cut(fields, ',') {
        let [key, value] = cut(field, '=')[..] else { return Err(fault()) };
        let value = value.parse().ok().filter(|v: &f64| v.is_finite()).ok_or_else(fault)?;
        let name = format!("{measurement}.{}", unescape(key));
        points.push((Point { name, labels: labels.clone(), time }, value));
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_with_their_escapes_and_others_are_refused() {
        let read = line("my\\ errors,a\\ b=c\\,d\\=e count=3,sum\\ x=0.25 1700000000").unwrap();
        let told: Vec<_> = read.iter().map(|(point, value)| format!("{point} {value}")).collect();
        let right = ["count 3", "sum x 0.25"].map(|f| f.split_at(f.rfind(' ').unwrap()));
        let right = right.map(|(f, v)| format!("my errors.{f}{{\"a b\": \"c,d=e\"}}@1700000000{v}"));
        assert_eq!(told, right);
        for wrong in ["a b=1", "a,b= c=1 5", "a c=x 5", "a c=NaN 5", ",a=b c=1 5", "a c=1 5.5", "a  c=1 5"] {
            assert!(line(wrong).is_err(), "{wrong}");
        }
    }
}
