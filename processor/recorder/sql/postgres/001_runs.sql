-- One row per RequestId. The ledger records stay as the log has them (JSON): they are the truth, the columns beside
-- them are only what is filtered and ordered by. They are text: jsonb refuses NUL, which an event may well have.
-- Partitions are days of acceptance: whole ones are dropped. Of a day that is dropped the runs that have not ended yet
-- move to runs_old, which reaches up to there.
CREATE TABLE runs (
    id            bigint  NOT NULL,
    request_id    text    COLLATE "C" NOT NULL,
    function      text    COLLATE "C" NOT NULL,
    status        text    COLLATE "C" NOT NULL,
    status_code   integer,
    first_seen_ms bigint  NOT NULL,     -- when it was accepted, or before that is known: when it was first heard of
    ended_at_ms   bigint,
    deliveries    integer NOT NULL,     -- 0 while it is only queued
    delivery      text,                 -- the newest one, whose records the next columns hold
    accepted      text,
    started       text,
    verdict       text,
    listed        text,                 -- the verdict for lists: without its result, where that is large
    void_verdicts integer NOT NULL,
    older         text,                 -- deliveries before the newest: [{"name", "started", "verdict", "void"}]
    trigger       text    COLLATE "C",
    source        text    COLLATE "C",
    about         text    COLLATE "C",  -- what a text is looked for in
    object_key    text    COLLATE "C",  -- of runs that storage triggers began: which object, as a hash
    event_id      text    COLLATE "C"
) PARTITION BY RANGE (first_seen_ms);
CREATE UNIQUE INDEX runs_by_request ON runs (request_id, first_seen_ms);
CREATE INDEX runs_by_row ON runs (id);
CREATE INDEX runs_by_time ON runs (first_seen_ms, id);
CREATE INDEX runs_by_function ON runs (function, first_seen_ms, id);
-- Nearly all runs are FINISHED: the others are few enough for an index that changes with every step of a run.
CREATE INDEX runs_unfinished ON runs (status, first_seen_ms, id) WHERE status <> 'FINISHED';
CREATE INDEX runs_queued ON runs (function, first_seen_ms, id) WHERE status = 'QUEUED';
CREATE INDEX runs_of_objects ON runs (object_key) WHERE object_key IS NOT NULL;
CREATE TABLE runs_old PARTITION OF runs FOR VALUES FROM (MINVALUE) TO (0);
CREATE SEQUENCE run_numbers;

-- Up to where (in Unix milliseconds) days are dropped: the bound of runs_old.
CREATE TABLE runs_dropped (before_ms bigint NOT NULL);
INSERT INTO runs_dropped VALUES (0);

-- What has been read of the topics: written in the same transaction as what it led to.
CREATE TABLE offsets (
    topic       text    NOT NULL,
    partition   integer NOT NULL,
    next_offset bigint  NOT NULL,
    PRIMARY KEY (topic, partition)
);

CREATE TABLE counters (
    name  text   PRIMARY KEY,
    value bigint NOT NULL
);
