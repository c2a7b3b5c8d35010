//! The form of the document. Unknown members are refused, with their place: a misspelt one would silently do nothing.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use std::collections::HashSet;
use std::fmt;
use tidegate_model::strict::Strict;
use tidegate_model::{Name, Period, Retention};

/// What a tenant should have.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Projects; others are left alone.
    #[serde(default)]
    pub projects: Vec<ProjectDoc>,
}

/// What a project should have.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectDoc {
    /// Its name.
    pub name: Name,
    /// Submission tokens that it should have, beside those it has.
    #[serde(default)]
    pub submission_tokens: Vec<String>,
    /// How long its events are kept; as it was if this is left out.
    #[serde(default)]
    pub retention: Option<Retention>,
    /// Metric sets; others are left alone.
    #[serde(default)]
    pub metric_sets: Vec<MetricSetDoc>,
    /// Metric stores; others are left alone.
    #[serde(default)]
    pub metric_stores: Vec<StoreDoc>,
}

/// What a metric set should have.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MetricSetDoc {
    /// Its name.
    pub name: Name,
    /// Metrics; others are left alone.
    #[serde(default)]
    pub metrics: Vec<MetricDoc>,
}

/// What a metric should be.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MetricDoc {
    /// Its name.
    pub name: Name,
    /// Its query, in Backtrace's JSON form.
    pub query: Json,
}

/// What a metric store should be.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StoreDoc {
    /// Its name.
    pub name: Name,
    /// The name of its adapter.
    pub adapter: String,
    /// How often it is fed, in seconds; 60 unless given.
    #[serde(default)]
    pub period: Period,
    /// The adapter's settings. A secret that is left out stays as it is.
    #[serde(default)]
    pub settings: Map<String, Json>,
    /// The metric sets that it gets: these and no others.
    #[serde(default)]
    pub metric_sets: Vec<Name>,
    /// Whether to hold back deliveries.
    #[serde(default)]
    pub paused: bool,
    /// For adapters that work both ways: whether a scraper reads the store.
    #[serde(default)]
    pub pull: bool,
}

// Tokens and settings may be credentials, so neither type prints them.
impl fmt::Debug for ProjectDoc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProjectDoc").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for StoreDoc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreDoc").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// A member that does not belong, is missing or has the wrong form.
    #[error("{place}: {problem}")]
    Form {
        /// The path of the member.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// The same name twice; one of the two would silently win.
    #[error("{place}: the name {name:?} is there twice")]
    Twice {
        /// The path of the second.
        place: String,
        /// The name.
        name: String,
    },
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// [`DocumentError`] with the place of the first mistake. What stands there is never repeated: it may be a credential.
    pub fn read(json: Json) -> Result<Self, DocumentError> {
        let document: Self = read_as(json)?;
        document.check_names()?;
        Ok(document)
    }

    fn check_names(&self) -> Result<(), DocumentError> {
        unique("projects", self.projects.iter().map(|p| &p.name))?;
        for (p, project) in self.projects.iter().enumerate() {
            let place = format!("projects[{p}]");
            unique(&format!("{place}.metric_sets"), project.metric_sets.iter().map(|s| &s.name))?;
            unique(&format!("{place}.metric_stores"), project.metric_stores.iter().map(|s| &s.name))?;
            for (s, set) in project.metric_sets.iter().enumerate() {
                unique(&format!("{place}.metric_sets[{s}].metrics"), set.metrics.iter().map(|m| &m.name))?;
            }
        }
        Ok(())
    }
}

impl StoreDoc {
    /// Reads one store, whose name is known already.
    ///
    /// # Errors
    /// [`DocumentError`] with the place of the first mistake.
    pub fn read(name: &str, json: Json) -> Result<Self, DocumentError> {
        read_as(named(name, json)?)
    }
}

impl MetricDoc {
    /// Reads one metric, whose name is known already.
    ///
    /// # Errors
    /// [`DocumentError`] with the place of the first mistake.
    pub fn read(name: &str, json: Json) -> Result<Self, DocumentError> {
        read_as(named(name, json)?)
    }
}

/// Puts the name from the path into the document; one that is there already must be the same.
fn named(name: &str, json: Json) -> Result<Json, DocumentError> {
    let wrong = |place: &str, problem: String| DocumentError::Form { place: place.to_owned(), problem };
    let Json::Object(mut object) = json else { return Err(wrong(".", "expected an object".to_owned())) };
    match object.insert("name".to_owned(), Json::from(name)) {
        Some(other) if other != name => Err(wrong("name", format!("the path names {name:?}, the body another"))),
        _ => Ok(Json::Object(object)),
    }
}

