-- What creates with an Idempotency-Key were answered, sealed; without an answer, the server ended before it was written.
CREATE TABLE answers (
    key    BLOB PRIMARY KEY,
    body   BLOB NOT NULL,
    at     INTEGER NOT NULL,
    answer TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX answers_by_age ON answers (at);
