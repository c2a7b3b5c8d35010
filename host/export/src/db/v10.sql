-- The name that series carry, beside the one that people see: a rename changes the first only if that is asked for.
ALTER TABLE metric_sets ADD COLUMN series TEXT NOT NULL DEFAULT '';
ALTER TABLE metrics ADD COLUMN series TEXT NOT NULL DEFAULT '';
ALTER TABLE set_revisions ADD COLUMN series TEXT NOT NULL DEFAULT '';
UPDATE metric_sets SET series = name;
UPDATE metrics SET series = name;
UPDATE set_revisions SET series = coalesce((SELECT name FROM metric_sets WHERE id = metric_set), '');
