//! The query of a metric: filter, group-by and scalar aggregates, in the JSON form that Backtrace clients use.
//!
//! Which queries may be metrics is decided here, in one place. A time frame in the saved query is dropped, since the window
//! decides which events count; [`MetricQuery::parse`] says so, and whoever saves the metric passes it on.
//!
//! What an operator means: a stored value is compared by its own type. A number is compared as a number (the operand may be
//! text that reads as one, `"1700000000."` too), text by its bytes, a boolean with `true`, `false`, 1 or 0. No operator holds
//! for an event that lacks the attribute, except the negative ones (`not-equal`, `not-contains`,
//! `inverse-regular-expression`, `is-not-set`), which are the exact complements of their positive partners.

use crate::batch::Aggregate;
use serde_json::{Map, Value as Json, json};
use std::fmt;
use std::str::FromStr;

/// Most conditions in a filter, group-by attributes, or aggregates.
pub const MAX_PARTS: usize = 64;
/// Most bytes in an attribute's name or an operand.
pub const MAX_TEXT_BYTES: usize = 4096;

/// A query whose result is a number per group.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricQuery {
    /// Any of these groups of conditions must hold as a whole. Empty: every event counts.
    pub filter: Vec<Vec<Condition>>,
    /// The attributes to group by.
    pub group: Vec<String>,
    /// The aggregates, at least one.
    pub measures: Vec<MeasureSpec>,
}

/// One condition on one attribute.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The attribute.
    pub attribute: String,
    /// The comparison.
    pub operator: Operator,
    /// What to compare with; null for `is-set` and `is-not-set`.
    pub operand: Json,
    /// For the contains and regular-expression families.
    pub case_insensitive: bool,
}

/// One aggregate over one attribute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MeasureSpec {
    /// The attribute.
    pub attribute: String,
    /// The aggregate.
    pub aggregate: Aggregate,
}

/// The comparisons of the query language.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)] // the words say it
pub enum Operator {
    Equal,
    NotEqual,
    AtLeast,
    AtMost,
    GreaterThan,
    LessThan,
    Contains,
    NotContains,
    RegularExpression,
    InverseRegularExpression,
    IsSet,
    IsNotSet,
}

const OPERATORS: [(Operator, &str); 12] = [
    (Operator::Equal, "equal"),
    (Operator::NotEqual, "not-equal"),
    (Operator::AtLeast, "at-least"),
    (Operator::AtMost, "at-most"),
    (Operator::GreaterThan, "greater-than"),
    (Operator::LessThan, "less-than"),
    (Operator::Contains, "contains"),
    (Operator::NotContains, "not-contains"),
    (Operator::RegularExpression, "regular-expression"),
    (Operator::InverseRegularExpression, "inverse-regular-expression"),
    (Operator::IsSet, "is-set"),
    (Operator::IsNotSet, "is-not-set"),
];

impl Operator {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        OPERATORS.iter().find(|(o, _)| *o == self).map_or("", |(_, word)| word)
    }

    /// For a negative operator, the positive one that it is the complement of.
    #[must_use]
    pub fn complement_of(self) -> Option<Self> {
        match self {
            Self::NotEqual => Some(Self::Equal),
            Self::NotContains => Some(Self::Contains),
            Self::InverseRegularExpression => Some(Self::RegularExpression),
            Self::IsNotSet => Some(Self::IsSet),
            _ => None,
        }
    }

    fn takes_operand(self) -> bool {
        !matches!(self, Self::IsSet | Self::IsNotSet)
    }

    fn matches_text(self) -> bool {
        use Operator::{Contains, InverseRegularExpression, NotContains, RegularExpression};
        matches!(self, Contains | NotContains | RegularExpression | InverseRegularExpression)
    }
}

