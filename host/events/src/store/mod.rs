//! The durable store of events: one SQLite file, one thread that writes, any number that read.
//!
//! What is where. On disk: events as compressed columnar segments, the dictionaries of texts, the registry of attributes, the
//! uuids seen, reports and attachments. In memory: the registry of projects in use (names and numbers), the texts used lately
//! (two generations under a budget), decoded columns that evaluations ask for (under a budget), and submissions that wait
//! (under a budget). Nothing else grows with the number of events.
//!
//! The way of an event: [`EventStore::submit`] compresses its large parts and queues it -> `writer` gathers a group -> `group`
//! numbers it, tells repeats, and makes columns (`bulk` does so for a whole [`Block`]) -> one transaction -> receipt. `merge`
//! later makes large segments of small ones, `retain` removes old ones. `read` and `window` are the
//! way back, `explore` that of questions over all events.

mod bulk;
mod cache;
mod error;
mod explore;
mod floors;
mod group;
mod merge;
mod options;
mod pack;
mod project;
mod read;
mod retain;
mod schema;
mod stored;
mod texts;
mod window;
mod writer;

pub use error::{EventStoreError, Refusal, SubmitError};
pub use options::{AttachmentId, AttachmentInfo, AttributeInfo, EventStats, EventStoreOptions, Receipt, ValueType};
pub use retain::{Horizon, ProjectUsage, Removed};

use crate::block::Block;
use crate::changes::{Database, Follow};
use crate::explore::{AttributeDescription, ExploreLimits, Watch};
use crate::source::{EvaluationLimits, MetricSpec, Source, SourceError};
use crate::wal::Emptier;
use cache::Cache;
use floors::Floors;
use group::{Answer, Written};
use merge::Merger;
use schema::Readers;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use texts::Texts;
use tidegate_model::{Attachment, Clock, Event, Instant, MetricBatch, ObjectId, ProjectId, Query, Window};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use writer::{Committer, Job, Work};

/// Room in the queue is given out in pieces of this many bytes.
const ROOM: usize = 1024;

#[derive(Default)]
struct Counters {
    events: AtomicU64,
    segments: AtomicU64,
    accepted: AtomicU64,
    duplicates: AtomicU64,
    refused: AtomicU64,
    commits: AtomicU64,
    failed_commits: AtomicU64,
    merges: AtomicU64,
    queued_events: AtomicU64,
    removed_events: AtomicU64,
    removed_bytes: AtomicU64,
}

/// What the threads of the store share.
struct Shared {
    file: PathBuf,
    options: EventStoreOptions,
    clock: Arc<dyn Clock>,
    committer: Mutex<Committer>,
    floors: Floors,
    readers: Readers,
    texts: Texts,
    cache: Cache,
    merger: Merger,
    counters: Counters,
    closed: AtomicBool,
}

impl Shared {
    /// The way to the disk.
    fn committer(&self) -> MutexGuard<'_, Committer> {
        self.committer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills the cache with what was just committed.
    fn publish(&self, written: &[(ProjectId, Written)]) {
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
        self.counters.segments.fetch_add(written.len() as u64, Ordering::Relaxed);
        for (project, written) in written {
            let asked = self.cache.asked(*project);
            if !asked.is_empty() {
                let columns: HashMap<_, _> = written.columns.iter().cloned().collect();
                self.cache.put(written.segment, asked.iter().map(|id| (*id, columns.get(id).cloned())));
            }
        }
    }

    fn count(&self, answers: &[Answer]) {
        let (mut accepted, mut duplicates, mut refused) = (0, 0, 0);
        for answer in answers {
            match answer {
                Ok(receipt) => {
                    accepted += 1;
                    duplicates += u64::from(receipt.duplicate);
                }
                Err(_) => refused += 1,
            }
        }
        self.counters.accepted.fetch_add(accepted, Ordering::Relaxed);
        self.counters.events.fetch_add(accepted - duplicates, Ordering::Relaxed);
        self.counters.duplicates.fetch_add(duplicates, Ordering::Relaxed);
        self.counters.refused.fetch_add(refused, Ordering::Relaxed);
    }
}

struct Handle {
    shared: Arc<Shared>,
    queue: Mutex<Option<Sender<Job>>>,
    room: Arc<Semaphore>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    emptier: Mutex<Option<Emptier>>,
}

