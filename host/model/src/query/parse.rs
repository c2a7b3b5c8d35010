//! A whole query, and its way from JSON and back.

use super::column::{columns_json, parse_columns};
use super::condition::{filter_json, parse_filter};
use super::error::{QueryError, form};
use super::fold::{fold_json, parse_fold};
use super::rows::{having_json, order_json, parse_having, parse_order};
use super::{Condition, FoldSpec, Having, MAX_PARTS, MAX_SELECTED, OrderTerm, VirtualColumn, attribute};
use serde_json::{Map, Value as Json, json};

/// The members of a query.
pub(super) const MEMBERS: [&str; 11] = [
    "filter",
    "group",
    "fold",
    "select",
    "select_wildcard",
    "virtual_columns",
    "having",
    "order",
    "limit",
    "offset",
    "table",
];

/// A question about the events of a project.
///
/// It either aggregates (`group` and `fold`; with neither it counts) or lists events (`select` and `select_wildcard`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// Any of these groups of conditions must hold as a whole; a group without conditions always does. Empty: every event
    /// counts.
    pub filter: Vec<Vec<Condition>>,
    /// The attributes to group by.
    pub group: Vec<String>,
    /// The aggregates; those of one attribute follow one another.
    pub fold: Vec<FoldSpec>,
    /// The attributes to list.
    pub select: Vec<String>,
    /// Which kinds of attributes to list besides.
    pub wildcard: Wildcard,
    /// Attributes that are worked out from others.
    pub virtual_columns: Vec<VirtualColumn>,
    /// Which rows to leave out after aggregation.
    pub having: Vec<Having>,
    /// The order of the rows. What it leaves open is decided by the group's key, or by the object id.
    pub order: Vec<OrderTerm>,
    /// Most rows to give.
    pub limit: Option<u64>,
    /// Rows to skip.
    pub offset: u64,
}

/// `select_wildcard`: whole kinds of attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wildcard {
    /// All attributes that the project's events have.
    pub physical: bool,
    /// Attributes that the server derives; there are none so far.
    pub derived: bool,
    /// The virtual columns of the query.
    pub virtuals: bool,
}

impl Wildcard {
    fn any(self) -> bool {
        self.physical || self.derived || self.virtuals
    }
}

impl Query {
    /// Reads a query in Backtrace's JSON form.
    ///
    /// # Errors
    /// [`QueryError`] names the member at fault and what was expected of it.
    pub fn parse(json: &Json) -> Result<Self, QueryError> {
        let object = json.as_object().ok_or_else(|| form("the query", "an object", json))?;
        if let Some(member) = object.keys().find(|key| !MEMBERS.contains(&key.as_str())) {
            return Err(QueryError::UnknownMember { member: member.clone() });
        }
        if let Some(table) = object.get("table").filter(|table| !table.is_null() && **table != "objects") {
            return Err(form("table", "\"objects\", the one table there is", table));
        }
        let fold = parse_fold(object.get("fold"))?;
        let select = parse_names("select", object.get("select"))?;
        let wildcard = parse_wildcard(object.get("select_wildcard"))?;
        let selects = !select.is_empty() || wildcard.any();
        let query = Self {
            filter: parse_filter(object.get("filter"))?,
            group: parse_group(object.get("group"))?,
            virtual_columns: parse_columns(object.get("virtual_columns"))?,
            having: parse_having(object.get("having"), &fold)?,
            order: parse_order(object.get("order"), &fold, selects)?,
            limit: parse_whole("limit", object.get("limit"))?,
            offset: parse_whole("offset", object.get("offset"))?.unwrap_or(0),
            fold,
            select,
            wildcard,
        };
        query.check()?;
        Ok(query)
    }

    /// Whether it lists events instead of aggregating them.
    #[must_use]
    pub fn selects(&self) -> bool {
        !self.select.is_empty() || self.wildcard.any()
    }

