//! What can go wrong between an event and its receipt, in words that tell what to do.

/// Why the store could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventStoreError {
    /// SQLite could not open the file, or not read what the store needs at its start.
    #[error("{file}: {reason}")]
    Open {
        /// The file.
        file: String,
        /// What SQLite said.
        reason: String,
    },
    /// What is in the file is not what was once written. It was left as it is.
    #[error(
        "{file} is damaged ({problem}). It was left as it is. Put a backup in its place with `tidegate ledger restore --from BACKUP`, or \
         move it away to go on without the events in it"
    )]
    Damaged {
        /// The file.
        file: String,
        /// What SQLite said.
        problem: String,
    },
    /// A later Tidegate wrote the file.
    #[error(
        "{file} has the form of version {found}, and this Tidegate knows versions up to {known}; run the later Tidegate again"
    )]
    Newer {
        /// The file.
        file: String,
        /// Version of the file's form.
        found: i64,
        /// The latest version that is known.
        known: i64,
    },
    /// The threads that write could not be started.
    #[error("a thread of the event store could not be started: {0}")]
    Thread(String),
    /// A read or a write failed later.
    #[error("the event store failed: {0}")]
    Storage(String),
    /// Stored bytes are not what was once written.
    #[error("stored events are damaged ({0}); restore the data directory from a backup")]
    Corrupt(String),
    /// No event has this number.
    #[error("project {project} has no event {object}")]
    NoSuchEvent {
        /// The project.
        project: i64,
        /// The number, in hexadecimal as clients write it.
        object: String,
    },
    /// What was asked for exceeds a limit.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store was closed.
    #[error("the event store is closed")]
    Closed,
}

/// Why one event is not taken. Nothing of it is stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The project would get more attributes than it may have.
    #[error(
        "attribute {attribute:?}: a project may have {limit} attributes in all, and this one would be number {asked}"
    )]
    ProjectAttributes {
        /// The first attribute that does not fit.
        attribute: String,
        /// How many a project may have.
        limit: usize,
        /// Which it would be.
        asked: usize,
    },
    /// More attachments than an event may have.
    #[error("an event may have {limit} attachments, this one has {asked}")]
    Attachments {
        /// How many are allowed.
        limit: usize,
        /// How many there are.
        asked: usize,
    },
    /// More than the store takes in one piece.
    #[error("an event may have {limit} bytes with all that comes with it, this one has {asked}")]
    Bytes {
        /// How many are allowed.
        limit: usize,
        /// How many there are.
        asked: usize,
    },
}

/// Why nothing was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The disk, or the room that the operator gave, is full. Nothing of the submission is stored.
    #[error("the event store is full: {0}; free some space and send the events again")]
    Full(String),
    /// The database failed. Nothing of the submission is stored.
    #[error("the events could not be stored: {0}; send them again")]
    Storage(String),
    /// One event is not taken; the others of the submission are stored all the same.
    #[error("event {index} of the submission is refused: {refusal}")]
    Refused {
        /// Its place in the submission, from 0.
        index: usize,
        /// Why.
        refusal: Refusal,
    },
    /// The store was closed, or is closing.
    #[error("the event store is closed")]
    Closed,
}
