//! Bringing the catalog to the state that a document describes, and telling what that changed.

use super::document::{Document, MetricSetDoc, ProjectDoc, StoreDoc};
use serde::Serialize;
use serde_json::{Map, Value as Json};
use std::cell::RefCell;
use tidegate_export::catalog::{self, Catalog, CatalogError, Edit, Kind, Store, StoreSpec, Subject};
use tidegate_model::{Description, Direction, ProjectId, Secret, TenantId};

/// The adapters that stores may name.
pub trait Adapters {
    /// What is known of the adapter called `name`.
    fn find(&self, name: &str) -> Option<Known>;
    /// What is known of the version with this digest.
    fn version(&self, digest: &[u8; 32]) -> Option<Known>;
    /// The names of all.
    fn names(&self) -> Vec<String>;
}

/// What is known of an adapter.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its description of itself.
    pub description: Description,
    /// Which way it works.
    pub direction: Direction,
    /// SHA-256 of its component.
    pub digest: [u8; 32],
}

/// What became of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Sign {
    /// It is new.
    #[serde(rename = "+")]
    Added,
    /// It is different now.
    #[serde(rename = "~")]
    Changed,
    /// It was like this already.
    #[serde(rename = "=")]
    Unchanged,
}

/// What became of one thing, and which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// New, changed or neither.
    pub sign: Sign,
    /// Project, metric set, metric ...
    pub kind: String,
    /// Its path, as in `web/crashes/errors`.
    pub name: String,
    /// What is different, and remarks. Never a credential.
    pub details: Vec<String>,
}

/// What applying a document came to.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    /// Whether everything was taken back.
    pub dry_run: bool,
    /// One for each thing in the document.
    pub changes: Vec<Change>,
    /// Submission tokens that were made for new projects. This is the only time that they can be read.
    pub tokens: Vec<MadeToken>,
}

/// A token that was made.
#[derive(Serialize)]
pub struct MadeToken {
    /// The project that it submits to.
    pub project: String,
    /// The token.
    pub token: String,
}

impl std::fmt::Debug for MadeToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MadeToken").field("project", &self.project).finish_non_exhaustive()
    }
}

/// Why nothing of a document was applied.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {cause}")]
pub struct ApplyError {
    /// Where in the document.
    pub place: String,
    /// What is wrong there.
    pub cause: Box<CatalogError>,
}

/// A thing that is new or different, with what it looked like before and after; no secret is in that.
#[derive(Debug)]
#[allow(missing_docs, reason = "the words say it")]
pub struct Noted<'n> {
    pub sign: Sign,
    pub subject: Subject,
    pub before: Option<Json>,
    pub after: Option<Json>,
    /// As in [`Change`].
    pub details: &'n [String],
}

/// Writes down what was changed, in the transaction that changes it.
pub type Record<'r> = dyn Fn(&Edit<'_>, Noted<'_>) -> Result<(), CatalogError> + 'r;

/// Applies a document to a tenant, all of it or nothing.
///
/// # Errors
/// [`ApplyError`] tells the place in the document and what is wrong there; nothing has changed then.
pub fn apply(
    catalog: &Catalog,
    tenant: TenantId,
    document: &Document,
    adapters: &dyn Adapters,
    dry_run: bool,
    record: &Record<'_>,
) -> Result<Outcome, ApplyError> {
    let place = RefCell::new(String::new());
    let work = |edit: &Edit<'_>| {
        let outcome = Outcome { dry_run, ..Outcome::default() };
        let mut run = Run { edit, tenant, adapters, record, place: &place, outcome };
        for (p, project) in document.projects.iter().enumerate() {
            run.project(project, &format!("projects[{p}]"))?;
        }
        Ok(run.outcome)
    };
    let result = if dry_run { catalog.rehearse(work) } else { catalog.edit(work) };
    let mut outcome = result.map_err(|cause| ApplyError { place: place.take(), cause: Box::new(cause) })?;
    if dry_run {
        // They were taken back with the rest, and lead nowhere.
        outcome.tokens.clear();
    }
    Ok(outcome)
}

