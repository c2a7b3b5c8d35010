-- What a tenant may have, as JSON; what is not in it is not bounded.
ALTER TABLE tenants ADD COLUMN quotas TEXT NOT NULL DEFAULT '{}';
