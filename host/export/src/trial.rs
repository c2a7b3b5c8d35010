//! Another version of a store's adapter: what it would send, compared with what the one in use sends, and the way back if it
//! crashes after all.
//!
//! The comparison is a dry run over windows that are on record: both versions get the same batches and the same friendly answers,
//! and nothing leaves the host. It shows what changes and proves that the new version stands these batches; it cannot prove
//! that it stands the next one. So the first hour after the change is a trial, and a crash in it takes the store back.

use crate::catalog::{Catalog, Edit};
use crate::config::{Config, ConfigError};
use crate::ledger::Track;
use crate::offload::blocking;
use crate::preview::{ExportError, PreviewMessage, Previewer, message_of};
use std::collections::HashMap;
use std::sync::Arc;
use tidegate_model::{Batch, BatchView, Clock, Name, StoreId, Window};
use tidegate_sandbox::{Adapter, Fault, Outcome, Snapshot, Step};

/// Windows of each metric set that are compared.
const WINDOWS: usize = 10;
/// Lines of a difference that are told.
const LINES: usize = 40;
/// Characters of such a line.
const LINE: usize = 400;
/// What every action is answered in the dry run.
const FRIENDLY: u16 = 204;

/// How two versions of an adapter compare for one store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Why the store cannot use the other version at all: it wants other settings, or works the other way.
    pub misfit: Option<String>,
    /// What it asks for that the version in use does not.
    pub asks: Vec<String>,
    /// One for each window that was tried, the newest first.
    pub windows: Vec<ComparedWindow>,
}

impl Comparison {
    /// Why the store should not change: the other version does not take the settings, or fails where the one in use does not.
    #[must_use]
    pub fn objection(&self) -> Option<String> {
        let fails = |w: &ComparedWindow| match &w.outcome {
            Compared::NowFails(why) => Some(format!("it fails with the window {}: {why}", w.window)),
            _ => None,
        };
        self.misfit.clone().or_else(|| self.windows.iter().find_map(fails))
    }
}

/// One window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComparedWindow {
    /// The metric set that it is of; none for a page, which has all.
    pub metric_set: Option<Name>,
    /// The window; for a page, the newest.
    pub window: Window,
    /// How the versions compare.
    pub outcome: Compared,
}

/// What two versions make of one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compared {
    /// The same bytes.
    Same,
    /// Other bytes: lines that only the version in use sends, behind `-`, and lines that only the other one sends, behind `+`.
    /// Credentials are there as the keys of their settings.
    Different(Vec<String>),
    /// The other version fails with this, the one in use does not.
    NowFails(String),
    /// Both fail, the other one with this.
    StillFails(String),
    /// The one in use fails with this, or is not there, and the other one does not.
    NowWorks(String),
}

impl Previewer {
    /// Compares the version of its adapter that a store uses with another one. Blocks.
    pub(crate) fn compare(&self, id: StoreId, other: &Arc<Adapter>) -> Result<Comparison, ExportError> {
        let store = self.catalog.read(|v| v.store(id))?;
        let current = self.configs.get(id);
        let asks = match &current {
            Ok(config) => other.asks_beyond(&config.adapter),
            Err(_) => other.asks().into_iter().collect(),
        };
        let misfit = |why: String| Comparison { misfit: Some(why), asks: asks.clone(), windows: Vec::new() };
        if other.description().name != store.adapter {
            return Ok(misfit(format!(
                "it is the adapter {:?}, the store uses {:?}",
                other.description().name,
                store.adapter
            )));
        }
        let next = match self.configs.with(id, Arc::clone(other)) {
            Ok(next) => next,
            Err(ConfigError::Unfit(why)) => return Ok(misfit(why)),
            Err(ConfigError::Unreadable(why)) => return Err(ExportError::Internal(why)),
            Err(ConfigError::Gone) => return Err(ExportError::Internal("the store was deleted meanwhile".to_owned())),
        };
        let current = match current {
            Ok(config) => Ok(config),
            Err(ConfigError::Unfit(why)) => Err(why),
            Err(_) => Err("the store cannot be read".to_owned()),
        };
        let windows = if store.pull { self.pages(&current, &next)? } else { self.pushes(&current, &next)? };
        Ok(Comparison { misfit: None, asks, windows })
    }