struct Run<'r> {
    edit: &'r Edit<'r>,
    tenant: TenantId,
    adapters: &'r dyn Adapters,
    record: &'r Record<'r>,
    place: &'r RefCell<String>,
    outcome: Outcome,
}

impl Run<'_> {
    fn at(&self, place: String) {
        *self.place.borrow_mut() = place;
    }

    /// Does something to a thing, and notes what became of it.
    fn change<T>(
        &mut self,
        subject: Subject,
        work: impl FnOnce(&Edit<'_>) -> Result<(T, catalog::Change, Vec<String>), CatalogError>,
    ) -> Result<T, CatalogError> {
        let before = self.edit.portrait(self.tenant, &subject)?;
        let (done, change, details) = work(self.edit)?;
        let name = subject.words();
        let name = name.split_once(' ').map_or(name.as_str(), |(_, name)| name).to_owned();
        self.note(subject, name, before, &change, details)?;
        Ok(done)
    }

    fn note(
        &mut self,
        subject: Subject,
        name: String,
        before: Option<Json>,
        change: &catalog::Change,
        details: Vec<String>,
    ) -> Result<(), CatalogError> {
        let sign = match change {
            catalog::Change::Created => Sign::Added,
            catalog::Change::Updated(_) => Sign::Changed,
            catalog::Change::Unchanged => Sign::Unchanged,
        };
        let words = subject.words();
        let kind = words.split(' ').next().unwrap_or_default().replace('-', " ");
        if sign != Sign::Unchanged {
            let after = self.edit.portrait(self.tenant, &subject)?;
            (self.record)(self.edit, Noted { sign, subject, before, after, details: &details })?;
        }
        self.outcome.changes.push(Change { sign, kind, name, details });
        Ok(())
    }

    fn project(&mut self, doc: &ProjectDoc, place: &str) -> Result<(), CatalogError> {
        self.at(place.to_owned());
        let (tenant, name) = (self.tenant, doc.name.as_str());
        let (project, new) = self.change(Subject::Project(name.to_owned()), |edit| {
            let (project, mut change) = match edit.project_named(tenant, name) {
                Ok(project) => (project, catalog::Change::Unchanged),
                Err(CatalogError::NotFound { .. }) => (edit.create_project(tenant, name)?, catalog::Change::Created),
                Err(error) => return Err(error),
            };
            let (new, mut details) = (change == catalog::Change::Created, Vec::new());
            if let Some(retention) = doc.retention
                && let catalog::Change::Updated(what) = edit.set_retention(project.id, retention)?
            {
                details.clone_from(&what);
                change = if new { change } else { catalog::Change::Updated(what) };
            }
            Ok(((project.id, new), change, details))
        })?;
        self.tokens(project, doc, new, place)?;
        for (s, set) in doc.metric_sets.iter().enumerate() {
            self.metric_set(project, name, set, &format!("{place}.metric_sets[{s}]"))?;
        }
        for (s, store) in doc.metric_stores.iter().enumerate() {
            self.at(format!("{place}.metric_stores[{s}]"));
            let (subject, adapters) = (Subject::Store(name.to_owned(), store.name.to_string()), self.adapters);
            self.change(subject, |edit| put_store(edit, project, store, adapters))?;
        }
        Ok(())
    }

    fn tokens(&mut self, project: ProjectId, doc: &ProjectDoc, new: bool, place: &str) -> Result<(), CatalogError> {
        let name = doc.name.as_str();
        // A token has no name; in the outcome it goes by its place in the document.
        let subject = |id: i64| Subject::SubmissionToken(name.to_owned(), id.to_string());
        for (t, token) in doc.submission_tokens.iter().enumerate() {
            self.at(format!("{place}.submission_tokens[{t}]"));
            let added = self.edit.put_submission_token(project, &Secret::new(token.clone()))?;
            let change = if added.is_some() { catalog::Change::Created } else { catalog::Change::Unchanged };
            let called = format!("{name}/{}", t + 1);
            self.note(subject(added.unwrap_or_default()), called, None, &change, Vec::new())?;
        }
        if new && doc.submission_tokens.is_empty() {
            let (made, token) = self.edit.create_submission_token(project)?;
            self.outcome.tokens.push(MadeToken { project: name.to_owned(), token: token.expose().to_owned() });
            let details = vec!["made, since the document brings none".to_owned()];
            self.note(subject(made.id), format!("{name}/1"), None, &catalog::Change::Created, details)?;
        }
        Ok(())
    }

    fn metric_set(
        &mut self,
        project: ProjectId,
        of: &str,
        doc: &MetricSetDoc,
        place: &str,
    ) -> Result<(), CatalogError> {
        self.at(place.to_owned());
        let set = self.change(Subject::MetricSet(of.to_owned(), doc.name.to_string()), |edit| {
            let (set, change) = edit.put_metric_set(project, doc.name.as_str())?;
            Ok((set.id, change, Vec::new()))
        })?;
        for (m, metric) in doc.metrics.iter().enumerate() {
            self.at(format!("{place}.metrics[{m}]"));
            let subject = Subject::Metric(of.to_owned(), doc.name.to_string(), metric.name.to_string());
            self.change(subject, |edit| {
                let put = edit.put_metric(set, metric.name.as_str(), &metric.query)?;
                let mut details =
                    if let catalog::Change::Updated(what) = &put.change { what.clone() } else { Vec::new() };
                details.extend(put.dropped_time_frame.iter().map(|t| format!("time frame dropped: {t}")));
                Ok(((), put.change, details))
            })?;
        }
        Ok(())
    }
}

