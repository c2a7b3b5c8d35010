//! Somebody signs in at the command line with a password, works in their own name, and signs out.

use crate::console;
use crate::world;
use serde_json::{Value as Json, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tidegate_tests::scratch::Scratch;
use tidegate_tests::tidegate::{Tidegate, binary};

/// Runs a command that knows of the server what `config` holds, and nothing else.
fn typed(config: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).env("TIDEGATE_CONFIG", config);
    for variable in ["TIDEGATE_SERVER", "TIDEGATE_TOKEN", "TIDEGATE_TOKEN_FILE"] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("it reads its input");
    child.wait_with_output().expect("it ends")
}

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn log_in(tidegate: &Tidegate, config: &Path, password: &str) -> Output {
    let server = tidegate.url("");
    typed(config, &["login", "--server", &server, "--user", "admin", "--json"], &format!("{password}\n"))
}

#[test]
fn who_logs_in_with_a_password_works_in_their_own_name_until_they_log_out() {
    let scratch = Scratch::new("login");
    let tidegate = world::tidegate(&scratch).start();
    console::set_password(&tidegate);
    tidegate.apply(&json!({"projects": [{"name": "web"}]}));
    let config = scratch.folder("config").join("config.json");

    let wrong = log_in(&tidegate, &config, "not the password");
    assert!(!wrong.status.success() && words(&wrong).contains("user name or password is wrong"), "{}", words(&wrong));
    assert!(!config.exists());
    let right = log_in(&tidegate, &config, console::PASSWORD);
    assert!(right.status.success(), "{}", words(&right));
    let told: Json = serde_json::from_slice(&right.stdout).expect("JSON");
    assert_eq!((&told["user"], &told["operator"]), (&json!("admin"), &json!(true)), "{told}");
    let kept = std::fs::read_to_string(&config).expect("the file");
    assert!(!kept.contains(console::PASSWORD));

    let listed = typed(&config, &["project", "list", "--json"], "");
    let listed: Json = serde_json::from_slice(&listed.stdout).unwrap_or_else(|e| panic!("{e}: {}", words(&listed)));
    assert_eq!(listed["projects"][0]["name"], "web", "{listed}");
    // A change of what is there already: whoever types it means it.
    for days in ["3", "4"] {
        let kept = typed(&config, &["project", "keep", "web", "--days", days], "");
        assert!(kept.status.success() && words(&kept).contains(&format!("{days} days")), "{}", words(&kept));
    }
    let log = tidegate.api().get(&["audit"]);
    assert_eq!(
        (&log["audit"][0]["actor"], &log["audit"][0]["action"]),
        (&json!("user admin"), &json!("set-retention"))
    );

    let session = scratch.file("kept.json", &kept);
    let out = typed(&config, &["logout"], "");
    assert!(out.status.success() && words(&out).contains("The session is ended"), "{}", words(&out));
    assert!(!config.exists());
    let after = typed(&session, &["project", "list"], "");
    assert!(!after.status.success() && words(&after).contains("sign in again"), "{}", words(&after));
}
