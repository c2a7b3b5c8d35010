-- Which version of its adapter a store uses, by the digest of its bytes. Until `trial_until`, a crash takes the store back to
-- `previous`; `problem` says why that happened.
CREATE TABLE store_adapters (
    store       INTEGER PRIMARY KEY REFERENCES stores (id) ON DELETE CASCADE,
    digest      BLOB NOT NULL,
    previous    BLOB,
    trial_until INTEGER,
    problem     TEXT
) STRICT;