/// Makes sure that a project has a store like this; tells what changed, with old and new values where they are no secret.
pub(crate) fn put_store(
    edit: &Edit<'_>,
    project: ProjectId,
    doc: &StoreDoc,
    adapters: &dyn Adapters,
) -> Result<(Store, catalog::Change, Vec<String>), CatalogError> {
    let before = match edit.store_named(project, doc.name.as_str()) {
        Ok(store) => Some(store),
        Err(CatalogError::NotFound { .. }) => None,
        Err(error) => return Err(error),
    };
    // A store keeps the version that it uses; settings are checked against that one.
    let kept = before.as_ref().filter(|store| store.adapter == doc.adapter).and_then(|store| store.pin.as_ref());
    let adapter = match kept {
        Some(pin) => adapters.version(&pin.digest),
        None => adapters.find(&doc.adapter),
    };
    let adapter = adapter.ok_or_else(|| CatalogError::Invalid {
        kind: Kind::Store,
        name: doc.name.to_string(),
        why: match kept {
            Some(pin) => format!(
                "the version of {:?} that it uses (sha256:{}) is not there any more; put its file back, or move the store to \
                 another version with `tidegate adapter upgrade`",
                doc.adapter,
                &hex::encode(pin.digest)[..12]
            ),
            None => format!("there is no adapter {:?}; there are: {}", doc.adapter, adapters.names().join(", ")),
        },
    })?;
    let sets = doc.metric_sets.iter().map(|name| edit.metric_set_named(project, name.as_str()).map(|s| s.id));
    let sets = sets.collect::<Result<Vec<_>, _>>()?;
    let spec = StoreSpec {
        adapter: &adapter.description,
        direction: adapter.direction,
        pull: doc.pull,
        period: doc.period,
        settings: &doc.settings,
        paused: doc.paused,
        metric_sets: &sets,
    };
    let (mut after, change) = edit.put_store(project, doc.name.as_str(), &spec)?;
    if after.pin.is_none() {
        edit.pin_adapter(after.id, &adapter.digest)?;
        after = edit.store(after.id)?;
    }
    let details = match (&before, &change) {
        (Some(before), catalog::Change::Updated(what)) => what.iter().map(|w| difference(w, before, &after)).collect(),
        _ => Vec::new(),
    };
    Ok((after, change, details))
}

