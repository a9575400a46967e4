-- A thread key and the smaller key that names its thread; a key without a row names itself.
CREATE TABLE IF NOT EXISTS thread_alias (
    tenant String,
    gen UInt32,
    key String,
    label String,
    ver UInt64
) ENGINE = ${replicated}ReplacingMergeTree(ver)
ORDER BY (tenant, gen, key);

-- Names from the directory. The row of kind 'tenant' carries the time zone and settings as JSON.
CREATE TABLE IF NOT EXISTS subjects (
    tenant String,
    kind LowCardinality(String),
    subject_id String,
    name String,
    customer String,
    settings String,
    ver UInt64,
    is_deleted UInt8
) ENGINE = ${replicated}ReplacingMergeTree(ver, is_deleted)
ORDER BY (tenant, kind, subject_id);

-- The generation people see; a tenant without a row sees generation 1.
CREATE TABLE IF NOT EXISTS active_gen (
    tenant String,
    gen UInt32,
    ver UInt64
) ENGINE = ${replicated}ReplacingMergeTree(ver)
ORDER BY tenant;

-- What waiting commands follow: everything that stood before the mark in its partition is visible.
CREATE TABLE IF NOT EXISTS marks (
    mark_id String,
    tenant String,
    topic LowCardinality(String),
    partition UInt32,
    at DateTime64(3, 'UTC')
) ENGINE = ${replicated}ReplacingMergeTree
ORDER BY (mark_id, topic, partition)
TTL toDateTime(at) + INTERVAL 7 DAY;
