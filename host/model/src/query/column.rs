//! Virtual columns: attributes worked out from others, to group by or to show.

use super::attribute;
use super::error::{QueryError, form};
use serde_json::{Value as Json, json};

/// A named column that is worked out from an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualColumn {
    /// The name that the rest of the query uses; it hides an attribute of the same name.
    pub name: String,
    /// The attribute that it is worked out from.
    pub backing: String,
    /// How.
    pub kind: VirtualKind,
}

/// How a virtual column is worked out. Only whole numbers give a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VirtualKind {
    /// The start of the interval of `size` that the number lies in: `floor((n + offset) / size) * size - offset`.
    QuantizeUint {
        /// Length of the intervals.
        size: u64,
        /// How far the intervals are moved down.
        offset: i64,
    },
    /// The Unix seconds at which the day, month, quarter or year (UTC) began that the Unix seconds lie in.
    TruncateTimestamp(Granularity),
}

/// A part of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the words say it
pub enum Granularity {
    Day,
    Month,
    Quarter,
    Year,
}

const GRANULARITIES: [(Granularity, &str); 4] = [
    (Granularity::Day, "day"),
    (Granularity::Month, "month"),
    (Granularity::Quarter, "quarter"),
    (Granularity::Year, "year"),
];

const DAY: i64 = 86_400;

impl VirtualKind {
    /// The value that a whole number gives; none where it would not fit.
    #[must_use]
    pub fn apply(self, value: i64) -> Option<i64> {
        match self {
            Self::QuantizeUint { size, offset } => {
                let moved = i128::from(value) + i128::from(offset);
                let start = moved.div_euclid(i128::from(size.max(1))) * i128::from(size.max(1));
                i64::try_from(start - i128::from(offset)).ok()
            }
            Self::TruncateTimestamp(granularity) => granularity.start(value),
        }
    }
}

impl Granularity {
    fn start(self, seconds: i64) -> Option<i64> {
        let day = seconds.div_euclid(DAY);
        let (year, month) = year_and_month(day);
        let first = match self {
            Self::Day => day,
            Self::Month => days_before(year, month),
            Self::Quarter => days_before(year, (month - 1) / 3 * 3 + 1),
            Self::Year => days_before(year, 1),
        };
        first.checked_mul(DAY)
    }
}

/// Year and month (1 to 12) of a day since 1970-01-01, in the proleptic Gregorian calendar. Years are taken to begin in March,
/// so that the leap day is the last one.
fn year_and_month(day: i64) -> (i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month)
}

/// Days from 1970-01-01 to the first day of a month.
fn days_before(year: i64, month: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
}

/// Reads `virtual_columns`.
pub(super) fn parse_columns(json: Option<&Json>) -> Result<Vec<VirtualColumn>, QueryError> {
    let Some(json) = json.filter(|json| !json.is_null()) else { return Ok(Vec::new()) };
    let list = json.as_array().ok_or_else(|| form("virtual_columns", "a list of objects", json))?;
    let mut columns: Vec<VirtualColumn> = Vec::with_capacity(list.len());
    for (i, item) in list.iter().enumerate() {
        let column = parse_column(&format!("virtual_columns[{i}]"), item)?;
        if columns.iter().any(|other| other.name == column.name) {
            return Err(form(format!("virtual_columns[{i}]"), "a name that no other virtual column has", item));
        }
        columns.push(column);
    }
    for (i, column) in columns.iter().enumerate() {
        if columns.iter().any(|other| other.name == column.backing) {
            let member = format!("virtual_columns[{i}]");
            return Err(form(member, "an attribute that is not virtual itself as backing_column", &list[i]));
        }
    }
    Ok(columns)
}

