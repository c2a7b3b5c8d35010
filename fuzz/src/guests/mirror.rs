//! A guest that reads all there is of a batch and sends it as it came, so that what it was handed can be held against what it was
//! to be handed. Each value goes behind its length in bytes.

use super::text::Text;
use tidegate_model::BatchView;

/// `$sent-*`: what a getter has just left in the return area at 128.
const SENDING: &str = r#"
  (global $request (mut i32) (i32.const 0))
  (func $send (param $from i32) (param $bytes i32)
    (i32.store (i32.const 64) (local.get $bytes))
    (call $request.write (global.get $request) (i32.const 64) (i32.const 4))
    (call $request.write (global.get $request) (local.get $from) (local.get $bytes)))
  (func $send-list (param $at i32) (param $shift i32)
    (call $send (i32.load (local.get $at)) (i32.shl (i32.load offset=4 (local.get $at)) (local.get $shift))))
  (func $send-number (param $number i32)
    (i32.store (i32.const 72) (local.get $number))
    (call $send (i32.const 72) (i32.const 4)))
"#;

const MEASURE: &str = r#"
  (func $mirror-measure (param $measure i32)
    (call $measure.attribute (local.get $measure) (i32.const 128)) (call $send-list (i32.const 128) (i32.const 0))
    (call $measure.aggregate (local.get $measure) (i32.const 128)) (call $send-list (i32.const 128) (i32.const 0))
    (call $send-number (call $measure.additive (local.get $measure)))
    (call $measure.values (local.get $measure) (i32.const 128)) (call $send-list (i32.const 128) (i32.const 3))
    (call $measure.totals (local.get $measure) (i32.const 128))
    (call $send-number (i32.load8_u (i32.const 128)))
    (if (i32.load8_u (i32.const 128)) (then (call $send-list (i32.const 132) (i32.const 3)))))
"#;

