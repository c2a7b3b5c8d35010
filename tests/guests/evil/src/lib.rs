//! Commits the crime that its setting names: one guest for all that a compiler lets an adapter do.
//!
//! What no compiler would let it do (pointers that lead nowhere, wrong handles, allocators that lie) is written by hand, in the
//! tests of the sandbox.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use tidegate_adapter::{
    Batch, Endpoint, Outcome, PushAdapter, RejectedRows, Request, Requests, Sent, Settings, Verdict, export_push,
};

/// What to do, and to whom.
#[derive(Settings)]
pub struct Plan {
    #[setting(label = "Crime")]
    crime: String,
    #[setting(label = "URL")]
    url: Endpoint,
}

/// The adapter.
pub struct Evil;

/// Calls of this instance so far. An instance is used once, so it never counts to two.
static CALLS: AtomicU32 = AtomicU32::new(0);

impl PushAdapter for Evil {
    type Settings = Plan;

    fn encode(plan: &Plan, batch: &Batch<'_>, requests: &mut Requests) -> Result<(), Verdict> {
        let mut request = Request::post(&plan.url);
        match plan.crime.as_str() {
            "spin" => spin(),
            "trap" => trap(batch),
            "recurse" => drop(black_box(recurse(1))),
            "greedy" => drop(black_box(vec![1_u8; 1 << 30])),
            "creep" => creep(),
            "burn" => burn(),
            "remember" => assert!(CALLS.fetch_add(1, Ordering::Relaxed) == 0, "an earlier call was seen"),
            "flood" => {
                let chunk = vec![b'x'; 1 << 20];
                (0..4096).for_each(|_| request.body().write(&chunk));
            }
            "chatter" => (0..200).for_each(|number| {
                let mut more = Request::post(&plan.url);
                more.path(&format!("/{number}"));
                requests.send(more);
            }),
            "stray" => request = Request::post(&Endpoint::named("elsewhere")),
            "elsewhere" => {
                request.path("http://elsewhere.example/");
            }
            "climb" => {
                request.path("/../admin");
            }
            "inject" => {
                request.header("x-kind", "a\r\nHost: elsewhere.example");
            }
            "smuggle" => {
                request.header("Content-Length", "0");
            }
            "forge" => {
                request.header("Authorization", "Basic YTpi");
            }
            "shout" => return Err(Verdict::reject_batch("\u{1b}[2J\u{202e}gone\n{\"level\":\"ERROR\"} forged\0")),
            "overclaim" => {
                let rows = (0..1_000_000).collect();
                return Err(Verdict::reject_rows(vec![RejectedRows { metric: 0, rows, reason: "all".to_owned() }]));
            }
            // Spins when it is to judge the answer.
            "linger" => {}
            "later" => return Err(Verdict::retry("not today", Some(u32::MAX))),
            "again" => return Err(Verdict::retry("at once", Some(0))),
            other => return Err(Verdict::stop(format!("{other} is no crime"))),
        }
        requests.send(request);
        Ok(())
    }

    fn judge(plan: &Plan, sent: &Sent, outcome: &Outcome<'_>) -> Verdict {
        match plan.crime.as_str() {
            "linger" => spin(),
            _ => Verdict::by_status(sent, outcome),
        }
    }
}

export_push!(Evil);

fn spin() -> ! {
    loop {
        // Without it the compiler may take the loop for something that cannot be.
        black_box(());
    }
}

/// A batch has metrics, always; that an index is out of range shows only when this runs.
fn trap(batch: &Batch<'_>) {
    let rows: Vec<u32> = batch.metrics().iter().map(|_| 0).collect();
    black_box(rows[black_box(rows.len())]);
}

#[expect(unconditional_recursion, reason = "that is the crime")]
fn recurse(depth: u64) -> u64 {
    let here = black_box([depth; 64]);
    recurse(here[0] + 1) + here[63]
}

/// Takes memory in small pieces and keeps it.
fn creep() {
    let mut kept = Vec::new();
    loop {
        kept.push(black_box(vec![1_u8; 100_000]));
    }
}

/// Some tenths of a second of work that nobody needs: long, and never as long as one call may take.
fn burn() {
    let mut sum = 1_u64;
    for n in 0..150_000_000_u64 {
        sum = black_box(sum.wrapping_mul(31) ^ n);
    }
}
