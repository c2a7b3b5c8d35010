//! What the catalog keeps, refuses and forgets.

use super::*;
use rusqlite::Connection;
use serde_json::{Map, Value as Json, json};
use tidegate_model::{Description, Direction, ManualClock, MetricSetId, Period, Secret, Window};

pub(super) struct Fixture {
    pub(super) catalog: Catalog,
    pub(super) clock: Arc<ManualClock>,
    pub(super) dir: tempfile::TempDir,
}

pub(super) fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(Instant::from_seconds(1_000_030)));
    let catalog = Catalog::open(&dir.path().join("tidegate.db"), clock.clone()).unwrap();
    Fixture { catalog, clock, dir }
}

impl Fixture {
    pub(super) fn project(&self) -> ProjectId {
        let project = |e: &Edit<'_>| Ok(e.create_project(e.tenant_named(DEFAULT_TENANT)?.id, "web")?.id);
        self.catalog.edit(project).unwrap()
    }

    pub(super) fn set(&self, project: ProjectId, name: &str) -> MetricSetId {
        let set = |e: &Edit<'_>| {
            let (set, _) = e.put_metric_set(project, name)?;
            e.put_metric(set.id, "errors", &json!({"fold": {"_tx": [["count"]]}}))?;
            Ok(set.id)
        };
        self.catalog.edit(set).unwrap()
    }

    fn store(&self, project: ProjectId, name: &str, spec: &StoreSpec<'_>) -> (Store, Change) {
        self.catalog.edit(|e| e.put_store(project, name, spec)).unwrap()
    }

    fn links(&self) -> Vec<(u32, u64, Option<u64>)> {
        let links = self.catalog.read(|v| Ok(v.links()?)).unwrap();
        links.into_iter().map(|l| (l.period.seconds(), l.since, l.until)).collect()
    }

    fn cursors(&self) -> Vec<(u32, i64)> {
        let sql = "SELECT period, next_start FROM cursors ORDER BY period";
        let read = |c: &Connection| {
            let mut statement = c.prepare(sql)?;
            statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<rusqlite::Result<Vec<_>>>()
        };
        self.catalog.db().read(read).unwrap()
    }
}

fn sink() -> Description {
    let document = json!({
        "name": "sink", "version": "1.0.0",
        "settings": [
            {"key": "url", "label": "URL", "kind": "url", "required": true},
            {"key": "token", "label": "API token", "kind": "secret"},
            {"key": "port", "label": "Port", "kind": "port", "default": 2003},
        ],
        "endpoints": [{"key": "write", "kind": "http", "url": "{url}"}],
    });
    Description::parse(&document.to_string()).unwrap()
}

fn settings(json: Json) -> Map<String, Json> {
    json.as_object().unwrap().clone()
}

fn spec<'a>(adapter: &'a Description, settings: &'a Map<String, Json>, sets: &'a [MetricSetId]) -> StoreSpec<'a> {
    let period = Period::default();
    StoreSpec { adapter, direction: Direction::Push, pull: false, period, settings, paused: false, metric_sets: sets }
}

