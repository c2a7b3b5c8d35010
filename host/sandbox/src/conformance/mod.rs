//! The conformance suite: what any adapter has to stand, whoever wrote it and whatever it speaks.
//!
//! It runs a component in the sandbox against batches and answers that no polite test would think of, and reads what it sends as a
//! stranger would. It knows no protocol, so it cannot say that the bytes are right; it says that they are the same twice, that no
//! name broke out of its place, that nothing crashes, and that no answer of a server loses data in silence.

mod batches;
mod drive;
mod pages;
mod pushes;
mod stores;

use crate::adapter::Adapter;
use std::fmt;
use std::sync::Arc;

/// What one check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// What is wrong, each with the settings under which it was seen. Empty if nothing is.
    pub problems: Vec<String>,
}

/// What the suite found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conformance {
    /// The adapter's name and version.
    pub adapter: String,
    /// One for each check that was made.
    pub findings: Vec<Finding>,
}

impl Conformance {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.findings.iter().all(|f| f.problems.is_empty())
    }
}

impl fmt::Display for Conformance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.adapter)?;
        for Finding { check, problems } in &self.findings {
            writeln!(f, "{:<5} {check}", if problems.is_empty() { "pass" } else { "FAIL" })?;
            for problem in problems {
                writeln!(f, "      {problem}")?;
            }
        }
        Ok(())
    }
}

/// Problems of one check that are kept; more say the same.
const MOST_PROBLEMS: usize = 20;

/// Collects what the checks find.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    /// Notes that `check` was made, and what it found, if it found something.
    fn note(&mut self, check: &'static str, found: Result<(), String>) {
        let at = self.0.iter().position(|f| f.check == check).unwrap_or_else(|| {
            self.0.push(Finding { check, problems: Vec::new() });
            self.0.len() - 1
        });
        if let Err(problem) = found
            && self.0[at].problems.len() < MOST_PROBLEMS
            && !self.0[at].problems.contains(&problem)
        {
            self.0[at].problems.push(problem);
        }
    }
}

/// Runs the suite over `adapter`. Takes seconds; blocking.
#[must_use]
pub fn conformance(adapter: &Arc<Adapter>) -> Conformance {
    let description = adapter.description();
    let mut findings = Findings::default();
    findings.note("the description is complete", complete(adapter));
    let stores = stores::stores(description);
    findings.note(
        "settings that the description allows can be filled in",
        if stores.is_empty() { Err("no combination of settings was taken".to_owned()) } else { Ok(()) },
    );
    if adapter.direction().pushes() {
        pushes::all(adapter, &stores, &mut findings);
    }
    if adapter.direction().pulls() {
        pages::all(adapter, &stores, &mut findings);
    }
    Conformance { adapter: format!("{} {}", description.name, description.version), findings: findings.0 }
}

/// What a user of the form would miss.
fn complete(adapter: &Adapter) -> Result<(), String> {
    let description = adapter.description();
    let mut missing = Vec::new();
    for (what, text) in
        [("version", &description.version), ("vendor", &description.vendor), ("summary", &description.summary)]
    {
        if text.is_empty() {
            missing.push(what.to_owned());
        }
    }
    for setting in &description.settings {
        if setting.label.is_empty() {
            missing.push(format!("label of setting {}", setting.key));
        }
        if setting.help.is_empty() {
            missing.push(format!("help of setting {}", setting.key));
        }
    }
    if adapter.direction().pushes() && description.endpoints.is_empty() {
        missing.push("an endpoint to push to".to_owned());
    }
    if missing.is_empty() { Ok(()) } else { Err(format!("not there: {}", missing.join(", "))) }
}
