//! The mutations are the same on every machine.

use tidegate_fuzz::mutate::{Random, mutated};

#[test]
fn a_run_gives_the_same_input_every_time_and_runs_differ() {
    // Long enough that two runs seldom cut to the same few bytes.
    let long = |text: &str| text.repeat(40).into_bytes();
    let corpus = [long("{\"fold\":{\"_tx\":[[\"count\"]]}}"), long("[1,2,3]")];
    let of = |seed| mutated(&corpus, &mut Random::new(seed));
    assert_eq!(of(7), of(7));
    let different: std::collections::HashSet<_> = (0..1000).map(of).collect();
    assert!(different.len() > 900, "{}", different.len());
}
