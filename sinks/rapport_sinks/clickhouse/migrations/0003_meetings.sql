-- What only meetings have. `people_answers` is parallel to `people_roles`, and empty in rows that were written before.
ALTER TABLE items
    ADD COLUMN IF NOT EXISTS people_answers Array(String),
    ADD COLUMN IF NOT EXISTS location String CODEC(ZSTD(3)),
    ADD COLUMN IF NOT EXISTS all_day UInt8,
    ADD COLUMN IF NOT EXISTS private UInt8,
    ADD COLUMN IF NOT EXISTS series String;

ALTER TABLE thread_items
    ADD COLUMN IF NOT EXISTS people_answers Array(String),
    ADD COLUMN IF NOT EXISTS location String CODEC(ZSTD(3)),
    ADD COLUMN IF NOT EXISTS all_day UInt8,
    ADD COLUMN IF NOT EXISTS private UInt8,
    ADD COLUMN IF NOT EXISTS series String;
