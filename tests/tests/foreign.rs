//! Adapters that other toolchains make: they deliver to a real server, conform, find a system that leads nowhere, and are compiled
//! once.

use crate::world::{self, PATIENCE, PROJECT};
use serde_json::{Value as Json, json};
use std::path::Path;
use std::time::Duration;
use tidegate_tests::foreign::Foreign;
use tidegate_tests::generator::Generator;
use tidegate_tests::guests;
use tidegate_tests::receiver::Receiver;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::servers::Influxd;
use tidegate_tests::tidegate::Tidegate;
use tidegate_tests::wait;

/// Compiling a large component takes ten seconds of a core, and others may want that core, too.
const COMPILED: Duration = Duration::from_secs(600);

fn host(scratch: &Scratch, folder: &Path) -> Tidegate {
    world::tidegate(scratch).argument("--adapter-dir").argument(folder.display().to_string())
}

/// A store that writes lines into InfluxDB by an adapter of our own.
fn lines(name: &str, adapter: &str, influxd: &Influxd) -> Json {
    let settings = json!({
        "url": influxd.url(), "database": Influxd::DATABASE, "user": Influxd::USER, "password": {"env": "INFLUX_PASSWORD"},
    });
    world::store(name, adapter, 2, settings)
}

#[track_caller]
fn offered(tidegate: &Tidegate, adapter: &str) -> Json {
    wait::until(&format!("{adapter} is on offer"), COMPILED, || {
        let listed = tidegate.api().get(&["adapters"]);
        let there = listed["adapters"].as_array().expect("a list").iter().any(|a| a["name"] == adapter);
        if there { Ok(()) } else { Err(listed["refused"].to_string()) }
    });
    tidegate.api().get(&["adapters", adapter])
}

/// What the adapter `name`, dropped into the folder of a running server, delivers, is what the oracle says; and it still does after
/// a start that compiles nothing.
fn delivers(foreign: Foreign, name: &str, packages: &[&str], without: &[&str]) {
    let scratch = Scratch::new(name);
    let folder = scratch.folder("adapters");
    let influxd = Influxd::start(&scratch);
    let mut tidegate = host(&scratch, &folder).start();
    let component = foreign.install(&folder);
    let adapter = offered(&tidegate, name);
    let system: Vec<_> =
        adapter["system"].as_array().expect("a list").iter().map(|s| s["interface"].to_string()).collect();
    for package in packages {
        assert!(system.iter().any(|interface| interface.contains(package)), "{package} is not in {system:?}");
        let whole = package.split('/').next().unwrap_or(package);
        assert!(adapter["asks"].to_string().contains(whole), "nobody is asked about {whole}: {adapter}");
    }
    for package in without {
        assert!(!system.iter().any(|interface| interface.contains(package)), "{package} is in {system:?}");
    }
    let shown = tidegate.cli(&["adapter", "inspect", name]);
    assert!(shown.contains("finds stubs that lead nowhere") && shown.contains(packages[0]), "{shown}");

    let metrics = world::metrics();
    tidegate.apply(&world::document(&metrics, &[lines("central", name, &influxd)]));
    let mut generator = Generator::new(name);
    let mut events = Vec::new();
    for _ in 0..10 {
        events.extend(tidegate.api().bulk_until_acknowledged(PROJECT, &generator.events(60)));
        std::thread::sleep(Duration::from_millis(300));
    }
    world::compare_with_influxdb(&influxd, &world::expected(&metrics, 2, &events));

    tidegate.stop();
    tidegate.restart();
    assert_eq!(tidegate.api().own_metric("tidegate_components{how=\"compiled\"}"), 0.0);
    events.extend(tidegate.api().bulk_until_acknowledged(PROJECT, &generator.events(60)));
    world::compare_with_influxdb(&influxd, &world::expected(&metrics, 2, &events));
    world::no_errors_in_the_log(&tidegate);
    conforms(&tidegate, &component);
}