/// The store. Cheap to clone: clones are the same store. When the last one goes, it closes.
#[derive(Clone)]
pub struct EventStore {
    handle: Arc<Handle>,
}

impl EventStore {
    /// Opens the store in `file`, which is made if it is missing, and starts the threads that write and merge.
    ///
    /// # Errors
    /// [`EventStoreError`] if the file cannot be used, or was written by a later Tidegate.
    pub fn open(file: &Path, options: EventStoreOptions, clock: Arc<dyn Clock>) -> Result<Self, EventStoreError> {
        let is_followed = options.changes.is_some();
        let mut db = schema::open_writer(file, options.file_bytes, is_followed)?;
        let told = schema::told(file);
        let follow = options.changes.clone().map(|log| Follow { log, database: Database::Events });
        let emptier = Emptier::start(&mut db, file, follow).map_err(&told)?;
        let (counters, projects) = read::inventory(&db).map_err(&told)?;
        let merge = options.merge;
        let texts = Texts::new(options.text_bytes);
        read::fresh_texts(&db, &texts).map_err(&told)?;
        let room = Arc::new(Semaphore::new(room_for(options.queue_bytes).max(1) as usize));
        let shared = Arc::new(Shared {
            file: file.to_owned(),
            clock,
            committer: Mutex::new(Committer::new(db).map_err(&told)?),
            floors: Floors::default(),
            readers: Readers::new(file, is_followed),
            texts,
            cache: Cache::new(options.cache_bytes),
            merger: Merger::new(),
            counters,
            closed: AtomicBool::new(false),
            options,
        });
        let (queue, jobs) = channel();
        let handle = Arc::new(Handle {
            shared: shared.clone(),
            queue: Mutex::new(Some(queue)),
            room,
            threads: Mutex::default(),
            emptier: Mutex::new(Some(emptier)),
        });
        let writing = shared.clone();
        handle.start("events-writer", move || writer::run(&writing, &jobs))?;
        if merge {
            shared.merger.wake_all(projects.into_iter());
            handle.start("events-merger", move || merge::run(&shared))?;
        }
        Ok(Self { handle })
    }

    /// Stores events; returns after they are on disk, one receipt for each, in order.
    ///
    /// # Errors
    /// [`SubmitError`]. With [`SubmitError::Refused`] the other events of the submission are stored: who submits many at a
    /// time wants [`submit_each`](Self::submit_each).
    pub async fn submit(&self, project: ProjectId, events: Vec<Event>) -> Result<Vec<Receipt>, SubmitError> {
        let answers = self.submit_each(project, events).await?;
        let refused =
            |(index, answer): (usize, Answer)| answer.map_err(|refusal| SubmitError::Refused { index, refusal });
        answers.into_iter().enumerate().map(refused).collect()
    }

