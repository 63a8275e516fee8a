-- Lines of one UTC day, one row per record of the topic. A day is dropped as a whole.
CREATE TABLE IF NOT EXISTS {table} (
    id       INTEGER PRIMARY KEY,
    run      INTEGER NOT NULL,
    delivery TEXT    NOT NULL,
    seq      INTEGER NOT NULL,  -- of the first line
    last_seq INTEGER NOT NULL,
    lines    TEXT    NOT NULL   -- [[seq, stream, level, unix_ms, text], ...]
);
CREATE UNIQUE INDEX IF NOT EXISTS {table}_by_run ON {table} (run, delivery, seq);
