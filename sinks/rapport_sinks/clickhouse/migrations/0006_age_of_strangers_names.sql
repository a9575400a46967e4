-- When a name was written: one that no item mentions is taken out once no sink can be about to write the item.
ALTER TABLE stranger_names
    ADD COLUMN IF NOT EXISTS written_at DateTime('UTC');
