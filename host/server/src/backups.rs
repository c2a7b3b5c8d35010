//! Copies of catalog, ledger and events, made while everything goes on, and kept as a series.
//!
//! A copy is a folder named by the time at which it was whole. It is made under another name and takes its own when it is checked, so what has
//! such a name can be restored. What comes between two of a series is in the log of changes beside them. The trap is the order: the ledger is copied first. Events that came after it are evaluated again
//! after a restore; the other way round they would be missing.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};
use std::fs::{self, DirBuilder};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tidegate_events::changes::{Base, ChangeLog};
use tidegate_export::{CopyError, Export, ExportError, copy_database, verify_database};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The form of the names.
const FORM: &str = "%Y%m%dT%H%M%SZ";
/// What follows the time in the name of one that was made by the clock, and is removed by it.
const SCHEDULED: &str = "-scheduled";
/// What follows the name of one that is not whole yet.
const PARTIAL: &str = ".partial";
/// The file in a backup that says where it stands in the log of changes.
const BASE: &str = "changes.json";

/// How a series is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Series {
    /// From one backup to the next.
    pub every: Duration,
    /// How many are kept; older ones are removed. Those that somebody asked for are not counted and not removed.
    pub keep: usize,
}

/// A backup that was made.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) folder: PathBuf,
    pub(crate) bytes: u64,
    /// What is wrong with it; nothing if it is sound.
    pub(crate) problems: Vec<String>,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    #[error("the folder {} cannot be made: {cause}", folder.display())]
    Folder { folder: PathBuf, cause: io::Error },
    #[error(transparent)]
    Copy(#[from] CopyError),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error("the log of changes, which goes on from a backup, cannot be written: {0}")]
    Changes(io::Error),
    #[error("the backup broke off: {0}")]
    Broke(String),
}

/// What `/metrics` tells of backups.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    made: IntCounterVec,
    newest: IntGauge,
}

impl Numbers {
    /// Registers them. What earlier runs have left in `folder` counts: a restart is no reason for an alert.
    ///
    /// # Errors
    /// If something of the same name is there already.
    pub(crate) fn register(
        registry: &Registry,
        folder: &Path,
        series: Option<Series>,
    ) -> Result<Self, prometheus::Error> {
        let (made, newest) = (
            IntCounterVec::new(Opts::new("tidegate_backups_total", "Backups, by what became of them."), &["outcome"])?,
            IntGauge::new(
                "tidegate_backup_last_success_timestamp_seconds",
                "When the newest sound backup was whole; 0 if there is none.",
            )?,
        );
        let every = IntGauge::new(
            "tidegate_backup_interval_seconds",
            "How often a backup is to be made; 0 if none is made by itself.",
        )?;
        registry.register(Box::new(made.clone()))?;
        registry.register(Box::new(newest.clone()))?;
        registry.register(Box::new(every.clone()))?;
        for outcome in ["made", "damaged", "failed"] {
            made.with_label_values(&[outcome]).inc_by(0);
        }
        newest.set(all(folder).last().map_or(0, |(at, ..)| at.as_second()));
        every.set(series.map_or(0, |s| i64::try_from(s.every.as_secs()).unwrap_or(i64::MAX)));
        Ok(Self { made, newest })
    }

    fn count(&self, made: &Result<Made, BackupError>) {
        let outcome = match made {
            Ok(made) if made.problems.is_empty() => {
                self.newest.set(Timestamp::now().as_second());
                "made"
            }
            Ok(_) => "damaged",
            Err(_) => "failed",
        };
        self.made.with_label_values(&[outcome]).inc();
    }
}

/// Makes backups of a server.
#[derive(Clone)]
pub(crate) struct Backups {
    pub(crate) folder: PathBuf,
    pub(crate) events: PathBuf,
    pub(crate) export: Arc<Export>,
    pub(crate) numbers: Numbers,
    /// Where the changes after each are kept, if they are.
    pub(crate) changes: Option<Arc<ChangeLog>>,
}

impl Backups {
    /// Makes one because somebody asked for it.
    pub(crate) async fn make(&self) -> Result<Made, BackupError> {
        self.make_counted("").await
    }

    async fn make_counted(&self, suffix: &'static str) -> Result<Made, BackupError> {
        let made = self.make_named(suffix).await;
        self.numbers.count(&made);
        made
    }

