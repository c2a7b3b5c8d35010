//! The OpenAPI 3.1 document, made of the table that the router is made of: what is not routed cannot be described, and what is
//! routed is.

use super::page::{LIMIT, MOST, Rules};
use super::routes::{Route, table};
use super::schema::{array, boolean, count, integer, object, one_of, text};
use crate::http::auth::Need;
use axum::Json;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use std::sync::OnceLock;

const ABOUT: &str = "\
Everything that the command line and the console do. Errors are problem documents (RFC 9457). Lists come in pages: `limit`, and \
`cursor` with what `next` of the page before says; without `next` there are no more. A GET of one thing has an `ETag` for its definition; a change with `If-Match` \
is made only if that is still the definition, 412 otherwise; with a cookie, a PUT that replaces something needs it, 428 otherwise. A create with an `Idempotency-Key` can be sent again: it makes \
nothing twice. Who has roles in several tenants names the one that is meant with the header `Tidegate-Tenant`. Requests are \
authorised by an API token (`Authorization: Bearer`), or by the cookie of a session; with a cookie, changes need the header \
`X-CSRF-Token`. 400 says that something cannot be read, 422 that it breaks a rule.";

/// What the document says of a route beyond its path.
#[derive(Debug, Default)]
pub(crate) struct Doc {
    pub(super) summary: &'static str,
    /// Schema of the body, if there is one; a content type other than JSON.
    pub(super) body: Option<Value>,
    pub(super) body_type: Option<&'static str>,
    /// Status and schema of the good answers.
    pub(super) answers: Vec<(u16, Option<Value>)>,
    pub(super) list: Option<&'static Rules>,
    /// Name, schema and meaning of parameters in the query.
    pub(super) query: Vec<(&'static str, Value, &'static str)>,
    /// Whether it makes something, so that an `Idempotency-Key` counts.
    pub(super) creates: bool,
    /// Whether it changes something that has an `ETag`.
    pub(super) edits: bool,
    /// Whether the answer may also be lines of JSON.
    pub(super) streams: bool,
    /// Whether it wants a token although the table does not ask for one.
    pub(super) own_authorization: bool,
}

/// `GET /api/v1/openapi.json`
pub(crate) async fn show() -> Response {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    Json(DOCUMENT.get_or_init(document)).into_response()
}

/// The document.
pub(crate) fn document() -> Value {
    let mut paths = Map::new();
    for route in table() {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = operation(&route);
    }
    let problem = object(
        &[("type", text()), ("title", text()), ("status", integer()), ("detail", text())],
        &[("retry_after", integer()), ("needs", one_of(&["viewer", "member", "admin", "operator"])), ("place", text())],
    );
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Tidegate", "version": env!("CARGO_PKG_VERSION"), "description": ABOUT, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "servers": [{"url": "/api/v1"}],
        "paths": paths,
        "components": {
            "schemas": {"Problem": problem},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    })
}

fn operation(route: &Route) -> Value {
    let doc = &route.doc;
    let mut parameters: Vec<Value> = path_parameters(route.path);
    parameters.extend(doc.query.iter().map(|(name, schema, meaning)| parameter(name, "query", schema, meaning)));
    parameters.extend(doc.list.into_iter().flat_map(list_parameters));
    if doc.creates {
        let schema = json!({"type": "string", "minLength": 1, "maxLength": 255});
        parameters.push(parameter("Idempotency-Key", "header", &schema, "Makes a repetition harmless"));
    }
    if doc.edits {
        parameters.push(parameter("If-Match", "header", &text(), "The ETag that must still hold"));
    }
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": doc.summary,
        "tags": [route.path.split('/').nth(1).unwrap_or_default()],
        "description": format!("Needs: {}.", needs(route)),
        "parameters": parameters,
        "responses": responses(route),
    });
    if let Some(body) = &doc.body {
        let kind = doc.body_type.unwrap_or("application/json");
        operation["requestBody"] = json!({"required": !doc.own_authorization, "content": {kind: {"schema": body}}});
    }
    if route.need == Need::Nobody && !doc.own_authorization {
        operation["security"] = json!([]);
    }
    operation
}

fn needs(route: &Route) -> String {
    match route.need {
        Need::Nobody if route.doc.own_authorization => "a token of the project, or the role admin in it".to_owned(),
        Need::Nobody => "nothing".to_owned(),
        Need::Account => "a token or a session".to_owned(),
        Need::Somewhere(role) => format!("the role {role} in some project of the tenant"),
        Need::Project(role) => format!("the role {role} in the project"),
        Need::Tenant(role) => format!("the role {role} in the whole tenant"),
        Need::Operator => "to be an operator of the host".to_owned(),
    }
}

fn operation_id(route: &Route) -> String {
    let words = route.path.split(['/', '{', '}', '-', '.']).filter(|word| !word.is_empty());
    std::iter::once(route.method.as_str().to_lowercase().as_str()).chain(words).collect::<Vec<_>>().join("_")
}

