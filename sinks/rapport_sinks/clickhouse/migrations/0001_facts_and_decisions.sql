-- One row per synced item. `day` (UTC date of `at`, 1970-01-01 without one) is part of the key, so that FINAL never has to
-- look across partitions; a row that moves to another day leaves a deleted row behind.
CREATE TABLE IF NOT EXISTS items (
    tenant String,
    gen UInt32,
    day Date32,
    item_id String,
    kind LowCardinality(String),
    at Nullable(DateTime64(3, 'UTC')),
    ends Nullable(DateTime64(3, 'UTC')),
    thread_key String,
    mail_class LowCardinality(String),
    cancelled UInt8,
    members Array(String),
    declined_members Array(String),
    customers Array(String),
    contacts Array(String),
    author_members Array(String),
    author_customers Array(String),
    author_contacts Array(String),
    ambiguous UInt8,
    author String,
    author_name String,
    people_roles Array(String),
    people_addresses Array(String),
    people_names Array(String),
    subject String CODEC(ZSTD(3)),
    preview String CODEC(ZSTD(3)),
    message_id String,
    copies UInt32,
    reason String CODEC(ZSTD(3)),
    ver UInt64,
    is_deleted UInt8
) ENGINE = ${replicated}ReplacingMergeTree(ver, is_deleted)
PARTITION BY toYYYYMM(day)
ORDER BY (tenant, gen, day, item_id);

-- The same facts by thread: for the history of a conversation, wherever its messages lie in time.
CREATE TABLE IF NOT EXISTS thread_items AS items
ENGINE = ${replicated}ReplacingMergeTree(ver, is_deleted)
PARTITION BY toYYYYMM(day)
ORDER BY (tenant, gen, thread_key, day, item_id);

-- Every item, synced or not, nothing readable. `place_*` are all keys under which facts of the item may lie.
CREATE TABLE IF NOT EXISTS decisions (
    tenant String,
    gen UInt32,
    item_id String,
    kind LowCardinality(String),
    day Date32,
    at Nullable(DateTime64(3, 'UTC')),
    thread_key String,
    mail_class LowCardinality(String),
    synced UInt8,
    rule LowCardinality(String),
    ambiguous UInt8,
    deleted UInt8,
    redirect String,
    origin String,
    id_hashes Array(String),
    address_hashes Array(String),
    place_days Array(Date32),
    place_threads Array(String),
    ver UInt64
) ENGINE = ${replicated}ReplacingMergeTree(ver)
ORDER BY (tenant, gen, item_id)
-- The sink looks up a few thousand scattered ids per batch: small granules read less.
SETTINGS index_granularity = 512;
