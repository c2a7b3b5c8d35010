//! Which rows of a result are shown, and in which order: `having`, `order`, and the references of both to columns.

use super::FoldSpec;
use super::error::{QueryError, form};
use serde_json::{Value as Json, json};

/// A figure of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Figure {
    /// `;count`: the number of events.
    Count,
    /// `;group`: the group's key.
    Group,
    /// `attribute;i`: an aggregate.
    Fold {
        /// Its place among all aggregates of the query.
        column: usize,
        /// Which of its figures: see [`Fold::parts`](super::Fold::parts).
        part: usize,
    },
    /// An attribute, in queries that select.
    Attribute(String),
}

/// One term of `order`. Rows that are equal in it are ordered by the next term.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderTerm {
    /// What to order by.
    pub by: Figure,
    /// Great values first.
    pub descending: bool,
}

/// A comparison in `having`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the words say it
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    Greater,
    AtMost,
    AtLeast,
}

const COMPARISONS: [(Comparison, &str); 6] = [
    (Comparison::Equal, "=="),
    (Comparison::NotEqual, "!="),
    (Comparison::Less, "<"),
    (Comparison::Greater, ">"),
    (Comparison::AtMost, "<="),
    (Comparison::AtLeast, ">="),
];

/// One item of `having`, which is in postfix form: two conditions, then what joins them.
#[derive(Clone, Debug, PartialEq)]
pub enum Having {
    /// A condition on a figure.
    Compare {
        /// The figure.
        of: Figure,
        /// The comparison.
        comparison: Comparison,
        /// What to compare with: a text, number or boolean.
        operand: Json,
    },
    /// Both of the two before it.
    And,
    /// One of the two before it.
    Or,
}

/// The aggregate that `attribute` and `index` name.
fn column(folds: &[FoldSpec], attribute: &str, index: usize) -> Option<usize> {
    folds.iter().enumerate().filter(|(_, spec)| spec.attribute == attribute).nth(index).map(|(place, _)| place)
}

/// Reads `attribute;i` or `attribute;i;part`. Names of attributes may hold semicolons, so they are read from the end; where
/// both readings name an aggregate, `order` means the first (`with_part` is false) and `having` the second.
fn fold_figure(folds: &[FoldSpec], name: &str, with_part: bool) -> Option<Figure> {
    let (rest, last) = name.rsplit_once(';')?;
    let last: usize = last.parse().ok()?;
    let short = column(folds, rest, last).map(|column| (column, 0));
    let inner = rest.rsplit_once(';').and_then(|(attribute, index)| Some((attribute, index.parse().ok()?)));
    let long = inner.and_then(|(attribute, index)| column(folds, attribute, index)).map(|column| (column, last));
    let (column, part) = if with_part { long.or(short) } else { short.or(long) }?;
    (part < folds[column].fold.parts()).then_some(Figure::Fold { column, part })
}

fn no_such(member: String, name: &str, folds: &[FoldSpec]) -> QueryError {
    let mut known: Vec<String> = vec![";count".to_owned(), ";group".to_owned()];
    for (place, spec) in folds.iter().enumerate().filter(|(_, spec)| spec.fold.parts() > 0) {
        known.push(figure_name(&Figure::Fold { column: place, part: 0 }, folds));
        if spec.fold.parts() > 1 {
            known.push(figure_name(&Figure::Fold { column: place, part: 1 }, folds));
        }
    }
    QueryError::NoSuchColumn { member, name: name.to_owned(), known: format!("there are {}", known.join(", ")) }
}

/// The name that `order` and `having` use for a figure.
pub(super) fn figure_name(figure: &Figure, folds: &[FoldSpec]) -> String {
    match figure {
        Figure::Count => ";count".to_owned(),
        Figure::Group => ";group".to_owned(),
        Figure::Attribute(name) => name.clone(),
        Figure::Fold { column, part } => {
            let Some(spec) = folds.get(*column) else { return String::new() };
            let index = folds[..*column].iter().filter(|other| other.attribute == spec.attribute).count();
            if *part == 0 {
                format!("{};{index}", spec.attribute)
            } else {
                format!("{};{index};{part}", spec.attribute)
            }
        }
    }
}

