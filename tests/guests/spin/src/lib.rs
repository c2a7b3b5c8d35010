//! Never comes back from a push.

use tidegate_adapter::{Batch, PushAdapter, Requests, Verdict, export_push};

/// The adapter.
pub struct Spin;

impl PushAdapter for Spin {
    type Settings = ();

    fn encode((): &(), _: &Batch<'_>, _: &mut Requests) -> Result<(), Verdict> {
        loop {
            // Without it the compiler may take the loop for something that cannot be.
            std::hint::black_box(());
        }
    }
}

export_push!(Spin);
