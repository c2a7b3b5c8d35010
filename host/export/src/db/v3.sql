-- How long the events of a project are kept; no bound where there is no figure.
ALTER TABLE projects ADD COLUMN keep_days INTEGER;
ALTER TABLE projects ADD COLUMN keep_megabytes INTEGER;
