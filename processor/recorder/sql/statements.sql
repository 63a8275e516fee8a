-- name: load_runs
SELECT id, request_id, function, first_seen_ms, delivery, accepted, started, verdict, void_verdicts, older
FROM runs WHERE request_id IN (SELECT value FROM json_each(?));

-- name: upsert_run
INSERT INTO runs (id, request_id, function, status, first_seen_ms, ended_at_ms, deliveries, delivery,
                  accepted, started, verdict, void_verdicts, older)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    function = excluded.function, status = excluded.status, first_seen_ms = excluded.first_seen_ms,
    ended_at_ms = excluded.ended_at_ms, deliveries = excluded.deliveries, delivery = excluded.delivery,
    accepted = excluded.accepted, started = excluded.started, verdict = excluded.verdict,
    void_verdicts = excluded.void_verdicts, older = excluded.older;

-- name: insert_chunk
INSERT OR IGNORE INTO {table} (run, delivery, seq, last_seq, lines) VALUES (?, ?, ?, ?, ?);

-- name: set_offset
INSERT INTO offsets (topic, partition, next_offset) VALUES (?, ?, ?)
ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset;

-- name: add_to_counter
INSERT INTO counters (name, value) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;

-- name: offsets
SELECT topic, partition, next_offset FROM offsets;

-- name: counters
SELECT name, value FROM counters;

-- name: run_counts
SELECT function, status, count(*) FROM runs GROUP BY function, status;

-- name: last_row
SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'runs';

-- name: log_tables
SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'logs_[0-9]*' ORDER BY name;

-- name: get_run
SELECT id, request_id, function, status, deliveries, delivery, accepted, started, verdict
FROM runs WHERE request_id = ?;

-- name: position
SELECT (SELECT count(*) FROM (
    SELECT 1 FROM runs WHERE status = 'QUEUED' AND function = this.function
    AND (first_seen_ms, id) < (this.first_seen_ms, this.id) LIMIT :limit)) AS earlier
FROM runs AS this WHERE request_id = :request_id AND status = 'QUEUED';

-- name: object_events
-- Word for word the expressions and the condition of their index.
SELECT json_extract(accepted, '$.subject'), json_extract(accepted, '$.event_id')
FROM runs WHERE json_extract(accepted, '$.trigger') = 'storage' AND function = :function
AND json_extract(accepted, '$.source') = :source
AND json_extract(accepted, '$.subject') IN (SELECT value FROM json_each(:subjects));

-- name: list_runs
-- A result may have a megabyte, and a list does not show it.
SELECT id, first_seen_ms, request_id, function, status, deliveries, accepted, started,
       CASE WHEN length(verdict) > 8192 THEN json_set(verdict, '$.result', NULL) ELSE verdict END AS verdict
FROM runs WHERE {conditions}
ORDER BY first_seen_ms DESC, id DESC LIMIT ?;

-- name: get_lines
-- Begins with the chunk that after_seq lies in, without touching those before.
SELECT lines FROM {table} WHERE run = :run AND delivery = :delivery AND seq >= coalesce(
    (SELECT max(seq) FROM {table} WHERE run = :run AND delivery = :delivery AND seq <= :after), 0)
ORDER BY seq;

-- name: expire_runs
DELETE FROM runs WHERE id IN (
    SELECT id FROM runs WHERE first_seen_ms < :before AND (ended_at_ms < :before OR accepted IS NULL)
    ORDER BY first_seen_ms LIMIT :limit);