fn read_as<T: for<'de> Deserialize<'de>>(json: Json) -> Result<T, DocumentError> {
    serde_path_to_error::deserialize(Strict(json)).map_err(|error| {
        let place = error.path().to_string();
        let problem = without_values(&error.into_inner().to_string());
        DocumentError::Form { place, problem }
    })
}

/// serde repeats a string of the wrong type in its message, between quotes after its type; here it may be a credential.
fn without_values(message: &str) -> String {
    match message.split_once("invalid type: string ") {
        Some((before, after)) => {
            let expected = after.rsplit_once(", expected ").map_or("", |(_, e)| e);
            format!("{before}invalid type: text, expected {expected}")
        }
        None => message.to_owned(),
    }
}

fn unique<'n>(place: &str, names: impl Iterator<Item = &'n Name>) -> Result<(), DocumentError> {
    let mut seen = HashSet::new();
    for (i, name) in names.enumerate() {
        if !seen.insert(name) {
            return Err(DocumentError::Twice { place: format!("{place}[{i}]"), name: name.to_string() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(json: Json) -> String {
        Document::read(json).unwrap_err().to_string()
    }

    #[test]
    fn a_store_has_a_period_of_a_minute_unless_it_says_otherwise() {
        let document =
            Document::read(json!({"projects": [{"name": "p", "metric_stores": [{"name": "s", "adapter": "a"}]}]}));
        assert_eq!(document.unwrap().projects[0].metric_stores[0].period.seconds(), 60);
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        let unknown = told(json!({"projects": [{"name": "p"}, {"name": "q", "metric_set": []}]}));
        assert!(
            unknown.starts_with("projects[1].metric_set: unknown field `metric_set`, expected one of"),
            "{unknown}"
        );
        let period =
            told(json!({"projects": [{"name": "p", "metric_stores": [{"name": "s", "adapter": "a", "period": 0}]}]}));
        assert_eq!(period, "projects[0].metric_stores[0].period: a period is 1 to 86400 seconds, 0 is not");
        let missing =
            told(json!({"projects": [{"name": "p", "metric_sets": [{"name": "s", "metrics": [{"name": "m"}]}]}]}));
        assert_eq!(missing, "projects[0].metric_sets[0].metrics[0]: missing field `query`");
        // serde would take the members of a record in their order.
        let list = told(json!({"projects": [{"name": "p", "retention": [30, null]}]}));
        assert_eq!(list, "projects[0].retention: invalid type: sequence, expected an object");
        assert_eq!(told(json!([[]])), ".: invalid type: sequence, expected an object");
    }

    #[test]
    fn the_same_name_twice_is_refused() {
        let twice = told(json!({"projects": [{"name": "p", "metric_sets": [{"name": "s"}, {"name": "s"}]}]}));
        assert_eq!(twice, "projects[0].metric_sets[1]: the name \"s\" is there twice");
    }

    #[test]
    fn a_credential_in_a_wrong_place_is_not_repeated() {
        let wrong = told(json!({"projects": [{"name": "p", "submission_tokens": "hunter2"}]}));
        assert!(!wrong.contains("hunter2") && wrong.starts_with("projects[0].submission_tokens: "), "{wrong}");
        let settings = told(
            json!({"projects": [{"name": "p", "metric_stores": [{"name": "s", "adapter": "a", "settings": "hunter2"}]}]}),
        );
        assert!(!settings.contains("hunter2"), "{settings}");
        let document = Document::read(json!({"projects": [{"name": "p", "submission_tokens": ["hunter2"]}]})).unwrap();
        assert!(!format!("{document:?}").contains("hunter2"));
    }

    #[test]
    fn the_name_in_a_path_and_in_a_body_must_be_the_same() {
        assert!(StoreDoc::read("s", json!({"adapter": "a"})).is_ok());
        assert!(StoreDoc::read("s", json!({"adapter": "a", "name": "s"})).is_ok());
        let error = StoreDoc::read("s", json!({"adapter": "a", "name": "t"})).unwrap_err().to_string();
        assert_eq!(error, "name: the path names \"s\", the body another");
    }
}
