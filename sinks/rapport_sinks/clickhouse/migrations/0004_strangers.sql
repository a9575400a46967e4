-- Keyed hashes (hex) of the external addresses, and of their domains, that match nothing in the directory.
ALTER TABLE decisions
    ADD COLUMN IF NOT EXISTS stranger_addresses Array(String),
    ADD COLUMN IF NOT EXISTS stranger_domains Array(String);

-- What such a hash stands for: an address (in a row of kind 'domain' any one of that domain), sealed with the tenant's
-- key, in base64. No server can read it; commands and pages open it for those who may.
CREATE TABLE IF NOT EXISTS stranger_names (
    tenant String,
    kind LowCardinality(String),
    hash String,
    sealed String
) ENGINE = ${replicated}ReplacingMergeTree
ORDER BY (tenant, kind, hash);
