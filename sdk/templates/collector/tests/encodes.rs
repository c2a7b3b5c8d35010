// Runs the adapter natively: no WebAssembly, no server.

use collector::Collector;
use tidegate_adapter::Verdict;
use tidegate_adapter::testing::{Answer, BatchBuilder, MetricBuilder, PushStore, TestBatch};

fn batch() -> TestBatch {
    let errors = MetricBuilder::new("errors", ["app.version"])
        .measure("count", "_tx")
        .row(["1.2.0"], [3.0])
        .row(["two\nlines"], [1.0]);
    BatchBuilder::new("web", "crashes").metric(errors).build()
}

#[test]
fn a_window_becomes_lines() {
    let store = PushStore::<Collector>::new([("url", "https://collector.example"), ("key", "k")]);
    let delivered = store.encode(&batch());
    let request = delivered.requests().next().unwrap();
    assert_eq!(request.text(), "tidegate.errors.count._tx app.version=\"1.2.0\" 3 1700000040\n");
    assert_eq!(delivered.verdict.rejected()[0].rows, [1]);
}

#[test]
fn a_busy_collector_is_asked_again_when_it_says() {
    let store = PushStore::<Collector>::new([("url", "https://collector.example"), ("key", "k")]);
    let delivered = store.deliver(&batch(), |_| Answer::status(429).header("Retry-After", "30"));
    assert_eq!(delivered.verdict, Verdict::retry("HTTP 429", Some(30)));
}
