//! Aggregates ("folds"): the words, their arguments, and how many comparable figures each gives.

use super::error::{QueryError, form};
use super::{MAX_BINS, attribute, number};
use crate::value::Value;
use serde_json::{Map, Value as Json, json};

/// One aggregate over one attribute.
#[derive(Clone, Debug, PartialEq)]
pub struct FoldSpec {
    /// The attribute.
    pub attribute: String,
    /// The aggregate.
    pub fold: Fold,
}

impl FoldSpec {
    /// What the result's column is called: `unique(guid)`.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}({})", self.fold.as_str(), self.attribute)
    }
}

/// The aggregates of the query language.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fold {
    /// Value of the earliest event, by arrival, that has one; `first` means the same.
    Head,
    /// Value of the latest event, by arrival, that has one; `last` means the same.
    Tail,
    /// Number of distinct values.
    Unique,
    /// Number of events that have a value.
    Count,
    /// Least value.
    Min,
    /// Greatest value.
    Max,
    /// Mean of the numbers.
    Mean,
    /// Sum of the numbers.
    Sum,
    /// Least and greatest value.
    Range,
    /// Every distinct value with the number of its events.
    Histogram,
    /// The most frequent values with the number of their events, and figures of the rest.
    Distribution {
        /// How many values to list; [`Fold::LISTED`] if it is not said.
        listed: Option<u32>,
    },
    /// Numbers of events in equal intervals.
    Bin(Bin),
    /// The highest object id of the events that have a value.
    Object,
}

/// Arguments of `bin`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    /// How many intervals; [`Fold::BINS`] if it is not said.
    pub count: Option<u32>,
    /// Where the first one begins and the last one ends; least and greatest number of all groups if it is not said.
    pub bounds: Option<(Bound, Bound)>,
}

/// A finite number that keeps its type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Whole.
    Int(i64),
    /// Any other.
    Float(f64),
}

impl Bound {
    /// The number as a float.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Int(int) => int as f64,
            Self::Float(float) => float,
        }
    }

    fn json(self) -> Json {
        match self {
            Self::Int(int) => json!(int),
            Self::Float(float) => json!(float),
        }
    }
}

const WORDS: [&str; 13] = [
    "head",
    "tail",
    "unique",
    "count",
    "min",
    "max",
    "mean",
    "sum",
    "range",
    "histogram",
    "distribution",
    "bin",
    "object",
];

impl Fold {
    /// Values that a distribution lists if nothing else is said.
    pub const LISTED: u32 = 10;
    /// Intervals of a bin fold if nothing else is said.
    pub const BINS: u32 = 32;

    /// The word for it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Tail => "tail",
            Self::Unique => "unique",
            Self::Count => "count",
            Self::Min => "min",
            Self::Max => "max",
            Self::Mean => "mean",
            Self::Sum => "sum",
            Self::Range => "range",
            Self::Histogram => "histogram",
            Self::Distribution { .. } => "distribution",
            Self::Bin(_) => "bin",
            Self::Object => "object",
        }
    }

    /// How many figures of it `having` and `order` can refer to: of a range the least and the greatest, of a distribution the
    /// number of distinct values and the events not listed.
    #[must_use]
    pub const fn parts(&self) -> usize {
        match self {
            Self::Histogram | Self::Bin(_) => 0,
            Self::Range | Self::Distribution { .. } => 2,
            _ => 1,
        }
    }

    /// Reads `[word, arguments...]`.
    fn parse(member: &str, json: &Json) -> Result<Self, QueryError> {
        let list = json.as_array().map(Vec::as_slice).unwrap_or_default();
        let [Json::String(word), arguments @ ..] = list else { return Err(form(member, "[aggregate]", json)) };
        let fold = match word.as_str() {
            "head" | "first" => Self::Head,
            "tail" | "last" => Self::Tail,
            "unique" => Self::Unique,
            "count" => Self::Count,
            "min" => Self::Min,
            "max" => Self::Max,
            "mean" => Self::Mean,
            "sum" => Self::Sum,
            "range" => Self::Range,
            "histogram" => Self::Histogram,
            "object" => Self::Object,
            "distribution" => return distribution(member, arguments, json),
            "bin" => return bin(member, arguments, json),
            _ => return Err(form(member, format!("one of {}", WORDS.join(", ")), &json!(word))),
        };
        if arguments.is_empty() { Ok(fold) } else { Err(form(member, format!("[{word:?}] without arguments"), json)) }
    }

    fn to_json(self) -> Json {
        let mut list = vec![json!(self.as_str())];
        match self {
            Self::Distribution { listed } => list.extend(listed.map(|n| json!(n))),
            Self::Bin(bin) => {
                list.extend(bin.count.map(|n| json!(n)));
                list.extend(bin.bounds.iter().flat_map(|(from, to)| [from.json(), to.json()]));
            }
            _ => {}
        }
        list.into()
    }
}

