//! The one thread that writes: it gathers submissions of all projects for a few milliseconds, commits them in one transaction
//! with one fsync, and answers them all.
//!
//! The [`Committer`] behind a lock is the store's only way to the disk. Arrival times are given once it is in hand, and the group is
//! noted with the floors until it is visible: sealing relies on that, and on nothing else that takes the lock.

use super::Shared;
use super::error::{Refusal, SubmitError};
use super::group::{Answer, Context, Group, GroupError, Prepared, Written, insert_texts, text_hash};
use super::project::Project;
use super::schema::is_damage;
use super::texts::Draft;
use crate::block::DoneBlock;
use rusqlite::{Connection, ErrorCode};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant as Moment;
use tidegate_model::ProjectId;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Texts that one transaction puts into the index.
const INDEXED_AT_ONCE: usize = 4_096;

/// A submission that waits for the writer.
pub(super) struct Job {
    pub(super) project: ProjectId,
    pub(super) work: Work,
    pub(super) bytes: usize,
    pub(super) answer: oneshot::Sender<Result<Vec<Answer>, SubmitError>>,
    /// Room in the queue, given back when the job is done.
    pub(super) room: OwnedSemaphorePermit,
}

/// What a submission consists of.
pub(super) enum Work {
    Events(Vec<Result<Prepared, Refusal>>),
    Block(DoneBlock),
}

impl Work {
    /// Events in it.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Events(events) => events.len(),
            Self::Block(block) => block.rows,
        }
    }
}

/// The answers to each submission of a group, and the segments that were written.
type Stored = (Vec<Vec<Answer>>, Vec<(ProjectId, Written)>);

/// The connection that writes, and what it knows by heart.
pub(super) struct Committer {
    pub(super) db: Connection,
    projects: HashMap<ProjectId, Project>,
    next_attribute: u32,
}

impl Committer {
    pub(super) fn new(db: Connection) -> Result<Self, rusqlite::Error> {
        let next_attribute = db.query_row("SELECT coalesce(max(id), 0) + 1 FROM attribute", [], |row| row.get(0))?;
        Ok(Self { db, projects: HashMap::new(), next_attribute })
    }

    /// Forgets what is known by heart of a project that is no more.
    pub(super) fn forget(&mut self, project: ProjectId) {
        self.projects.remove(&project);
    }

    /// Runs `work` in a transaction of its own.
    pub(super) fn transaction<T, E: From<rusqlite::Error>>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.db.execute_batch("BEGIN IMMEDIATE")?;
        let done = work(&self.db).and_then(|done| Ok(self.db.execute_batch("COMMIT").map(|()| done)?));
        if done.is_err() && !self.db.is_autocommit() {
            // If even this fails, the next BEGIN does too, and says why.
            let _ = self.db.execute_batch("ROLLBACK");
        }
        done
    }

    /// Stores the submissions of a group, all or none.
    fn store(&mut self, shared: &Shared, jobs: &[Job]) -> Result<Stored, GroupError> {
        let mut draft = Draft::default();
        let stored = self.store_drafted(shared, jobs, &mut draft);
        match &stored {
            Ok(_) => shared.texts.adopt(&draft),
            // What is known by heart may be ahead of the database now: it is read anew when it is wanted.
            Err(_) => {
                for job in jobs {
                    self.projects.remove(&job.project);
                }
            }
        }
        stored
    }

    fn store_drafted(&mut self, shared: &Shared, jobs: &[Job], draft: &mut Draft) -> Result<Stored, GroupError> {
        let mut by_project: Vec<(ProjectId, Vec<usize>)> = Vec::new();
        for (i, job) in jobs.iter().enumerate() {
            match by_project.iter_mut().find(|(project, _)| *project == job.project) {
                Some((_, places)) => places.push(i),
                None => by_project.push((job.project, vec![i])),
            }
        }
        // Until the transaction has ended, and what it wrote is visible.
        let writing = shared.floors.begin(by_project.iter().map(|(project, _)| *project).collect(), &*shared.clock);
        let mut projects = std::mem::take(&mut self.projects);
        let mut next_attribute = self.next_attribute;
        let mut answers: Vec<Vec<Answer>> = jobs.iter().map(|_| Vec::new()).collect();
        let mut written = Vec::new();
        let result = self.transaction(|db| {
            let limits = &shared.options.limits;
            let mut context = Context { db, texts: &shared.texts, draft, next_attribute: &mut next_attribute, limits };
            for ((id, places), floor) in by_project.iter().zip(&writing.under) {
                let project = match projects.entry(*id) {
                    std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                    std::collections::hash_map::Entry::Vacant(unknown) => unknown.insert(Project::load(db, *id)?),
                };
                let mut group = Group::new(&mut context, *id, project, writing.now, *floor);
                for &place in places {
                    answers[place] = match &jobs[place].work {
                        Work::Events(events) => events
                            .iter()
                            .map(|event| match event {
                                Ok(event) => group.add(event),
                                Err(refusal) => Ok(Err(refusal.clone())),
                            })
                            .collect::<Result<_, _>>()?,
                        Work::Block(block) => group.add_block(block)?,
                    };
                }
                written.extend(group.finish()?.into_iter().map(|w| (*id, w)));
            }
            Ok::<_, GroupError>(insert_texts(db, context.draft)?)
        });
        drop(writing);
        self.projects = projects;
        self.next_attribute = next_attribute;
        result.map(|()| (answers, written))
    }
}

