//! A real browser that walks through the console: Debian's Chromium, driven by scripts in `tests/clients/browser`.

use crate::process::run;
use crate::scratch::{client_cache, repository};
use crate::tidegate::Tidegate;
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Walks one story against a server and gives what it tells at its end. Pictures of the way go to `TIDEGATE_TEST_PICTURES`, if
/// that is set.
///
/// # Panics
/// If the browser or its driver is not installed, or the story does not come to its end; the text says why.
#[must_use]
#[track_caller]
pub fn story(tidegate: &Tidegate, name: &str, given: &Json) -> Json {
    let environment = client_cache().join("browser");
    let driver = environment.join("node_modules/playwright-core/package.json");
    assert!(driver.is_file(), "playwright-core is not installed ({} is missing). Run tests/setup.sh", driver.display());
    let script = repository().join("tests/clients/browser").join(format!("{name}.mjs"));
    let mut command = Command::new("node");
    command
        .arg(script)
        .env("TIDEGATE_TEST_BROWSER", environment)
        .env("TIDEGATE_TEST_CHROMIUM", chromium())
        .env("TIDEGATE_TEST_URL", tidegate.url(""))
        .env("TIDEGATE_TEST_STORY", given.to_string());
    let output = run(&mut command);
    let (told, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the story {name} broke off ({}):\n{complaint}\n{told}", output.status);
    let last = told.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|e| panic!("the story {name} told no JSON at its end ({e}): {told}"))
}

fn chromium() -> PathBuf {
    let paths = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].map(Path::new);
    let found = paths.into_iter().find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("Chromium is not installed. Run tests/setup.sh")).to_owned()
}
