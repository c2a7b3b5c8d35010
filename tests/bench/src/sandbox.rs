//! What the encoders do: points per CPU-second of each adapter through a fresh instance per call, beside the same code native and
//! beside what others need to take in and send on the same series; and what a call of one row costs.

use crate::native::{self, SUBJECTS, Subject};
use crate::{cpu, peers, report};
use anyhow::{Context, ensure};
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use tidegate_model::{
    Aggregate, Batch, BatchView, Description, Dimension, Instant, MeasureColumn, MetricBatch, Name, Period, Settings,
    StringPool,
};
use tidegate_sandbox::{
    Action, Adapter, Disposition, Limits, Outcome, Registry, Sandbox, SandboxOptions, Snapshot, Step,
};

/// Rows of a batch, and how often it is encoded.
const SIZES: [(u32, u32); 4] = [(1, 20_000), (100, 5_000), (10_000, 100), (LARGEST, 20)];
const LARGEST: u32 = 100_000;

pub(crate) fn run() -> anyhow::Result<()> {
    let sandbox = Sandbox::new(SandboxOptions::default())?;
    let registry = Registry::new(sandbox);
    registry.add_builtin()?;
    let shippers = [("vmagent", shipper("vmagent")?), ("rotel", shipper("rotel")?)];
    for subject in SUBJECTS {
        let adapter = registry.get(subject.adapter).with_context(|| format!("the adapter {}", subject.adapter))?;
        let settings = Arc::new(settings(adapter.description(), subject)?);
        let deliver = |batch: &Arc<Batch>| deliver(subject, &adapter, &settings, batch);
        fixed_cost(subject, &deliver)?;
        let native = (subject.native)(subject.typed);
        for (rows, times) in SIZES {
            let pieces = pieces(rows, &deliver)?;
            let all = || pieces.iter().try_fold(0, |sum, piece| Ok(sum + deliver(piece)?));
            let (inside, bytes) = cpu::seconds(|| repeat(times, all))?;
            let peers: Vec<_> = pieces.iter().map(|piece| native::batch(piece)).collect();
            let (outside, other) = cpu::seconds(|| repeat(times, || Ok(peers.iter().map(&native).sum())))?;
            ensure!(bytes == other, "{}: the component wrote {bytes} bytes, the native code {other}", subject.name);
            let millions = |seconds: f64| f64::from(rows) * f64::from(times) / seconds / 1e6;
            let name = format!("{}_{rows}_rows", subject.name);
            report(&name, millions(inside), "native", millions(outside), "M/s");
            for (who, theirs) in shippers.iter().filter(|_| rows == LARGEST && !subject.pull) {
                report(&name, millions(inside), who, *theirs, "M/s");
            }
        }
    }
    Ok(())
}

/// Millions of points per CPU-second of somebody else's program: it takes the series in, and sends them on.
fn shipper(who: &str) -> anyhow::Result<f64> {
    let answer = peers::run(&format!("{who}_push.py"), &[])?;
    let figure = |name: &str| answer[name].as_f64().with_context(|| format!("the peer's {name}"));
    Ok(figure("points")? / figure("cpu")? / 1e6)
}

/// The rows in batches that the adapter takes whole: one, or halves of it if the sink's limits want that, as the host makes them.
fn pieces(rows: u32, deliver: &dyn Fn(&Arc<Batch>) -> anyhow::Result<u64>) -> anyhow::Result<Vec<Arc<Batch>>> {
    let whole = vec![Arc::new(batch(0..rows)?)];
    if deliver(&whole[0]).is_ok() {
        return Ok(whole);
    }
    [0..rows / 2, rows / 2..rows].map(|part| Ok(Arc::new(batch(part)?))).into_iter().collect()
}

/// What was typed, as the host reads it.
fn settings(description: &Description, subject: &Subject) -> anyhow::Result<Settings> {
    let raw: Map<String, Json> = subject.typed.iter().map(|(k, v)| ((*k).to_owned(), Json::from(*v))).collect();
    Ok(Settings::check(description, &raw)?)
}

