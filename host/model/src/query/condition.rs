//! Conditions on attributes: the operators, what they may be compared with, and their JSON form `[operator, value, options]`.

use super::error::{QueryError, form};
use super::{MAX_TEXT_BYTES, attribute};
use serde_json::{Map, Value as Json, json};
use std::fmt;
use std::str::FromStr;

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
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        OPERATORS.iter().map(|(operator, _)| *operator)
    }

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

    /// Whether it compares with something.
    #[must_use]
    pub fn takes_operand(self) -> bool {
        !matches!(self, Self::IsSet | Self::IsNotSet)
    }

    /// Whether it may ignore the case of letters.
    #[must_use]
    pub fn matches_text(self) -> bool {
        use Operator::{Contains, InverseRegularExpression, NotContains, RegularExpression};
        matches!(self, Contains | NotContains | RegularExpression | InverseRegularExpression)
    }

    fn is_pattern(self) -> bool {
        matches!(self, Self::RegularExpression | Self::InverseRegularExpression)
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

impl Condition {
    /// Reads `[operator, value, options]`.
    pub(super) fn parse(member: &str, name: &str, json: &Json) -> Result<Self, QueryError> {
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
        let case_insensitive = options(member, operator, parts.get(2))?;
        if operator.is_pattern() {
            let pattern = operand.as_str().ok_or_else(|| form(member, "a regular expression as text", &operand))?;
            if let Err(error) = regex::Regex::new(pattern) {
                let reason = error.to_string().replace('\n', " ");
                return Err(form(member, format!("a regular expression ({reason})"), &operand));
            }
        }
        Ok(Self { attribute: name.to_owned(), operator, operand, case_insensitive })
    }

    fn to_json(&self) -> Json {
        let mut condition = vec![json!(self.operator.as_str())];
        if self.operator.takes_operand() {
            condition.push(self.operand.clone());
        }
        if self.case_insensitive {
            condition.push(json!({"case_insensitive": true}));
        }
        condition.into()
    }
}

fn options(member: &str, operator: Operator, options: Option<&Json>) -> Result<bool, QueryError> {
    let Some(options) = options.filter(|o| !o.is_null()) else { return Ok(false) };
    let wrong = |expected: &str| form(member, format!("{expected} as options of {:?}", operator.as_str()), options);
    let members = options.as_object().ok_or_else(|| wrong("{\"case_insensitive\": true}"))?;
    if let Some(unknown) = members.keys().find(|key| *key != "case_insensitive") {
        return Err(wrong(&format!("{{\"case_insensitive\": true}} and no {unknown:?}")));
    }
    match members.get("case_insensitive") {
        None | Some(Json::Bool(false)) => Ok(false),
        Some(Json::Bool(true)) if operator.matches_text() => Ok(true),
        Some(Json::Bool(true)) => Err(wrong("no \"case_insensitive\" (contains and regular expressions have it)")),
        Some(_) => Err(wrong("{\"case_insensitive\": true}")),
    }
}

/// Reads `filter`: a list of objects, of which one must hold as a whole.
pub(super) fn parse_filter(filter: Option<&Json>) -> Result<Vec<Vec<Condition>>, QueryError> {
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
                all.push(Condition::parse(&member, &name, condition)?);
            }
        }
        any.push(all);
    }
    Ok(any)
}

/// Writes `filter`.
pub(super) fn filter_json(filter: &[Vec<Condition>]) -> Json {
    let item = |all: &Vec<Condition>| {
        let mut item = Map::new();
        for condition in all {
            super::push_to(&mut item, &condition.attribute, condition.to_json());
        }
        Json::Object(item)
    };
    filter.iter().map(item).collect::<Vec<_>>().into()
}