const METRIC: &str = r#"
  (func $mirror-metric (param $metric i32) (local $i i32) (local $list i32) (local $count i32)
    (call $metric.name (local.get $metric) (i32.const 128)) (call $send-list (i32.const 128) (i32.const 0))
    (call $send-number (call $metric.rows (local.get $metric)))
    (call $send-number (call $metric.live-rows (local.get $metric)))
    (call $metric.dimensions (local.get $metric) (i32.const 128))
    (local.set $list (i32.load (i32.const 128))) (local.set $count (i32.load (i32.const 132)))
    (block $done (loop $again
      (br_if $done (i32.ge_u (local.get $i) (local.get $count)))
      (call $send-list (i32.add (local.get $list) (i32.shl (local.get $i) (i32.const 3))) (i32.const 0))
      (call $metric.dictionary (local.get $metric) (local.get $i) (i32.const 128))
      (call $send-list (i32.const 128) (i32.const 0)) (call $send-list (i32.const 136) (i32.const 2))
      (call $metric.codes (local.get $metric) (local.get $i) (i32.const 128)) (call $send-list (i32.const 128) (i32.const 2))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $again)))
    (call $metric.measures (local.get $metric) (i32.const 128))
    (local.set $list (i32.load (i32.const 128))) (local.set $count (i32.load (i32.const 132)))
    (local.set $i (i32.const 0))
    (block $done (loop $again
      (br_if $done (i32.ge_u (local.get $i) (local.get $count)))
      (call $mirror-measure (i32.load (i32.add (local.get $list) (i32.shl (local.get $i) (i32.const 2)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $again))))
"#;

const EXPORTS: &str = r#"
  (func (export "tidegate:adapter/push@1.0.0#[constructor]delivery") (param $settings i32) (result i32)
    (call $drop-settings (local.get $settings)) (call $delivery (i32.const 1)))
  (func (export "tidegate:adapter/push@1.0.0#[method]delivery.begin") (param $self i32) (param $batch i32) (result i32)
    (local $i i32) (local $list i32) (local $count i32)
    (global.set $request (call $new-request OUT POST))
    (call $batch.project (local.get $batch) (i32.const 128)) (call $send-list (i32.const 128) (i32.const 0))
    (call $batch.metric-set (local.get $batch) (i32.const 128)) (call $send-list (i32.const 128) (i32.const 0))
    (call $send-number (i32.wrap_i64 (call $batch.window-start (local.get $batch))))
    (call $send-number (i32.wrap_i64 (call $batch.window-end (local.get $batch))))
    (call $send-number (call $batch.period (local.get $batch)))
    (call $batch.metrics (local.get $batch) (i32.const 128))
    (local.set $list (i32.load (i32.const 128))) (local.set $count (i32.load (i32.const 132)))
    (block $done (loop $again
      (br_if $done (i32.ge_u (local.get $i) (local.get $count)))
      (call $mirror-metric (i32.load (i32.add (local.get $list) (i32.shl (local.get $i) (i32.const 2)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $again)))
    (call $drop-batch (local.get $batch))
    (i32.store8 (i32.const 256) (i32.const 0)) (i32.store (i32.const 260) (global.get $request)) (i32.const 256))
  (func (export "tidegate:adapter/push@1.0.0#[method]delivery.step") (param $self i32) (param $outcome i32) (result i32)
    (call $drop-outcome (local.get $outcome))
    (i32.store8 (i32.const 256) (i32.const 2)) (i32.store (i32.const 260) (call $new-verdict)) (i32.const 256))
"#;

/// The component.
pub(crate) fn component() -> Vec<u8> {
    let mut text = Text::new();
    let (out, post) = (text.literal("out"), text.literal("POST"));
    for part in [SENDING, MEASURE, METRIC, &EXPORTS.replace("OUT", &out).replace("POST", &post)] {
        text.add(part);
    }
    text.component("push-adapter")
}

/// What it must send of `view`.
pub(super) fn expected(view: &BatchView) -> Vec<u8> {
    let mut all = Vec::new();
    let mut send = |bytes: &[u8]| {
        all.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        all.extend(bytes);
    };
    let number = |n: u32| n.to_le_bytes();
    let floats = |all: &[f64]| all.iter().flat_map(|n| n.to_bits().to_le_bytes()).collect::<Vec<u8>>();
    let words = |all: &[u32]| all.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
    let batch = &view.batch;
    send(batch.project.as_str().as_bytes());
    send(batch.metric_set.as_str().as_bytes());
    send(&number(1_700_000_040));
    send(&number(1_700_000_100));
    send(&number(60));
    for (metric, part) in batch.metrics.iter().zip(&view.rows) {
        // The rows that there are of those that the part claims.
        let cut = |count: usize| {
            let (start, end) = (part.start as usize, part.end as usize);
            if start >= count { 0..0 } else { start..end.min(count) }
        };
        let (rows, live) = (cut(metric.rows as usize), cut(metric.live_rows as usize));
        send(metric.name.as_str().as_bytes());
        send(&number(u32::try_from(rows.len()).unwrap_or(u32::MAX)));
        send(&number(u32::try_from(live.len()).unwrap_or(u32::MAX)));
        for dimension in &metric.dimensions {
            send(dimension.name.as_bytes());
            let texts: Vec<&str> = dimension.dictionary.iter().collect();
            send(texts.concat().as_bytes());
            let ends = texts.iter().scan(0, |end, text| {
                *end += u32::try_from(text.len()).unwrap_or(u32::MAX);
                Some(*end)
            });
            send(&words(&ends.collect::<Vec<u32>>()));
            send(&words(&dimension.codes[rows.clone()]));
        }
        for measure in &metric.measures {
            send(measure.attribute.as_bytes());
            send(measure.aggregate.as_str().as_bytes());
            let additive = matches!(measure.aggregate.as_str(), "count" | "sum");
            send(&number(additive.into()));
            send(&floats(&measure.values[live.clone()]));
            send(&number(measure.totals.is_some().into()));
            if let Some(totals) = &measure.totals {
                send(&floats(&totals[rows.clone()]));
            }
        }
    }
    all
}