/// Instance, a call on one row, drop; beside a plain call of the native code on the same batch.
fn fixed_cost(subject: &Subject, deliver: &dyn Fn(&Arc<Batch>) -> anyhow::Result<u64>) -> anyhow::Result<()> {
    let one = Arc::new(batch(0..1)?);
    let times = 20_000;
    let call = || deliver(&one);
    repeat(1_000, call)?;
    let (inside, _) = cpu::seconds(|| repeat(times, call))?;
    let (native, peer) = ((subject.native)(subject.typed), native::batch(&one));
    let (outside, _) = cpu::seconds(|| repeat(times, || Ok(native(&peer))))?;
    let micros = |seconds: f64| seconds / f64::from(times) * 1e6;
    report(&format!("{}_call_of_one_row", subject.name), micros(inside), "native", micros(outside), "us");
    Ok(())
}

fn repeat(times: u32, mut once: impl FnMut() -> anyhow::Result<u64>) -> anyhow::Result<u64> {
    (0..times).try_fold(0, |sum, _| Ok(sum + once()?))
}

/// A whole conversation with a sink that accepts everything, or a page; the bytes that it gave.
fn deliver(
    subject: &Subject,
    adapter: &Arc<Adapter>,
    settings: &Arc<Settings>,
    batch: &Arc<Batch>,
) -> anyhow::Result<u64> {
    if subject.pull {
        let snapshot = Snapshot { batches: vec![Arc::clone(batch)], period: batch.window.period() };
        let page = adapter.render(settings, snapshot, Vec::new(), &Limits::default()).result?;
        return Ok(page.body_len() as u64);
    }
    let mut bytes = 0;
    let mut step = adapter.begin(settings, BatchView::whole(batch.clone()), &Limits::default()).result?;
    loop {
        match step {
            Step::Done(verdict) => {
                let split = matches!(verdict.disposition, Disposition::Split(_));
                ensure!(!split, "{} wants the batch in halves, so this is not what is measured", subject.name);
                return Ok(bytes);
            }
            Step::Act(conversation, action) => {
                bytes += match &action {
                    Action::Send(request) => request.body_len() as u64,
                    Action::SendStream(stream) => stream.body_len() as u64,
                };
                let status = matches!(action, Action::Send(_)).then_some(204);
                step = conversation.step(Outcome { status, ..Outcome::default() }).result?;
            }
        }
    }
}

/// Series with three labels, as a crash dashboard has them; `of` is which of them.
fn batch(of: Range<u32>) -> anyhow::Result<Batch> {
    let rows = of.end - of.start;
    let dimension = |name: &str, distinct: u32, spread: u32| {
        // Only what occurs, as the evaluator makes it: a dictionary beyond the rows would be the cost of a small batch.
        let mut places = HashMap::new();
        let mut dictionary = StringPool::default();
        let mut code = |row: u32| {
            let value = row / spread % distinct;
            *places.entry(value).or_insert_with(|| dictionary.push(&format!("{name}-{value:05}")))
        };
        let codes = of.clone().map(&mut code).collect();
        Dimension { name: name.to_owned(), dictionary, codes }
    };
    let metric = MetricBatch {
        name: Name::new("errors by fingerprint")?,
        rows,
        live_rows: rows,
        folded_groups: 0,
        dimensions: vec![
            dimension("fingerprint", 5_000, 1),
            dimension("app.version", 20, 5_000),
            dimension("os", 4, 7),
        ],
        measures: vec![MeasureColumn {
            attribute: "_tx".to_owned(),
            aggregate: Aggregate::Count,
            values: of.clone().map(|row| f64::from(row % 1_000)).collect(),
            totals: None,
        }],
    };
    Ok(Batch {
        project: Name::new("web")?,
        metric_set: Name::new("crashes")?,
        window: Period::default().window_at(Instant::from_seconds(1_700_000_000)),
        metrics: vec![metric],
    })
}
