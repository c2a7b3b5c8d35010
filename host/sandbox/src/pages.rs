//! Whether pages that a call has written may stay for the next one, and be overwritten for it.
//!
//! Where the kernel tells which pages were written (Linux 6.7), that spares a call its page faults, a third of what a small one takes.
//! The trap is swap: the engine passes over pages that are not present when it asks (bytecodealliance/wasmtime#14357), and what is
//! in a page that was swapped out at that moment would be there in the next call, which may be another tenant's.

use wasmtime::PoolingAllocationConfig;

/// Where Linux lists what it swaps to: a line of headings, and a line for each.
const SWAPS: &str = "/proc/swaps";

/// Whether pages can stay without a trace of what was in them: who cannot tell gives them back.
pub(crate) fn may_stay() -> bool {
    PoolingAllocationConfig::is_pagemap_scan_available()
        && std::fs::read_to_string(SWAPS).is_ok_and(|swaps| !names_any(&swaps))
}

fn names_any(swaps: &str) -> bool {
    swaps.lines().skip(1).any(|line| !line.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_with_swap_gives_pages_back_and_one_without_may_keep_them() {
        let headings = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
        assert!(!names_any(headings));
        assert!(names_any(&format!("{headings}/dev/zram0                              partition\t4194300\t0\t100\n")));
    }
}