/// A count among the arguments: a number, or text that is one.
fn count(json: &Json, most: u32) -> Option<u32> {
    let count = json.as_u64().or_else(|| json.as_str()?.parse().ok())?;
    u32::try_from(count).ok().filter(|count| (1..=most).contains(count))
}

fn distribution(member: &str, arguments: &[Json], json: &Json) -> Result<Fold, QueryError> {
    let listed = match arguments {
        [] => None,
        [listed] => Some(count(listed, MAX_BINS).ok_or(())),
        _ => Some(Err(())),
    };
    let expected = || form(member, format!("[\"distribution\", 1 to {MAX_BINS}]"), json);
    Ok(Fold::Distribution { listed: listed.transpose().map_err(|()| expected())? })
}

fn bin(member: &str, arguments: &[Json], json: &Json) -> Result<Fold, QueryError> {
    let expected = || form(member, format!("[\"bin\", 1 to {MAX_BINS}, start, stop] with start below stop"), json);
    let bound = |json: &Json| match number(json) {
        Some(Value::Int(int)) => Some(Bound::Int(int)),
        Some(Value::Float(float)) => Some(Bound::Float(float)),
        _ => None,
    };
    let read = |json: &Json| count(json, MAX_BINS).ok_or_else(expected);
    let bin = match arguments {
        [] => Bin::default(),
        [many] => Bin { count: Some(read(many)?), bounds: None },
        [many, from, to] => {
            let bounds = bound(from).zip(bound(to)).filter(|(from, to)| from.as_f64() < to.as_f64());
            Bin { count: Some(read(many)?), bounds: Some(bounds.ok_or_else(expected)?) }
        }
        _ => return Err(expected()),
    };
    Ok(Fold::Bin(bin))
}

/// Reads `fold`: attribute to a list of aggregates. The order of both is that of the result's columns.
pub(super) fn parse_fold(fold: Option<&Json>) -> Result<Vec<FoldSpec>, QueryError> {
    let Some(fold) = fold.filter(|f| !f.is_null()) else { return Ok(Vec::new()) };
    let object = fold.as_object().ok_or_else(|| form("fold", "an object", fold))?;
    let mut folds = Vec::new();
    for (name, operations) in object {
        let member = format!("fold.{name}");
        let name = attribute(&member, name)?;
        let list = operations.as_array().ok_or_else(|| form(&member, "a list of [aggregate]", operations))?;
        for operation in list {
            folds.push(FoldSpec { attribute: name.clone(), fold: Fold::parse(&member, operation)? });
        }
    }
    Ok(folds)
}

/// Writes `fold`.
pub(super) fn fold_json(folds: &[FoldSpec]) -> Json {
    let mut fold = Map::new();
    for spec in folds {
        super::push_to(&mut fold, &spec.attribute, spec.fold.to_json());
    }
    fold.into()
}