    fn pushes(&self, current: &Result<Arc<Config>, String>, next: &Config) -> Result<Vec<ComparedWindow>, ExportError> {
        let mut tracks: Vec<Track> =
            next.links.iter().filter(|l| l.until.is_none()).map(|l| (l.metric_set, l.period)).collect();
        tracks.sort();
        tracks.dedup();
        let mut batches = Vec::new();
        for track in tracks {
            batches.extend(self.ledger.recent_batches(track, WINDOWS)?);
        }
        batches.retain(|batch| batch.live_rows() > 0);
        batches.sort_by_key(|batch| std::cmp::Reverse(batch.window.end()));
        let one = |batch: Arc<Batch>| {
            let (metric_set, window) = (Some(batch.metric_set.clone()), batch.window);
            let before = match current {
                Ok(config) => told(conversation(config, &batch))?,
                Err(why) => Err(why.clone()),
            };
            let after = told(conversation(next, &batch))?;
            Ok(ComparedWindow { metric_set, window, outcome: compared(before, after) })
        };
        batches.into_iter().map(one).collect()
    }

    fn pages(&self, current: &Result<Arc<Config>, String>, next: &Config) -> Result<Vec<ComparedWindow>, ExportError> {
        let mut batches = Vec::new();
        for link in next.links.iter().filter(|l| l.until.is_none()) {
            batches.extend(self.ledger.shown((link.metric_set, link.period))?.map(|shown| shown.batch));
        }
        let Some(window) = batches.iter().map(|b| b.window).max_by_key(|w| w.end()) else { return Ok(Vec::new()) };
        let page = |config: &Config| {
            let snapshot = Snapshot { batches: batches.clone(), period: config.store.period };
            let page =
                config.account.call(|limits| config.adapter.render(&config.settings, snapshot, Vec::new(), limits));
            page.map(|p| format!("content-type: {}\n\n{}", p.content_type, String::from_utf8_lossy(&p.body.concat())))
        };
        let before = match current {
            Ok(config) => told(page(config))?,
            Err(why) => Err(why.clone()),
        };
        let after = told(page(next))?;
        Ok(vec![ComparedWindow { metric_set: None, window, outcome: compared(before, after) }])
    }
}

/// What a version makes of a window. That there is no time or place left to ask it says nothing of the version.
fn told(made: Result<String, Fault>) -> Result<Result<String, String>, ExportError> {
    match made {
        Err(fault @ (Fault::Cpu { .. } | Fault::Busy { .. })) => Err(fault.into()),
        other => Ok(other.map_err(|fault| fault.to_string())),
    }
}

/// Everything that an adapter would send for a batch if all of it were taken, for people.
fn conversation(config: &Config, batch: &Arc<Batch>) -> Result<String, Fault> {
    let account = &config.account;
    let _place = account.enter()?;
    let view = BatchView::whole(Arc::clone(batch));
    let mut step = account.counted(config.adapter.begin(&config.settings, view, &account.allowance().call))?;
    let mut text = String::new();
    while let Step::Act(talk, action) = step {
        text.push_str(&shown(message_of(config, &action)));
        let outcome = Outcome { status: Some(FRIENDLY), ..Outcome::default() };
        account.check()?;
        step = account.counted(talk.step(outcome))?;
    }
    Ok(text)
}

fn shown(message: PreviewMessage) -> String {
    match message {
        PreviewMessage::Request { line, headers, body, .. } => {
            let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
            format!("{line}\n{headers}\n{}\n", readable(&body))
        }
        PreviewMessage::Stream { to, body } => format!("to {to}\n{}\n", readable(&body)),
        PreviewMessage::Page { content_type, body } => format!("{content_type}\n{}\n", readable(&body)),
        PreviewMessage::Nothing(why) => format!("({why})\n"),
    }
}

/// Text as it is; other bytes as digits, so that a difference shows.
fn readable(body: &[u8]) -> String {
    match std::str::from_utf8(body) {
        Ok(text) => text.to_owned(),
        Err(_) => body.chunks(32).map(|line| format!("{}\n", hex::encode(line))).collect(),
    }
}

fn compared(before: Result<String, String>, after: Result<String, String>) -> Compared {
    match (before, after) {
        (Ok(before), Ok(after)) if before == after => Compared::Same,
        (Ok(before), Ok(after)) => Compared::Different(difference(&before, &after)),
        (Ok(_), Err(why)) => Compared::NowFails(why),
        (Err(_), Err(why)) => Compared::StillFails(why),
        (Err(why), Ok(_)) => Compared::NowWorks(why),
    }
}

