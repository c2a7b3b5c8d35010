//! Grafana Cloud's Graphite intake (`POST …/metrics`), in both generations of receiver that are in use.
//!
//! What is silent there: a value of null becomes 0, a missing time becomes 1970, and the names of nodes are cleaned. Each is a
//! fault here.

use super::{Book, Rules, fields, now, reply};
use crate::points::Point;
use crate::receiver::{Received, Reply};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Seconds after which a point is out of bounds.
const OLDEST: u64 = 3600;

/// What is said of points that are refused by order of the test.
const REFUSED: &str = "invalid tag format";

/// The two generations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// The proxy in front of Mimir: all of a request or nothing, and a refusal further up is a 500.
    Proxy,
    /// The gateway in front of Metrictank: takes what is valid and lists the rest in a 200.
    Gateway,
}

/// The rules, with the only right user and token.
#[derive(Debug, Clone)]
pub struct Grafana {
    generation: Generation,
    user: String,
    token: String,
    refused: Option<String>,
}

impl Grafana {
    /// For one user: the instance's number on a shared cluster, `api_key` on one of one's own.
    #[must_use]
    pub fn new(generation: Generation, user: &str, token: &str) -> Self {
        Self { generation, user: user.to_owned(), token: token.to_owned(), refused: None }
    }

    /// One to which points with this value of a tag are invalid, without that being a fault of the sender.
    #[must_use]
    pub fn refusing(self, value: &str) -> Self {
        Self { refused: Some(value.to_owned()), ..self }
    }

    fn may(&self, authorization: &str) -> bool {
        let login = format!("{}:{}", self.user, self.token);
        authorization == format!("Basic {}", STANDARD.encode(&login))
            || authorization == format!("Bearer {login}")
            || (self.user == "api_key" && authorization == format!("Bearer {}", self.token))
    }
}

impl Rules for Grafana {
    fn take(&self, request: &Received, book: &mut Book) -> Reply {
        if request.method() != "POST" || !request.path().ends_with("/metrics") {
            return reply(404, "not found");
        }
        if !self.may(request.header("authorization")) {
            return reply(401, "unauthorized");
        }
        if request.header("content-type") != "application/json" {
            book.fault(format!("content-type {:?}", request.header("content-type")));
            return reply(if self.generation == Generation::Proxy { 415 } else { 400 }, "unknown content-type");
        }
        if !request.header("content-encoding").is_empty() {
            book.fault(format!("content-encoding {}", request.header("content-encoding")));
            return reply(400, "unable to parse request");
        }
        match serde_json::from_slice::<Json>(&request.body).ok().as_ref().and_then(Json::as_array) {
            Some(list) => self.list(list, book),
            None => {
                book.fault("the body is no list in JSON");
                reply(400, "unable to parse request")
            }
        }
    }
}

impl Grafana {
    fn list(&self, list: &[Json], book: &mut Book) -> Reply {
        let unwanted = |point: &Point| point.labels.values().any(|value| Some(value) == self.refused.as_ref());
        let read = list.iter().map(|metric| point(metric, book));
        let read: Vec<_> = read
            .map(|r| r.and_then(|(p, v)| if unwanted(&p) { Err(REFUSED.to_owned()) } else { Ok((p, v)) }))
            .collect();
        let invalid: Vec<_> =
            read.iter().enumerate().filter_map(|(i, r)| Some((i, r.as_ref().err()?.clone()))).collect();
        for (_, fault) in invalid.iter().filter(|(_, why)| why != REFUSED) {
            book.fault(fault.clone());
        }
        if let (Generation::Proxy, Some((_, why))) = (self.generation, invalid.first()) {
            return reply(400, why.clone());
        }
        let valid: Vec<_> = read.into_iter().flatten().collect();
        if valid.iter().any(|(point, value)| refused(point, *value, book)) {
            // What Mimir answered (400) is not passed on.
            return reply(500, "failed to push metric data");
        }
        let published = valid.len();
        for (point, value) in valid {
            book.keep(point, value);
        }
        if self.generation == Generation::Proxy {
            return reply(200, json!({"published": published}).to_string());
        }
        let mut errors: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, why) in &invalid {
            errors.entry(why).or_default().push(*index);
        }
        let told = |ids: Vec<usize>| json!({"Count": ids.len(), "ExampleIds": ids});
        let errors: BTreeMap<_, _> = errors.into_iter().map(|(why, ids)| (why, told(ids))).collect();
        reply(200, json!({"Invalid": invalid.len(), "Published": published, "ValidationErrors": errors}).to_string())
    }
}

/// Whether the store behind the receiver refuses a point: too old, or older than (or different from) the newest of its series.
fn refused(point: &Point, value: f64, book: &mut Book) -> bool {
    let same = |p: &Point| p.name == point.name && p.labels == point.labels;
    let newest = book.points.iter().filter(|(p, _)| same(p)).max_by_key(|(p, _)| p.time);
    let why = match newest {
        _ if point.time + OLDEST < now() => "is out of bounds",
        Some((newest, _)) if newest.time > point.time => "comes after a newer one",
        Some((newest, held)) if newest.time == point.time && held.to_bits() != value.to_bits() => {
            "has another value already"
        }
        _ => return false,
    };
    book.fault(format!("{point} {why}"));
    true
}

