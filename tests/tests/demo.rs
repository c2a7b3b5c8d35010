//! `tidegate demo` shows the whole way, with nothing set up before.

use std::process::Command;
use tidegate_tests::process::run;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::tidegate::binary;

#[test]
fn the_demo_fills_the_page_and_its_pushes_arrive() {
    let scratch = Scratch::new("demo");
    let mut command = Command::new(binary());
    // A directory of its own: an empty one is all that a newcomer has.
    let output = run(command.current_dir(scratch.folder("empty")).args([
        "demo",
        "--duration",
        "20",
        "--period",
        "3",
        "--rate",
        "50",
    ]));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let problems = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "the demo ended with {}\n{said}\n{problems}", output.status);
    for part in [
        "curl http://127.0.0.1:",
        "/pull/",
        "tidegate store preview lantern/influxdb",
        "InfluxDB was sent, for example: errors",
    ] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    let last = said.lines().last().unwrap_or_default();
    assert!(last.contains("the page for Prometheus was filled"), "{said}");
    assert!(!last.contains(" 0 pushes") && !last.contains("with 0 points"), "{said}");
    assert_eq!(problems, "", "the demo complains");
    let left: Vec<_> = std::fs::read_dir(scratch.path("empty")).expect("the folder is there").flatten().collect();
    assert!(left.is_empty(), "the demo leaves files behind: {left:?}");
}