fn parse_column(member: &str, json: &Json) -> Result<VirtualColumn, QueryError> {
    let text = |json: &Json, name: &str| json.get(name).and_then(Json::as_str).map(ToOwned::to_owned);
    let name = text(json, "name").ok_or_else(|| form(member, "an object with \"name\" and \"type\"", json))?;
    let word = text(json, "type").unwrap_or_default();
    let arguments = json.get(&word).unwrap_or(&Json::Null);
    let whole = |name: &str| {
        let value = arguments.get(name)?;
        value.as_i64().or_else(|| value.as_str()?.parse().ok())
    };
    let kind = match word.as_str() {
        "quantize_uint" => {
            let size = whole("size").and_then(|size| u64::try_from(size).ok()).filter(|size| *size > 0);
            let offset = if arguments.get("offset").is_none() { Some(0) } else { whole("offset") };
            let expected = "{\"backing_column\": attribute, \"size\": whole number from 1, \"offset\": whole number}";
            let (size, offset) = size.zip(offset).ok_or_else(|| form(member, expected, arguments))?;
            VirtualKind::QuantizeUint { size, offset }
        }
        "truncate_timestamp" => {
            let word = text(arguments, "granularity").unwrap_or_default();
            let found = GRANULARITIES.iter().find(|(_, w)| *w == word);
            let expected = "\"day\", \"month\", \"quarter\" or \"year\" as granularity";
            VirtualKind::TruncateTimestamp(found.ok_or_else(|| form(member, expected, arguments))?.0)
        }
        _ => return Err(form(member, "\"quantize_uint\" or \"truncate_timestamp\" as type", json)),
    };
    let backing = text(arguments, "backing_column").ok_or_else(|| form(member, "a \"backing_column\"", arguments))?;
    Ok(VirtualColumn { name: attribute(member, &name)?, backing: attribute(member, &backing)?, kind })
}

/// Writes `virtual_columns`.
pub(super) fn columns_json(columns: &[VirtualColumn]) -> Json {
    let column = |column: &VirtualColumn| {
        let backing = &column.backing;
        let (word, arguments) = match column.kind {
            VirtualKind::QuantizeUint { size, offset } => {
                ("quantize_uint", json!({"backing_column": backing, "size": size, "offset": offset}))
            }
            VirtualKind::TruncateTimestamp(granularity) => {
                let word = GRANULARITIES.iter().find(|(g, _)| *g == granularity).map_or("", |(_, word)| word);
                ("truncate_timestamp", json!({"backing_column": backing, "granularity": word}))
            }
        };
        json!({"name": column.name, "type": word, word: arguments})
    };
    columns.iter().map(column).collect::<Vec<_>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fall_into_the_interval_that_they_lie_in_also_below_zero() {
        let hours = |offset| VirtualKind::QuantizeUint { size: 3600, offset };
        assert_eq!(hours(0).apply(7199), Some(3600));
        assert_eq!(hours(0).apply(-1), Some(-3600));
        assert_eq!(hours(-1800).apply(3601), Some(1800));
        assert_eq!(hours(0).apply(i64::MIN), None);
    }

    #[test]
    fn moments_fall_into_the_day_month_quarter_and_year_of_the_calendar() {
        // 2024-02-29T12:34:56Z and 1969-12-31T23:59:59Z
        let start = |granularity, at| VirtualKind::TruncateTimestamp(granularity).apply(at);
        assert_eq!(start(Granularity::Day, 1_709_210_096), Some(1_709_164_800));
        assert_eq!(start(Granularity::Month, 1_709_210_096), Some(1_706_745_600));
        assert_eq!(start(Granularity::Quarter, 1_709_210_096), Some(1_704_067_200));
        assert_eq!(start(Granularity::Year, 1_709_210_096), Some(1_704_067_200));
        assert_eq!(start(Granularity::Quarter, -1), Some(-7_948_800));
        assert_eq!(start(Granularity::Year, -1), Some(-31_536_000));
        assert_eq!(start(Granularity::Year, i64::MAX).map(|at| at % DAY), Some(0));
    }
}