/// What somebody starts from passes every check that the suite knows.
#[track_caller]
fn conforms(tidegate: &Tidegate, component: &Path) {
    let ran = tidegate.cli_output(&["adapter", "check", "--json", &component.display().to_string()]);
    let report: Json = serde_json::from_slice(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    let checks = report["checks"].as_array().expect("a list");
    let failed: Vec<_> = checks.iter().filter(|check| check["passed"] != true).collect();
    assert!(failed.is_empty() && ran.status.success(), "{}: {failed:#?}", report["adapter"]);
    assert!(checks.len() >= 12, "few checks were made: {report}");
}

#[test]
fn an_adapter_in_python_delivers_every_window_exactly_and_is_compiled_once() {
    let packages = ["wasi:sockets/tcp", "wasi:filesystem/types", "wasi:clocks", "wasi:random", "wasi:cli/stdout"];
    delivers(Foreign::Python, "lines-python", &packages, &["wasi:http"]);
}

#[test]
fn an_adapter_in_javascript_delivers_every_window_exactly_and_is_compiled_once() {
    delivers(Foreign::JavaScript, "lines-js", &["wasi:cli/stdout"], &["wasi:http", "wasi:sockets", "wasi:random"]);
}

#[test]
fn an_adapter_in_rust_for_wasip2_delivers_every_window_exactly_and_is_compiled_once() {
    delivers(Foreign::Wasip2, "lines-wasip2", &["wasi:cli/stdout"], &["wasi:http", "wasi:sockets"]);
}

#[test]
fn the_template_that_authors_start_from_conforms_like_those_of_other_toolchains() {
    let scratch = Scratch::new("template");
    let tidegate = world::tidegate(&scratch).start();
    conforms(&tidegate, &guests::template(&scratch.folder("template")));
}

#[test]
fn a_component_that_may_reach_the_network_is_refused_by_name_before_anything_of_it_runs() {
    let scratch = Scratch::new("foreign-http");
    let folder = scratch.folder("adapters");
    let tidegate = host(&scratch, &folder).start();
    let compiled = || tidegate.api().own_metric("tidegate_components{how=\"compiled\"}");
    let before = compiled();
    let _ = Foreign::JavaScriptWithHttp.install(&folder);
    let listed = wait::until("the file is refused", PATIENCE, || {
        let listed = tidegate.api().get(&["adapters"]);
        if listed["refused"][0].is_null() { Err(listed.to_string()) } else { Ok(listed) }
    });
    let reason = listed["refused"][0]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("not even as stubs: ") && reason.contains("wasi:http/types@0.2"), "{reason}");
    assert!(!reason.contains("wasi:cli/"), "what has a stub is named as well: {reason}");
    // Looking was enough.
    assert_eq!(compiled(), before);
}

/// What an adapter that tries everything must be told.
const FOUND: [(&str, &str); 14] = [
    ("arguments", "0"),
    ("variables", "0"),
    ("read a file", "refused, "),
    ("write a file", "refused, "),
    ("list a folder", "refused, "),
    ("make a folder", "refused, "),
    ("connect", "refused, "),
    ("listen", "refused, "),
    ("send a datagram", "refused, "),
    ("resolve a name", "refused, "),
    ("standard input", "GOT 0"),
    ("a terminal", "false"),
    ("seconds since the epoch", "0"),
    ("seconds that an hour takes", "0"),
];

#[test]
fn an_adapter_that_tries_everything_a_system_offers_finds_nothing_and_is_told_no() {
    let scratch = Scratch::new("system");
    let folder = scratch.folder("adapters");
    let _ = Foreign::System.install(&folder);
    let receiver = Receiver::start(|_| (204, String::new()));
    let tidegate = host(&scratch, &folder).variable("CANARY", "canary-environment").start();
    let store = |end: &str| world::store(end, "system", 1, json!({"url": receiver.url(), "end": end}));
    let stores = ["report", "print", "exit", "panic"].map(store);
    tidegate.apply(&world::document(&world::few_metrics(), &stores));
    let _ = tidegate.api().bulk_until_acknowledged(PROJECT, &Generator::new("system").events(20));
    for name in ["report", "print"] {
        world::status_when(&tidegate, name, "two windows are delivered", |s| {
            s["deliveries"]["confirmed"].as_u64() >= Some(2)
        });
    }

    let reports: Vec<String> =
        receiver.received().iter().map(|r| String::from_utf8_lossy(&r.body).into_owned()).collect();
    for (tried, found) in FOUND {
        let line = format!("{tried}: {found}");
        assert!(reports[0].lines().any(|l| l.starts_with(&line)), "{line:?} is not in {}", reports[0]);
    }
    // Equal windows give equal bytes, since what passes for randomness repeats.
    assert!(reports[0].contains("random: ") && reports.iter().all(|r| *r == reports[0]), "{reports:?}");

    // What is printed is in the log, within limits, and cannot be taken for the host's.
    let printed: Vec<String> =
        tidegate.log().lines().filter(|l| l.contains("it prints: line ")).map(str::to_owned).collect();
    assert!(printed.iter().any(|l| l.contains("it prints: line 0 of \\\\u{1b}[31mmany")), "{printed:?}");
    assert!(printed.iter().all(|l| l.contains("\"adapter\":\"system\"") && !l.contains("line 20 ")), "{printed:?}");
    assert!(tidegate.log().contains("it prints more than the lines of one call"));

    let status = world::status_when(&tidegate, "exit", "is stopped", |s| s["state"] == "adapter-fault");
    let problem = status["problem"].as_str().unwrap_or_default();
    assert!(problem.contains("wasi:cli/exit.exit, which adapters do not have"), "{status}");
    let status = world::status_when(&tidegate, "panic", "is stopped", |s| s["state"] == "adapter-fault");
    let problem = status["problem"].as_str().unwrap_or_default();
    assert!(problem.contains("crashed") && problem.contains("\\u{1b}[2J"), "the panic's text is missing: {status}");
    assert!(!tidegate.log().contains('\u{1b}'), "the log was written by a guest");
}
