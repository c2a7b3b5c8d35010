//! Many stores on one host: how late each is, what they cost, and whether dead ones cost the others anything.
//!
//! Lateness is from the moment that was planned for a window's delivery (its end, and the store's place in the spread, both in
//! the ledger) to the arrival of the request at the sink, by the sink's clock. Hosts and sinks are processes of their own, so that
//! CPU time and memory are those of the host alone. Ten thousand requests a minute are what vmagent does, too, when it scrapes
//! as many targets: it spreads them over the period by a hash, and its lateness is how much longer than the period it took
//! until a target was scraped again.

mod crimes;
mod host;
mod neighbours;
mod peer;
mod sink;
mod sleeper;

pub(crate) use neighbours::{hostile, isolation};

use crate::report;
use anyhow::{Context, ensure};
use crimes::Crime;
use sink::Arrival;
use sleeper::Sleeper;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Which process this is, if not the bench itself: `sink FILE`, `host FOLDER PERIOD`, `host-with-changes FOLDER PERIOD`, `api FOLDER` or `api-made FOLDER`.
pub(crate) const ROLE: &str = "TIDEGATE_BENCH_ROLE";
const PERIOD: u64 = 60;
const SIZES: [usize; 3] = [100, 1_000, 10_000];
/// Windows that are measured; the first one after the start is not.
const WINDOWS: u64 = 2;
/// Seconds after the end of a window by which it is over and done, however it is spread.
const DONE: u64 = 30;

/// Plays the part that the environment asks for, if it asks for one.
pub(crate) fn played_a_part() -> anyhow::Result<bool> {
    let Ok(role) = std::env::var(ROLE) else { return Ok(false) };
    match role.split(' ').collect::<Vec<_>>()[..] {
        ["sink", file] => sink::serve(Path::new(file))?,
        ["host", dir, period] => host::serve(Path::new(dir), period.parse()?, false)?,
        ["host-with-changes", dir, period] => host::serve(Path::new(dir), period.parse()?, true)?,
        ["api", dir] => crate::api::serve(Path::new(dir), false)?,
        ["api-made", dir] => crate::api::serve(Path::new(dir), true)?,
        _ => anyhow::bail!("{ROLE} is {role:?}"),
    }
    Ok(true)
}

pub(crate) fn run() -> anyhow::Result<()> {
    let mut figures = Vec::new();
    for stores in SIZES {
        let names: Vec<String> = (0..stores).map(|n| format!("to-{n}")).collect();
        let figure = measure("host", &names, &[], PERIOD, WINDOWS)?;
        println!(
            "schedule: {stores} stores every {PERIOD} s: late p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, worst {:.1} ms; {:.1} % of one core; \
             {:.0} MB",
            figure.late(50.0),
            figure.late(90.0),
            figure.late(99.0),
            figure.late(100.0),
            figure.share() * 100.0,
            figure.megabytes
        );
        figures.push((stores, figure));
    }
    let (stores, largest) = figures.last().context("a size")?;
    let peer = peer::measure(*stores, PERIOD)?;
    report(&format!("schedule_{stores}_late_p99"), largest.late(99.0), "vmagent", peer.late(99.0), "ms");
    report(&format!("schedule_{stores}_cpu_of_a_core"), largest.share(), "vmagent", peer.share(), "");
    report(&format!("schedule_{stores}_memory"), largest.megabytes, "vmagent", peer.megabytes, "MB");
    let (few, smallest) = &figures[0];
    let each = |stores: &usize, figure: &Figure| figure.cpu * 1000.0 / (*stores as f64 * WINDOWS as f64);
    let who = format!("ours_with_{few}");
    report(&format!("schedule_{stores}_cpu_of_a_delivery"), each(stores, largest), &who, each(few, smallest), "ms");
    Ok(())
}

/// What it costs to keep the changes of the largest schedule.
pub(crate) fn with_changes() -> anyhow::Result<()> {
    let stores = SIZES[SIZES.len() - 1];
    let names: Vec<String> = (0..stores).map(|n| format!("to-{n}")).collect();
    let without = measure("host", &names, &[], PERIOD, WINDOWS)?;
    let with = measure("host-with-changes", &names, &[], PERIOD, WINDOWS)?;
    let (megabytes, seconds) = with.changes;
    println!("changes: {stores} stores every {PERIOD} s: {:.0} MB an hour", megabytes / seconds * 3600.0);
    report(&format!("changes_{stores}_late_p99"), with.late(99.0), "without", without.late(99.0), "ms");
    report(&format!("changes_{stores}_cpu_of_a_core"), with.share(), "without", without.share(), "");
    report(&format!("changes_{stores}_memory"), with.megabytes, "without", without.megabytes, "MB");
    Ok(())
}

/// What a host needed.
#[derive(Default)]
pub(crate) struct Figure {
    /// Milliseconds, sorted.
    late: Vec<f64>,
    /// The same of each window.
    windows: Vec<Vec<f64>>,
    /// How late a thread was that only slept meanwhile.
    naps: Vec<f64>,
    /// Seconds.
    cpu: f64,
    wall: f64,
    /// The most that was resident.
    megabytes: f64,
    /// Megabytes of changes that were kept from the start on, if they were, and for how many seconds.
    changes: (f64, f64),
}

