//! What an adapter that is read from has to stand.

use super::drive::limits;
use super::stores::{CANARY, Store};
use super::{Findings, batches};
use crate::adapter::Adapter;
use crate::exchange::{Page, Snapshot};
use std::sync::Arc;
use tidegate_model::{Batch, MetricBatch, Period};

/// What scrapers say of the form that they want.
const ACCEPTS: [&[(&str, &str)]; 4] = [
    &[],
    &[("accept", "text/plain; version=0.0.4")],
    &[("accept", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")],
    &[("accept", "application/json, ;;;=, q=nonsense"), ("x-reconnoiter-period", "60000")],
];

pub(super) fn all(adapter: &Arc<Adapter>, stores: &[Store], findings: &mut Findings) {
    let (Some(empty), Some(one), Some(many), Some(hostile), Some(values), Some(infinite)) = (
        batches::empty(true),
        batches::rows(1, true),
        batches::rows(batches::MANY, true),
        batches::hostile(true),
        batches::values(true),
        batches::infinities(true),
    ) else {
        return;
    };
    for (at, store) in stores.iter().enumerate() {
        let under = |found: Result<(), String>| found.map_err(|problem| format!("{}: {problem}", store.told));
        for headers in ACCEPTS {
            let page = |batches: &[Arc<Batch>]| page(adapter, store, batches, headers);
            for batches in [&[][..], &empty[..]] {
                findings.note("a page of nothing can be made", under(page(batches).map(drop)));
            }
            let single = page(&[Arc::clone(&one)]);
            // Lines that are about the page and no row of it.
            let own = single.as_ref().map_or(0, |page| lines(page).saturating_sub(most(&one)));
            findings.note("a page of one row can be made", under(single.map(drop)));
            findings.note("infinities crash no page", under(page(&[Arc::clone(&infinite)]).map(drop)));
            for batch in [&hostile, &values] {
                let first = page(&[Arc::clone(batch)]);
                findings.note(
                    "hostile names and values crash no page",
                    under(first.as_ref().map(drop).map_err(Clone::clone)),
                );
                let Ok(first) = first else { continue };
                let again = page(&[Arc::clone(batch)]).and_then(|second| {
                    if first == second { Ok(()) } else { Err("the same snapshot gives another page".to_owned()) }
                });
                findings.note("the same snapshot gives the same page", under(again));
                findings.note("a page is UTF-8 and well formed", under(well_formed(&first)));
                findings.note("no name makes a record of its own in a page", under(records(&first, batch, own)));
            }
        }
        if at < 2 {
            let found = page(adapter, store, &[Arc::clone(&many)], ACCEPTS[0]).map(drop);
            findings.note("a page of 100,000 rows stays within the limits", under(found));
        }
    }
}

fn page(
    adapter: &Arc<Adapter>,
    store: &Store,
    batches: &[Arc<Batch>],
    headers: &[(&str, &str)],
) -> Result<Page, String> {
    let snapshot = Snapshot { batches: batches.to_vec(), period: Period::default() };
    let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    adapter.render(&store.settings, snapshot, headers, &limits()).result.map_err(|fault| fault.to_string())
}

fn well_formed(page: &Page) -> Result<(), String> {
    if page.content_type.is_empty() {
        return Err("the page has no content type".to_owned());
    }
    let body = page.body.concat();
    if body.windows(CANARY.len()).any(|w| w == CANARY.as_bytes()) {
        return Err("a secret is in the page".to_owned());
    }
    let text = String::from_utf8(body).map_err(|e| format!("not UTF-8 at byte {}", e.utf8_error().valid_up_to()))?;
    if text.starts_with(['{', '[']) {
        serde_json::from_str::<serde::de::IgnoredAny>(&text).map_err(|e| format!("not valid JSON: {e}"))?;
    } else if !text.is_empty() && !text.ends_with('\n') {
        return Err("the last line is not ended".to_owned());
    }
    Ok(())
}

/// Lines of a text that are neither empty nor comments; none in JSON.
fn lines(page: &Page) -> usize {
    let body = page.body.concat();
    let text = String::from_utf8_lossy(&body);
    if text.starts_with(['{', '[']) {
        return 0;
    }
    text.split('\n').filter(|l| !l.is_empty() && !l.starts_with('#')).count()
}

/// A value has one line as a gauge and one as a total, at most.
fn most(batch: &Batch) -> usize {
    let of_row = |m: &MetricBatch| m.measures.iter().map(|c| 1 + usize::from(c.totals.is_some())).sum::<usize>();
    batch.metrics.iter().map(|m| of_row(m) * m.rows as usize).sum()
}

fn records(page: &Page, batch: &Batch, own: usize) -> Result<(), String> {
    let (found, most) = (lines(page), most(batch) + own);
    if found > most { Err(format!("{found} lines for at most {most} values and totals")) } else { Ok(()) }
}
