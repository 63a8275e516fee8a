-- One row per record of the topic `logs`; partitions are UTC days, dropped as a whole. A text is looked for in the lines
-- themselves: an index of trigrams over all of them would cost more than recording them does.
CREATE TABLE log_lines (
    id       bigint  NOT NULL,
    run      bigint  NOT NULL,
    delivery text    COLLATE "C" NOT NULL,
    seq      bigint  NOT NULL,  -- of the first line
    last_seq bigint  NOT NULL,
    lines    text    COLLATE "C" NOT NULL,  -- [[seq, stream, level, unix_ms, text], ...]
    function text    COLLATE "C" NOT NULL,
    at_ms    bigint  NOT NULL,  -- when it came into the log
    worst    integer NOT NULL   -- the highest level, as a number; 0: no line has one
) PARTITION BY RANGE (at_ms);
CREATE UNIQUE INDEX log_lines_by_run ON log_lines (run, delivery, seq, at_ms);
CREATE INDEX log_lines_by_time ON log_lines (at_ms, id);
CREATE INDEX log_lines_by_function ON log_lines (function, at_ms, id);
CREATE INDEX log_lines_by_level ON log_lines (at_ms, id) WHERE worst >= 30;
CREATE TABLE log_lines_old PARTITION OF log_lines FOR VALUES FROM (MINVALUE) TO (0);
CREATE SEQUENCE line_numbers CACHE 1000;