    async fn make_named(&self, suffix: &'static str) -> Result<Made, BackupError> {
        let partial = self.folder.join(format!("{}{PARTIAL}", Timestamp::now().strftime(FORM)));
        let made = self.make_in(partial.clone(), suffix).await;
        if made.is_err() {
            // It would take the room that the next one needs.
            let _ = blocking(move || Ok(fs::remove_dir_all(partial))).await;
        }
        made
    }

    async fn make_in(&self, partial: PathBuf, suffix: &'static str) -> Result<Made, BackupError> {
        let (made, changes) = (partial.clone(), self.changes.clone());
        let begun = blocking(move || {
            // Whatever a death has left of one is no use.
            let _ = fs::remove_dir_all(&made);
            private_folder(&made).map_err(|cause| BackupError::Folder { folder: made, cause })?;
            changes.map(|log| log.begin().map(|begun| (log, begun))).transpose().map_err(BackupError::Changes)
        })
        .await?;
        self.export.backup(partial.join("tidegate.db")).await?;
        let (from, series) = (self.events.clone(), self.folder.clone());
        blocking(move || {
            copy_database(&from, &partial.join("events.db"))?;
            let base = begun.and_then(|(log, begun)| log.finish(&begun));
            if let Some(base) = base {
                let file = partial.join(BASE);
                write_base(&file, &base).map_err(|cause| BackupError::Folder { folder: file, cause })?;
            }
            let whole = Timestamp::now();
            let (mut problems, mut bytes) = (Vec::new(), 0);
            for name in ["tidegate.db", "events.db"] {
                let copy = partial.join(name);
                problems.extend(verify_database(&copy)?.problems);
                bytes += fs::metadata(&copy).map_or(0, |m| m.len());
            }
            let folder = free_name(&series, whole, suffix);
            // Never in the place of another: one with files in it cannot be replaced.
            match fs::rename(&partial, &folder) {
                Ok(()) => Ok(Made { folder, bytes, problems }),
                Err(cause) => Err(BackupError::Folder { folder, cause }),
            }
        })
        .await
    }

    /// Makes one after the other until `stop`, and removes those that are too many. There is one more whenever changes are kept that
    /// lead from none of those that there are.
    pub(crate) async fn keep(self, series: Series, stop: CancellationToken) {
        let pause = series.every.min(Duration::from_secs(60));
        let (mut wanting, mut last) = (self.changes.as_ref().map(|log| log.wanting()), None);
        if let Some(log) = &self.changes {
            log.lead_from(&bases(&self.folder));
        }
        loop {
            let newest = scheduled(&self.folder).last().map(|(at, _)| *at);
            let due = newest.and_then(|at| at.checked_add(series.every).ok());
            let wait = due.map_or(Duration::ZERO, until);
            tokio::select! {
                () = stop.cancelled() => return,
                // A clock that was set back must not put the next one off for longer than the series has between two.
                () = tokio::time::sleep(wait.min(series.every)) => {}
                () = wanted(&mut wanting, last.map(|last| last + pause)) => {}
            }
            let made = self.make_counted(SCHEDULED).await;
            last = Some(tokio::time::Instant::now());
            match made {
                Ok(made) if made.problems.is_empty() => {
                    tracing::info!(folder = %made.folder.display(), bytes = made.bytes, "a backup was made");
                    remove_beyond(&self.folder, series.keep);
                    self.changes_lead_from_here();
                }
                Ok(made) => {
                    tracing::error!(folder = %made.folder.display(), "a backup is damaged, so nothing older was removed: {}", made.problems.join("; "))
                }
                Err(error) => {
                    tracing::error!("there is no backup of this time: {error}");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(pause) => {}
                    }
                }
            }
        }
    }

    /// Lets the log of changes know which backups there are.
    fn changes_lead_from_here(&self) {
        let Some(log) = &self.changes else { return };
        let bases = bases(&self.folder);
        log.lead_from(&bases);
        if let Err(error) = log.keep_since(&bases) {
            tracing::warn!(%error, "changes that no backup needs any more could not be removed");
        }
    }
}

/// The name for a backup: nothing in it is later than that says. So it is the second that is over next, or the first one after it that
/// no other backup is of, as after two starts within a second.
fn free_name(series: &Path, whole: Timestamp, suffix: &str) -> PathBuf {
    let first = whole.round(TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Ceil)).unwrap_or(whole);
    let named = |at: Timestamp| series.join(format!("{}{suffix}", at.strftime(FORM)));
    let seconds = (0..60).filter_map(|later| first.checked_add(Duration::from_secs(later)).ok());
    seconds.map(named).find(|folder| !folder.exists()).unwrap_or_else(|| named(first))
}

