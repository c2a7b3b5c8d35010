//! Shapes of bodies and answers, as JSON Schema. Bodies are closed, as the readers of bodies are; answers may grow.

use serde_json::{Map, Value, json};

pub(super) fn text() -> Value {
    json!({"type": "string"})
}

pub(super) fn integer() -> Value {
    json!({"type": "integer"})
}

pub(super) fn count() -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": u64::MAX})
}

pub(super) fn boolean() -> Value {
    json!({"type": "boolean"})
}

/// A moment in microseconds since the epoch.
pub(super) fn moment() -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": i64::MAX, "description": "Microseconds since the epoch, UTC"})
}

/// A name that can be given to something.
pub(super) fn name() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 200})
}

pub(super) fn one_of(words: &[&str]) -> Value {
    json!({"enum": words})
}

pub(super) fn role() -> Value {
    one_of(&["viewer", "member", "admin"])
}

/// `schema`, or null.
pub(super) fn maybe(schema: &Value) -> Value {
    json!({"anyOf": [schema, {"type": "null"}]})
}

pub(super) fn array(item: &Value) -> Value {
    json!({"type": "array", "items": item})
}

fn members(required: &[(&str, Value)], optional: &[(&str, Value)]) -> (Map<String, Value>, Vec<String>) {
    let all = required.iter().chain(optional).map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    (all, required.iter().map(|(name, _)| (*name).to_owned()).collect())
}

/// An answer: it may have more members one day.
pub(super) fn object(required: &[(&str, Value)], optional: &[(&str, Value)]) -> Value {
    let (properties, required) = members(required, optional);
    json!({"type": "object", "properties": properties, "required": required})
}

/// A body: a member that is not known is refused.
pub(super) fn body(required: &[(&str, Value)], optional: &[(&str, Value)]) -> Value {
    let mut schema = object(required, optional);
    schema["additionalProperties"] = json!(false);
    schema
}

pub(super) fn any_object() -> Value {
    json!({"type": "object"})
}

pub(super) fn retention() -> Value {
    object(&[("days", maybe(&count())), ("megabytes", maybe(&count()))], &[])
}

pub(super) fn user() -> Value {
    let role = object(&[("tenant", text()), ("project", maybe(&text())), ("role", role())], &[]);
    object(
        &[
            ("name", text()),
            ("operator", boolean()),
            ("can_sign_in", boolean()),
            ("created", moment()),
            ("roles", array(&role)),
        ],
        &[],
    )
}

pub(super) fn roles_wish() -> Value {
    array(&body(&[("role", role())], &[("tenant", maybe(&text())), ("project", maybe(&text()))]))
}

pub(super) fn session() -> Value {
    let role = object(&[("tenant", text()), ("project", maybe(&text())), ("role", role())], &[]);
    object(
        &[
            ("user", maybe(&text())),
            ("token", maybe(&text())),
            ("operator", boolean()),
            ("tenant", maybe(&text())),
            ("roles", array(&role)),
            ("csrf", maybe(&text())),
        ],
        &[],
    )
}

pub(super) fn token() -> Value {
    let required = [
        ("name", text()),
        ("hint", text()),
        ("created", moment()),
        ("operator", boolean()),
        ("project", maybe(&text())),
        ("role", role()),
        ("expires", maybe(&moment())),
    ];
    object(&required, &[("token", text())])
}

pub(super) fn audit_line() -> Value {
    let required = [
        ("id", integer()),
        ("at", moment()),
        ("tenant", maybe(&text())),
        ("actor", text()),
        ("address", maybe(&text())),
        ("action", text()),
        ("object", text()),
        ("before", maybe(&any_object())),
        ("after", maybe(&any_object())),
        ("details", array(&text())),
    ];
    object(&required, &[])
}

pub(super) fn adapter() -> Value {
    let direction = one_of(&["push", "pull", "both"]);
    let limit = object(&[("name", text()), ("unit", text()), ("used", count()), ("limit", count())], &[]);
    object(
        &[
            ("name", text()),
            ("version", text()),
            ("direction", direction),
            ("digest", text()),
            ("signature", super::signatures::schema()),
        ],
        &[("stores", count()), ("limits", array(&limit)), ("used_by", array(&any_object()))],
    )
}

pub(super) fn metric() -> Value {
    object(&[("name", text()), ("series", text()), ("query", any_object())], &[])
}

pub(super) fn metric_set() -> Value {
    let store = object(&[("name", text()), ("period", count())], &[]);
    object(
        &[
            ("name", text()),
            ("series", text()),
            ("revision", count()),
            ("metrics", array(&metric())),
            ("metric_stores", array(&store)),
        ],
        &[("last_window", maybe(&object(&[("rows", count()), ("end", moment())], &[])))],
    )
}

pub(super) fn store() -> Value {
    let status = object(
        &[
            ("direction", one_of(&["push", "pull"])),
            ("state", text()),
            ("summary", text()),
            ("problem", maybe(&text())),
            ("note", maybe(&text())),
            ("last_shared", maybe(&moment())),
            ("next_window_end", moment()),
            ("next_try", maybe(&moment())),
            ("oldest_undelivered", maybe(&moment())),
            ("deliveries", any_object()),
            ("pull_path", maybe(&text())),
        ],
        &[],
    );
    let required = [
        ("project", text()),
        ("name", text()),
        ("adapter", text()),
        ("period", count()),
        ("settings", any_object()),
        ("metric_sets", array(&text())),
        ("paused", boolean()),
        ("revision", count()),
        ("status", status),
    ];
    object(&required, &[("pull", any_object()), ("changes", array(&text()))])
}

pub(super) fn store_wish() -> Value {
    let required = [("adapter", text())];
    let optional = [
        ("period", json!({"type": "integer", "minimum": 1, "maximum": 86_400})),
        ("settings", any_object()),
        ("metric_sets", array(&name())),
        ("paused", boolean()),
        ("pull", boolean()),
    ];
    body(&required, &optional)
}
