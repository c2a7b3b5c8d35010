-- Metrics of a window that had more groups than rows, as JSON: the status of a store tells them and must not unpack batches for it.
CREATE TABLE folded_windows (
    window  INTEGER PRIMARY KEY REFERENCES windows (id) ON DELETE CASCADE,
    metrics TEXT NOT NULL
) STRICT;
-- The newest delivery of a store that arrived, and the newest that was lost, without reading all that it ever had.
CREATE INDEX deliveries_confirmed ON deliveries (store, id) WHERE state = 'confirmed';
CREATE INDEX deliveries_lost ON deliveries (store, id) WHERE state IN ('rejected', 'expired');
CREATE INDEX deliveries_noted ON deliveries (store, id) WHERE state = 'confirmed' AND problem IS NOT NULL;
