//! `make bench`: one line a figure, `bench NAME ours=… peer=WHO:… ratio=…`, both sides measured in the same run.
//!
//! CPU time, not wall time: the machine is shared. No figure is asserted here; what is asserted is that both sides give the
//! same answers, since a fast wrong answer is worth nothing.

#![allow(clippy::print_stdout, reason = "printing figures is what this program is for")]

mod api;
mod changes;
mod cpu;
mod dropin;
mod evaluate;
mod explore;
mod ingest;
mod native;
mod peers;
mod sandbox;
mod schedule;
mod served;

use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    if let Some(code) = served::played_tidegate() {
        return Ok(code);
    }
    if schedule::played_a_part()? {
        return Ok(ExitCode::SUCCESS);
    }
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let run = |name: &str| wanted.is_empty() || wanted.iter().any(|w| name.contains(w.as_str()));
    if run("sandbox") {
        sandbox::run()?;
    }
    if run("dropin") {
        dropin::run()?;
    }
    if run("evaluate") {
        evaluate::run()?;
    }
    if run("explore") {
        explore::run()?;
    }
    if run("ingest") {
        ingest::run()?;
    }
    if run("schedule") {
        schedule::run()?;
    }
    if run("api") {
        api::run()?;
    }
    if run("changes") {
        changes::run()?;
    }
    if run("isolation") {
        schedule::isolation()?;
    }
    if run("hostile") {
        schedule::hostile()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One line of the report. `ratio` is ours divided by the peer's.
fn report(name: &str, ours: f64, peer: &str, peers: f64, unit: &str) {
    println!("bench {name} ours={ours:.4}{unit} peer={peer}:{peers:.4}{unit} ratio={:.4}", ours / peers);
}
