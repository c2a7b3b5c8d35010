//! One function for each parser of strangers' bytes. Beside not panicking, each holds what it promises: what was read is within
//! the limits, and what is written out and read again is the same.

use crate::server::document::{Document, MetricDoc, StoreDoc};
use crate::server::{form as forms, inflate as inflating, lines, target};
use serde_json::{Map, Value as Json};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use tidegate_events::{Block, ndjson};
use tidegate_model::settings::Settings;
use tidegate_model::{Description, Event, EventLimits, MetricQuery, Query, Value, codec};

/// Most bytes that a small input may become.
const INFLATED: usize = 8 << 20;

fn limits() -> EventLimits {
    EventLimits::default()
}

fn within(event: &Event, limits: &EventLimits) {
    assert!(event.attributes.len() <= limits.attributes, "{} attributes", event.attributes.len());
    for (name, value) in &event.attributes {
        assert!(name.len() <= limits.name_bytes, "a name of {} bytes", name.len());
        match value {
            Value::Str(text) => assert!(text.len() <= limits.value_bytes, "a value of {} bytes", text.len()),
            Value::Float(number) => assert!(number.is_finite(), "{name:?} is {number}"),
            Value::Int(_) | Value::Bool(_) => {}
        }
    }
}

/// A report that a client submits.
pub(crate) fn report(bytes: &[u8]) {
    let extra = vec![("version".to_owned(), Value::Str("1.0".to_owned()))];
    if let Ok(event) = tidegate_events::report::parse(bytes, extra, &limits()) {
        within(&event, &limits());
        assert_eq!(event.report.as_deref(), Some(bytes), "the report is kept as it came");
    }
}

/// A line of a bulk, by the parser that decides and by the quick one.
pub(crate) fn line(bytes: &[u8]) {
    // The second are so tight that inputs of some bytes meet them.
    let tight = EventLimits { body_bytes: 120, attributes: 3, name_bytes: 5, value_bytes: 9, ..limits() };
    for limits in [limits(), tight] {
        let read = ndjson::parse_line(bytes, &limits);
        let mut block = Block::new(&limits);
        let told = block.push_line(bytes);
        let mut quick = block.into_events();
        assert_eq!(quick.len(), usize::from(told.is_ok()), "{told:?}");
        match read {
            Ok(mut event) => {
                within(&event, &limits);
                let sort = |event: &mut Event| event.attributes.sort_by(|a, b| a.0.cmp(&b.0));
                sort(&mut event);
                quick.iter_mut().for_each(sort);
                assert_eq!(quick, [event], "the quick parser reads another event");
            }
            Err(error) => assert_eq!(told, Err(error), "the quick parser says something else"),
        }
    }
}

/// The body of a bulk, cut into pieces where its first byte says.
pub(crate) fn bulk(bytes: &[u8]) {
    let Some((&first, body)) = bytes.split_first() else { return };
    let gather = |size: usize| {
        let mut lines = lines::Lines::new(64);
        let (mut all, mut too_long) = (Vec::new(), Vec::new());
        let mut take = |batch: lines::BatchOfLines| {
            all.extend(batch.lines);
            too_long.extend(batch.too_long);
        };
        for piece in body.chunks(size) {
            lines.push(piece);
            while let Some(batch) = lines.full_batch() {
                take(batch);
            }
        }
        take(lines.last_batch());
        (all, too_long)
    };
    let read = gather(usize::from(first) + 1);
    assert_eq!(read, gather(usize::MAX), "it depends on where it was cut");
    let (all, _) = read;
    assert!(all.iter().all(|(_, line)| line.len() <= 64 && !line.contains(&b'\n')));
    let mut block = Block::new(&limits());
    let good = all.iter().filter(|(_, line)| block.push_line(line).is_ok()).count();
    assert_eq!(block.into_events().len(), good);
}

/// A form with a report and files in it: the content type, a line break, and the body.
pub(crate) fn form(bytes: &[u8]) {
    let at = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
    let Ok(content_type) = std::str::from_utf8(&bytes[..at]) else { return };
    let Some(Ok(boundary)) = forms::boundary(Some(content_type)) else { return };
    let body = bytes.get(at + 1..).unwrap_or_default().to_vec();
    let few = EventLimits { attachments: 4, attributes: 4, ..limits() };
    let mut reading = pin!(forms::read(body.into(), boundary, &few));
    // The whole body is there, so nothing is waited for; but a reader that lets others have their turn is asked again.
    let mut read = None;
    for _ in 0..10_000 {
        if let Poll::Ready(done) = reading.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            read = Some(done);
            break;
        }
    }
    let Ok(parts) = read.unwrap_or_else(|| panic!("a form that is there as a whole is waited for")) else { return };
    assert!(parts.attachments.len() <= few.attachments && parts.attributes.len() <= few.attributes);
    for file in &parts.attachments {
        assert!(!file.name.is_empty() && !file.name.contains(|c: char| c.is_control() || c == '/' || c == '\\'));
    }
    let report = parts.report.unwrap_or_else(|| panic!("a form without a report was taken"));
    let extra = parts.attributes.into_iter().map(|(name, text)| (name, Value::Str(text))).collect();
    if let Ok(event) = tidegate_events::report::parse(&report, extra, &limits()) {
        within(&event, &limits());
    }
}

/// The URL of a submission.
pub(crate) fn url(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    if let Some(target) = target::Target::parse(path, query) {
        assert!(!target.format.is_empty());
        assert!(target.attributes.iter().all(|(name, _)| !name.is_empty() && name != "token"), "{target:?}");
    }
}

