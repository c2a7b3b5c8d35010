//! Healthy stores with bad neighbours and without: what do the neighbours cost them?
//!
//! The trap is the machine: one hiccup of a tenth of a second makes a hundred deliveries late, and a comparison of two long runs says
//! on which side more of them fell. So the sides take turns, each with a host, a database and a sink of its own, as many windows on
//! either side; and beside the quantiles of all deliveries stands that of a usual window, which a hiccup in one of them does not
//! move. How late a thread was that does nothing but sleep says what the machine did meanwhile.

use super::crimes::{self, Crime};
use super::{Figure, measure, quantile};
use crate::report;

/// Seconds. The shortest that leaves time between the last delivery of a window and the end of the next.
const PERIOD: u64 = 10;
/// Windows of a turn that count. The first one after a start does not.
const WINDOWS: u64 = 4;
/// Turns of each side; `ROUNDS` asks for others.
const ROUNDS: usize = 3;

/// 500 healthy stores, alone and beside 50 dead ones.
pub(crate) fn isolation() -> anyhow::Result<()> {
    let healthy: Vec<String> = (0..500).map(|n| format!("to-{n}")).collect();
    let dead = (0..50).map(|n| format!("to-{}-{n}", ["silent", "drip", "fail"][n % 3]));
    // Among the others, not behind them.
    let mut beside = healthy.clone();
    for (n, dead) in dead.enumerate() {
        beside.insert(n * 11, dead);
    }
    compare("isolation_500_beside_50_dead", (&healthy, &[]), (&beside, &[]))
}

/// 1,000 healthy stores, alone and beside ten of another tenant that spin, take memory, write without end, have sinks that never
/// answer, and have more series in each window than there may be.
pub(crate) fn hostile() -> anyhow::Result<()> {
    let healthy: Vec<String> = (0..1_000).map(|n| format!("to-{n}")).collect();
    compare("hostile_1000_beside_10", (&healthy, &[]), (&healthy, &crimes::ALL))
}

/// All turns of one side.
#[derive(Default)]
struct Side {
    turns: Vec<Figure>,
}

impl Side {
    fn take_turn(&mut self, (names, crimes): (&[String], &[Crime])) -> anyhow::Result<()> {
        self.turns.push(measure("host", names, crimes, PERIOD, WINDOWS)?);
        Ok(())
    }

    /// All deliveries of all turns.
    fn late(&self, percent: f64) -> f64 {
        quantile(&sorted(self.turns.iter().flat_map(|turn| turn.late.iter().copied())), percent)
    }

    /// The median of what the windows have as this quantile.
    fn usual(&self, percent: f64) -> f64 {
        let windows = self.turns.iter().flat_map(|turn| &turn.windows);
        quantile(&sorted(windows.map(|late| quantile(late, percent))), 50.0)
    }

    fn share(&self) -> f64 {
        self.turns.iter().map(|turn| turn.cpu).sum::<f64>() / self.turns.iter().map(|turn| turn.wall).sum::<f64>()
    }

    fn tell(&self, name: &str, which: &str) {
        let turns: Vec<String> = self.turns.iter().map(|turn| format!("{:.1}", turn.late(99.0))).collect();
        let deliveries: usize = self.turns.iter().map(|turn| turn.late.len()).sum();
        let naps = sorted(self.turns.iter().flat_map(|turn| turn.naps.iter().copied()));
        println!(
            "{name}: {which}, {deliveries} deliveries: late p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms (of the turns: {}), worst {:.1} ms; \
             {:.1} % of one core; a thread that only slept was late p99 {:.1} ms, worst {:.1} ms",
            self.late(50.0),
            self.late(90.0),
            self.late(99.0),
            turns.join(", "),
            self.late(100.0),
            self.share() * 100.0,
            quantile(&naps, 99.0),
            quantile(&naps, 100.0)
        );
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn compare(name: &str, alone: (&[String], &[Crime]), beside: (&[String], &[Crime])) -> anyhow::Result<()> {
    let rounds = std::env::var("ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    let (mut well, mut ours) = (Side::default(), Side::default());
    for round in 0..rounds {
        // Who comes first changes, so that a machine that becomes slower, or quicker, does so for both.
        if round % 2 == 0 {
            well.take_turn(alone)?;
            ours.take_turn(beside)?;
        } else {
            ours.take_turn(beside)?;
            well.take_turn(alone)?;
        }
    }
    well.tell(name, "alone");
    ours.tell(name, "beside");
    report(&format!("{name}_late_p50"), ours.late(50.0), "alone", well.late(50.0), "ms");
    report(&format!("{name}_late_p99"), ours.late(99.0), "alone", well.late(99.0), "ms");
    report(&format!("{name}_late_p99_of_a_usual_window"), ours.usual(99.0), "alone", well.usual(99.0), "ms");
    report(&format!("{name}_cpu_of_a_core"), ours.share(), "alone", well.share(), "");
    Ok(())
}