/// `period: 60 -> 10`; for a secret, whose values both look the same, only that it changed.
fn difference(what: &str, before: &Store, after: &Store) -> String {
    let (old, new) = (shown(what, before), shown(what, after));
    if old == new { format!("{what}: changed") } else { format!("{what}: {old} -> {new}") }
}

fn shown(what: &str, store: &Store) -> Json {
    let setting = |settings: &Map<String, Json>, key| settings.get(key).cloned().unwrap_or(Json::Null);
    match what.split_once('.') {
        Some(("settings", key)) => setting(&store.settings, key),
        _ => match what {
            "adapter" => store.adapter.clone().into(),
            "period" => store.period.seconds().into(),
            "paused" => store.paused.into(),
            "metric_sets" => store.metric_sets.iter().map(ToString::to_string).collect(),
            _ => Json::Null,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;
    use tidegate_export::catalog::DEFAULT_TENANT;
    use tidegate_model::SystemClock;

    struct Fake;

    impl Adapters for Fake {
        fn find(&self, name: &str) -> Option<Known> {
            let document = json!({"name": "sink", "version": "1", "settings": [
                {"key": "url", "label": "URL", "kind": "url", "required": true},
                {"key": "password", "label": "Password", "kind": "secret"}]});
            let description = Description::parse(&document.to_string()).unwrap();
            (name == "sink").then_some(Known { description, direction: Direction::Push, digest: [7; 32] })
        }
        fn version(&self, digest: &[u8; 32]) -> Option<Known> {
            self.find("sink").filter(|known| known.digest == *digest)
        }
        fn names(&self) -> Vec<String> {
            vec!["sink".to_owned()]
        }
    }

    struct Bench {
        catalog: Catalog,
        tenant: TenantId,
        _folder: tempfile::TempDir,
    }

    fn bench() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&folder.path().join("tidegate.db"), Arc::new(SystemClock)).unwrap();
        let tenant = catalog.read(|v| v.tenant_named(DEFAULT_TENANT)).unwrap().id;
        Bench { catalog, tenant, _folder: folder }
    }

    impl Bench {
        fn run(&self, document: Json, dry_run: bool) -> Result<Outcome, ApplyError> {
            apply(&self.catalog, self.tenant, &Document::read(document).unwrap(), &Fake, dry_run, &|_, _| Ok(()))
        }

        fn signs(&self, document: Json) -> Vec<(Sign, String)> {
            self.run(document, false).unwrap().changes.into_iter().map(|c| (c.sign, c.name)).collect()
        }
    }

    fn document(password: &str, period: u32) -> Json {
        json!({"projects": [{
            "name": "web",
            "metric_sets": [{"name": "crashes", "metrics": [{"name": "errors", "query": {"fold": {"_tx": [["count"]]}}}]}],
            "metric_stores": [{"name": "central", "adapter": "sink", "period": period, "metric_sets": ["crashes"],
                "settings": {"url": "http://127.0.0.1:1", "password": password}}],
        }]})
    }

    #[test]
    fn what_was_applied_once_is_unchanged_the_second_time() {
        let bench = bench();
        let first = bench.run(document("hunter2", 60), false).unwrap();
        assert!(first.changes.iter().all(|c| c.sign == Sign::Added) && first.changes.len() == 5, "{first:?}");
        assert_eq!(first.tokens.len(), 1);
        assert_eq!(bench.catalog.project_of_token(&first.tokens[0].token).map(|p| p.0), Some(1));
        let second = bench.run(document("hunter2", 60), false).unwrap();
        assert!(second.changes.iter().all(|c| c.sign == Sign::Unchanged) && second.changes.len() == 4, "{second:?}");
        assert!(second.tokens.is_empty());
    }

    #[test]
    fn a_dry_run_tells_the_same_and_changes_nothing() {
        let bench = bench();
        let rehearsed = bench.run(document("hunter2", 60), true).unwrap();
        assert!(rehearsed.tokens.is_empty() && rehearsed.dry_run);
        assert!(bench.catalog.read(|v| v.projects(bench.tenant)).unwrap().is_empty());
        assert_eq!(rehearsed.changes, bench.run(document("hunter2", 60), false).unwrap().changes);
        let rehearsed = bench.run(document("hunter3", 10), true).unwrap();
        assert_eq!(rehearsed.changes, bench.run(document("hunter3", 10), false).unwrap().changes);
    }

    #[test]
    fn a_change_is_told_with_old_and_new_values_and_a_secret_without() {
        let bench = bench();
        bench.run(document("hunter2", 60), false).unwrap();
        let outcome = bench.run(document("hunter3", 10), false).unwrap();
        let store = outcome.changes.iter().find(|c| c.name == "web/central").unwrap();
        assert_eq!(store.sign, Sign::Changed);
        assert!(store.details.contains(&"period: 60 -> 10".to_owned()), "{store:?}");
        assert!(store.details.contains(&"settings.password: changed".to_owned()), "{store:?}");
        let told = serde_json::to_string(&outcome).unwrap();
        assert!(!told.contains("hunter2") && !told.contains("hunter3"), "{told}");
    }

    #[test]
    fn a_mistake_is_told_with_its_place_and_nothing_is_applied() {
        let bench = bench();
        let mut wrong = document("x", 60);
        wrong["projects"][0]["metric_sets"][0]["metrics"][0]["query"] = json!({"fold": {"a": [["histogram"]]}});
        let error = bench.run(wrong, false).unwrap_err().to_string();
        assert!(error.starts_with("projects[0].metric_sets[0].metrics[0]: metric \"errors\""), "{error}");
        assert!(bench.catalog.read(|v| v.projects(bench.tenant)).unwrap().is_empty());
        let mut wrong = document("x", 60);
        wrong["projects"][0]["metric_stores"][0]["adapter"] = json!("snk");
        let error = bench.run(wrong, false).unwrap_err().to_string();
        assert!(error.contains("there is no adapter \"snk\"; there are: sink"), "{error}");
        let mut wrong = document("x", 60);
        wrong["projects"][0]["metric_stores"][0]["settings"]["url"] = json!("ftp://x");
        let error = bench.run(wrong, false).unwrap_err().to_string();
        assert!(error.starts_with("projects[0].metric_stores[0]: ") && error.contains("url"), "{error}");
    }

    #[test]
    fn a_time_frame_in_a_query_is_dropped_and_told() {
        let bench = bench();
        let mut framed = document("x", 60);
        framed["projects"][0]["metric_sets"][0]["metrics"][0]["query"]["filter"] =
            json!([{"timestamp": [["at-least", 1]]}]);
        let outcome = bench.run(framed, false).unwrap();
        assert!(outcome.changes.iter().any(|c| c.details.iter().any(|d| d.starts_with("time frame dropped: "))));
    }

    #[test]
    fn what_the_document_does_not_mention_is_left_alone() {
        let bench = bench();
        bench.run(document("x", 60), false).unwrap();
        let signs = bench.signs(json!({"projects": [{"name": "web"}, {"name": "app"}]}));
        assert_eq!(signs[0], (Sign::Unchanged, "web".to_owned()));
        assert_eq!(signs[1], (Sign::Added, "app".to_owned()));
        let project = bench.catalog.read(|v| v.project_named(bench.tenant, "web")).unwrap();
        assert_eq!(bench.catalog.read(|v| v.stores(project.id)).unwrap().len(), 1);
    }
}