fn parameter(name: &str, place: &str, schema: &Value, meaning: &str) -> Value {
    json!({"name": name, "in": place, "required": place == "path", "schema": schema, "description": meaning})
}

fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let one = |name| match name {
        "at" => parameter(
            name,
            "path",
            &json!({"type": "integer", "minimum": 0, "maximum": u64::MAX}),
            "Seconds since the epoch",
        ),
        "id" => parameter(
            name,
            "path",
            &json!({"type": "integer", "minimum": i64::MIN, "maximum": i64::MAX}),
            "A number from the list",
        ),
        "object" => {
            parameter(name, "path", &json!({"type": "string", "pattern": "^[0-9a-f]{1,16}$"}), "A hexadecimal number")
        }
        _ => parameter(name, "path", &json!({"type": "string", "minLength": 1, "maxLength": 200}), "A name"),
    };
    names.map(one).collect()
}

fn list_parameters(rules: &'static Rules) -> Vec<Value> {
    let limit = json!({"type": "integer", "minimum": 1, "maximum": MOST, "default": LIMIT});
    let mut all = vec![
        parameter("limit", "query", &limit, "Most items of the page"),
        parameter("cursor", "query", &text(), "What `next` of the page before says"),
        parameter(
            "search",
            "query",
            &text(),
            "Words that its name and what it can be filtered by have to hold, in whatever case",
        ),
    ];
    if !rules.sorts.is_empty() {
        let orders: Vec<String> = rules.sorts.iter().flat_map(|s| [(*s).to_owned(), format!("-{s}")]).collect();
        all.push(parameter("sort", "query", &json!({"enum": orders}), "The order; with - turned round"));
    }
    let values = array(&text());
    let filter =
        |f: &&str| parameter(f, "query", &values, "Only items with this value there; given again, or with that");
    all.extend(rules.filters.iter().map(filter));
    all
}

fn responses(route: &Route) -> Value {
    let doc = &route.doc;
    let mut all = Map::new();
    for (status, schema) in &doc.answers {
        let mut answer = json!({"description": if *status == 201 { "Made" } else { "Done" }});
        if let Some(schema) = schema {
            answer["content"] = json!({"application/json": {"schema": schema}});
            if doc.streams {
                answer["content"]["application/x-ndjson"] = json!({"schema": {}});
            }
        }
        all.insert(status.to_string(), answer);
    }
    let problem = |meaning: &str| {
        let content = json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
        json!({"description": meaning, "content": content})
    };
    let mut wrong = vec![(400, "It cannot be read"), (503, "Not now; try again after Retry-After")];
    if route.need != Need::Nobody || doc.own_authorization || route.method == Method::POST {
        wrong.push((401, "Not known, or not signed in"));
        wrong.push((403, "Known, and not allowed"));
    }
    wrong.push((404, "Not there, or not for the caller to see"));
    wrong.push((422, "It can be read and breaks a rule"));
    if route.method != Method::GET {
        wrong.extend([
            (409, "Something stands in the way"),
            (413, "Too large"),
            (415, "An encoding that is not known"),
        ]);
        wrong.push((429, "Too much; try again after Retry-After"));
    }
    if doc.edits {
        wrong.push((412, "The definition is another one now"));
        if route.method == Method::PUT {
            wrong.push((428, "With a session: it is there already, and If-Match does not say as what it was seen"));
        }
    }
    for (status, meaning) in wrong {
        all.insert(status.to_string(), problem(meaning));
    }
    if let Some((_, Some(schema))) = doc.answers.first().filter(|_| doc.own_authorization) {
        // Of lines of which none could be taken, the answer says why, one by one.
        all["400"]["content"]["application/json"] = json!({"schema": schema});
    }
    all.insert("default".to_owned(), problem("Any other failure"));
    Value::Object(all)
}

/// The shape of a list's answer.
pub(super) fn list_of(rules: &Rules, item: &Value) -> Value {
    object(&[(rules.list, array(item)), ("total", count())], &[("next", text())])
}

/// The switch of a query.
pub(super) fn switch() -> Value {
    boolean()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_document_has_each_route_of_the_router_with_an_id_a_summary_and_an_answer() {
        let document = document();
        let mut ids = BTreeSet::new();
        for route in table() {
            let operation = &document["paths"][route.path][route.method.as_str().to_lowercase()];
            let name = format!("{} {}", route.method, route.path);
            assert!(operation["summary"].as_str().is_some_and(|s| !s.is_empty()), "{name} has no summary");
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{name}");
            let good = operation["responses"].as_object().unwrap().keys().any(|status| status.starts_with('2'));
            assert!(good, "{name} has no good answer");
            assert_eq!(operation.get("requestBody").is_some(), route.doc.body.is_some(), "{name}");
        }
        let described: usize =
            document["paths"].as_object().unwrap().values().map(|p| p.as_object().unwrap().len()).sum();
        assert_eq!(described, table().len());
    }
}