    /// Stores events; returns after they are on disk, and tells of each what became of it, in order.
    ///
    /// If the caller stops waiting, the events may be stored or not: a uuid makes sending them again harmless.
    ///
    /// # Errors
    /// [`SubmitError`] if none was stored.
    pub async fn submit_each(&self, project: ProjectId, events: Vec<Event>) -> Result<Vec<Answer>, SubmitError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let handle = &self.handle;
        let bytes: usize = events.iter().map(pack::event_bytes).sum();
        let limit = handle.shared.options.queue_bytes;
        let room = room_for(bytes.min(limit));
        let room = handle.room.clone().acquire_many_owned(room).await.map_err(|_| SubmitError::Closed)?;
        let work = Work::Events(pack::prepare(events, limit).await?);
        handle.queue(project, work, bytes, room).await
    }

    /// Stores the events of a block as [`submit_each`](Self::submit_each) does: one answer for each, in order.
    ///
    /// # Errors
    /// [`SubmitError`] if none was stored.
    pub async fn submit_block(&self, project: ProjectId, block: Block) -> Result<Vec<Answer>, SubmitError> {
        let handle = &self.handle;
        let bytes = block.bytes();
        let block = block.finish();
        if block.rows == 0 {
            return Ok(Vec::new());
        }
        if bytes > handle.shared.options.queue_bytes {
            return self.submit_each(project, block.events().collect()).await;
        }
        let room = handle.room.clone().acquire_many_owned(room_for(bytes)).await.map_err(|_| SubmitError::Closed)?;
        handle.queue(project, Work::Block(block), bytes, room).await
    }

    /// Adds a file to a stored event. Blocks until it is on disk.
    ///
    /// # Errors
    /// [`EventStoreError`] if there is no such event, or it has as many attachments as it may have.
    pub fn attach(
        &self,
        project: ProjectId,
        object: ObjectId,
        attachment: Attachment,
    ) -> Result<AttachmentId, EventStoreError> {
        let shared = self.shared()?;
        let limit = shared.options.queue_bytes;
        if attachment.bytes.len() > limit {
            return Err(Refusal::Bytes { limit, asked: attachment.bytes.len() }.into());
        }
        let packed = pack::attachment(attachment).map_err(|error| EventStoreError::Storage(error.to_string()))?;
        let most = shared.options.limits.attachments;
        shared.committer().transaction(|db| {
            let there = read::attachments(db, project, object)?.len();
            let Some((segment, _)) = read::segment_of(db, project, object)? else {
                return Err(EventStoreError::NoSuchEvent { project: project.0, object: object.to_string() });
            };
            if there >= most {
                return Err(Refusal::Attachments { limit: most, asked: there + 1 }.into());
            }
            let id = AttachmentId(group::insert_attachment(db, project, object, &packed)?);
            group::add_beside_bytes(db, segment, packed.packed.data.len() as u64)?;
            Ok(id)
        })
    }

    /// The attachments of an event, without their bytes.
    ///
    /// # Errors
    /// [`EventStoreError`] if they cannot be read.
    pub fn attachments(&self, project: ProjectId, object: ObjectId) -> Result<Vec<AttachmentInfo>, EventStoreError> {
        self.shared()?.readers.snapshot(|db| Ok(read::attachments(db, project, object)?))
    }

    /// One event as it came: attributes, report, attachments. Blocks.
    ///
    /// # Errors
    /// [`EventStoreError`] if it cannot be read.
    pub fn event(&self, project: ProjectId, object: ObjectId) -> Result<Option<Event>, EventStoreError> {
        let shared = self.shared()?;
        shared.readers.snapshot(|db| read::event(db, project, object))
    }

    /// The attributes of a project, sorted by name.
    ///
    /// # Errors
    /// [`EventStoreError`] if they cannot be read.
    pub fn attributes(&self, project: ProjectId) -> Result<Vec<AttributeInfo>, EventStoreError> {
        self.shared()?.readers.snapshot(|db| Ok(read::attributes(db, project)?))
    }

    /// Removes events that are beyond the horizon: whole segments, oldest first, never the newest, 32 of them at most; call it
    /// again until nothing is removed. Their space in the file is used again by later events. Blocks.
    ///
    /// # Errors
    /// [`EventStoreError`] if something could not be removed; what was removed before stays removed.
    pub fn retain(&self, project: ProjectId, horizon: &Horizon) -> Result<Removed, EventStoreError> {
        retain::retain(self.shared()?, project, horizon)
    }

    /// Removes all that there is of a project that was deleted, 32 segments at most; call it again until nothing is removed.
    /// Blocks.
    ///
    /// # Errors
    /// [`EventStoreError`] if something could not be removed; what was removed before stays removed.
    pub fn forget(&self, project: ProjectId) -> Result<Removed, EventStoreError> {
        retain::forget(self.shared()?, project)
    }

    /// What a project takes; none if it has no events. Blocks.
    ///
    /// # Errors
    /// [`EventStoreError`] if it cannot be read.
    pub fn usage(&self, project: ProjectId) -> Result<Option<ProjectUsage>, EventStoreError> {
        self.shared()?.readers.snapshot(|db| Ok(retain::usage(db, project)?))
    }

    /// What each project with events takes, and how many bytes of the file are free for new events. Blocks.
    ///
    /// # Errors
    /// [`EventStoreError`] if it cannot be read.
    pub fn usages(&self) -> Result<(Vec<ProjectUsage>, u64), EventStoreError> {
        self.shared()?.readers.snapshot(|db| Ok(retain::usages(db)?))
    }

    /// Figures for monitoring.
    #[must_use]
    pub fn stats(&self) -> EventStats {
        let shared = &self.handle.shared;
        let counters = &shared.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (cache_bytes, cache_hits, cache_misses) = shared.cache.figures();
        EventStats {
            events: read(&counters.events),
            segments: read(&counters.segments),
            file_bytes: std::fs::metadata(&shared.file).map_or(0, |file| file.len()),
            accepted: read(&counters.accepted),
            duplicates: read(&counters.duplicates),
            refused: read(&counters.refused),
            commits: read(&counters.commits),
            failed_commits: read(&counters.failed_commits),
            merges: read(&counters.merges),
            queued_events: read(&counters.queued_events),
            removed_events: read(&counters.removed_events),
            removed_bytes: read(&counters.removed_bytes),
            cache_bytes: cache_bytes as u64,
            cache_hits,
            cache_misses,
            text_bytes: shared.texts.bytes() as u64,
        }
    }

    /// Commits what is queued, then stops. Submissions that come later are refused. Blocks.
    pub fn close(&self) {
        self.handle.close();
    }

    fn shared(&self) -> Result<&Arc<Shared>, EventStoreError> {
        let shared = &self.handle.shared;
        if shared.closed.load(Ordering::SeqCst) { Err(EventStoreError::Closed) } else { Ok(shared) }
    }
}