pub(super) fn told<T: std::fmt::Debug>(result: Result<T, CatalogError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn what_was_put_in_is_there_after_the_file_is_opened_again() {
    let f = fixture();
    let project = f.project();
    let set = f.set(project, "crashes");
    let (adapter, given) = (sink(), settings(json!({"url": "http://h:1", "token": "canary-5"})));
    let (store, change) = f.store(project, "central", &spec(&adapter, &given, &[set]));
    assert_eq!(change, Change::Created);
    let file = f.dir.path().join("tidegate.db");
    drop(f.catalog);
    let again = Catalog::open(&file, f.clock.clone()).unwrap();
    let (found, metrics) = again.read(|v| Ok((v.store_named(project, "central")?, v.metrics(set)?))).unwrap();
    assert_eq!(found, store);
    assert_eq!(found.metric_sets[0].as_str(), "crashes");
    assert_eq!(metrics[0].query.to_json(), json!({"fold": {"_tx": [["count"]]}}));
    let full = again.read(|v| v.store_settings(store.id, &adapter)).unwrap();
    assert_eq!(full.secret("token").unwrap().expose(), "canary-5");
    assert_eq!(full.integer("port"), Some(2003));
}

#[test]
fn a_missing_thing_is_named_in_the_error() {
    let f = fixture();
    let project = f.project();
    assert_eq!(told(f.catalog.read(|v| v.tenant_named("acme"))), r#"there is no tenant "acme""#);
    assert_eq!(told(f.catalog.read(|v| v.metric_set_named(project, "x"))), r#"there is no metric set "x""#);
    assert_eq!(told(f.catalog.edit(|e| e.delete_metric(MetricSetId(9), "m"))), r#"there is no metric "m""#);
    assert_eq!(told(f.catalog.edit(|e| e.put_metric_set(ProjectId(99), "s"))), r#"there is no project "99""#);
}

#[test]
fn names_that_are_taken_or_malformed_are_refused_with_the_rule() {
    let f = fixture();
    f.project();
    let tenant = f.catalog.read(|v| v.tenant_named(DEFAULT_TENANT)).unwrap().id;
    assert_eq!(
        told(f.catalog.edit(|e| e.create_project(tenant, "web"))),
        r#"project "web": there is one of this name"#
    );
    assert!(told(f.catalog.edit(|e| e.create_project(tenant, "a\nb"))).contains("control characters"));
    assert!(told(f.catalog.edit(|e| e.create_tenant(DEFAULT_TENANT))).contains("there is one of this name"));
}

#[test]
fn an_edit_that_fails_half_way_changes_nothing_and_a_rehearsal_never_does() {
    let f = fixture();
    let tenant = f.catalog.read(|v| v.tenant_named(DEFAULT_TENANT)).unwrap().id;
    let half = f.catalog.edit(|e| {
        e.create_project(tenant, "one")?;
        e.create_project(tenant, "one")
    });
    assert!(half.is_err());
    let rehearsed = f.catalog.rehearse(|e| e.create_project(tenant, "two")).unwrap();
    assert_eq!(rehearsed.name.as_str(), "two");
    assert_eq!(f.catalog.read(|v| v.projects(tenant)).unwrap(), []);
}

#[test]
fn each_change_of_a_sets_metrics_raises_its_revision_and_nothing_else_does() {
    let f = fixture();
    let set = f.set(f.project(), "crashes");
    let revision = || f.catalog.read(|v| v.metric_set(set)).unwrap().revision;
    let put = |name: &str, query: Json| f.catalog.edit(|e| e.put_metric(set, name, &query)).unwrap();
    assert_eq!(revision(), 2);
    assert_eq!(put("errors", json!({"fold": {"_tx": [["count"]]}, "offset": 0})).change, Change::Unchanged);
    assert_eq!(revision(), 2);
    let changed = put("errors", json!({"fold": {"_tx": [["unique"]]}}));
    assert_eq!(changed.change, Change::Updated(vec!["query".to_owned()]));
    assert_eq!(revision(), 3);
    let dropped = put("late", json!({"filter": [{"timestamp": [["at-least", 5]]}], "fold": {"_tx": [["count"]]}}));
    assert_eq!(dropped.dropped_time_frame, ["timestamp at-least 5"]);
    assert_eq!(revision(), 4);
    f.catalog.edit(|e| e.delete_metric(set, "late")).unwrap();
    assert_eq!(revision(), 5);
    let error = told(f.catalog.edit(|e| e.put_metric(set, "h", &json!({"fold": {"a": [["histogram"]]}}))));
    assert!(error.starts_with(r#"metric "h": fold.a: "histogram" does not give one number"#), "{error}");
}

#[test]
fn a_window_keeps_the_metrics_that_were_in_force_when_it_began() {
    let f = fixture();
    let set = f.set(f.project(), "crashes");
    let window = |start: u64| Window::starting_at(start, Period::default()).unwrap();
    let count = |w: Window| {
        let revisions = f.catalog.read(|v| Ok(v.revisions(set)?)).unwrap();
        let force = revisions.metrics_for(w).unwrap();
        (force.revision, force.metrics.len())
    };
    // The set was made at 1,000,030, in the window that begins at 1,000,020.
    assert_eq!(count(window(1_000_020)), (2, 1));
    f.clock.set(Instant::from_seconds(1_000_100));
    f.catalog.edit(|e| e.put_metric(set, "more", &json!({"fold": {"_tx": [["count"]]}}))).unwrap();
    assert_eq!(count(window(1_000_080)), (2, 1), "in progress during the edit");
    assert_eq!(count(window(1_000_140)), (3, 2), "the next one");
}

#[test]
fn secrets_are_kept_when_they_are_not_given_again_and_removed_by_null() {
    let f = fixture();
    let project = f.project();
    let adapter = sink();
    let put = |given: Json| {
        let given = settings(given);
        f.store(project, "central", &spec(&adapter, &given, &[]))
    };
    let secret =
        |id| f.catalog.read(|v| v.store_settings(id, &adapter)).unwrap().secret("token").map(|s| s.expose().to_owned());
    let (store, _) = put(json!({"url": "http://h", "token": "canary-5"}));
    assert!(!format!("{store:?}").contains("canary"), "{store:?}");
    assert_eq!(store.settings["token"], "…");
    for kept in [
        json!({"url": "http://h"}),
        json!({"url": "http://h", "token": "…"}),
        json!({"url": "http://h", "token": "canary-5"}),
    ] {
        assert_eq!(put(kept).1, Change::Unchanged);
    }
    assert_eq!(secret(store.id).as_deref(), Some("canary-5"));
    let (rotated, change) = put(json!({"url": "http://h", "token": "canary-6"}));
    assert_eq!(change, Change::Updated(vec!["settings.token".to_owned()]));
    assert_eq!((secret(store.id).as_deref(), rotated.revision), (Some("canary-6"), store.revision + 1));
    let (_, change) = put(json!({"url": "http://h", "token": null, "port": 9}));
    assert_eq!(change, Change::Updated(vec!["settings.port".to_owned(), "settings.token".to_owned()]));
    assert_eq!(secret(store.id), None);
}

#[test]
fn settings_that_the_adapter_does_not_take_are_refused_without_showing_a_secret() {
    let f = fixture();
    let project = f.project();
    let adapter = sink();
    let refused = |given: Json| {
        let given = settings(given);
        told(f.catalog.edit(|e| e.put_store(project, "s", &spec(&adapter, &given, &[]))))
    };
    assert_eq!(refused(json!({})), r#"metric store "s": setting "url" (URL) is required"#);
    assert!(refused(json!({"url": "ftp://h"})).contains("http:// or https://"));
    assert!(refused(json!({"url": "http://h", "urn": 1})).contains("no setting \"urn\""));
    let told = refused(json!({"url": "http://h", "token": ["canary-5"]}));
    assert!(told.contains("token") && !told.contains("canary"), "{told}");
}

#[test]
fn a_connection_begins_with_the_window_in_progress() {
    let f = fixture();
    let project = f.project();
    let set = f.set(project, "crashes");
    let (adapter, given) = (sink(), settings(json!({"url": "http://h"})));
    f.store(project, "a", &spec(&adapter, &given, &[set]));
    assert_eq!(f.links(), [(60, 1_000_020, None)]);
    assert_eq!(f.cursors(), [(60, 1_000_020)]);
    f.clock.advance(600);
    f.store(project, "b", &spec(&adapter, &given, &[set]));
    assert_eq!(f.links(), [(60, 1_000_020, None), (60, 1_000_620, None)]);
    assert_eq!(f.cursors(), [(60, 1_000_020)], "the first store still wants what lies between");
}

#[test]
fn windows_that_nobody_was_connected_for_are_not_made_up() {
    let f = fixture();
    let project = f.project();
    let set = f.set(project, "crashes");
    let (adapter, given) = (sink(), settings(json!({"url": "http://h"})));
    let (store, _) = f.store(project, "a", &spec(&adapter, &given, &[set]));
    assert!(f.catalog.edit(|e| e.disconnect(store.id, set)).unwrap());
    f.clock.advance(600);
    assert!(f.catalog.edit(|e| e.connect(store.id, set)).unwrap());
    assert_eq!((f.links(), f.cursors()), (vec![(60, 1_000_620, None)], vec![(60, 1_000_620)]));
    f.clock.set(Instant::from_seconds(1_000_000));
    f.catalog.edit(|e| e.disconnect(store.id, set).and_then(|_| e.connect(store.id, set))).unwrap();
    assert_eq!(f.cursors(), [(60, 1_000_620)], "a cursor never moves backwards");
}

#[test]
fn a_new_period_begins_where_the_last_window_of_the_old_one_ends() {
    let f = fixture();
    let project = f.project();
    let set = f.set(project, "crashes");
    let (adapter, given) = (sink(), settings(json!({"url": "http://h"})));
    let sets = [set];
    let of = |seconds| StoreSpec { period: Period::new(seconds).unwrap(), ..spec(&adapter, &given, &sets) };
    f.store(project, "a", &of(60));
    let (_, change) = f.store(project, "a", &of(10));
    assert_eq!(change, Change::Updated(vec!["period".to_owned()]));
    assert_eq!(f.links(), [(10, 1_000_080, None), (60, 1_000_020, Some(1_000_080))]);
    f.store(project, "a", &of(20));
    assert_eq!(f.links(), [(20, 1_000_080, None), (60, 1_000_020, Some(1_000_080))], "before the second one began");
    f.store(project, "a", &of(60));
    assert_eq!(f.links(), [(60, 1_000_020, Some(1_000_080)), (60, 1_000_080, None)]);
}

#[test]
fn a_set_that_stores_are_connected_to_stays_until_they_let_go() {
    let f = fixture();
    let project = f.project();
    let set = f.set(project, "crashes");
    let (adapter, given) = (sink(), settings(json!({"url": "http://h"})));
    let (store, _) = f.store(project, "a", &spec(&adapter, &given, &[set]));
    let refused = told(f.catalog.edit(|e| e.delete_metric_set(set)));
    assert_eq!(refused, r#"metric set "crashes": is connected to a; disconnect it there first"#);
    f.catalog.edit(|e| e.disconnect(store.id, set)).unwrap();
    f.catalog.edit(|e| e.delete_metric_set(set)).unwrap();
    assert_eq!(f.cursors(), []);
}

#[test]
fn a_deleted_project_takes_everything_with_it_and_its_number_is_never_used_again() {
    let f = fixture();
    let project = f.project();
    let set = f.set(project, "crashes");
    let (adapter, given) = (sink(), settings(json!({"url": "http://h", "token": "canary-5"})));
    f.store(project, "a", &spec(&adapter, &given, &[set]));
    let (_, token) = f.catalog.edit(|e| e.create_submission_token(project)).unwrap();
    let tenant = f.catalog.read(|v| v.tenant_named(DEFAULT_TENANT)).unwrap().id;
    let refused = told(f.catalog.edit(|e| e.delete_tenant(tenant)));
    assert_eq!(refused, r#"tenant "default": has projects, which must be deleted first: web"#);
    f.catalog.edit(|e| e.delete_project(project)).unwrap();
    assert_eq!(f.catalog.project_of_token(token.expose()), None);
    assert_eq!(f.links(), []);
    let secrets = |c: &Connection| c.query_row("SELECT count(*) FROM store_secrets", [], |r| r.get::<_, i64>(0));
    assert_eq!(f.catalog.db().read(secrets).unwrap(), 0);
    assert_ne!(f.project(), project);
}

#[test]
fn a_store_cannot_turn_from_push_to_pull_nor_reach_into_another_project() {
    let f = fixture();
    let project = f.project();
    let (adapter, given) = (sink(), settings(json!({"url": "http://h"})));
    f.store(project, "a", &spec(&adapter, &given, &[]));
    let pull = StoreSpec { direction: Direction::Pull, ..spec(&adapter, &given, &[]) };
    let refused = told(f.catalog.edit(|e| e.put_store(project, "a", &pull)));
    assert!(refused.contains("it is sent to and would be read by scrapers"), "{refused}");
    let tenant = f.catalog.read(|v| v.tenant_named(DEFAULT_TENANT)).unwrap().id;
    let other = f.catalog.edit(|e| e.create_project(tenant, "other")).unwrap().id;
    let foreign = [f.set(other, "theirs")];
    let refused = told(f.catalog.edit(|e| e.put_store(project, "a", &spec(&adapter, &given, &foreign))));
    assert!(refused.contains(r#"the metric set "theirs" is in another project"#), "{refused}");
}

#[test]
fn tokens_open_their_own_door_until_they_are_revoked() {
    let f = fixture();
    let project = f.project();
    let tenant = f.catalog.read(|v| v.tenant_named(DEFAULT_TENANT)).unwrap().id;
    let (made, token) = f.catalog.edit(|e| e.create_submission_token(project)).unwrap();
    assert_eq!(token.expose().len(), 64);
    assert!(token.expose().starts_with(&made.hint));
    assert_eq!(f.catalog.project_of_token(token.expose()), Some(project));
    assert_eq!(f.catalog.project_of_token(&token.expose()[1..]), None);
    let api = f.catalog.edit(|e| e.create_api_token(tenant, &TokenSpec::admin("first"))).unwrap();
    assert_eq!(f.catalog.api_access(api.expose()).unwrap().role_over(tenant), Some(Role::Admin));
    assert_eq!(f.catalog.api_access(token.expose()), None);
    f.catalog.edit(|e| e.delete_submission_token(project, made.id)).unwrap();
    f.catalog.edit(|e| e.delete_api_token(tenant, "first")).unwrap();
    assert_eq!(f.catalog.project_of_token(token.expose()), None);
    assert_eq!(f.catalog.api_access(api.expose()), None);
}

#[test]
fn a_token_that_an_admin_brings_along_is_taken_once_and_refused_if_short_or_taken() {
    let f = fixture();
    let project = f.project();
    let tenant = f.catalog.read(|v| v.tenant_named(DEFAULT_TENANT)).unwrap().id;
    let other = f.catalog.edit(|e| e.create_project(tenant, "other")).unwrap().id;
    let put = |p, text: &str| f.catalog.edit(|e| e.put_submission_token(p, &Secret::new(text.to_owned())));
    let number = put(project, "0123456789abcdef").unwrap();
    let known = f.catalog.read(|v| v.submission_tokens(project)).unwrap();
    assert_eq!(number, known.last().map(|token| token.id));
    assert_eq!(put(project, "0123456789abcdef").unwrap(), None);
    assert!(told(put(other, "0123456789abcdef")).contains("belongs to another project"));
    let short = told(put(project, "canary-5"));
    assert!(short.contains("16 to 256") && short.contains("this one has 8 characters"), "{short}");
    assert!(!short.contains("canary"));
    assert!(put(project, "has a space in it, does it not").is_err());
}

#[test]
fn a_rotated_pull_token_closes_the_old_door_and_opens_a_new_one() {
    let f = fixture();
    let project = f.project();
    let (adapter, given) = (sink(), settings(json!({"url": "http://h"})));
    let pull = StoreSpec { direction: Direction::Pull, ..spec(&adapter, &given, &[]) };
    let (store, _) = f.store(project, "page", &pull);
    let old = store.pull_token.unwrap();
    assert!(old.len() >= 32, "128 bits or more");
    assert_eq!(f.catalog.store_of_pull_token(&old), Some(store.id));
    let new = f.catalog.edit(|e| e.rotate_pull_token(store.id)).unwrap();
    assert_eq!(f.catalog.store_of_pull_token(&old), None);
    assert_eq!(f.catalog.store_of_pull_token(new.expose()), Some(store.id));
    f.catalog.edit(|e| e.delete_store(store.id)).unwrap();
    assert_eq!(f.catalog.store_of_pull_token(new.expose()), None);
}

#[test]
fn the_stores_of_a_tenant_are_the_same_one_by_one_and_all_at_once() {
    let f = fixture();
    let project = f.project();
    let tenant = f.catalog.read(|v| v.tenant_named(DEFAULT_TENANT)).unwrap().id;
    let sets = [f.set(project, "b"), f.set(project, "a")];
    let (adapter, given) = (sink(), settings(json!({"url": "http://h", "token": "hunter2"})));
    f.store(project, "with", &spec(&adapter, &given, &sets));
    f.store(project, "without", &spec(&adapter, &settings(json!({"url": "http://h"})), &[]));
    let (gone, _) = f.store(project, "gone", &spec(&adapter, &given, &sets[..1]));
    f.store(project, "with", &spec(&adapter, &given, &sets[..1]));
    f.catalog.edit(|e| e.delete_store(gone.id)).unwrap();
    let (mut all, one_by_one) = f.catalog.read(|v| Ok((v.stores_of(tenant)?, v.stores(project)?))).unwrap();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(all, one_by_one);
    assert_eq!(f.catalog.read(|v| v.store_names(tenant)).unwrap().len(), 2);
}

#[test]
fn a_metric_moves_and_takes_another_name_at_once_or_not_at_all_and_stays_in_its_project() {
    let f = fixture();
    let project = f.project();
    let (from, to) = (f.set(project, "crashes"), f.set(project, "sales"));
    let names = |set| -> Vec<String> {
        let metrics = f.catalog.read(|v| v.metrics(set)).unwrap();
        metrics.iter().map(|m| m.name.to_string()).collect()
    };
    let refused = told(f.catalog.edit(|e| e.move_metric(from, "errors", to, "errors", Series::Stay)));
    assert!(refused.contains("sales has a metric of this name already"), "{refused}");
    assert_eq!((names(from), names(to)), (vec!["errors".to_owned()], vec!["errors".to_owned()]));
    let refused = told(f.catalog.edit(|e| e.move_metric(from, "errors", to, "faults", Series::Stay)));
    assert!(refused.contains("is the name that the series of \"errors\" carry"), "{refused}");
    let moved = f.catalog.edit(|e| e.move_metric(from, "errors", to, "faults", Series::Follow)).unwrap();
    assert_eq!((moved.metric_set, moved.name.as_str()), (to, "faults"));
    assert_eq!((names(from), names(to)), (vec![], vec!["errors".to_owned(), "faults".to_owned()]));
    let revision = |set| f.catalog.read(|v| v.metric_set(set)).unwrap().revision;
    let before = (revision(from), revision(to));
    f.catalog.edit(|e| e.move_metric(to, "faults", to, "faults", Series::Stay)).unwrap();
    assert_eq!((revision(from), revision(to)), before);
    let other = f.catalog.edit(|e| Ok(e.create_project(e.tenant_named(DEFAULT_TENANT)?.id, "other")?.id)).unwrap();
    let strange = f.set(other, "crashes");
    let refused = told(f.catalog.edit(|e| e.move_metric(to, "faults", strange, "faults", Series::Stay)));
    assert!(refused.contains("metrics stay in their project"), "{refused}");
}

#[test]
fn a_set_takes_another_name_and_keeps_its_stores_and_its_revision() {
    let f = fixture();
    let project = f.project();
    let (set, adapter, given) = (f.set(project, "crashes"), sink(), settings(json!({"url": "https://h"})));
    f.set(project, "sales");
    f.store(project, "central", &spec(&adapter, &given, &[set]));
    let before = f.catalog.read(|v| v.metric_set(set)).unwrap().revision;
    let renamed = f.catalog.edit(|e| e.rename_metric_set(set, "faults", Series::Stay)).unwrap();
    assert_eq!((renamed.name.as_str(), renamed.revision), ("faults", before));
    let store = f.catalog.read(|v| v.store_named(project, "central")).unwrap();
    assert_eq!(store.metric_sets.iter().map(|s| s.as_str()).collect::<Vec<_>>(), ["faults"]);
    let refused = told(f.catalog.edit(|e| e.rename_metric_set(set, "sales", Series::Stay)));
    assert!(refused.contains("there is one of this name"), "{refused}");
}
