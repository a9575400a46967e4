-- When a name was written: one that no item mentions is taken out once no sink can be about to write the item.
ALTER TABLE stranger_names
    ADD COLUMN IF NOT EXISTS written_at DateTime('UTC') DEFAULT now();

-- Rows from before get the present time, once; without this they would be new for ever.
ALTER TABLE stranger_names
    MATERIALIZE COLUMN written_at;
