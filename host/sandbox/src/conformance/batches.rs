//! Batches that a host may hand out, from nothing to the largest, and the names that users come up with.

use std::sync::Arc;
use tidegate_model::{Aggregate, Batch, Dimension, MeasureColumn, MetricBatch, Name, Period, StringPool, Window};

/// Rows of the large batch.
pub(super) const MANY: u32 = 100_000;
/// Whatever a name becomes on the wire, it must not make a record of its own. The word is looked for nowhere; it is for eyes.
const INJECTED: &str = "x\ninjected,a=b v=1 1\r\ninjected 1 1\n# TYPE injected counter\ninjected_total 1\n";

fn name(text: &str) -> Option<Name> {
    Name::new(text).ok()
}

fn column(attribute: &str, aggregate: Aggregate, values: Vec<f64>, pulled: bool, rows: usize) -> MeasureColumn {
    let totals = (pulled && aggregate.additive()).then(|| {
        (0..rows).map(|row| values.get(row).copied().filter(|v| v.is_finite()).unwrap_or(1.0) * 2.0).collect()
    });
    MeasureColumn { attribute: attribute.to_owned(), aggregate, values, totals }
}

fn batch(metrics: Vec<MetricBatch>) -> Option<Arc<Batch>> {
    let window = Window::starting_at(1_800_000_000, Period::default())?;
    Some(Arc::new(Batch { project: name("web")?, metric_set: name("crashes")?, window, metrics }))
}

/// No metrics at all, and a metric without rows.
pub(super) fn empty(pulled: bool) -> Option<[Arc<Batch>; 2]> {
    Some([batch(Vec::new())?, rows(0, pulled)?])
}

/// `count` rows with three labels, two measures; a tenth of the second measure has no value.
pub(super) fn rows(count: u32, pulled: bool) -> Option<Arc<Batch>> {
    let sizes = [count.max(1), 50, 7];
    let dimensions = ["error.message", "application.version", "host"].iter().zip(sizes).map(|(name, size)| Dimension {
        name: (*name).to_owned(),
        dictionary: (0..size).map(|n| format!("value {n} of {size}")).collect::<StringPool>(),
        codes: (0..count).map(|row| row % size).collect(),
    });
    let counts = (0..count).map(|row| f64::from(row % 1000) + 1.0).collect();
    let means = (0..count).map(|row| if row % 10 == 9 { f64::NAN } else { f64::from(row) / 3.0 }).collect();
    let all = count as usize;
    batch(vec![MetricBatch {
        name: name("errors")?,
        rows: count,
        live_rows: count,
        folded_groups: 0,
        dimensions: dimensions.collect(),
        measures: vec![
            column("_tx", Aggregate::Count, counts, pulled, all),
            column("uptime", Aggregate::Mean, means, pulled, all),
        ],
    }])
}

/// Texts that have broken something somewhere. Empty means that the events have no value.
fn hostile_texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " ",
        "a b",
        "a,b=c d",
        "a;b=c;;=",
        "a=b",
        "\"",
        "'",
        "\\",
        "\\\"",
        "a\\",
        "\\n",
        "a\nb",
        "a\r\nb",
        "\r",
        "\t",
        "\u{0}",
        "\u{1b}[2J",
        "\u{7f}",
        "\u{85}\u{2028}\u{2029}",
        "ünïcödé 漢字 🦀",
        "\u{feff}",
        "e\u{301}",
        "\u{e9}",
        "..",
        "a..b",
        ".a.",
        "/etc/passwd",
        "{}",
        "${x}",
        "%s%n",
        "[1,2]",
        "a`b",
        "a|b:c#d",
        "ST[a:b]",
        "b\"YQ==\"",
        "~*",
        "null",
        "NaN",
        "-1",
        "A",
        "a",
        INJECTED,
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push("l".repeat(10_000));
    texts.push("ü".repeat(5_000));
    // Two that are equal for as long as most systems look.
    texts.push(format!("{}1", "m".repeat(1_000)));
    texts.push(format!("{}2", "m".repeat(1_000)));
    texts
}

/// Each hostile text as a label, under hostile attribute names, in metrics with hostile names.
pub(super) fn hostile(pulled: bool) -> Option<Arc<Batch>> {
    let texts = hostile_texts();
    let count = u32::try_from(texts.len()).ok()?;
    let metric = |metric: &str, attribute: &str, dimensions: [&str; 2]| {
        let labels = |at: u32| Dimension {
            name: dimensions[at as usize].to_owned(),
            dictionary: texts.iter().collect::<StringPool>(),
            codes: (0..count).map(|row| (row + at * 7) % count).collect(),
        };
        let values = || (0..count).map(|row| f64::from(row) + 0.5).collect();
        Some(MetricBatch {
            name: name(metric)?,
            rows: count,
            live_rows: count,
            folded_groups: 0,
            dimensions: vec![labels(0), labels(1)],
            measures: vec![
                column(attribute, Aggregate::Count, values(), pulled, count as usize),
                column(attribute, Aggregate::Last, values(), pulled, count as usize),
            ],
        })
    };
    batch(vec![
        metric("a b,c=d;e\"f\\g", "x,y=z \"q\"", ["a,b=c", "d e;f\"g\\"])?,
        metric("漢字.é{}[]`|", "..", ["~tilde", "ünï"])?,
        metric("#1st", "9%", ["__name__", "le"])?,
    ])
}

/// Infinities, which no host sends: an adapter may make what it likes of them, but not fall over them.
pub(super) fn infinities(pulled: bool) -> Option<Arc<Batch>> {
    edges(vec![f64::INFINITY, f64::NEG_INFINITY, 1.0], pulled)
}

/// Values at the edges of what a float can be.
pub(super) fn values(pulled: bool) -> Option<Arc<Batch>> {
    let values = vec![
        0.0,
        -0.0,
        9_007_199_254_740_993.0_f64,
        2f64.powi(53) + 2.0,
        -2f64.powi(63),
        2f64.powi(64),
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        5e-324,
        0.1 + 0.2,
        1e21,
        1e-7,
        f64::NAN,
    ];
    edges(values, pulled)
}

fn edges(values: Vec<f64>, pulled: bool) -> Option<Arc<Batch>> {
    let count = u32::try_from(values.len()).ok()?;
    batch(vec![MetricBatch {
        name: name("edges")?,
        rows: count,
        live_rows: count,
        folded_groups: 0,
        dimensions: vec![Dimension {
            name: "row".to_owned(),
            dictionary: (0..count).map(|n| n.to_string()).collect::<StringPool>(),
            codes: (0..count).collect(),
        }],
        measures: vec![
            column("a", Aggregate::Sum, values.clone(), pulled, values.len()),
            column("a", Aggregate::Max, values.clone(), pulled, values.len()),
        ],
    }])
}
