-- The connections that hold a copy: what of a connection's items is matched. Empty in rows that were written before.
ALTER TABLE items
    ADD COLUMN IF NOT EXISTS connections Array(String);

ALTER TABLE thread_items
    ADD COLUMN IF NOT EXISTS connections Array(String);

-- What the newest listing of each stream of a connection showed by UTC day (1970-01-01 for items without a time), and how much
-- of that is held. The three lists are parallel.
CREATE TABLE IF NOT EXISTS coverage (
    tenant String,
    connection String,
    stream String,
    at DateTime64(3, 'UTC'),
    days Array(Date32),
    listed Array(UInt64),
    present Array(UInt64),
    ver UInt64
) ENGINE = ${replicated}ReplacingMergeTree(ver)
ORDER BY (tenant, connection, stream);

-- How connections stand, as far as numbers and lists need it. `replies*` are the automatic replies of the mailbox's owner.
CREATE TABLE IF NOT EXISTS connections (
    tenant String,
    connection String,
    member String,
    state LowCardinality(String),
    last_sweep Nullable(DateTime64(3, 'UTC')),
    replies LowCardinality(String),
    replies_since Nullable(DateTime64(3, 'UTC')),
    replies_until Nullable(DateTime64(3, 'UTC')),
    replies_audience LowCardinality(String),
    ver UInt64
) ENGINE = ${replicated}ReplacingMergeTree(ver)
ORDER BY (tenant, connection);