const FIELDS: [&str; 9] = ["name", "interval", "value", "time", "mtype", "tags", "unit", "org_id", "id"];

fn point(metric: &Json, book: &mut Book) -> Result<(Point, f64), String> {
    fields(metric, &FIELDS)?;
    let name = metric["name"].as_str().unwrap_or_default();
    if name.is_empty() || name.split('.').any(str::is_empty) || name.split('.').count() >= 25 {
        return Err(format!("the name {name:?} would be changed or refused"));
    }
    // A number with a fraction, even .0, fails the whole list there.
    let whole = |key: &str| metric[key].as_u64().filter(|n| *n > 0).ok_or_else(|| format!("{key} of {metric}"));
    let (_, time) = (whole("interval")?, whole("time")?);
    let value = metric["value"].as_f64().ok_or_else(|| format!("the value of {metric}"))?;
    let kind = metric.get("mtype").map_or(Some("gauge"), Json::as_str).unwrap_or_default();
    if !["gauge", "rate", "count", "counter", "timestamp"].contains(&kind) {
        return Err(format!("mtype {kind:?} of {name}"));
    }
    let mut labels = BTreeMap::new();
    for tag in metric.get("tags").and_then(Json::as_array).into_iter().flatten() {
        let tag = tag.as_str().unwrap_or_default();
        let (key, value) = tag.split_once('=').ok_or_else(|| format!("the tag {tag:?}"))?;
        let right = !key.is_empty() && !value.is_empty() && !key.contains([';', '!', '^']) && !value.contains(';');
        if !right || value.starts_with('~') || labels.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(format!("the tag {tag:?}"));
        }
    }
    book.kinds.insert(name.to_owned(), kind.to_owned());
    Ok((Point { name: name.to_owned(), labels, time }, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(authorization: &str, kind: &str, body: &Json) -> Received {
        let headers =
            vec![("authorization".to_owned(), authorization.to_owned()), ("content-type".into(), kind.into())];
        Received { line: "POST /graphite/metrics".to_owned(), headers, body: body.to_string().into_bytes() }
    }

    fn metric(time: u64) -> Json {
        json!({"name": "a.b", "interval": 60, "value": 3, "time": time, "mtype": "gauge", "tags": ["env=prod"]})
    }

    fn take(generation: Generation, book: &mut Book, body: &Json) -> Reply {
        let rules = Grafana::new(generation, "12", "t");
        rules.take(&sent("Bearer 12:t", "application/json", body), book)
    }

    #[test]
    fn both_generations_take_a_right_body_and_say_how_much_it_was() {
        for (generation, told) in [
            (Generation::Proxy, json!({"published": 1})),
            (Generation::Gateway, json!({"Invalid": 0, "Published": 1, "ValidationErrors": {}})),
        ] {
            let mut book = Book::default();
            let (status, _, body) = take(generation, &mut book, &json!([metric(now() - 60)]));
            assert_eq!((status, body), (200, told.to_string()));
            assert_eq!((book.points.len(), book.faults), (1, vec![]));
        }
    }

    #[test]
    fn an_invalid_metric_spoils_a_request_for_the_one_and_is_listed_by_the_other() {
        let mut wrong = metric(now());
        wrong["interval"] = 0.into();
        let body = json!([metric(now() - 60), wrong]);
        let (mut proxy, mut gateway) = (Book::default(), Book::default());
        assert_eq!(take(Generation::Proxy, &mut proxy, &body).0, 400);
        assert!(proxy.points.is_empty() && !proxy.faults.is_empty());
        let (status, _, told) = take(Generation::Gateway, &mut gateway, &body);
        assert!(status == 200 && told.contains("\"Invalid\":1") && told.contains("\"ExampleIds\":[1]"), "{told}");
        assert_eq!(gateway.points.len(), 1);
    }

    #[test]
    fn what_the_store_behind_it_refuses_is_a_500_and_a_repeat_is_none() {
        let mut book = Book::default();
        let time = now() - 60;
        for _ in 0..2 {
            assert_eq!(take(Generation::Proxy, &mut book, &json!([metric(time)])).0, 200);
        }
        let mut other = metric(time);
        other["value"] = 4.into();
        for refused in [metric(time - 1), metric(time - 4000), other] {
            assert_eq!(take(Generation::Proxy, &mut book, &json!([refused])).0, 500, "{refused}");
        }
        assert_eq!(book.faults.len(), 3, "{:?}", book.faults);
    }

    #[test]
    fn logins_and_types_are_compared_to_the_letter() {
        let (shared, own) =
            (Grafana::new(Generation::Proxy, "12", "t"), Grafana::new(Generation::Proxy, "api_key", "t"));
        let body = json!([metric(now())]);
        let status =
            |rules: &Grafana, login: &str, kind: &str| rules.take(&sent(login, kind, &body), &mut Book::default()).0;
        assert_eq!(status(&shared, &format!("Basic {}", STANDARD.encode("12:t")), "application/json"), 200);
        assert_eq!(status(&shared, "Bearer t", "application/json"), 401);
        assert_eq!(status(&shared, "", "application/json"), 401);
        assert_eq!(status(&own, "Bearer t", "application/json"), 200);
        assert_eq!(status(&own, "Bearer api_key:t", "application/json; charset=utf-8"), 415);
    }
}