    fn check(&self) -> Result<(), QueryError> {
        if self.selects() {
            let there =
                [("group", self.group.is_empty()), ("fold", self.fold.is_empty()), ("having", self.having.is_empty())];
            if let Some((member, _)) = there.into_iter().find(|(_, empty)| !empty) {
                let instead = "a query either lists events or aggregates them";
                return Err(QueryError::Exclusive { member: member.to_owned(), beside: "select", instead });
            }
        }
        let conditions = self.filter.iter().map(|all| all.len().max(1)).sum();
        let counts = [
            ("filter", conditions),
            ("group", self.group.len()),
            ("fold", self.fold.len()),
            ("order", self.order.len()),
            ("having", self.having.len()),
            ("virtual_columns", self.virtual_columns.len()),
        ];
        if let Some((member, count)) = counts.into_iter().find(|(_, count)| *count > MAX_PARTS) {
            return Err(QueryError::TooMany { member, count });
        }
        if self.select.len() > MAX_SELECTED {
            let expected = format!("at most {MAX_SELECTED} attributes");
            return Err(form("select", expected, &json!(self.select.len())));
        }
        Ok(())
    }

    /// The query in Backtrace's JSON form; [`parse`](Self::parse) gives the same query back.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let mut query = Map::new();
        let mut put = |there: bool, member: &str, value: Json| {
            if there {
                query.insert(member.to_owned(), value);
            }
        };
        put(!self.filter.is_empty(), "filter", filter_json(&self.filter));
        put(!self.group.is_empty(), "group", json!(self.group));
        put(!self.fold.is_empty(), "fold", fold_json(&self.fold));
        put(!self.select.is_empty(), "select", json!(self.select));
        let Wildcard { physical, derived, virtuals } = self.wildcard;
        let wildcard = json!({"physical": physical, "derived": derived, "virtual": virtuals});
        put(self.wildcard.any(), "select_wildcard", wildcard);
        put(!self.virtual_columns.is_empty(), "virtual_columns", columns_json(&self.virtual_columns));
        put(!self.having.is_empty(), "having", having_json(&self.having, &self.fold));
        put(!self.order.is_empty(), "order", order_json(&self.order, &self.fold));
        put(self.limit.is_some(), "limit", json!(self.limit));
        put(self.offset > 0, "offset", json!(self.offset));
        query.into()
    }
}

fn parse_group(group: Option<&Json>) -> Result<Vec<String>, QueryError> {
    // One client wraps its attribute in a list of its own.
    if let Some([Json::Array(inner)]) = group.and_then(Json::as_array).map(Vec::as_slice) {
        return parse_names("group", Some(&Json::Array(inner.clone())));
    }
    parse_names("group", group)
}

fn parse_names(member: &str, json: Option<&Json>) -> Result<Vec<String>, QueryError> {
    let Some(json) = json.filter(|json| !json.is_null()) else { return Ok(Vec::new()) };
    let expected = "a list of attribute names, each once";
    let list = json.as_array().ok_or_else(|| form(member, expected, json))?;
    let mut names: Vec<String> = Vec::new();
    for item in list {
        let name = attribute(member, item.as_str().ok_or_else(|| form(member, expected, item))?)?;
        if names.contains(&name) {
            return Err(form(member, expected, item));
        }
        names.push(name);
    }
    Ok(names)
}

fn parse_wildcard(json: Option<&Json>) -> Result<Wildcard, QueryError> {
    let Some(json) = json.filter(|json| !json.is_null()) else { return Ok(Wildcard::default()) };
    let expected = || form("select_wildcard", "{\"physical\": true, \"derived\": true, \"virtual\": true}", json);
    let mut wildcard = Wildcard::default();
    for (name, value) in json.as_object().ok_or_else(expected)? {
        let place = match name.as_str() {
            "physical" => &mut wildcard.physical,
            "derived" => &mut wildcard.derived,
            "virtual" => &mut wildcard.virtuals,
            _ => return Err(expected()),
        };
        *place = value.as_bool().ok_or_else(expected)?;
    }
    Ok(wildcard)
}

fn parse_whole(member: &'static str, json: Option<&Json>) -> Result<Option<u64>, QueryError> {
    let Some(json) = json.filter(|json| !json.is_null()) else { return Ok(None) };
    json.as_u64().map(Some).ok_or_else(|| form(member, "a whole number from 0", json))
}