impl FromStr for Operator {
    type Err = ();
    fn from_str(word: &str) -> Result<Self, ()> {
        OPERATORS.iter().find(|(_, w)| *w == word).map(|(o, _)| *o).ok_or(())
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a query cannot be a metric.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A member that has another form than the grammar wants.
    #[error("{member}: expected {expected}, found {found}")]
    Form {
        /// The path of the member.
        member: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// An aggregate whose result is not a number.
    #[error("{member}: {word:?} does not give one number, so it cannot be part of a metric; use one of {}", scalars())]
    NotScalar {
        /// The path of the member.
        member: String,
        /// The aggregate.
        word: String,
    },
    /// No aggregate at all.
    #[error("a metric needs at least one aggregate in \"fold\", for example {{\"_tx\": [[\"count\"]]}}")]
    NoAggregate,
    /// A member that metrics do not have.
    #[error("{member:?} has no meaning in a metric; a metric has \"filter\", \"group\" and \"fold\"")]
    NotForMetrics {
        /// The member.
        member: String,
    },
    /// More parts than allowed.
    #[error("{member} may have {MAX_PARTS} parts, this one has {count}")]
    TooMany {
        /// Filter, group or fold.
        member: &'static str,
        /// How many it has.
        count: usize,
    },
}

fn scalars() -> String {
    Aggregate::ALL.map(Aggregate::as_str).join(", ")
}

/// A metric's query, and the conditions on `timestamp` that were dropped from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The query.
    pub query: MetricQuery,
    /// The time frame that has no effect, in words; empty if there was none.
    pub dropped_time_frame: Vec<String>,
}

impl MetricQuery {
    /// Reads a query in Backtrace's JSON form.
    ///
    /// # Errors
    /// [`QueryError`] names the member at fault and what was expected of it.
    pub fn parse(json: &Json) -> Result<Parsed, QueryError> {
        let object = json.as_object().ok_or_else(|| form("the query", "an object", json))?;
        // Clients always send some members that change nothing when they are empty.
        let idle = |member: &str, value: &Json| match member {
            "virtual_columns" | "having" | "order" => value.as_array().is_some_and(Vec::is_empty),
            "offset" => value.as_u64() == Some(0),
            "table" => value == "objects",
            _ => false,
        };
        for (member, value) in object {
            if !matches!(member.as_str(), "filter" | "group" | "fold") && !idle(member, value) {
                return Err(QueryError::NotForMetrics { member: member.clone() });
            }
        }
        let mut dropped_time_frame = Vec::new();
        let filter = parse_filter(object.get("filter"), &mut dropped_time_frame)?;
        let group = parse_group(object.get("group"))?;
        let measures = parse_fold(object.get("fold"))?;
        let query = Self { filter, group, measures };
        query.check_sizes()?;
        Ok(Parsed { query, dropped_time_frame })
    }

    fn check_sizes(&self) -> Result<(), QueryError> {
        if self.measures.is_empty() {
            return Err(QueryError::NoAggregate);
        }
        let conditions = self.filter.iter().map(|all| all.len().max(1)).sum();
        let counts = [("filter", conditions), ("group", self.group.len()), ("fold", self.measures.len())];
        match counts.into_iter().find(|(_, count)| *count > MAX_PARTS) {
            Some((member, count)) => Err(QueryError::TooMany { member, count }),
            None => Ok(()),
        }
    }

    /// The query in Backtrace's JSON form; [`parse`](Self::parse) gives the same query back.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let mut filter = Vec::new();
        for all in &self.filter {
            let mut item = Map::new();
            for c in all {
                let mut condition = vec![json!(c.operator.as_str())];
                if c.operator.takes_operand() {
                    condition.push(c.operand.clone());
                }
                if c.case_insensitive {
                    condition.push(json!({"case_insensitive": true}));
                }
                push_to(&mut item, &c.attribute, condition.into());
            }
            filter.push(Json::Object(item));
        }
        let mut fold = Map::new();
        for measure in &self.measures {
            push_to(&mut fold, &measure.attribute, json!([measure.aggregate.as_str()]));
        }
        let mut query = Map::new();
        if !filter.is_empty() {
            query.insert("filter".to_owned(), filter.into());
        }
        if !self.group.is_empty() {
            query.insert("group".to_owned(), json!(self.group));
        }
        query.insert("fold".to_owned(), fold.into());
        query.into()
    }
}

fn push_to(map: &mut Map<String, Json>, key: &str, item: Json) {
    if let Some(list) = map.entry(key.to_owned()).or_insert_with(|| json!([])).as_array_mut() {
        list.push(item);
    }
}

