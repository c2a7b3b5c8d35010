//! Asks for 1 GiB of memory.

use tidegate_adapter::{Batch, PushAdapter, Requests, Verdict, export_push};

/// The adapter.
pub struct Greedy;

impl PushAdapter for Greedy {
    type Settings = ();

    fn encode((): &(), _: &Batch<'_>, _: &mut Requests) -> Result<(), Verdict> {
        let memory = vec![1_u8; 1 << 30];
        Err(Verdict::stop(format!("got {} bytes", std::hint::black_box(memory).len())))
    }
}

export_push!(Greedy);