/// A compressed body: the first byte says how, the second how it was cut.
pub(crate) fn inflate(bytes: &[u8]) {
    let [how, size, body @ ..] = bytes else { return };
    let encoding = ["gzip", "deflate", "identity"][usize::from(*how) % 3];
    let gather = |size: usize| {
        let mut decoder = inflating::Inflate::of(Some(encoding)).unwrap_or_else(|error| panic!("{error}"));
        let mut all = Vec::new();
        for piece in body.chunks(size) {
            let mut piece = bytes::Bytes::copy_from_slice(piece);
            // Each step takes something or gives something; one that did neither would go on for ever.
            while !piece.is_empty() {
                let before = piece.len();
                let step = decoder.step(&mut piece).map_err(|_| ())?;
                assert!(piece.len() < before || !step.is_empty(), "a step that does nothing");
                assert!(step.len() <= 64 << 10 || encoding == "identity", "{} bytes at once", step.len());
                all.extend_from_slice(&step);
                if all.len() > INFLATED {
                    return Ok(all);
                }
            }
        }
        let last = decoder.finish().map_err(|_| ())?;
        all.extend_from_slice(&last);
        Ok::<_, ()>(all)
    };
    let (cut, whole) = (gather(usize::from(*size) + 1), gather(usize::MAX));
    if [&cut, &whole].iter().any(|read| read.as_ref().is_ok_and(|all| all.len() > INFLATED)) {
        // Given up, maybe just before an error that the other one met.
        return;
    }
    assert!(cut == whole, "it depends on where it was cut what is read");
    if encoding == "identity" {
        assert_eq!(whole.as_deref(), Ok(body));
    }
}

/// A query of somebody who explores, or of a metric.
pub(crate) fn query(bytes: &[u8]) {
    let Ok(json) = serde_json::from_slice::<Json>(bytes) else { return };
    if let Ok(query) = Query::parse(&json) {
        let written = query.to_json();
        let again = Query::parse(&written).unwrap_or_else(|error| panic!("{written} cannot be read again: {error}"));
        assert_eq!(again.to_json(), written, "read again it is another query");
    }
    if let Ok(parsed) = MetricQuery::parse(&json) {
        let written = parsed.query.to_json();
        let again = MetricQuery::parse(&written).unwrap_or_else(|error| panic!("{written}: {error}"));
        assert_eq!(again.query.to_json(), written, "read again it is another metric");
    }
}

/// A batch as the ledger keeps it; its file may have been damaged or edited.
pub(crate) fn stored(bytes: &[u8]) {
    if let Ok(batch) = codec::decode(bytes) {
        let again = codec::encode(&batch);
        assert_eq!(codec::decode(&again).as_ref(), Ok(&batch), "read again it is another batch");
        let rows = batch.metrics.iter().flat_map(|m| m.dimensions.iter().map(move |d| (m, d)));
        for (metric, dimension) in rows {
            assert_eq!(dimension.codes.len(), metric.rows as usize);
            assert!(dimension.codes.iter().all(|code| dimension.dictionary.get(*code).is_some()));
        }
    }
}

/// The settings of a store, with the description that they are to fit.
pub(crate) fn settings(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (description, raw) = text.split_once('\n').unwrap_or((&text, "{}"));
    let Ok(description) = Description::parse(description) else { return };
    let Ok(raw) = serde_json::from_str::<Map<String, Json>>(raw) else { return };
    if let Ok(settings) = Settings::check(&description, &raw) {
        for endpoint in &description.endpoints {
            let _ = description.target(endpoint.key(), &settings);
        }
        let shown = settings.shown();
        assert!(settings.iter().all(|(key, _)| shown.contains_key(key)));
    }
    for schema in &description.settings {
        for value in raw.values() {
            let _ = tidegate_model::SettingValue::read(schema, value);
        }
    }
}

/// A document for `apply`, and the body of a single store or metric.
pub(crate) fn document(bytes: &[u8]) {
    let Ok(mut json) = serde_json::from_slice::<Json>(bytes) else { return };
    if let Ok(document) = Document::read(json.clone()) {
        let written = serde_json::to_value(&document).unwrap_or_else(|error| panic!("{error}"));
        let again = Document::read(written.clone()).unwrap_or_else(|error| panic!("{written}: {error}"));
        assert_eq!(serde_json::to_value(&again).ok(), Some(written), "read again it is another document");
    }
    plant(&mut json, false);
    let told = [
        Document::read(json.clone()).err().map(|error| error.to_string()),
        StoreDoc::read("s", json.clone()).err().map(|error| error.to_string()),
        MetricDoc::read("m", json).err().map(|error| error.to_string()),
    ];
    for error in told.into_iter().flatten() {
        assert!(!error.contains(CREDENTIAL), "a credential is in the error: {error}");
    }
}

const CREDENTIAL: &str = "hunter2-planted";

/// Puts a credential in the place of every text where one may be.
fn plant(json: &mut Json, here: bool) {
    match json {
        Json::String(text) if here => CREDENTIAL.clone_into(text),
        Json::Array(all) => all.iter_mut().for_each(|one| plant(one, here)),
        Json::Object(all) => {
            for (key, value) in all {
                plant(value, here || matches!(key.as_str(), "settings" | "submission_tokens"));
            }
        }
        _ => {}
    }
}

/// What an adapter says of itself.
pub(crate) fn description(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Description::parse(&text) {
        Ok(description) => {
            let written = serde_json::to_string(&description).unwrap_or_else(|error| panic!("{error}"));
            let again = Description::parse(&written).unwrap_or_else(|error| panic!("{written}: {error}"));
            assert_eq!(serde_json::to_string(&again).ok(), Some(written), "read again it is another description");
        }
        Err(error) => assert!(error.to_string().len() < 100_000, "an error without an end"),
    }
}