fn form(member: impl Into<String>, expected: impl Into<String>, found: &Json) -> QueryError {
    let mut found = found.to_string();
    if found.len() > 120 {
        let cut = (0..=117).rev().find(|&i| found.is_char_boundary(i)).unwrap_or(0);
        found.truncate(cut);
        found.push('…');
    }
    QueryError::Form { member: member.into(), expected: expected.into(), found }
}

fn attribute(member: &str, text: &str) -> Result<String, QueryError> {
    if text.is_empty() || text.len() > MAX_TEXT_BYTES || text.chars().any(char::is_control) {
        let expected = format!("the name of an attribute, 1 to {MAX_TEXT_BYTES} bytes without control characters");
        return Err(form(member, expected, &json!(text)));
    }
    Ok(text.to_owned())
}

fn parse_filter(filter: Option<&Json>, dropped: &mut Vec<String>) -> Result<Vec<Vec<Condition>>, QueryError> {
    let Some(filter) = filter.filter(|f| !f.is_null()) else { return Ok(Vec::new()) };
    let items = filter.as_array().ok_or_else(|| form("filter", "a list of objects", filter))?;
    let mut any = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let attributes = item.as_object().ok_or_else(|| form(format!("filter[{i}]"), "an object", item))?;
        let mut all = Vec::new();
        for (name, conditions) in attributes {
            let member = format!("filter[{i}].{name}");
            let name = attribute(&member, name)?;
            let list = conditions.as_array().ok_or_else(|| form(&member, "a list of [operator, value]", conditions))?;
            for condition in list {
                let condition = parse_condition(&member, &name, condition)?;
                if name == "timestamp" {
                    dropped.push(format!("{name} {} {}", condition.operator, condition.operand));
                } else {
                    all.push(condition);
                }
            }
        }
        any.push(all);
    }
    // An item without conditions holds for every event, and so does the whole list then.
    Ok(if any.iter().any(Vec::is_empty) { Vec::new() } else { any })
}

fn parse_condition(member: &str, name: &str, json: &Json) -> Result<Condition, QueryError> {
    let parts = json.as_array().filter(|p| !p.is_empty() && p.len() <= 3);
    let parts = parts.ok_or_else(|| form(member, "[operator, value, options]", json))?;
    let word = parts[0].as_str().unwrap_or_default();
    let operator: Operator = word.parse().map_err(|()| {
        let known: Vec<_> = OPERATORS.iter().map(|(_, w)| *w).collect();
        form(member, format!("one of {}", known.join(", ")), &parts[0])
    })?;
    let operand = if operator.takes_operand() { parts.get(1).cloned() } else { Some(Json::Null) };
    let scalar = operand.filter(|o| !operator.takes_operand() || o.is_string() || o.is_number() || o.is_boolean());
    let operand = scalar.ok_or_else(|| form(member, format!("a text, number or boolean after {word:?}"), json))?;
    if operand.as_str().is_some_and(|t| t.len() > MAX_TEXT_BYTES) {
        return Err(form(member, format!("at most {MAX_TEXT_BYTES} bytes"), &operand));
    }
    let options = parts.get(2).and_then(|o| o.get("case_insensitive")).and_then(Json::as_bool);
    let case_insensitive = operator.matches_text() && options.unwrap_or(false);
    if matches!(operator, Operator::RegularExpression | Operator::InverseRegularExpression) {
        let pattern = operand.as_str().ok_or_else(|| form(member, "a regular expression as text", &operand))?;
        if let Err(error) = regex::Regex::new(pattern) {
            let reason = error.to_string().replace('\n', " ");
            return Err(form(member, format!("a regular expression ({reason})"), &operand));
        }
    }
    Ok(Condition { attribute: name.to_owned(), operator, operand, case_insensitive })
}

fn parse_group(group: Option<&Json>) -> Result<Vec<String>, QueryError> {
    let Some(group) = group.filter(|g| !g.is_null()) else { return Ok(Vec::new()) };
    let expected = "a list of attribute names, each once";
    let list = group.as_array().ok_or_else(|| form("group", expected, group))?;
    let mut names: Vec<String> = Vec::new();
    for item in list {
        let name = attribute("group", item.as_str().ok_or_else(|| form("group", expected, item))?)?;
        if names.contains(&name) {
            return Err(form("group", expected, item));
        }
        names.push(name);
    }
    Ok(names)
}

