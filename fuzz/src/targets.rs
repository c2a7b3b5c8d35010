//! One function for each place at which bytes of strangers are read. Beside not panicking, each holds what it promises: what was
//! read is within the limits, and what is written out and read again is the same.

use serde_json::{Map, Value as Json};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tidegate_model::settings::Settings;
use tidegate_model::{
    Aggregate, Batch, BatchView, Description, Dimension, EventLimits, MeasureColumn, MetricBatch, MetricQuery, Name,
    Period, Query, Window,
};
use tidegate_sandbox::{Action, Limits, Outcome, Sandbox, SandboxOptions, Snapshot, Step, builtin};

/// Inputs that are made and not kept as files.
pub(crate) fn built_in(target: &str) -> Vec<Vec<u8>> {
    match target {
        "component" => builtin::COMPONENTS.iter().map(|(_, component)| component.to_vec()).collect(),
        // A description, a line break, and the settings that are to fit it.
        "settings" => descriptions().map(|d| format!("{d}\n{{}}").into_bytes()).collect(),
        "description" => descriptions().map(String::into_bytes).collect(),
        _ => Vec::new(),
    }
}

fn descriptions() -> impl Iterator<Item = String> {
    let description = |component: &[u8]| sandbox().load(component).ok().map(|a| a.description().clone());
    let all = builtin::COMPONENTS.iter().filter_map(move |(_, component)| description(component));
    all.filter_map(|description| serde_json::to_string(&description).ok())
}

fn sandbox() -> &'static Arc<Sandbox> {
    static SANDBOX: OnceLock<Arc<Sandbox>> = OnceLock::new();
    SANDBOX.get_or_init(|| {
        let options = SandboxOptions { max_instances: 4, describe: brief(), ..SandboxOptions::default() };
        Sandbox::new(options).unwrap_or_else(|error| panic!("{error}"))
    })
}

fn brief() -> Limits {
    Limits { call_time: Duration::from_millis(100), ..Limits::default() }
}

/// A batch with every kind of column.
fn batch() -> Arc<Batch> {
    let name = |text: &str| Name::new(text).unwrap_or_else(|error| panic!("{error}"));
    let window = Window::starting_at(1_700_000_040, Period::default()).unwrap_or_else(|| panic!("it is no window"));
    let version = Dimension {
        name: "app.version".to_owned(),
        dictionary: ["", "1.0", "ü, \"2\""].into_iter().collect(),
        codes: vec![2, 1, 0],
    };
    let values = |totals: Option<Vec<f64>>| MeasureColumn {
        attribute: "_tx".to_owned(),
        aggregate: Aggregate::Count,
        values: vec![5.0, f64::NAN],
        totals,
    };
    let metric = MetricBatch {
        name: name("errors"),
        rows: 3,
        live_rows: 2,
        folded_groups: 0,
        dimensions: vec![version],
        measures: vec![values(Some(vec![1.0, 2.0, 3.0]))],
    };
    Arc::new(Batch { project: name("web"), metric_set: name("crashes"), window, metrics: vec![metric] })
}

/// A file in the adapter folder: read, inspected, compiled, described, and used if it is an adapter. Every value that crosses
/// from it to the host is lifted on the way.
pub(crate) fn component(bytes: &[u8]) {
    let Ok(adapter) = sandbox().load(bytes) else { return };
    let settings = Arc::new(Settings::check(adapter.description(), &Map::new()).unwrap_or_default());
    if adapter.direction().pushes() {
        let mut called = adapter.begin(&settings, BatchView::whole(batch()), &brief());
        for _ in 0..8 {
            assert!(
                called.usage.memory_peak <= brief().memory_bytes && called.usage.output_bytes <= brief().output_bytes
            );
            let Ok(Step::Act(conversation, action)) = called.result else { break };
            let reached = match &action {
                Action::Send(request) => &request.endpoint,
                Action::SendStream(stream) => &stream.endpoint,
            };
            assert!(adapter.description().endpoints.iter().any(|e| e.key() == reached), "it reached {reached:?}");
            called =
                conversation.step(Outcome { status: Some(200), body: bytes.to_vec().into(), ..Outcome::default() });
        }
    }
    if adapter.direction().pulls() {
        let snapshot = Snapshot { batches: vec![batch()], period: Period::default() };
        let _ = adapter.render(&settings, snapshot, vec![("accept".to_owned(), "*/*".to_owned())], &brief());
    }
    assert_eq!(sandbox().running(), 0, "an instance was left behind");
}

/// A report that a client submits.
pub(crate) fn report(bytes: &[u8]) {
    let limits = EventLimits::default();
    if let Ok(event) = tidegate_events::report::parse(bytes, Vec::new(), &limits) {
        assert!(event.attributes.len() <= limits.attributes, "{} attributes", event.attributes.len());
    }
}

/// A line of a bulk.
pub(crate) fn line(bytes: &[u8]) {
    let limits = EventLimits::default();
    if let Ok(event) = tidegate_events::ndjson::parse_line(bytes, &limits) {
        assert!(event.attributes.len() <= limits.attributes, "{} attributes", event.attributes.len());
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

/// The settings of a store, with the description that they are to fit.
pub(crate) fn settings(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (description, raw) = text.split_once('\n').unwrap_or((&text, "{}"));
    let Ok(description) = Description::parse(description) else { return };
    let Ok(raw) = serde_json::from_str::<Map<String, Json>>(raw) else { return };
    let _ = Settings::check(&description, &raw);
    for schema in &description.settings {
        for value in raw.values() {
            let _ = tidegate_model::SettingValue::read(schema, value);
        }
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