/// Returns when a backup is wanted for the changes, but not before `earliest`.
async fn wanted(wanting: &mut Option<watch::Receiver<bool>>, earliest: Option<tokio::time::Instant>) {
    let Some(wanting) = wanting else { return std::future::pending().await };
    if let Some(earliest) = earliest {
        tokio::time::sleep_until(earliest).await;
    }
    if wanting.wait_for(|is_wanted| *is_wanted).await.is_err() {
        std::future::pending().await
    }
}

/// Where the backups of the series stand in the log of changes.
fn bases(folder: &Path) -> Vec<Base> {
    scheduled(folder).iter().filter_map(|(_, backup)| base_of(backup)).collect()
}

/// Where a backup stands in the log of changes; none if it was made without one.
pub(crate) fn base_of(backup: &Path) -> Option<Base> {
    serde_json::from_slice(&fs::read(backup.join(BASE)).ok()?).ok()
}

fn write_base(file: &Path, base: &Base) -> io::Result<()> {
    let mut file = fs::File::create(file)?;
    serde_json::to_writer(&mut file, base)?;
    file.sync_all()
}

/// Removes the oldest of a series until `keep` are left. Those that somebody asked for stay.
fn remove_beyond(folder: &Path, keep: usize) {
    let all = scheduled(folder);
    for (_, old) in &all[..all.len().saturating_sub(keep.max(1))] {
        if let Err(error) = fs::remove_dir_all(old) {
            tracing::warn!(folder = %old.display(), "an old backup could not be removed: {error}");
        }
    }
}

/// Until then; what is over is no wait.
fn until(due: Timestamp) -> Duration {
    Duration::try_from(due.duration_since(Timestamp::now())).unwrap_or(Duration::ZERO)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(BackupError::Broke(e.to_string())))
}

/// The moment of a backup by the name of its folder, and whether it was made by the clock.
fn read_name(name: &str) -> Option<(Timestamp, bool)> {
    let (time, is_scheduled) = match name.strip_suffix(SCHEDULED) {
        Some(time) => (time, true),
        None => (name, false),
    };
    let at = DateTime::strptime(FORM, time).ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some((at.timestamp(), is_scheduled))
}

/// The backups in a folder, oldest first.
fn all(folder: &Path) -> Vec<(Timestamp, PathBuf, bool)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let read = |entry: fs::DirEntry| {
        let (at, is_scheduled) = read_name(entry.file_name().to_str()?)?;
        Some((at, entry.path(), is_scheduled))
    };
    let mut found: Vec<_> = entries.filter_map(read).collect();
    found.sort();
    found
}

/// Removes what is left of backups that were under way when an earlier process died. Nobody else makes any in the folder yet.
pub(crate) fn remove_unfinished(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_ours = name.to_str().and_then(|name| read_name(name.strip_suffix(PARTIAL)?)).is_some();
        if is_ours && let Err(error) = fs::remove_dir_all(entry.path()) {
            tracing::warn!(folder = %entry.path().display(), "what is left of a backup could not be removed: {error}");
        }
    }
}

fn scheduled(folder: &Path) -> Vec<(Timestamp, PathBuf)> {
    all(folder).into_iter().filter(|(_, _, is_scheduled)| *is_scheduled).map(|(at, path, _)| (at, path)).collect()
}

/// The newest backup in a folder that is not later than `at`.
///
/// # Errors
/// In words: that there is none, and which is the first.
pub(crate) fn as_of(folder: &Path, at: Timestamp) -> Result<(Timestamp, PathBuf), String> {
    let mut found = all(folder);
    let first = found.first().map(|(first, _, _)| *first);
    found.retain(|(made, _, _)| *made <= at);
    match (found.pop(), first) {
        (Some((made, path, _)), _) => Ok((made, path)),
        (None, Some(first)) => {
            Err(format!("no backup in {} is as old as that; the first is of {first}", folder.display()))
        }
        (None, None) => {
            Err(format!("there is no backup in {}; their folders are called like 20261122T130000Z", folder.display()))
        }
    }
}

