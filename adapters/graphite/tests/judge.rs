//! What the end of a connection means for the batch.

mod common;

use tidegate_adapter::Verdict;
use tidegate_adapter::testing::{Answer, large_batch};

fn judged(answer: &Answer) -> Verdict {
    common::tagged().deliver(&common::labelled(["a"]), |_| answer.clone()).verdict
}

#[test]
fn a_connection_that_was_read_to_its_end_in_silence_means_taken() {
    assert_eq!(judged(&Answer::written()), Verdict::accepted());
}

#[test]
fn whatever_breaks_the_connection_has_the_whole_batch_sent_again() {
    for failure in
        ["cannot connect: Connection refused", "the connection broke: Broken pipe", "timed out while connecting"]
    {
        assert_eq!(judged(&Answer::failure(failure)), Verdict::retry(failure, None));
    }
    let mut streams = 0;
    let delivered = common::tagged().deliver(&large_batch(40_000), |_| {
        streams += 1;
        if streams == 2 { Answer::failure("the connection broke: reset") } else { Answer::written() }
    });
    assert_eq!((streams, delivered.verdict), (2, Verdict::retry("the connection broke: reset", None)));
}

#[test]
fn what_answers_is_not_graphite() {
    let told = "the other side answered \"HTTP/1.1 400 Bad Request\\r\\n\", and Graphite never answers: is this its plaintext port?";
    assert_eq!(judged(&Answer::written().body("HTTP/1.1 400 Bad Request\r\n")), Verdict::stop(told));
    assert!(format!("{:?}", judged(&Answer::written().body(b"\x15\x03\x01".to_vec()))).contains("Stop"));
}

#[test]
fn a_check_connects_and_writes_nothing() {
    let checked = common::tagged().check(|_| Answer::written());
    assert_eq!(checked.verdict, Verdict::accepted());
    let bodies: Vec<_> = checked.streams().map(|stream| stream.body.len()).collect();
    assert_eq!(bodies, [0]);
    let refused = common::tagged().check(|_| Answer::failure("cannot connect: Connection refused"));
    assert_eq!(refused.verdict, Verdict::retry("cannot connect: Connection refused", None));
}