/// The value below which so many of `sorted` are.
fn quantile(sorted: &[f64], percent: f64) -> f64 {
    let place = (sorted.len().saturating_sub(1) as f64 * percent / 100.0).round();
    sorted.get(place as usize).copied().unwrap_or(f64::NAN)
}

impl Figure {
    pub(crate) fn late(&self, percent: f64) -> f64 {
        quantile(&self.late, percent)
    }

    /// Sorts all times, those of the windows among them.
    fn sorted(mut self) -> Self {
        self.late.extend(self.windows.iter().flatten());
        self.windows.iter_mut().chain([&mut self.late]).for_each(|late| late.sort_by(f64::total_cmp));
        self
    }

    fn share(&self) -> f64 {
        self.cpu / self.wall
    }
}

/// Runs a host with a store for each name, and stores of another tenant for `crimes`, and looks at the windows that the healthy
/// ones get.
fn measure(role: &str, names: &[String], crimes: &[Crime], period: u64, windows: u64) -> anyhow::Result<Figure> {
    let scratch = tempfile::tempdir()?;
    let (_sink, port, notes) = start_sink(scratch.path())?;
    host::set_up(scratch.path(), port, u32::try_from(period)?, names, crimes)?;
    let role = format!("{role} {} {period}", scratch.path().display());
    let mut host = Running::start(Command::new(std::env::current_exe()?).env(ROLE, role))?;
    host.line()?;
    let started = std::time::Instant::now();
    let sleeper = Sleeper::start();
    let (first, used) = over_windows(&host, period, windows)?;
    let naps = sleeper.woken();
    drop(host);
    let changes = (crate::changes::megabytes(scratch.path()), started.elapsed().as_secs_f64());
    let planned = planned(&scratch.path().join("tidegate.db"))?;
    let mut by_window: BTreeMap<u64, Vec<f64>> = (0..windows).map(|n| (first + n * period, Vec::new())).collect();
    let is_healthy = |to: &str| to.trim_start_matches("to-").parse::<usize>().is_ok();
    let mut seen = BTreeSet::new();
    for Arrival { to, stamp, at } in sink::arrivals(&notes)? {
        let Some(late) = by_window.get_mut(&stamp) else { continue };
        if is_healthy(&to) && seen.insert((to.clone(), stamp)) {
            let planned = planned.get(&(to.clone(), stamp)).with_context(|| format!("{to} at {stamp}"))?;
            late.push(at.saturating_sub(*planned) as f64 / 1000.0);
        }
    }
    let healthy = names.iter().filter(|name| is_healthy(name)).count() as u64;
    ensure!(seen.len() as u64 == healthy * windows, "{} of {} windows arrived", seen.len(), healthy * windows);
    Ok(Figure { windows: by_window.into_values().collect(), naps, changes, ..used }.sorted())
}

/// Waits until some windows are over and done; the stamp of the first, and what a process used meanwhile.
pub(crate) fn over_windows(process: &Running, period: u64, windows: u64) -> anyhow::Result<(u64, Figure)> {
    let done = DONE.min(period / 2);
    // The window in progress is the warm-up.
    let first = sink::now_micros() / 1_000_000 / period * period + 2 * period;
    let until = |second: u64| {
        std::thread::sleep(Duration::from_micros((second * 1_000_000).saturating_sub(sink::now_micros())))
    };
    until(first - period + done);
    let before = process.cpu()?;
    until(first + (windows - 1) * period + done);
    let (cpu, wall) = (process.cpu()? - before, (windows * period) as f64);
    Ok((first, Figure { cpu, wall, megabytes: process.megabytes()?, ..Figure::default() }))
}

/// The moment that was planned for each delivery, by store and stamp.
fn planned(file: &Path) -> anyhow::Result<HashMap<(String, u64), u64>> {
    let db = rusqlite::Connection::open(file)?;
    let mut statement =
        db.prepare("SELECT s.name, d.window_end, d.next_attempt FROM deliveries d JOIN stores s ON s.id = d.store")?;
    let rows = statement.query_map([], |row| {
        Ok(((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()), row.get::<_, i64>(2)?.cast_unsigned()))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn start_sink(scratch: &Path) -> anyhow::Result<(Running, u16, PathBuf)> {
    let notes = scratch.join("arrivals");
    let role = format!("sink {}", notes.display());
    let mut sink = Running::start(Command::new(std::env::current_exe()?).env(ROLE, role))?;
    let port = sink.line()?.trim().parse()?;
    Ok((sink, port, notes))
}

/// A child process; dropping it kills it.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        Ok(Self(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?))
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let out = self.0.stdout.as_mut().context("its output")?;
        BufReader::with_capacity(1, out).read_line(&mut line)?;
        ensure!(!line.is_empty(), "a part of the bench ended before it was ready");
        Ok(line)
    }

    /// CPU seconds so far, of all its threads, in user and kernel mode (Linux, `/proc/PID/stat`).
    pub(crate) fn cpu(&self) -> anyhow::Result<f64> {
        crate::cpu::of_process(&self.0.id().to_string())
    }

    /// The most that was resident so far (Linux, `VmHWM` of `/proc/PID/status`).
    fn megabytes(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).context("VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
