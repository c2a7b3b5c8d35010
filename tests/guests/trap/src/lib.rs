//! Traps in the middle of a push.

use tidegate_adapter::{Batch, PushAdapter, Requests, Verdict, export_push};

/// The adapter.
pub struct Trap;

impl PushAdapter for Trap {
    type Settings = ();

    fn encode((): &(), batch: &Batch<'_>, _: &mut Requests) -> Result<(), Verdict> {
        // A batch has metrics, always; that an index is out of range shows only when this runs.
        let rows: Vec<u32> = batch.metrics().iter().map(|_| 0).collect();
        let missing = rows[std::hint::black_box(rows.len())];
        Err(Verdict::stop(missing.to_string()))
    }
}

export_push!(Trap);
