//! What the commands about adapters print.

use super::store::moment;
use super::{CliError, Output};
use jiff::Timestamp;
use serde_json::Value as Json;
use tidegate_sandbox::{Conformance, Finding};

/// Which version a store uses now.
pub(super) fn used(out: &mut Output, store: &str, answer: &Json) {
    out.note(format_args!("{store} uses version {} ({}).", text(&answer["version"]), short(&text(&answer["digest"]))));
}

/// What became of a file that was to be installed.
pub(super) fn installed(out: &mut Output, answer: &Json, dry_run: bool) -> Result<(), CliError> {
    members(
        out,
        answer,
        &["name", "version", "vendor", "summary", "documentation", "direction", "digest", "size", "file"],
    )?;
    out.line("\nIts stores would let it")?;
    for ask in answer["asks"].as_array().into_iter().flatten() {
        out.line(format_args!("  {}", text(ask)))?;
    }
    if dry_run {
        out.note("\nIt was not installed.");
    } else if answer["default"] == true {
        out.note("\nNew stores get it. Others keep their version until `tidegate adapter upgrade PROJECT/STORE`.");
    } else {
        out.note("\nNew stores get another version, which is newer or built in; see `tidegate adapter list`.");
    }
    Ok(())
}

/// What an adapter says of itself, and who vouches for it.
fn members(out: &mut Output, adapter: &Json, names: &[&str]) -> Result<(), CliError> {
    for name in names {
        let value = text(&adapter[*name]);
        if !value.is_empty() {
            out.line(format_args!("{name:<15}{value}"))?;
        }
    }
    out.line(format_args!("{:<15}{}", "signature", signature(&adapter["signature"], true)))
}

/// How another version compares with the one in use.
pub(super) fn difference(out: &mut Output, answer: &Json) -> Result<(), CliError> {
    let to = &answer["to"];
    out.line(format_args!("To version {} ({})", text(&to["version"]), short(&text(&to["digest"]))))?;
    for ask in answer["asks"].as_array().into_iter().flatten() {
        out.line(format_args!("asks for more: {}", text(ask)))?;
    }
    let windows = answer["windows"].as_array().map(Vec::as_slice).unwrap_or_default();
    for window in windows {
        let outcome = match window["outcome"].as_str().unwrap_or_default() {
            "same" => "the same bytes".to_owned(),
            "different" => "other bytes".to_owned(),
            "now-fails" => format!("FAILS, which it does not now: {}", text(&window["reason"])),
            "still-fails" => format!("fails, as it does now: {}", text(&window["reason"])),
            "now-works" => format!("works, which it does not now ({})", text(&window["reason"])),
            other => other.to_owned(),
        };
        let set = text(&window["metric_set"]);
        out.line(format_args!("\n{set} window ending {}: {outcome}", moment(&window["window_end"])))?;
        for line in window["lines"].as_array().into_iter().flatten() {
            out.line(format_args!("  {}", text(line)))?;
        }
    }
    if windows.is_empty() {
        out.note("There is no window on record yet that the versions could be compared over.");
    }
    Ok(())
}

/// What the conformance suite found.
pub(super) fn checked(out: &mut Output, report: &Conformance) -> Result<(), CliError> {
    let row = |f: &Finding| {
        let result = if f.problems.is_empty() { "pass" } else { "FAIL" };
        vec![result.to_owned(), f.check.to_owned(), f.problems.first().cloned().unwrap_or_default()]
    };
    out.table(&["result", "check", "reason"], report.findings.iter().map(row).collect(), "Nothing was checked.")?;
    for finding in report.findings.iter().filter(|f| f.problems.len() > 1) {
        out.line(format_args!("\n{}:", finding.check))?;
        for problem in &finding.problems {
            out.line(format_args!("  {problem}"))?;
        }
    }
    let (failed, all) = (report.findings.iter().filter(|f| !f.problems.is_empty()).count(), report.findings.len());
    match failed {
        0 => out.note(format_args!("\n{} passes all {all} checks.", report.adapter)),
        n => out.note(format_args!("\n{} fails {n} of {all} checks.", report.adapter)),
    }
    Ok(())
}

pub(super) fn text(value: &Json) -> String {
    value.as_str().map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, ToOwned::to_owned)
}

