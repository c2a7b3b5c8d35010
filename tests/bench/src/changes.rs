//! What it costs to keep all changes, so that a restore can go to any second.
//!
//! The peer is the same work without: nobody else keeps the changes of these databases. The trap is to stop the clock before the last
//! of them are on disk, so that is waited for.

use crate::ingest;
use crate::report;
use crate::schedule;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tidegate_events::changes::ChangeLog;
use tidegate_export::Catalog;
use tidegate_model::SystemClock;

pub(crate) fn run() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let file = scratch.path().join("events.ndjson");
    ingest::lines::write_file(&file, ingest::EVENTS)?;
    let without = ingest::import(&file, scratch.path(), false, false)?;
    let with = ingest::import(&file, scratch.path(), false, true)?;
    report("changes_ingest_per_cpu_second", with.rate(), "without", without.rate(), "/s");
    let each = |bytes: u64| bytes as f64 / with.events as f64;
    report("changes_bytes_per_event", each(with.changes), "events_db", each(with.bytes), "B");
    drop(file);
    schedule::with_changes()
}

/// Megabytes of the changes that lie beside databases.
pub(crate) fn megabytes(folder: &Path) -> f64 {
    let files = std::fs::read_dir(folder.join("changes")).into_iter().flatten().flatten();
    files.filter_map(|file| Some(file.metadata().ok()?.len() as f64)).sum::<f64>() / 1e6
}

/// A log of changes that is looked after once a second.
pub(crate) struct Kept {
    log: Arc<ChangeLog>,
    stop: Sender<()>,
    thread: JoinHandle<()>,
    _catalog: Option<Catalog>,
}

impl Kept {
    /// The log in a folder of databases, before they are opened.
    pub(crate) fn log(folder: &Path) -> Arc<ChangeLog> {
        ChangeLog::open(folder.join("changes"), folder.join("lineage"), None, Arc::new(SystemClock))
    }

    /// Keeps all changes from here on; both databases are open.
    pub(crate) fn begin(log: Arc<ChangeLog>) -> anyhow::Result<Self> {
        log.begin()?;
        let (stop, stopped) = channel();
        let looks = Arc::clone(&log);
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
                looks.tick();
            }
            looks.tick();
        });
        Ok(Self { log, stop, thread, _catalog: None })
    }

    /// The same where there is no catalog yet.
    pub(crate) fn beside_a_catalog(log: Arc<ChangeLog>, folder: &Path) -> anyhow::Result<Self> {
        let (file, key) = (folder.join("tidegate.db"), folder.join("tidegate.key"));
        let key = tidegate_export::catalog::KeySource::File(key);
        let catalog = Catalog::open_followed(&file, &key, Arc::new(SystemClock), Some(Arc::clone(&log)))?;
        Ok(Self { _catalog: Some(catalog), ..Self::begin(log)? })
    }

    /// Keeps the last ones; how many bytes there were.
    pub(crate) fn end(self) -> u64 {
        drop(self.stop);
        let _ = self.thread.join();
        self.log.stats().bytes
    }
}
