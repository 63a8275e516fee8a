CREATE TABLE IF NOT EXISTS topic (
    id INTEGER PRIMARY KEY,
    installation TEXT NOT NULL,
    name TEXT NOT NULL,
    uuid BLOB NOT NULL,
    keep TEXT NOT NULL,
    retention_ms INTEGER,
    UNIQUE (installation, name)
) STRICT;

-- id is never used twice, because it is the upper part of record.id. topic_id NULL: its topic was deleted, and its
-- records are about to be.
CREATE TABLE IF NOT EXISTS partition (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic_id INTEGER REFERENCES topic,
    number INTEGER NOT NULL,
    low INTEGER NOT NULL DEFAULT 0
) STRICT;

-- id = partition.id * 2^44 + offset: one integer key keeps each partition's records together and in order.
CREATE TABLE IF NOT EXISTS record (
    id INTEGER PRIMARY KEY,
    timestamp_ms INTEGER NOT NULL,
    key BLOB,
    headers BLOB,
    value BLOB
) STRICT;

CREATE TABLE IF NOT EXISTS committed (
    installation TEXT NOT NULL,
    consumers TEXT NOT NULL,
    partition_id INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    PRIMARY KEY (installation, consumers, partition_id)
) STRICT, WITHOUT ROWID;