/// All adapters, whose signatures count, and the files that are none.
pub(super) fn list(out: &mut Output, answer: &Json) -> Result<(), CliError> {
    let adapters = answer["adapters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let place = |a: &Json| match (a["builtin"] == true, a["file"].as_str()) {
        (true, _) => "built in".to_owned(),
        (false, Some(file)) => file.rsplit('/').next().unwrap_or(file).to_owned(),
        (false, None) => "kept for its stores".to_owned(),
    };
    let row = |a: &Json| {
        let mut row = ["name", "version", "direction", "vendor"].map(|m| text(&a[m])).to_vec();
        row.extend([short(&text(&a["digest"])), signature(&a["signature"], false), place(a), text(&a["summary"])]);
        row
    };
    let head = ["name", "version", "direction", "vendor", "digest", "signature", "from", "summary"];
    out.table(&head, adapters.iter().map(row).collect(), "There are no adapters.")?;
    let refused = answer["refused"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !refused.is_empty() {
        out.line("\nThese files are no adapters that can be used:\n")?;
        out.table(
            &["file", "reason"],
            refused.iter().map(|r| vec![text(&r["file"]), text(&r["reason"])]).collect(),
            "",
        )?;
    }
    policy(out, &answer["signatures"]);
    Ok(())
}

/// Whose signatures count.
fn policy(out: &mut Output, signatures: &Json) {
    let keys = signatures["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    let keys: Vec<String> = keys.iter().map(|k| format!("{} ({})", text(&k["name"]), text(&k["key_id"]))).collect();
    let keys = if keys.is_empty() { "none".to_owned() } else { keys.join(", ") };
    match signatures["required"] == true {
        true => out.note(format_args!(
            "\nOnly what comes with Tidegate or is signed by a trusted key is taken; trusted keys: {keys}"
        )),
        false => out.note(format_args!("\nTrusted keys for signatures: {keys}")),
    }
}

/// Who vouches for a version; for people, with what that means, or in short.
fn signature(of: &Json, whole: bool) -> String {
    let (key, id, comment) = (text(&of["key"]), text(&of["key_id"]), text(&of["comment"]));
    match (of["state"].as_str().unwrap_or_default(), whole) {
        ("part-of-tidegate", _) => "part of Tidegate".to_owned(),
        ("signed", true) => format!("by {key} (key {id}), who says: {comment}"),
        ("signed", false) => format!("by {key}"),
        ("unknown-key", true) => format!("by the key {id}, which this server does not trust, so it proves nothing"),
        ("unknown-key", false) => format!("unknown key {id}"),
        ("unsigned", true) => "none: nobody vouches for it but whoever put it there".to_owned(),
        (state, _) => state.to_owned(),
    }
}

/// Which version of its adapter a store uses, what may come of that, and what else there is: names of lines, and what stands behind them.
pub(super) fn version(store: &Json) -> Vec<(&'static str, String)> {
    let version = &store["adapter_version"];
    let one = |of: &Json| {
        let digest = short(of["digest"].as_str().unwrap_or_default());
        format!("{} ({digest})", of["version"].as_str().unwrap_or("not there any more"))
    };
    if version.is_null() {
        return Vec::new();
    }
    let mut lines = vec![("version", one(version))];
    let now = Timestamp::now().as_microsecond();
    if version["trial_until"].as_i64().is_some_and(|until| until > now) {
        let until = moment(&version["trial_until"]);
        lines.push((
            "on trial",
            format!("until {until}; a crash takes the store back to {}", one(&version["previous"])),
        ));
    }
    if let Some(problem) = version["problem"].as_str() {
        lines.push(("taken back", problem.to_owned()));
    }
    if version["update"].is_object() {
        let name = format!("{}/{}", text(&store["project"]), text(&store["name"]));
        lines.push(("new stores get", format!("{}; compare: tidegate adapter diff {name:?}", one(&version["update"]))));
    }
    lines
}

/// As much of a digest as people compare.
fn short(digest: &str) -> String {
    digest.chars().take("sha256:".len() + 12).collect()
}

/// One adapter, with what it wants and what it may reach.
pub(super) fn inspect(out: &mut Output, adapter: &Json) -> Result<(), CliError> {
    let told =
        ["name", "version", "vendor", "summary", "documentation", "direction", "contract", "digest", "size", "file"];
    members(out, adapter, &told)?;
    out.line("\nSettings")?;
    let settings = adapter["settings"].as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |s: &Json| {
        let needed = match (s["required"] == Json::Bool(true), s["when"].as_object()) {
            (true, Some(when)) => {
                let of = when.get("is").and_then(Json::as_array).into_iter().flatten().map(text).collect::<Vec<_>>();
                format!("if {} is {}", text(&when["setting"]), of.join(" or "))
            }
            (true, None) => "yes".to_owned(),
            (false, _) => "no".to_owned(),
        };
        let choices: Vec<String> = s["choices"].as_array().into_iter().flatten().map(|c| text(&c["value"])).collect();
        let kind = if choices.is_empty() { text(&s["kind"]) } else { choices.join(" | ") };
        vec![text(&s["key"]), kind, needed, text(&s["default"]), text(&s["label"]), text(&s["help"])]
    };
    let head = ["key", "kind", "required", "default", "label", "help"];
    out.table(&head, settings.iter().map(row).collect(), "  none")?;
    let endpoints = adapter["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
    for endpoint in endpoints {
        let to = match endpoint["kind"].as_str() {
            Some("tcp") => format!("tcp {{{}}}:{{{}}}", text(&endpoint["host"]), text(&endpoint["port"])),
            _ => text(&endpoint["url"]),
        };
        out.line(format_args!("\nMay reach      {to}"))?;
    }
    if endpoints.is_empty() {
        out.line("\nReaches nothing.")?;
    }
    let stubs = adapter["system"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !stubs.is_empty() {
        out.line("\nIt expects a system, and finds stubs that lead nowhere:\n")?;
        let row = |stub: &Json| {
            let finds = match stub["effect"].as_str().unwrap_or_default() {
                "empty" => "nothing in it",
                "fixed" => "the same each time",
                "logged" => "what it prints goes to the log, within limits",
                _ => "every call is refused",
            };
            vec![text(&stub["interface"]), finds.to_owned()]
        };
        out.table(&["interface", "what it finds"], stubs.iter().map(row).collect(), "")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::testing::Captured;
    use serde_json::json;

    #[test]
    fn a_store_is_shown_with_its_version_its_trial_and_what_else_there_is() {
        let one = |version: &str| json!({"version": version, "digest": format!("sha256:{}", "a1".repeat(32))});
        let mut store = json!({"project": "web shop", "name": "central", "adapter_version": one("2.0.0")});
        store["adapter_version"]["previous"] = one("1.0.0");
        store["adapter_version"]["trial_until"] = json!(4_000_000_000_000_000_u64);
        store["adapter_version"]["update"] = one("3.0.0");
        let told = version(&store);
        let expected = [
            ("version", "2.0.0 (sha256:a1a1a1a1a1a1)"),
            ("on trial", "until 2096-10-02T07:06:40Z; a crash takes the store back to 1.0.0 (sha256:a1a1a1a1a1a1)"),
            ("new stores get", "3.0.0 (sha256:a1a1a1a1a1a1); compare: tidegate adapter diff \"web shop/central\""),
        ];
        assert_eq!(told, expected.map(|(name, told)| (name, told.to_owned())));
        store["adapter_version"]["trial_until"] = json!(1);
        store["adapter_version"]["problem"] = json!("version 3.0.0 was taken back: it crashed");
        let told = version(&store);
        assert_eq!(told[1], ("taken back", "version 3.0.0 was taken back: it crashed".to_owned()));
        assert_eq!(version(&json!({"adapter_version": null})), []);
    }

    #[test]
    fn an_adapter_is_shown_with_what_it_wants_and_what_it_may_reach() {
        let captured = Captured::default();
        let adapter = json!({"name": "sink", "version": "1.0.0", "direction": "push", "contract": "1.0.0", "digest": "sha256:00",
            "documentation": "https://acme.example/sink",
            "settings": [{"key": "token", "label": "API token", "kind": "secret", "required": true, "help": "From the console.",
                "when": {"setting": "version", "is": ["2"]}}],
            "signature": {"state": "signed", "key": "acme", "key_id": "E7620F1842B4E81F", "comment": "release 1"},
            "endpoints": [{"key": "write", "kind": "http", "url": "{url}"}],
            "system": [{"interface": "wasi:sockets/tcp", "effect": "refused"}]});
        inspect(&mut captured.output(), &adapter).unwrap();
        let text = captured.text();
        assert!(text.contains("documentation  https://acme.example/sink"), "{text}");
        assert!(text.contains("token  secret  if version is 2"), "{text}");
        assert!(text.contains("May reach      {url}"), "{text}");
        assert!(text.contains("signature      by acme (key E7620F1842B4E81F), who says: release 1"), "{text}");
        assert!(text.contains("wasi:sockets/tcp  every call is refused"), "{text}");
    }
}