/// Reads `order`.
pub(super) fn parse_order(
    json: Option<&Json>,
    folds: &[FoldSpec],
    selects: bool,
) -> Result<Vec<OrderTerm>, QueryError> {
    let Some(json) = json.filter(|json| !json.is_null()) else { return Ok(Vec::new()) };
    let list = json.as_array().ok_or_else(|| form("order", "a list of {name, ordering}", json))?;
    let term = |(i, item): (usize, &Json)| {
        let member = format!("order[{i}]");
        let name = item.get("name").and_then(Json::as_str);
        let name = name.ok_or_else(|| form(&member, "{\"name\": text, \"ordering\": ...}", item))?;
        let descending = match item.get("ordering").and_then(Json::as_str) {
            Some("ascending") | None => false,
            Some("descending") => true,
            Some(_) => return Err(form(&member, "\"ascending\" or \"descending\" as ordering", item)),
        };
        let by = match name {
            _ if selects => Figure::Attribute(super::attribute(&member, name)?),
            ";count" => Figure::Count,
            ";group" => Figure::Group,
            _ => fold_figure(folds, name, false).ok_or_else(|| no_such(member, name, folds))?,
        };
        Ok(OrderTerm { by, descending })
    };
    list.iter().enumerate().map(term).collect()
}

/// Reads `having`.
pub(super) fn parse_having(json: Option<&Json>, folds: &[FoldSpec]) -> Result<Vec<Having>, QueryError> {
    let Some(json) = json.filter(|json| !json.is_null()) else { return Ok(Vec::new()) };
    let list = json.as_array().ok_or_else(|| form("having", "a list in postfix form", json))?;
    let mut items = Vec::with_capacity(list.len());
    // How many conditions wait to be joined; what is left over at the end must all hold.
    let mut depth = 0usize;
    for (i, item) in list.iter().enumerate() {
        let member = format!("having[{i}]");
        let item = parse_having_item(member.clone(), item, folds)?;
        depth = match item {
            Having::Compare { .. } => depth + 1,
            _ if depth < 2 => return Err(form(member, "two conditions before what joins them", &list[i])),
            _ => depth - 1,
        };
        items.push(item);
    }
    Ok(items)
}

fn parse_having_item(member: String, json: &Json, folds: &[FoldSpec]) -> Result<Having, QueryError> {
    let op = json.get("op").and_then(Json::as_str).unwrap_or_default();
    let only = |name: &str| json.get(name).and_then(Json::as_array).filter(|list| list.len() == 1).map(|list| &list[0]);
    if op == "boolean" {
        return match only("params").and_then(Json::as_str) {
            Some("and") => Ok(Having::And),
            Some("or") => Ok(Having::Or),
            _ => Err(form(member, "{\"op\": \"boolean\", \"params\": [\"and\"]} or [\"or\"]", json)),
        };
    }
    let comparison = COMPARISONS.iter().find(|(_, word)| *word == op).map(|(comparison, _)| *comparison);
    let operand = only("params").filter(|value| value.is_string() || value.is_number() || value.is_boolean());
    let (Some(comparison), Some(operand), Some(name)) =
        (comparison, operand.cloned(), only("property").and_then(Json::as_str))
    else {
        let expected = "{\"op\": one of == != < > <= >=, \"params\": [value], \"property\": [\"attribute;0;0\"]}";
        return Err(form(member, expected, json));
    };
    let of = match name {
        ";count" => Figure::Count,
        _ => fold_figure(folds, name, true).ok_or_else(|| no_such(member, name, folds))?,
    };
    Ok(Having::Compare { of, comparison, operand })
}

/// Writes `order`.
pub(super) fn order_json(order: &[OrderTerm], folds: &[FoldSpec]) -> Json {
    let term = |term: &OrderTerm| {
        let ordering = if term.descending { "descending" } else { "ascending" };
        json!({"name": figure_name(&term.by, folds), "ordering": ordering})
    };
    order.iter().map(term).collect::<Vec<_>>().into()
}

/// Writes `having`.
pub(super) fn having_json(having: &[Having], folds: &[FoldSpec]) -> Json {
    let item = |item: &Having| match item {
        Having::And => json!({"op": "boolean", "params": ["and"]}),
        Having::Or => json!({"op": "boolean", "params": ["or"]}),
        Having::Compare { of, comparison, operand } => {
            let word = COMPARISONS.iter().find(|(c, _)| c == comparison).map_or("", |(_, word)| word);
            let mut name = figure_name(of, folds);
            if matches!(of, Figure::Fold { part: 0, .. }) {
                name.push_str(";0");
            }
            json!({"op": word, "params": [operand], "property": [name]})
        }
    };
    having.iter().map(item).collect::<Vec<_>>().into()
}
