//! `{env: NAME}` and `{file: PATH}` in a document for `apply`: credentials stay out of the file, and out of the repository that
//! the file is kept in.
//!
//! They are looked for only where a credential may stand (submission tokens and store settings): elsewhere, in a query say,
//! `env` is an attribute like any other.

use serde_json::Value as Json;
use std::path::Path;

/// A reference that leads nowhere.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {problem}")]
pub(crate) struct ReferenceError {
    place: String,
    problem: String,
}

/// Puts what is referred to in the places of the references. `folder` is where relative files start.
pub(crate) fn resolve(
    document: &mut Json,
    folder: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<(), ReferenceError> {
    let Some(projects) = document.get_mut("projects").and_then(Json::as_array_mut) else { return Ok(()) };
    for (p, project) in projects.iter_mut().enumerate() {
        if let Some(tokens) = project.get_mut("submission_tokens").and_then(Json::as_array_mut) {
            for (t, token) in tokens.iter_mut().enumerate() {
                replace(token, &format!("projects[{p}].submission_tokens[{t}]"), folder, variable)?;
            }
        }
        let Some(stores) = project.get_mut("metric_stores").and_then(Json::as_array_mut) else { continue };
        for (s, store) in stores.iter_mut().enumerate() {
            let Some(settings) = store.get_mut("settings").and_then(Json::as_object_mut) else { continue };
            for (key, value) in settings {
                replace(value, &format!("projects[{p}].metric_stores[{s}].settings.{key}"), folder, variable)?;
            }
        }
    }
    Ok(())
}

fn replace(
    value: &mut Json,
    place: &str,
    folder: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<(), ReferenceError> {
    let Some(object) = value.as_object() else { return Ok(()) };
    let wrong = |problem: String| ReferenceError { place: place.to_owned(), problem };
    let mut members = object.iter();
    let text = match (members.next(), members.next()) {
        (Some((kind, Json::String(name))), None) if kind == "env" => {
            variable(name).ok_or_else(|| wrong(format!("the environment variable {name} is not set")))?
        }
        (Some((kind, Json::String(name))), None) if kind == "file" => {
            let path = folder.join(name);
            let text = std::fs::read_to_string(&path).map_err(|e| wrong(format!("{}: {e}", path.display())))?;
            // Editors end a file with a line break that is no part of the credential.
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
        _ => return Err(wrong("expected text, {env: NAME} or {file: PATH}".to_owned())),
    };
    *value = Json::String(text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn variable(name: &str) -> Option<String> {
        (name == "SECRET").then(|| "hunter2".to_owned())
    }

    #[test]
    fn references_are_replaced_in_tokens_and_settings_and_left_alone_in_queries() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "from file\n").unwrap();
        let query = json!({"filter": [{"env": [["equal", "prod"]]}], "fold": {"_tx": [["count"]]}});
        let mut document = json!({"projects": [{
            "submission_tokens": [{"env": "SECRET"}, "plain"],
            "metric_sets": [{"metrics": [{"query": query}]}],
            "metric_stores": [{"settings": {"password": {"env": "SECRET"}, "key": {"file": "key"}, "port": 1}}],
        }]});
        resolve(&mut document, folder.path(), &variable).unwrap();
        let project = &document["projects"][0];
        assert_eq!(project["submission_tokens"], json!(["hunter2", "plain"]));
        assert_eq!(project["metric_sets"][0]["metrics"][0]["query"], query);
        assert_eq!(
            project["metric_stores"][0]["settings"],
            json!({"password": "hunter2", "key": "from file", "port": 1})
        );
    }

    #[test]
    fn a_reference_that_leads_nowhere_is_refused_with_its_place() {
        let told = |value: Json| {
            let mut document = json!({"projects": [{"metric_stores": [{"settings": {"k": value}}]}]});
            resolve(&mut document, Path::new("/nowhere"), &variable).unwrap_err().to_string()
        };
        let place = "projects[0].metric_stores[0].settings.k: ";
        assert_eq!(told(json!({"env": "NOPE"})), format!("{place}the environment variable NOPE is not set"));
        assert!(told(json!({"file": "x"})).starts_with(&format!("{place}/nowhere/x: ")));
        assert!(told(json!({"vault": "x"})).contains("{env: NAME}"));
    }
}