fn parse_fold(fold: Option<&Json>) -> Result<Vec<MeasureSpec>, QueryError> {
    let Some(fold) = fold.filter(|f| !f.is_null()) else { return Ok(Vec::new()) };
    let object = fold.as_object().ok_or_else(|| form("fold", "an object", fold))?;
    let mut measures = Vec::new();
    for (name, operations) in object {
        let member = format!("fold.{name}");
        let name = attribute(&member, name)?;
        let list = operations.as_array().ok_or_else(|| form(&member, "a list of [aggregate]", operations))?;
        for operation in list {
            let word = operation.as_array().and_then(|o| o.first()).and_then(Json::as_str);
            let word = word.ok_or_else(|| form(&member, "[aggregate]", operation))?;
            let aggregate =
                word.parse().map_err(|()| QueryError::NotScalar { member: member.clone(), word: word.to_owned() })?;
            let measure = MeasureSpec { attribute: name.clone(), aggregate };
            if !measures.contains(&measure) {
                measures.push(measure);
            }
        }
    }
    Ok(measures)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(query: Json) -> String {
        MetricQuery::parse(&query).unwrap_err().to_string()
    }

    #[test]
    fn a_full_query_survives_the_way_to_json_and_back() {
        let json = json!({
            "filter": [{"error.type": [["equal", "Crash"], ["contains", "x", {"case_insensitive": true}]], "a": [["is-set"]]},
                       {"n": [["at-least", 3]]}],
            "group": ["fingerprint", "app.version"],
            "fold": {"_tx": [["unique"]], "guid": [["unique"], ["last"]]},
        });
        let parsed = MetricQuery::parse(&json).unwrap();
        assert_eq!(parsed.query.to_json(), json);
        assert_eq!(parsed.dropped_time_frame, Vec::<String>::new());
    }

    #[test]
    fn a_time_frame_is_dropped_and_reported() {
        let json = json!({
            "filter": [{"timestamp": [["at-least", "1700000000."], ["less-than", 1_700_000_100]], "a": [["equal", "b"]]}],
            "fold": {"_tx": [["count"]]}, "virtual_columns": [], "offset": 0,
        });
        let parsed = MetricQuery::parse(&json).unwrap();
        assert_eq!(parsed.query.filter.len(), 1);
        assert_eq!(parsed.query.filter[0].len(), 1);
        assert_eq!(parsed.dropped_time_frame, ["timestamp at-least \"1700000000.\"", "timestamp less-than 1700000100"]);
    }

    #[test]
    fn a_query_that_cannot_be_a_metric_is_refused_with_the_culprit_named() {
        let histogram = told(json!({"fold": {"guid": [["histogram"]]}}));
        assert!(histogram.starts_with("fold.guid: \"histogram\" does not give one number"), "{histogram}");
        assert!(told(json!({})).contains("at least one aggregate"));
        assert!(told(json!({"select": ["a"], "fold": {}})).contains("\"select\" has no meaning"));
        assert!(told(json!({"filter": [{"a": [["like", "b"]]}]})).contains("filter[0].a: expected one of equal"));
        assert!(told(json!({"filter": [{"a": [["equal", null]]}]})).contains("a text, number or boolean"));
        assert!(told(json!({"filter": [{"a": [["regular-expression", "("]]}]})).contains("regular expression"));
        assert!(told(json!({"group": ["a", "a"], "fold": {"_tx": [["count"]]}})).contains("each once"));
        assert!(told(json!([])).contains("the query: expected an object"));
    }

    #[test]
    fn sixty_five_groups_are_refused_with_both_figures() {
        let names: Vec<_> = (0..65).map(|i| format!("a{i}")).collect();
        let error = told(json!({"group": names, "fold": {"_tx": [["count"]]}}));
        assert_eq!(error, "group may have 64 parts, this one has 65");
    }

    #[test]
    fn an_operand_longer_than_the_limit_is_refused() {
        let error = told(json!({"filter": [{"a": [["equal", "é".repeat(3000)]]}], "fold": {"_tx": [["count"]]}}));
        assert!(error.contains("at most 4096 bytes"), "{error}");
    }
}
