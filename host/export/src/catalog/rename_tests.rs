//! What a rename changes, and what it leaves.

use super::sealing_tests::plain_file;
use super::tests::{Fixture, fixture, told};
use super::*;
use rusqlite::Connection;
use serde_json::json;
use tidegate_model::{ManualClock, MetricSetId, Name, Period, Window};

/// The names that series carry in a window: the set's, and its metrics'.
fn sent(f: &Fixture, set: MetricSetId, start: u64) -> Vec<String> {
    let window = Window::starting_at(start, Period::default()).unwrap();
    let force = f.catalog.read(|v| Ok(v.revisions(set)?.metrics_for(window)?)).unwrap();
    std::iter::once(&force.series).chain(force.metrics.iter().map(|(name, _)| name)).map(Name::to_string).collect()
}

#[test]
fn a_rename_keeps_the_series_and_changes_them_with_the_next_window_only_if_asked() {
    let f = fixture();
    let set = f.set(f.project(), "crashes");
    f.clock.set(Instant::from_seconds(1_000_030 + 60));
    let revision = |f: &Fixture| f.catalog.read(|v| v.metric_set(set)).unwrap().revision;
    let before = revision(&f);
    f.catalog.edit(|e| e.move_metric(set, "errors", set, "faults", Series::Stay)).unwrap();
    f.catalog.edit(|e| e.rename_metric_set(set, "health", Series::Stay)).unwrap();
    let shown = f.catalog.read(|v| Ok((v.metric_set(set)?, v.metric_named(set, "faults")?))).unwrap();
    assert_eq!((shown.0.name.as_str(), shown.0.series.as_str()), ("health", "crashes"));
    assert_eq!((shown.1.name.as_str(), shown.1.series.as_str()), ("faults", "errors"));
    assert_eq!(sent(&f, set, 1_000_080), ["crashes", "errors"]);
    assert_eq!(revision(&f), before, "what is sent is the same");
    f.catalog.edit(|e| e.move_metric(set, "faults", set, "faults", Series::Follow)).unwrap();
    f.catalog.edit(|e| e.rename_metric_set(set, "health", Series::Follow)).unwrap();
    assert_eq!(sent(&f, set, 1_000_080), ["crashes", "errors"], "the window in progress is finished as it began");
    assert_eq!(sent(&f, set, 1_000_140), ["health", "faults"]);
    assert_eq!(revision(&f), before + 2);
}

#[test]
fn a_name_that_other_series_carry_is_refused_and_given_free_by_a_rename_of_those() {
    let f = fixture();
    let project = f.project();
    let (set, other) = (f.set(project, "crashes"), f.set(project, "usage"));
    f.catalog.edit(|e| e.move_metric(set, "errors", set, "faults", Series::Stay)).unwrap();
    f.catalog.edit(|e| e.rename_metric_set(other, "use", Series::Stay)).unwrap();
    let query = json!({"fold": {"_tx": [["count"]]}});
    let refused = told(f.catalog.edit(|e| e.put_metric(set, "errors", &query)));
    assert!(refused.contains("is the name that the series of \"faults\" carry"), "{refused}");
    let refused = told(f.catalog.edit(|e| e.put_metric_set(project, "usage")));
    assert!(refused.contains("is the name that the series of \"use\" carry"), "{refused}");
    f.catalog.edit(|e| e.move_metric(set, "faults", set, "faults", Series::Follow)).unwrap();
    f.catalog.edit(|e| e.put_metric(set, "errors", &query)).unwrap();
    let refused = told(f.catalog.edit(|e| e.move_metric(set, "faults", set, "errors", Series::Stay)));
    assert!(refused.contains("has a metric of this name already"), "{refused}");
    f.catalog.edit(|e| e.rename_metric_set(other, "usage", Series::Stay)).unwrap();
}

#[test]
fn a_moved_metric_keeps_the_name_of_its_series_and_leaves_and_joins_with_the_next_window() {
    let f = fixture();
    let project = f.project();
    let (from, to) = (f.set(project, "crashes"), f.set(project, "usage"));
    f.catalog.edit(|e| e.put_metric(from, "users", &json!({"fold": {"guid": [["unique"]]}}))).unwrap();
    f.clock.set(Instant::from_seconds(1_000_030 + 60));
    f.catalog.edit(|e| e.move_metric(from, "users", to, "people", Series::Stay)).unwrap();
    assert_eq!(sent(&f, from, 1_000_080), ["crashes", "errors", "users"]);
    assert_eq!(sent(&f, to, 1_000_080), ["usage", "errors"]);
    assert_eq!(sent(&f, from, 1_000_140), ["crashes", "errors"]);
    assert_eq!(sent(&f, to, 1_000_140), ["usage", "errors", "users"]);
}

#[test]
fn series_of_an_earlier_version_keep_the_names_that_they_had_there() {
    let dir = tempfile::tempdir().unwrap();
    let file = plain_file(dir.path());
    let connection = Connection::open(&file).unwrap();
    let rows = "INSERT INTO metric_sets (id, project, name, revision, created) VALUES (5, 1, 'crashes', 1, 0); \
                INSERT INTO metrics (metric_set, name, query, position, created) \
                VALUES (5, 'errors', '{\"fold\": {\"_tx\": [[\"count\"]]}}', 0, 0); \
                INSERT INTO set_revisions (metric_set, revision, since, metrics) VALUES (5, 1, 0, '[]');";
    connection.execute_batch(rows).unwrap();
    drop(connection);
    let clock = Arc::new(ManualClock::at(Instant::from_seconds(1_000_030)));
    let f = Fixture { catalog: Catalog::open(&file, clock.clone()).unwrap(), clock, dir };
    let set = MetricSetId(5);
    let shown = f.catalog.read(|v| Ok((v.metric_set(set)?.series, v.metric_named(set, "errors")?.series))).unwrap();
    assert_eq!((shown.0.as_str(), shown.1.as_str()), ("crashes", "errors"));
    f.catalog.edit(|e| e.rename_metric_set(set, "health", Series::Follow)).unwrap();
    assert_eq!(sent(&f, set, 999_960)[0], "crashes");
    assert_eq!(sent(&f, set, 1_000_080)[0], "health");
}