/// The lines that only one of two texts has, in their order.
fn difference(before: &str, after: &str) -> Vec<String> {
    let mut count: HashMap<&str, i64> = HashMap::new();
    before.lines().for_each(|line| *count.entry(line).or_default() += 1);
    after.lines().for_each(|line| *count.entry(line).or_default() -= 1);
    let cut = |sign: char, line: &str| format!("{sign} {}", line.chars().take(LINE).collect::<String>());
    let mut lines = Vec::new();
    for (sign, text, way) in [('-', before, 1), ('+', after, -1)] {
        for line in text.lines() {
            if let Some(left) = count.get_mut(line).filter(|left| **left * way > 0) {
                *left -= way;
                lines.push(cut(sign, line));
            }
        }
    }
    if lines.is_empty() {
        return vec!["the same lines in another order".to_owned()];
    }
    if lines.len() > LINES {
        let more = lines.len() - LINES;
        lines.truncate(LINES);
        lines.push(format!("and {more} more lines"));
    }
    lines
}

/// Takes stores back whose changed version crashes while it is on trial.
pub(crate) struct Trials {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Trials {
    /// Ends the trial of the version that `config` has, if it is on trial and `fault` is its own. True if the store is back at
    /// the version before.
    pub(crate) async fn ends(&self, config: &Config, fault: &Fault) -> bool {
        let Some(pin) = &config.store.pin else { return false };
        let on_trial = pin.trial_until.is_some_and(|until| self.clock.now() < until);
        if !on_trial || matches!(fault, Fault::Busy { .. }) {
            return false;
        }
        let (catalog, id, from) = (Arc::clone(&self.catalog), config.store.id, pin.digest);
        let version = &config.adapter.description().version;
        let problem = format!("version {version} (sha256:{}) was taken back: {fault}", &hex::encode(from)[..12]);
        let told = problem.clone();
        let done = blocking(move || {
            catalog.edit(|edit| {
                let back = |edit: &Edit<'_>| edit.roll_back_adapter(id, &from, Some(&told));
                edit.store_by_host(id, "roll-back", &told, back)
            })
        })
        .await;
        match done {
            Ok(Ok(())) => {
                tracing::error!(store = %config.name, "{problem}");
                true
            }
            Ok(Err(error)) => {
                tracing::warn!(store = %config.name, "the version of the adapter could not be taken back: {error}");
                false
            }
            Err(cut) => {
                tracing::warn!(store = %config.name, "the version of the adapter could not be taken back: {cut}");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_has_the_lines_that_only_one_side_has_in_their_order() {
        assert_eq!(difference("a\nb\nb\nc\n", "b\na\nd\n"), ["- b", "- c", "+ d"]);
        assert_eq!(difference("a\nb", "b\na"), ["the same lines in another order"]);
        let long: String = (0..100).map(|n| format!("{n}\n")).collect();
        let told = difference(&long, "");
        assert_eq!((told.len(), told[40].as_str()), (41, "and 60 more lines"));
        assert_eq!(difference(&"x".repeat(1000), "")[0].len(), 402);
    }

    #[test]
    fn only_a_failure_that_was_not_there_before_stands_in_the_way() {
        let fails = |why: &str| Err::<String, _>(why.to_owned());
        let fine = || Ok::<_, String>("x".to_owned());
        assert_eq!(compared(fine(), fails("trap")), Compared::NowFails("trap".to_owned()));
        assert_eq!(compared(fails("old"), fails("new")), Compared::StillFails("new".to_owned()));
        assert_eq!(compared(fails("old"), fine()), Compared::NowWorks("old".to_owned()));
        assert_eq!(compared(fine(), fine()), Compared::Same);
        let window = Window::starting_at(0, tidegate_model::Period::default()).unwrap();
        let with = |outcome| Comparison {
            misfit: None,
            asks: Vec::new(),
            windows: vec![ComparedWindow { metric_set: None, window, outcome }],
        };
        assert!(with(Compared::NowFails("trap".to_owned())).objection().is_some_and(|o| o.ends_with("trap")));
        assert_eq!(with(Compared::StillFails("new".to_owned())).objection(), None);
        assert_eq!(with(Compared::Different(Vec::new())).objection(), None);
    }
}
