-- People. A password is kept as argon2id in PHC form; without one nobody signs in by this name.
CREATE TABLE users (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    name     TEXT NOT NULL UNIQUE,
    password TEXT,
    operator INTEGER NOT NULL,
    created  INTEGER NOT NULL
) STRICT;

-- What a user may do: in one project, or where none is named, in all projects of a tenant.
CREATE TABLE roles (
    user    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    tenant  INTEGER NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    project INTEGER REFERENCES projects (id) ON DELETE CASCADE,
    role    TEXT NOT NULL CHECK (role IN ('viewer', 'member', 'admin'))
) STRICT;
CREATE UNIQUE INDEX roles_once ON roles (user, tenant, coalesce(project, 0));

-- Browsers that are signed in, by the SHA-256 of what their cookie holds.
CREATE TABLE sessions (
    hash    BLOB PRIMARY KEY,
    user    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created INTEGER NOT NULL,
    seen    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The link that lets the first operator choose a password, until it is used or the server starts again.
CREATE TABLE setup_links (
    hash    BLOB PRIMARY KEY,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Until now each token could do everything in its tenant, and those of the first tenant everything on the host.
ALTER TABLE api_tokens ADD COLUMN operator INTEGER NOT NULL DEFAULT 0;
ALTER TABLE api_tokens ADD COLUMN project INTEGER REFERENCES projects (id) ON DELETE CASCADE;
ALTER TABLE api_tokens ADD COLUMN role TEXT NOT NULL DEFAULT 'admin' CHECK (role IN ('viewer', 'member', 'admin'));
ALTER TABLE api_tokens ADD COLUMN expires INTEGER;
UPDATE api_tokens SET operator = 1 WHERE tenant IN (SELECT id FROM tenants WHERE name = 'default');

-- Who changed what. Refers to nothing: what it says outlives what it speaks of.
CREATE TABLE audit (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    tenant  INTEGER,
    tenant_name TEXT,
    actor   TEXT NOT NULL,
    address TEXT,
    action  TEXT NOT NULL,
    object  TEXT NOT NULL,
    before  TEXT,
    after   TEXT,
    details TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_tenant ON audit (tenant, id);
CREATE INDEX audit_by_age ON audit (at);
