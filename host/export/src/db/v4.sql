-- A store that is being deleted, and gets what is queued for it first.
ALTER TABLE stores ADD COLUMN draining INTEGER NOT NULL DEFAULT 0;
