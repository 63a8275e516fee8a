-- Lines of one UTC day, one row per record of the topic. A day is dropped as a whole.
CREATE TABLE IF NOT EXISTS {table} (
    id       INTEGER PRIMARY KEY,
    run      INTEGER NOT NULL,
    delivery TEXT    NOT NULL,
    seq      INTEGER NOT NULL,  -- of the first line
    last_seq INTEGER NOT NULL,
    lines    TEXT    NOT NULL,  -- [[seq, stream, level, unix_ms, text], ...]
    function TEXT    NOT NULL,
    at_ms    INTEGER NOT NULL,  -- when it came into the log
    worst    INTEGER NOT NULL   -- the highest level, as a number; 0: no line has one
);
CREATE UNIQUE INDEX IF NOT EXISTS {table}_by_run ON {table} (run, delivery, seq);
CREATE INDEX IF NOT EXISTS {table}_by_time ON {table} (at_ms);
CREATE INDEX IF NOT EXISTS {table}_by_function ON {table} (function, at_ms);
CREATE INDEX IF NOT EXISTS {table}_by_level ON {table} (at_ms) WHERE worst >= 30;
