-- One row per RequestId. The ledger records stay as the log has them (JSON): they are the truth, the columns beside
-- them are only what lists are filtered and ordered by.
CREATE TABLE runs (
    -- In order of arrival, so that the lines of runs of one time lie together. AUTOINCREMENT: no number is used again,
    -- or a new run would be shown lines of one that was deleted.
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id    TEXT    NOT NULL UNIQUE,
    function      TEXT    NOT NULL,
    status        TEXT    NOT NULL,
    first_seen_ms INTEGER NOT NULL,     -- when it was accepted, or before that is known: when it was first heard of
    ended_at_ms   INTEGER,
    deliveries    INTEGER NOT NULL,     -- 0 while it is only queued
    delivery      TEXT,                 -- the newest one, whose records the next two columns hold
    accepted      TEXT,
    started       TEXT,
    verdict       TEXT,
    void_verdicts INTEGER NOT NULL,
    older         TEXT                  -- deliveries before the newest: [{"name", "started", "verdict", "void"}]
);
CREATE INDEX runs_by_time ON runs (first_seen_ms);
CREATE INDEX runs_by_function ON runs (function, first_seen_ms);
-- Nearly all runs are FINISHED: the others are few enough for an index that changes with every step of a run.
CREATE INDEX runs_unfinished ON runs (status, first_seen_ms) WHERE status <> 'FINISHED';

-- What has been read of the topics: written in the same transaction as what it led to.
CREATE TABLE offsets (
    topic       TEXT    NOT NULL,
    partition   INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) WITHOUT ROWID;

CREATE TABLE counters (
    name  TEXT    PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