fn private_folder(path: &Path) -> io::Result<()> {
    let builder = |recursive: bool| {
        let mut builder = DirBuilder::new();
        builder.recursive(recursive);
        #[cfg(unix)]
        {
            use std::os::unix::fs::DirBuilderExt;
            builder.mode(0o700);
        }
        builder
    };
    if let Some(parent) = path.parent() {
        builder(true).create(parent)?;
    }
    builder(false).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_newest_backup_that_is_not_later_is_the_one_of_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let told = as_of(dir.path(), at("2026-11-22T13:00:00Z")).unwrap_err();
        assert!(told.contains("there is no backup in"), "{told}");
        for name in ["20261122T130000Z-scheduled", "20261122T131500Z", "20261122T140000Z-scheduled.partial", "notes"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let name = |time: &str| as_of(dir.path(), at(time)).map(|(_, p)| p.file_name().unwrap().to_owned());
        assert_eq!(name("2026-11-22T13:14:59Z").unwrap(), "20261122T130000Z-scheduled");
        assert_eq!(name("2026-11-22T13:15:00Z").unwrap(), "20261122T131500Z");
        assert_eq!(
            name("2026-11-23T00:00:00Z").unwrap(),
            "20261122T131500Z",
            "what is not whole was taken for a backup"
        );
        let told = name("2026-11-22T12:59:59Z").unwrap_err();
        assert!(told.contains("the first is of 2026-11-22T13:00:00Z"), "{told}");
    }

    #[test]
    fn what_is_left_of_a_backup_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["20261122T130000Z.partial", "20261122T130000Z-scheduled", "20261122T130000Z", "mine.partial"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("file"), "x").unwrap();
        }
        remove_unfinished(dir.path());
        remove_unfinished(&dir.path().join("not there"));
        let left = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        assert_eq!(
            BTreeSet::from_iter(left),
            BTreeSet::from(["20261122T130000Z-scheduled", "20261122T130000Z", "mine.partial"].map(str::to_owned))
        );
    }

    #[test]
    fn a_backup_is_called_by_the_next_second_that_no_other_is_of() {
        let dir = tempfile::tempdir().unwrap();
        let name = |at: &str| free_name(dir.path(), at.parse().unwrap(), "").file_name().unwrap().to_owned();
        assert_eq!(name("2026-11-22T13:00:00Z"), "20261122T130000Z");
        assert_eq!(name("2026-11-22T13:00:00.001Z"), "20261122T130001Z");
        fs::create_dir(dir.path().join("20261122T130001Z")).unwrap();
        assert_eq!(name("2026-11-22T13:00:00.001Z"), "20261122T130002Z");
    }

    #[test]
    fn the_numbers_begin_with_what_earlier_runs_have_left_and_tell_failures_from_successes() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("20261122T130000Z-scheduled")).unwrap();
        let (registry, every) = (Registry::new(), Duration::from_secs(3600));
        let numbers = Numbers::register(&registry, dir.path(), Some(Series { every, keep: 3 })).unwrap();
        let page = || prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let has = |line: &str| page().lines().any(|l| l == line);
        let newest =
            format!("tidegate_backup_last_success_timestamp_seconds {}", at("2026-11-22T13:00:00Z").as_second());
        assert!(has(&newest) && has("tidegate_backup_interval_seconds 3600"), "{}", page());
        let made = |problems: Vec<String>| Ok(Made { folder: PathBuf::new(), bytes: 1, problems });
        numbers.count(&Err(BackupError::Broke("no room".to_owned())));
        numbers.count(&made(vec!["a page is broken".to_owned()]));
        assert!(has(&newest), "neither is a backup to go back to: {}", page());
        numbers.count(&made(vec![]));
        assert!(!has(&newest));
        for outcome in ["made", "damaged", "failed"] {
            assert!(has(&format!("tidegate_backups_total{{outcome=\"{outcome}\"}} 1")), "{}", page());
        }
    }

    #[test]
    fn a_series_removes_its_own_oldest_and_never_what_somebody_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let days: Vec<String> = (20..26).map(|day| format!("202611{day}T130000Z-scheduled")).collect();
        for name in days.iter().map(String::as_str).chain(["20261101T000000Z", "20261102T000000Z-scheduled.partial"]) {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let left = || -> Vec<String> {
            let mut names: Vec<_> =
                fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        remove_beyond(dir.path(), 2);
        let others = ["20261101T000000Z".to_owned(), "20261102T000000Z-scheduled.partial".to_owned()];
        assert_eq!(left(), [&others[..], &days[4..]].concat());
        remove_beyond(dir.path(), 0);
        assert_eq!(left(), [&others[..], &days[5..]].concat(), "the last one was removed");
    }
}
