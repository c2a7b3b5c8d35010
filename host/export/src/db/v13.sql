-- A metric that could not be evaluated with its set is a document of its own in the window, which waits, arrives or is lost by itself.
-- A constraint of a table cannot be changed in place, so the table is written anew; `migrate` sees to the rows that refer to it.
CREATE TABLE windows_by_document (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    project      INTEGER NOT NULL,
    metric_set   INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    period       INTEGER NOT NULL,
    start        INTEGER NOT NULL,
    -- The series name of the metric that this is of; empty for the document of the set.
    metric       TEXT NOT NULL DEFAULT '',
    state        TEXT NOT NULL CHECK (state IN ('evaluated', 'failed', 'expired')),
    reason       TEXT,
    attempts     INTEGER NOT NULL,
    -- How many of the attempts were ended by the metric itself: it took too long, or too much memory.
    stopped      INTEGER NOT NULL DEFAULT 0,
    next_attempt INTEGER NOT NULL,
    live_rows    INTEGER NOT NULL,
    digest       BLOB,
    batch        BLOB,
    recorded     INTEGER NOT NULL,
    UNIQUE (metric_set, period, start, metric)
) STRICT;
INSERT INTO windows_by_document (id, project, metric_set, revision, period, start, state, reason, attempts, next_attempt, live_rows,
                                 digest, batch, recorded)
    SELECT id, project, metric_set, revision, period, start, state, reason, attempts, next_attempt, live_rows, digest, batch, recorded
    FROM windows;
-- No id is used twice, not even that of a window which is forgotten already.
DELETE FROM sqlite_sequence WHERE name = 'windows_by_document';
INSERT INTO sqlite_sequence (name, seq) SELECT 'windows_by_document', seq FROM sqlite_sequence WHERE name = 'windows';
DROP TABLE windows;
ALTER TABLE windows_by_document RENAME TO windows;
CREATE INDEX windows_failed ON windows (next_attempt) WHERE state = 'failed';
CREATE INDEX windows_with_batch ON windows (start) WHERE batch IS NOT NULL;
