//! The cases of docs/faults.md that a simulation can show, by their numbers there.

mod edits;
mod host;
mod sinks;
mod time;

use super::net::{Got, Mood};
use super::{DAWN, Sim, number, simulate};
use crate::catalog::Series;
use crate::offload::fate::Disk;
use crate::{PullAnswer, StoreState};
use serde_json::json;
use std::time::Duration;
use tidegate_events::SourceError;

const HOUR: u64 = 3600;

fn got(sim: &Sim, sink: &str) -> Vec<Got> {
    sim.net.with(sink, |s| s.got.clone())
}

/// Stamps of the windows as a sink got them, in the order of their arrival.
fn stamps(sim: &Sim, sink: &str) -> Vec<u64> {
    let stamp = |body: &str| body.lines().next().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    got(sim, sink).iter().map(|g| stamp(&g.body)).collect()
}

/// The reasons why windows of a store ended like this.
fn reasons(sim: &Sim, state: &str) -> Vec<String> {
    let sql = "SELECT problem FROM deliveries WHERE state = ?1 ORDER BY window_end";
    let read = |c: &rusqlite::Connection| {
        let mut statement = c.prepare(sql)?;
        let rows = statement.query_map([state], |r| r.get(0))?;
        rows.collect::<Result<Vec<String>, _>>()
    };
    sim.catalog.db().read(read).unwrap()
}
