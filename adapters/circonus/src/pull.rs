//! The document that a broker polls: one JSON object, one member for each current value.
//!
//! The broker stamps what it reads with its own clock, so there are no times in it, and each series is there once. A document without
//! a metric would mark the check as bad, and nothing happening is not a fault; so there is always something to read: how many metric
//! sets are shown, and until when each was evaluated.

use crate::names;
use crate::series::{Namer, Place, Series};
use crate::settings::CirconusSettings;
use tidegate_adapter::{Body, Columns, Measure, Snapshot};

/// How many metric sets are shown.
const METRIC_SETS: &str = "tidegate`metric_sets";
/// How many series could not be shown, since the broker would cut their names.
const LEFT_OUT: &str = "tidegate`left_out";
/// Until when a metric set was evaluated, in seconds since 1970.
const WINDOW_END: &str = "tidegate`window_end";

pub(crate) fn write(body: &mut Body, settings: &CirconusSettings, snapshot: &Snapshot<'_>) {
    let mut batches = snapshot.batches();
    batches.sort_by_cached_key(|batch| (batch.project(), batch.metric_set()));
    let mut namer = Namer::reserving(&[METRIC_SETS, LEFT_OUT, WINDOW_END]);
    body.byte(b'{');
    member(body, METRIC_SETS, batches.len() as u64);
    let mut left_out = 0;
    for batch in &batches {
        let (project, metric_set) = (batch.project(), batch.metric_set());
        let place = Place { project: &project, metric_set: &metric_set };
        body.byte(b',');
        member(body, &window_end(place), batch.window_end());
        let metrics = batch.metrics();
        let constant = place.tags(settings.name());
        let given = namer.names(settings.name(), place, &metrics);
        for (metric, names) in metrics.iter().zip(&given) {
            let columns = metric.columns();
            let series = Series::new(names, &constant, &columns, settings.totals());
            left_out += rows(body, &columns, &series, settings.totals());
        }
    }
    body.byte(b',');
    member(body, LEFT_OUT, left_out);
    body.byte(b'}');
}

fn window_end(place: Place<'_>) -> String {
    let mut key = format!("{WINDOW_END}|ST[").into_bytes();
    for (at, (category, text)) in [("project", place.project), ("metric_set", place.metric_set)].into_iter().enumerate()
    {
        key.extend_from_slice(if at == 0 { b"" } else { b"," });
        key.extend_from_slice(format!("{category}:").as_bytes());
        names::write_value(&names::value(text, category.len()), &mut key);
    }
    key.push(b']');
    String::from_utf8_lossy(&key).into_owned()
}

/// Writes a member whose key is ready.
fn member(body: &mut Body, key: &str, value: u64) {
    body.text(&format!("\"{key}\":{{\"_type\":\"n\",\"_value\":\"{value}\"}}"));
}

/// Writes the values of all rows; tells how many rows were left out.
fn rows(body: &mut Body, columns: &Columns, series: &Series, totals: bool) -> u64 {
    let check = series.may_be_refused();
    let measures = u32::try_from(columns.measures.len()).unwrap_or(u32::MAX);
    let mut left_out = 0;
    for at in 0..columns.rows as usize {
        if check && series.refused(columns, at).is_some() {
            left_out += 1;
            continue;
        }
        let total = |measure: &Measure| measure.total(at).filter(|_| totals);
        for (code, measure) in (0..).zip(&columns.measures) {
            for (code, value) in [(code, measure.value(at)), (code + measures, total(measure))] {
                let Some(value) = value else { continue };
                body.byte(b',');
                series.write(body, code, columns, at);
                body.text(":{\"_type\":\"n\",\"_value\":\"");
                body.number(value);
                body.text("\"}");
            }
        }
    }
    left_out
}
