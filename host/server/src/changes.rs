//! The log of changes of a running server: looked after once a second, and told of on `/metrics`.
//!
//! The trap is the second: who asks for the state of 13:00:00 wants what was committed at 12:59:59.9, and not what was committed a second
//! before. So the look is shortly before each whole second.

use crate::data_dir::DataDir;
use crate::serve::ServeError;
use jiff::Timestamp;
use prometheus::{IntCounter, IntGauge, Opts, Registry};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tidegate_events::changes::{ChangeLog, ChangeStats};
use tidegate_model::Clock;
use tokio_util::sync::CancellationToken;

/// How long before a whole second a look begins, so that it has ended by then.
const BEFORE: Duration = Duration::from_millis(50);

/// Where the log of changes is in a folder of backups.
pub(crate) fn folder_in(backups: &Path) -> PathBuf {
    backups.join("changes")
}

/// What `/metrics` tells of it.
#[derive(Clone, Debug)]
struct Numbers {
    kept: IntGauge,
    looked: IntGauge,
    bytes: IntCounter,
    breaks: IntCounter,
}

impl Numbers {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name, help| IntGauge::with_opts(Opts::new(name, help));
        let counter = |name, help| IntCounter::with_opts(Opts::new(name, help));
        let numbers = Self {
            kept: gauge(
                "tidegate_changes_kept",
                "Whether all changes since the newest backup are kept, so that a restore can go to any second.",
            )?,
            looked: gauge(
                "tidegate_changes_last_look_timestamp_seconds",
                "When the databases were last looked at for changes to keep.",
            )?,
            bytes: counter("tidegate_changes_bytes_total", "Bytes of changes that were kept.")?,
            breaks: counter(
                "tidegate_changes_breaks_total",
                "Times that changes could not be kept, so that no restore goes to a moment from then to the next backup.",
            )?,
        };
        registry.register(Box::new(numbers.kept.clone()))?;
        registry.register(Box::new(numbers.looked.clone()))?;
        registry.register(Box::new(numbers.bytes.clone()))?;
        registry.register(Box::new(numbers.breaks.clone()))?;
        Ok(numbers)
    }

    fn show(&self, stats: ChangeStats) {
        self.kept.set(stats.kept.into());
        self.looked.set(i64::try_from(stats.looked.seconds()).unwrap_or(i64::MAX));
        self.bytes.inc_by(stats.bytes.saturating_sub(self.bytes.get()));
        self.breaks.inc_by(stats.breaks.saturating_sub(self.breaks.get()));
    }
}

/// Looks after the log of changes.
#[derive(Clone)]
pub(crate) struct Changes {
    log: Arc<ChangeLog>,
    numbers: Numbers,
}

impl Changes {
    /// Opens the log of a data directory, beside the backups in a folder, before anything is written to the databases.
    pub(crate) fn open(
        data: &DataDir,
        backups: &Path,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Result<Self, ServeError> {
        let numbers = Numbers::register(registry)?;
        let known = data.take_lineage()?;
        let log = ChangeLog::open(folder_in(backups), data.lineage(), known.as_deref(), clock);
        Ok(Self { log, numbers })
    }

    pub(crate) fn log(&self) -> Arc<ChangeLog> {
        Arc::clone(&self.log)
    }

    /// Keeps what was committed up to now.
    pub(crate) async fn look(&self) {
        let log = Arc::clone(&self.log);
        if let Err(error) = tokio::task::spawn_blocking(move || log.tick()).await {
            tracing::error!(%error, "a look at the changes of the databases broke off");
        }
        self.numbers.show(self.log.stats());
    }

    /// Does so once a second until `stop`.
    pub(crate) async fn keep(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(until_next(Timestamp::now())) => self.look().await,
            }
        }
    }
}

/// How long to wait for the next look.
fn until_next(now: Timestamp) -> Duration {
    let passed = Duration::from_nanos(u64::from(now.subsec_nanosecond().unsigned_abs()));
    let second = Duration::from_secs(1);
    let wait = (second * 2 - BEFORE).saturating_sub(passed);
    // A look that ended just before a second was over was the one for it.
    if wait > second { wait - second } else { wait }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_comes_shortly_before_each_second_and_never_twice_for_one() {
        let wait = |millis: i64| until_next(Timestamp::from_millisecond(millis).unwrap()).as_millis();
        assert_eq!((wait(10_000), wait(10_500), wait(10_949)), (950, 450, 1));
        assert_eq!((wait(10_950), wait(10_960), wait(10_999)), (1_000, 990, 951));
    }
}
