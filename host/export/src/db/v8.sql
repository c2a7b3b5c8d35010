-- A window that is recorded asks which stores want it; without this it reads every claim of every store.
CREATE INDEX links_by_set ON links (metric_set, period);