fn room_for(bytes: usize) -> u32 {
    u32::try_from(bytes / ROOM + 1).unwrap_or(u32::MAX)
}

impl Source for EventStore {
    fn seal(&self, project: ProjectId, end: Instant) -> Result<(), SourceError> {
        self.shared()?.floors.seal(project, end);
        Ok(())
    }

    fn evaluate(
        &self,
        project: ProjectId,
        window: Window,
        metrics: &[MetricSpec],
        limits: &EvaluationLimits,
    ) -> Result<Vec<MetricBatch>, SourceError> {
        let shared = self.shared()?;
        let result = shared.readers.snapshot(|db| window::evaluate(shared, db, project, window, metrics, limits));
        result.map_err(SourceError::from)
    }

    fn explore(
        &self,
        project: ProjectId,
        query: &Query,
        limits: &ExploreLimits,
        watch: &mut Watch<'_>,
    ) -> Result<crate::explore::Answer, SourceError> {
        let shared = self.shared()?;
        let result = shared.readers.snapshot(|db| explore::explore(shared, db, project, query, limits, watch));
        result.map_err(SourceError::from)
    }

    fn describe(&self, project: ProjectId) -> Result<Vec<AttributeDescription>, SourceError> {
        let described = self.shared()?.readers.snapshot(|db| explore::describe(db, project));
        described.map_err(|error| SourceError::Storage(error.to_string()))
    }
}

impl Handle {
    /// Hands a submission to the writer and waits for the answers.
    async fn queue(
        &self,
        project: ProjectId,
        work: Work,
        bytes: usize,
        room: OwnedSemaphorePermit,
    ) -> Result<Vec<Answer>, SubmitError> {
        let (answer, answered) = oneshot::channel();
        let count = work.len() as u64;
        self.shared.counters.queued_events.fetch_add(count, Ordering::Relaxed);
        let sent = match &*self.queue.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(queue) => queue.send(Job { project, work, bytes, answer, room }).is_ok(),
            None => false,
        };
        if !sent {
            self.shared.counters.queued_events.fetch_sub(count, Ordering::Relaxed);
            return Err(SubmitError::Closed);
        }
        answered.await.map_err(|_| SubmitError::Closed)?
    }

    fn start(&self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), EventStoreError> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
        let thread = thread.map_err(|error| EventStoreError::Thread(error.to_string()))?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.room.close();
        self.shared.merger.stop();
        for thread in std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner)) {
            if thread.join().is_err() {
                tracing::error!("a thread of the event store had panicked; what it had not acknowledged is not stored");
            }
        }
        if !self.shared.closed.swap(true, Ordering::SeqCst) {
            self.shared.readers.clear();
            drop(self.emptier.lock().unwrap_or_else(PoisonError::into_inner).take());
            // Only tidies up: what is left in the log is read from there at the next start. Where changes are kept, the log has to go on.
            if self.shared.options.changes.is_none() {
                let _ = self.shared.committer().db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests;