/// Commits groups until the last sender of jobs is gone and the queue is empty.
pub(super) fn run(shared: &Arc<Shared>, queue: &Receiver<Job>) {
    while let Ok(first) = queue.recv() {
        let group = gather(shared, queue, first);
        commit(shared, group);
        index_texts(shared);
    }
}

fn gather(shared: &Shared, queue: &Receiver<Job>, first: Job) -> Vec<Job> {
    let options = &shared.options;
    let until = Moment::now() + options.gather;
    let (mut events, mut bytes) = (first.work.len(), first.bytes);
    let mut group = vec![first];
    while events < options.group_events && bytes < options.group_bytes {
        match queue.recv_timeout(until.saturating_duration_since(Moment::now())) {
            Ok(job) => {
                events += job.work.len();
                bytes += job.bytes;
                group.push(job);
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    group
}

fn commit(shared: &Shared, jobs: Vec<Job>) {
    let mut committer = shared.committer();
    let result = committer.store(shared, &jobs);
    match &result {
        Ok((_, written)) => shared.publish(written),
        Err(_) => drop(shared.counters.failed_commits.fetch_add(1, Ordering::Relaxed)),
    }
    drop(committer);
    match result {
        Ok((answers, written)) => {
            let projects = written.into_iter().map(|(project, _)| project);
            shared.merger.wake(projects);
            for (job, answers) in jobs.into_iter().zip(answers) {
                shared.count(&answers);
                reply(shared, job, Ok(answers));
            }
        }
        Err(error) => {
            if matches!(&error, GroupError::Sqlite(sqlite) if is_damage(sqlite)) {
                tracing::error!(
                    "events.db is damaged ({error}): `tidegate ledger verify` tells how far, a backup has to be restored"
                );
            }
            let error = submit_error(&error);
            tracing::warn!(%error, submissions = jobs.len(), "a group of events was not stored; its senders were told");
            for job in jobs {
                reply(shared, job, Err(error.clone()));
            }
        }
    }
}

/// Puts the texts that wait for it into the index, if there are enough of them: in the order of the index, and in pieces, so that
/// whoever wants the committer meanwhile gets in between.
fn index_texts(shared: &Shared) {
    let mut texts = shared.texts.due(|attribute, code, text| (attribute, text_hash(text), code));
    if texts.is_empty() {
        return;
    }
    texts.sort_unstable();
    let done = texts.chunks(INDEXED_AT_ONCE).try_for_each(|some| {
        shared.committer().transaction(|db| {
            let mut insert =
                db.prepare_cached("INSERT OR IGNORE INTO text_index (attribute, hash, code) VALUES (?1, ?2, ?3)")?;
            some.iter().try_for_each(|&text| insert.execute(text).map(drop))
        })
    });
    let done = done.and_then(|()| {
        let mut last: HashMap<u32, u32> = HashMap::new();
        for &(attribute, _, code) in &texts {
            let last = last.entry(attribute).or_default();
            *last = code.max(*last);
        }
        // Only now: up to here all of them are found by the way of those that are not indexed.
        shared.committer().transaction(|db| {
            let mut note = db.prepare_cached("UPDATE attribute SET indexed = ?2 WHERE id = ?1")?;
            last.into_iter().try_for_each(|last| note.execute(last).map(drop))
        })
    });
    match done {
        Ok(()) => shared.texts.indexed(),
        Err(error) => {
            let error: rusqlite::Error = error;
            tracing::warn!(%error, "the index of texts was not brought up to date; it is tried again after the next commit");
        }
    }
}

fn reply(shared: &Shared, job: Job, answer: Result<Vec<Answer>, SubmitError>) {
    shared.counters.queued_events.fetch_sub(job.work.len() as u64, Ordering::Relaxed);
    // Who no longer waits has lost the connection and will send again: the uuid tells that it is a repeat.
    let _ = job.answer.send(answer);
    drop(job.room);
}

fn submit_error(error: &GroupError) -> SubmitError {
    match error {
        GroupError::Sqlite(sqlite) if sqlite.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
            SubmitError::Full(error.to_string())
        }
        _ => SubmitError::Storage(error.to_string()),
    }
}
