//! The adapters inside the binary, through the same doors as any other.

mod common;

use common::*;
use std::sync::Arc;
use tidegate_model::{BatchView, Direction, Settings};
use tidegate_sandbox::{Action, Adapter, Limits, Outcome, Registry, Snapshot, Step, builtin};

fn adapter(name: &str) -> Arc<Adapter> {
    let registry = Registry::new(Arc::clone(sandbox()));
    registry.add_builtin().unwrap();
    assert_eq!(registry.list().len(), builtin::COMPONENTS.len());
    registry.get(name).unwrap_or_else(|| panic!("no {name}"))
}

fn settings_of(adapter: &Adapter, raw: serde_json::Value) -> Arc<Settings> {
    Arc::new(Settings::check(adapter.description(), raw.as_object().unwrap()).unwrap())
}

#[test]
fn influxdb_sends_each_row_with_a_value_and_takes_the_answer() {
    let adapter = adapter("influxdb");
    assert_eq!(adapter.direction(), Direction::Push);
    let raw = serde_json::json!({"version": "1", "url": "http://sink.example:8086", "database": "m"});
    let settings = settings_of(&adapter, raw);
    let view = BatchView { rows: vec![0..5, 0..0, 0..2], batch: batch() };
    let called = adapter.begin(&settings, view, &Limits::default());
    let Step::Act(conversation, Action::Send(request)) = called.result.unwrap() else { panic!("no request") };
    let body = String::from_utf8(request.body.concat()).unwrap();
    // Six values; the seventh row of the two metrics has none.
    assert_eq!(body.lines().count(), 6, "{body}");
    assert!(body.lines().all(|line| line.ends_with(" 1700000100")), "{body}");
    let answer = Outcome { status: Some(204), ..Outcome::default() };
    assert!(matches!(conversation.step(answer).result, Ok(Step::Done(verdict)) if verdict.rejected.is_empty()));
}

#[test]
fn prometheus_makes_a_page() {
    let adapter = adapter("prometheus");
    assert_eq!(adapter.direction(), Direction::Pull);
    let batch = batch();
    let snapshot = Snapshot { period: batch.window.period(), batches: vec![batch] };
    let settings = settings_of(&adapter, serde_json::json!({}));
    let page = adapter.render(&settings, snapshot, vec![], &Limits::default()).result.unwrap();
    let body = String::from_utf8(page.body.concat()).unwrap();
    assert!(page.content_type.starts_with("text/plain"), "{}", page.content_type);
    assert!(body.contains("errors_count_tx{project=\"web\""), "{body}");
}

#[test]
fn datadog_sends_a_series_for_each_value_and_takes_the_answer() {
    let adapter = adapter("datadog");
    assert_eq!(adapter.direction(), Direction::Push);
    let settings = settings_of(&adapter, serde_json::json!({"api_key": "k"}));
    let view = BatchView { rows: vec![0..5, 0..0, 0..2], batch: batch() };
    let called = adapter.begin(&settings, view, &Limits::default());
    let Step::Act(conversation, Action::Send(request)) = called.result.unwrap() else { panic!("no request") };
    let body: serde_json::Value = serde_json::from_slice(&request.body.concat()).unwrap();
    let series = body["series"].as_array().unwrap();
    assert!(series.len() >= 6 && series.iter().all(|s| s["points"][0]["timestamp"] == 1_700_000_100), "{body}");
    let answer = Outcome { status: Some(202), ..Outcome::default() };
    assert!(matches!(conversation.step(answer).result, Ok(Step::Done(verdict)) if verdict.rejected.is_empty()));
}

#[test]
fn graphite_streams_whole_lines_and_takes_silence_for_success() {
    let adapter = adapter("graphite");
    assert_eq!(adapter.direction(), Direction::Push);
    let settings = settings_of(&adapter, serde_json::json!({"host": "carbon.example"}));
    let view = BatchView { rows: vec![0..5, 0..0, 0..2], batch: batch() };
    let called = adapter.begin(&settings, view, &Limits::default());
    let Step::Act(conversation, Action::SendStream(stream)) = called.result.unwrap() else { panic!("no stream") };
    assert_eq!(stream.endpoint, "carbon");
    let lines = String::from_utf8(stream.body.concat()).unwrap();
    assert!(lines.lines().count() >= 6 && lines.ends_with(" 1700000100\n"), "{lines}");
    assert!(lines.lines().all(|line| line.starts_with("tidegate.web.")), "{lines}");
    let verdict = conversation.step(Outcome::default()).result;
    assert!(matches!(verdict, Ok(Step::Done(verdict)) if verdict.rejected.is_empty()));
}

#[test]
fn circonus_sends_a_member_for_each_value_and_makes_a_document() {
    let adapter = adapter("circonus");
    assert_eq!(adapter.direction(), Direction::Both);
    let raw = serde_json::json!({"submission_url": "https://broker.example/module/httptrap/uuid/secret"});
    let settings = settings_of(&adapter, raw);
    let view = BatchView { rows: vec![0..5, 0..0, 0..2], batch: batch() };
    let called = adapter.begin(&settings, view, &Limits::default());
    let Step::Act(conversation, Action::Send(request)) = called.result.unwrap() else { panic!("no request") };
    let body = String::from_utf8(request.body.concat()).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok(), "{body}");
    // Six values; the seventh row of the two metrics has none.
    assert_eq!(body.matches(",\"_ts\":1700000100000}").count(), 6, "{body}");
    let answer = Outcome { status: Some(200), body: b"{\"stats\":6,\"filtered\":0}"[..].into(), ..Outcome::default() };
    assert!(matches!(conversation.step(answer).result, Ok(Step::Done(verdict)) if verdict.rejected.is_empty()));
    let batch = batch();
    let snapshot = Snapshot { period: batch.window.period(), batches: vec![batch] };
    let page = adapter.render(&settings, snapshot, vec![], &Limits::default()).result.unwrap();
    let document: serde_json::Value = serde_json::from_slice(&page.body.concat()).unwrap();
    assert_eq!(
        (page.content_type.as_str(), &document["tidegate`metric_sets"]["_value"]),
        ("application/json", &"1".into())
    );
}

#[test]
fn grafana_sends_an_array_of_points_of_the_last_hour_and_takes_the_answer() {
    let adapter = adapter("grafana");
    assert_eq!((adapter.direction(), adapter.description().push.look_back), (Direction::Push, Some(3_600)));
    let raw = serde_json::json!({"url": "https://sink.example/metrics", "instance_id": "4711", "key": "k"});
    let settings = settings_of(&adapter, raw);
    let view = BatchView { rows: vec![0..5, 0..0, 0..2], batch: batch() };
    let called = adapter.begin(&settings, view, &Limits::default());
    let Step::Act(conversation, Action::Send(request)) = called.result.unwrap() else { panic!("no request") };
    let points: Vec<serde_json::Value> = serde_json::from_slice(&request.body.concat()).unwrap();
    assert!(points.len() >= 6 && points.iter().all(|point| point["time"] == 1_700_000_100), "{points:?}");
    let answer = Outcome { status: Some(200), body: "{\"published\":6}".into(), ..Outcome::default() };
    assert!(matches!(conversation.step(answer).result, Ok(Step::Done(verdict)) if verdict.rejected.is_empty()));
}
