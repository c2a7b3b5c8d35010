//! The API held against its own description by tools that know nothing of Tidegate.

use crate::world;
use serde_json::json;
use std::process::Command;
use tidegate_tests::clients;
use tidegate_tests::http;
use tidegate_tests::process::{run, run_well};
use tidegate_tests::scratch::{Scratch, repository};
use tidegate_tests::tidegate::Tidegate;

#[test]
fn the_description_of_the_api_is_openapi_3_1_for_a_validator_of_others_and_served_to_everybody() {
    let scratch = Scratch::new("openapi");
    let tidegate = world::tidegate(&scratch).start();
    let served = http::get(&tidegate.url("/api/v1/openapi.json")).send_well();
    assert_eq!((served.status, &served.json()["openapi"]), (200, &json!("3.1.0")), "{served}");
    let file = scratch.file("openapi.json", served.json().to_string());
    let mut validator = Command::new(clients::python());
    let told = run_well(validator.args(["-m", "openapi_spec_validator", "--schema", "3.1"]).arg(&file));
    assert!(told.contains("OK"), "{told}");
    // The program tells the same without a server.
    let printed: serde_json::Value = serde_json::from_str(&tidegate.cli(&["openapi"])).expect("JSON");
    assert_eq!(printed, served.json());
}

#[test]
fn a_create_that_is_sent_again_after_a_kill_is_answered_as_it_was() {
    let scratch = Scratch::new("create-again");
    let mut tidegate = world::tidegate(&scratch).start();
    let create = |tidegate: &Tidegate| {
        let request = http::post(&tidegate.api().url(&["tokens"])).bearer(tidegate.token());
        request.header("idempotency-key", "k").json(&json!({"name": "ci"})).send_well()
    };
    let first = create(&tidegate);
    tidegate.kill();
    tidegate.restart();
    let again = create(&tidegate);
    assert_eq!((first.status, first.text()), (again.status, again.text()));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    // The token that is told again is the one that was made, and the only one.
    let token = again.json()["token"].as_str().expect("a token").to_owned();
    assert_eq!(http::get(&tidegate.api().url(&["projects"])).bearer(&token).send_well().status, 200);
    let tokens = tidegate.api().get(&["tokens"]);
    let made = tokens["tokens"].as_array().expect("tokens").iter().filter(|token| token["name"] == "ci").count();
    assert_eq!(made, 1, "{tokens}");
    assert!(!tidegate.log().contains(&token));
}

#[test]
fn schemathesis_finds_no_answer_that_the_description_does_not_allow() {
    let scratch = Scratch::new("schemathesis");
    let tidegate = world::tidegate(&scratch).start();
    // Things for it to work on; most names that it makes up lead nowhere.
    let store = json!({"name": "page", "adapter": "prometheus", "period": 60, "metric_sets": [world::SET]});
    tidegate.apply(&world::document(&world::few_metrics(), &[store]));
    let program = clients::python().with_file_name("schemathesis");
    let mut command = Command::new(program);
    command.current_dir(scratch.folder("run"));
    command.env("SCHEMATHESIS_HOOKS", "schemathesis_hooks");
    command.env("PYTHONPATH", repository().join("tests/clients/python"));
    command.arg("--config-file").arg(repository().join("tests/clients/schemathesis.toml"));
    command.args(["run", &tidegate.url("/api/v1/openapi.json")]);
    command.args(["--header", &format!("Authorization: Bearer {}", tidegate.token())]);
    // Bounded, and the same each time: what it finds must be found again.
    command.args([
        "--max-examples",
        "12",
        "--seed",
        "1",
        "--generation-deterministic",
        "--phases",
        "examples,coverage,fuzzing",
    ]);
    // One worker: several that parse Python at once make CPython 3.11 fail (python/cpython#106905).
    command.args(["--workers", "1", "--no-color", "--continue-on-failure"]);
    let output = run(&mut command);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("passed"), "it looked at something: {told}");
    world::no_errors_in_the_log(&tidegate);
}
