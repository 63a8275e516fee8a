-- name: load_runs
SELECT id, request_id, function, status, first_seen_ms, ended_at_ms, delivery, accepted, started, verdict,
       void_verdicts, older, progress
FROM runs WHERE request_id IN (SELECT value FROM json_each(?));

-- name: upsert_run
INSERT INTO runs (id, request_id, function, status, first_seen_ms, ended_at_ms, deliveries, delivery,
                  accepted, started, verdict, void_verdicts, older, progress)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    function = excluded.function, status = excluded.status, first_seen_ms = excluded.first_seen_ms,
    ended_at_ms = excluded.ended_at_ms, deliveries = excluded.deliveries, delivery = excluded.delivery,
    accepted = excluded.accepted, started = excluded.started, verdict = excluded.verdict,
    void_verdicts = excluded.void_verdicts, older = excluded.older, progress = excluded.progress;

-- name: insert_chunk
INSERT OR IGNORE INTO {table} (run, delivery, seq, last_seq, lines, function, at_ms, worst)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: add_to_tally
INSERT INTO tallies (width_ms, start_ms, measure, function, value, runs) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (width_ms, start_ms, measure, function, value) DO UPDATE SET runs = runs + excluded.runs;

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
SELECT function, status, count(*) AS runs FROM runs GROUP BY function, status;

-- name: last_row
SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'runs';

-- name: log_tables
SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'logs_[0-9]*' ORDER BY name;

-- name: get_run
SELECT id, request_id, function, status, deliveries, delivery, accepted, started, verdict, progress
FROM runs WHERE request_id = :request_id;

-- name: names_of_runs
SELECT id, request_id FROM runs WHERE id IN (SELECT value FROM json_each(:rows));

-- name: position
SELECT (SELECT count(*) FROM (
    SELECT 1 FROM runs WHERE status = 'QUEUED' AND function = this.function
    AND (first_seen_ms, id) < (this.first_seen_ms, this.id) LIMIT :limit)) AS earlier
FROM runs AS this WHERE request_id = :request_id AND status = 'QUEUED';

-- name: queued
SELECT function, count(*) AS runs, min(first_seen_ms) AS oldest_ms
FROM runs WHERE status = 'QUEUED' GROUP BY function ORDER BY oldest_ms;

-- name: object_events
-- Word for word the expressions and the condition of their index.
SELECT json_extract(accepted, '$.subject') AS subject, json_extract(accepted, '$.event_id') AS event_id
FROM runs WHERE json_extract(accepted, '$.trigger') = 'storage' AND function = :function
AND json_extract(accepted, '$.source') = :source
AND json_extract(accepted, '$.subject') IN (SELECT value FROM json_each(:subjects));

-- name: activity
SELECT start_ms - start_ms % :bucket_ms AS bucket_ms, function, measure, value, sum(runs) AS runs
FROM tallies WHERE width_ms = :width_ms AND start_ms >= :since_ms AND start_ms < :until_ms
AND (:function IS NULL OR function = :function)
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2;

-- name: list_runs
-- A result may have a megabyte, and a list does not show it.
SELECT id, first_seen_ms, request_id, function, status, deliveries, accepted, started, progress,
       CASE WHEN length(verdict) > 8192 THEN json_set(verdict, '$.result', NULL) ELSE verdict END AS verdict
FROM runs WHERE {conditions} AND (first_seen_ms, id) < (:key, :row)
ORDER BY first_seen_ms DESC, id DESC LIMIT :limit;

-- name: run_edge
SELECT first_seen_ms AS key, id AS row, first_seen_ms AS at_ms
FROM runs WHERE {conditions} AND (first_seen_ms, id) < (:key, :row)
ORDER BY first_seen_ms DESC, id DESC LIMIT 1 OFFSET :size;

-- name: run_above_edge
(first_seen_ms, id) >= (:edge_key, :edge_row)

-- name: run_has_status_code
json_extract(verdict, '$.status_code') = :status_code

-- name: run_has_trigger
json_extract(accepted, '$.trigger') = :trigger

-- name: run_has_source
json_extract(accepted, '$.source') = :source

-- name: run_has_text
(request_id LIKE :text ESCAPE '\' OR json_extract(accepted, '$.subject') LIKE :text ESCAPE '\'
 OR json_extract(verdict, '$.error.type') LIKE :text ESCAPE '\'
 OR json_extract(verdict, '$.error.message') LIKE :text ESCAPE '\')

-- name: get_lines
-- Begins with the chunk that :after lies in, without touching those before.
SELECT last_seq, lines FROM {table} WHERE run = :run AND delivery = :delivery AND seq >= coalesce(
    (SELECT max(seq) FROM {table} WHERE run = :run AND delivery = :delivery AND seq <= :after), 0)
ORDER BY seq LIMIT :limit;

-- name: line_edge
SELECT {key} AS key, id AS row, at_ms FROM {table} WHERE {conditions} AND ({key}, id) < (:key, :row)
ORDER BY {key} DESC, id DESC LIMIT 1 OFFSET :size;

-- name: find_lines
SELECT {key} AS key, id AS row, at_ms, run, delivery, function, lines
FROM {table} WHERE {conditions} AND ({key}, id) < (:key, :row)
ORDER BY {key} DESC, id DESC LIMIT :limit;

-- name: lines_above_edge
({key}, id) >= (:edge_key, :edge_row)

-- name: lines_have_text
lines LIKE :text ESCAPE '\'

-- name: expire_runs
DELETE FROM runs WHERE id IN (
    SELECT id FROM runs WHERE first_seen_ms < :before AND (ended_at_ms < :before OR accepted IS NULL)
    ORDER BY first_seen_ms LIMIT :limit);

-- name: expire_tallies
DELETE FROM tallies WHERE width_ms = :width AND start_ms < :before;
