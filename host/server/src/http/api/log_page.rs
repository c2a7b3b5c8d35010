//! What the logs have in common, which are the log of changes and the windows of a store: the newest first unless it is asked for
//! otherwise, a page at a time, and no total.

use crate::http::problem::Problem;

/// Most lines of a page.
pub(super) const MOST: u32 = 1000;
/// Lines of a page of which nobody said how long it is to be.
pub(super) const USUAL: u32 = 100;

/// How long a page is to be.
pub(super) fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    let limit = asked.unwrap_or(USUAL);
    if (1..=MOST).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::bad_request(format_args!("limit: expected 1 to {MOST}, found {limit}")))
}

/// A parameter that has one of a few values, if it is there.
pub(super) fn one_of(name: &str, known: &[&str], asked: Option<&str>) -> Result<(), Problem> {
    match asked.filter(|asked| !known.contains(asked)) {
        None => Ok(()),
        Some(other) => {
            Err(Problem::bad_request(format_args!("{name}: expected one of {}; found {other:?}", known.join(", "))))
        }
    }
}

/// Whether the oldest come first. The orders are that of the newest first, then the other.
pub(super) fn oldest_first(orders: &[&str; 2], asked: Option<&str>) -> Result<bool, Problem> {
    one_of("sort", orders, asked)?;
    Ok(asked == Some(orders[1]))
}
