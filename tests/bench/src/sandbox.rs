//! What the sandbox costs: points per CPU-second through a fresh instance, beside the same adapter code native, and the fixed
//! cost of a call.

use crate::native::Native;
use crate::{cpu, report};
use anyhow::{Context, ensure};
use serde_json::json;
use std::sync::Arc;
use tidegate_model::{
    Aggregate, Batch, BatchView, Dimension, Instant, MeasureColumn, MetricBatch, Name, Period, Settings, StringPool,
};
use tidegate_sandbox::{Action, Adapter, Limits, Outcome, Registry, Sandbox, SandboxOptions, Step};

pub(crate) fn run() -> anyhow::Result<()> {
    let sandbox = Sandbox::new(SandboxOptions::default())?;
    let registry = Registry::new(sandbox);
    registry.add_builtin()?;
    let adapter = registry.get("influxdb").context("the built-in influxdb adapter")?;
    let raw = json!({"version": "1", "url": "http://localhost", "database": "m"});
    let raw = raw.as_object().context("an object")?;
    let settings = Arc::new(Settings::check(adapter.description(), raw)?);
    fixed_cost(&adapter, &settings)?;
    for (rows, times) in [(1, 20_000), (100, 5_000), (10_000, 100), (100_000, 20)] {
        let batch = Arc::new(batch(rows)?);
        let (inside, bytes) = cpu::seconds(|| repeat(times, || deliver(&adapter, &settings, &batch)))?;
        let peer = Native::of(&batch);
        let (native, other) = cpu::seconds(|| repeat(times, || Ok(peer.deliver())))?;
        ensure!(bytes == other, "the component wrote {bytes} bytes, the native code {other}");
        let points = f64::from(rows) * f64::from(times);
        report(&format!("influxdb_{rows}_rows"), points / inside / 1e6, "native", points / native / 1e6, "M/s");
    }
    Ok(())
}

/// Instance, a begin on a batch without rows, drop; beside a plain call of the native code on the same batch.
fn fixed_cost(adapter: &Arc<Adapter>, settings: &Arc<Settings>) -> anyhow::Result<()> {
    let empty = Arc::new(batch(0)?);
    let times = 50_000;
    let call = || deliver(adapter, settings, &empty);
    repeat(1_000, call)?;
    let (inside, _) = cpu::seconds(|| repeat(times, call))?;
    let peer = Native::of(&empty);
    let (native, _) = cpu::seconds(|| repeat(times, || Ok(peer.deliver())))?;
    let micros = |seconds: f64| seconds / f64::from(times) * 1e6;
    report("instantiate_call_drop", micros(inside), "native", micros(native), "us");
    Ok(())
}

fn repeat(times: u32, mut once: impl FnMut() -> anyhow::Result<u64>) -> anyhow::Result<u64> {
    (0..times).try_fold(0, |sum, _| Ok(sum + once()?))
}

/// A whole conversation with a sink that accepts everything; the bytes that it would have been sent.
fn deliver(adapter: &Arc<Adapter>, settings: &Arc<Settings>, batch: &Arc<Batch>) -> anyhow::Result<u64> {
    let mut bytes = 0;
    let mut step = adapter.begin(settings, BatchView::whole(batch.clone()), &Limits::default()).result?;
    loop {
        match step {
            Step::Done(_) => return Ok(bytes),
            Step::Act(conversation, action) => {
                let Action::Send(request) = action else { anyhow::bail!("the influxdb adapter sends HTTP requests") };
                bytes += request.body_len() as u64;
                let outcome = Outcome { status: Some(204), ..Outcome::default() };
                step = conversation.step(outcome).result?;
            }
        }
    }
}

/// `rows` series with three labels, as a crash dashboard has them.
fn batch(rows: u32) -> anyhow::Result<Batch> {
    let dimension = |name: &str, distinct: u32, spread: u32| {
        // Only what occurs, as the evaluator makes it: a dictionary beyond the rows would be the cost of a small batch.
        let occurring = distinct.min(rows.div_ceil(spread));
        let dictionary: StringPool = (0..occurring).map(|i| format!("{name}-{i:05}")).collect();
        let codes = (0..rows).map(|row| row / spread % distinct).collect();
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
            values: (0..rows).map(|row| f64::from(row % 1_000)).collect(),
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
