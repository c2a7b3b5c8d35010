-- Ids are never used twice (AUTOINCREMENT): events and ledger rows outlive what they belong to, and a new project must never
-- inherit the events of a deleted one. Moments are microseconds since the epoch, window starts and ends whole seconds, UTC.

CREATE TABLE tenants (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    name    TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE projects (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant  INTEGER NOT NULL REFERENCES tenants (id),
    name    TEXT NOT NULL,
    created INTEGER NOT NULL,
    UNIQUE (tenant, name)
) STRICT;

-- Tokens are kept as SHA-256; `hint` is what lists show to tell them apart.
CREATE TABLE submission_tokens (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    project INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    hash    BLOB NOT NULL UNIQUE,
    hint    TEXT NOT NULL,
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE api_tokens (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant  INTEGER NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name    TEXT NOT NULL,
    hash    BLOB NOT NULL UNIQUE,
    hint    TEXT NOT NULL,
    created INTEGER NOT NULL,
    UNIQUE (tenant, name)
) STRICT;

CREATE TABLE metric_sets (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    project  INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name     TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created  INTEGER NOT NULL,
    UNIQUE (project, name)
) STRICT;

CREATE TABLE metrics (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    metric_set INTEGER NOT NULL REFERENCES metric_sets (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    query      TEXT NOT NULL,
    position   INTEGER NOT NULL,
    created    INTEGER NOT NULL,
    UNIQUE (metric_set, name)
) STRICT;

-- What a set consisted of, and since when: a window is evaluated with the revision that was in force when it began.
CREATE TABLE set_revisions (
    metric_set INTEGER NOT NULL REFERENCES metric_sets (id) ON DELETE CASCADE,
    revision   INTEGER NOT NULL,
    since      INTEGER NOT NULL,
    metrics    TEXT NOT NULL,
    PRIMARY KEY (metric_set, revision)
) STRICT, WITHOUT ROWID;

-- A deleted store keeps its row, so that what the ledger says of its deliveries still has a name.
CREATE TABLE stores (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    project    INTEGER NOT NULL,
    name       TEXT NOT NULL,
    period     INTEGER NOT NULL,
    adapter    TEXT NOT NULL,
    settings   TEXT NOT NULL,
    revision   INTEGER NOT NULL,
    paused     INTEGER NOT NULL,
    pull       INTEGER NOT NULL,
    pull_token TEXT UNIQUE,
    created    INTEGER NOT NULL,
    deleted    INTEGER
) STRICT;
CREATE UNIQUE INDEX stores_by_name ON stores (project, name) WHERE deleted IS NULL;

CREATE TABLE store_secrets (
    store INTEGER NOT NULL REFERENCES stores (id) ON DELETE CASCADE,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (store, key)
) STRICT, WITHOUT ROWID;

-- Which windows of a set a store gets: those of `period` that start at `since` or later and before `until`, if it is there.
CREATE TABLE links (
    store      INTEGER NOT NULL REFERENCES stores (id) ON DELETE CASCADE,
    metric_set INTEGER NOT NULL REFERENCES metric_sets (id) ON DELETE CASCADE,
    period     INTEGER NOT NULL,
    since      INTEGER NOT NULL,
    until      INTEGER,
    PRIMARY KEY (store, metric_set, period, since)
) STRICT, WITHOUT ROWID;

-- The ledger. It refers to sets and stores by bare id: its facts outlive them.

-- Every window that starts before `next_start` is recorded; live windows beyond it may be.
CREATE TABLE cursors (
    metric_set INTEGER NOT NULL,
    period     INTEGER NOT NULL,
    next_start INTEGER NOT NULL,
    PRIMARY KEY (metric_set, period)
) STRICT, WITHOUT ROWID;

CREATE TABLE windows (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    project      INTEGER NOT NULL,
    metric_set   INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    period       INTEGER NOT NULL,
    start        INTEGER NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('evaluated', 'failed', 'expired')),
    reason       TEXT,
    attempts     INTEGER NOT NULL,
    next_attempt INTEGER NOT NULL,
    live_rows    INTEGER NOT NULL,
    digest       BLOB,
    batch        BLOB,
    recorded     INTEGER NOT NULL,
    UNIQUE (metric_set, period, start)
) STRICT;
CREATE INDEX windows_failed ON windows (next_attempt) WHERE state = 'failed';
CREATE INDEX windows_with_batch ON windows (start) WHERE batch IS NOT NULL;

CREATE TABLE deliveries (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    store             INTEGER NOT NULL,
    window            INTEGER NOT NULL REFERENCES windows (id) ON DELETE CASCADE,
    window_end        INTEGER NOT NULL,
    state             TEXT NOT NULL CHECK (state IN ('queued', 'confirmed', 'rejected', 'expired')),
    attempts          INTEGER NOT NULL DEFAULT 0,
    next_attempt      INTEGER NOT NULL DEFAULT 0,
    problem           TEXT,
    accepted_rows     INTEGER NOT NULL DEFAULT 0,
    rejected_rows     INTEGER NOT NULL DEFAULT 0,
    rejections        TEXT,
    action_digest     BLOB,
    action_rows       INTEGER,
    adapter_digest    BLOB,
    settings_revision INTEGER,
    updated           INTEGER NOT NULL,
    UNIQUE (store, window)
) STRICT;
CREATE INDEX deliveries_queued ON deliveries (store, window_end, id) WHERE state = 'queued';
CREATE INDEX deliveries_by_window ON deliveries (window);

-- Runs of windows that a store will never get, in one row each: nobody evaluated them.
CREATE TABLE gaps (
    store       INTEGER NOT NULL,
    metric_set  INTEGER NOT NULL,
    period      INTEGER NOT NULL,
    first_start INTEGER NOT NULL,
    windows     INTEGER NOT NULL,
    reason      TEXT NOT NULL,
    recorded    INTEGER NOT NULL,
    PRIMARY KEY (store, metric_set, period, first_start)
) STRICT, WITHOUT ROWID;

-- What the pruned deliveries of a store amounted to, so that its counts never shrink.
CREATE TABLE delivery_sums (
    store         INTEGER NOT NULL,
    state         TEXT NOT NULL,
    windows       INTEGER NOT NULL,
    accepted_rows INTEGER NOT NULL,
    rejected_rows INTEGER NOT NULL,
    PRIMARY KEY (store, state)
) STRICT, WITHOUT ROWID;

-- Sums of additive measures over all windows so far, for pull stores.
CREATE TABLE totals (
    metric_set INTEGER NOT NULL,
    period     INTEGER NOT NULL,
    metric     TEXT NOT NULL,
    sums       BLOB NOT NULL,
    PRIMARY KEY (metric_set, period, metric)
) STRICT, WITHOUT ROWID;
