//! Ingest, segments, dictionaries and the evaluator: from an acknowledged event to a batch.
