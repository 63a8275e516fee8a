-- name: schema_version
SELECT coalesce(max(version), 0) AS version FROM headrace_schema;

-- name: create_schema
CREATE TABLE IF NOT EXISTS headrace_schema (
    version    integer     PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: has_schema
SELECT to_regclass('headrace_schema') IS NOT NULL AS here;

-- name: set_version
INSERT INTO headrace_schema (version) VALUES (:version);

-- name: one_writer
-- Until the end of the transaction: beside a draining recorder its successor writes already.
SELECT pg_advisory_xact_lock(:key);

-- name: staged_lines
CREATE TEMPORARY TABLE IF NOT EXISTS staged_lines (
    run bigint, delivery text, seq bigint, last_seq bigint, lines text, function text, at_ms bigint, worst integer
) ON COMMIT DELETE ROWS;

-- name: load_runs
SELECT id, request_id, function, status, first_seen_ms, ended_at_ms, delivery, accepted, started, verdict,
       void_verdicts, older, progress
FROM runs WHERE request_id = ANY(:ids);

-- name: take_numbers
SELECT nextval('run_numbers') FROM generate_series(1, :count);

-- name: forget_runs
-- Their new state is copied in after that: for an UPDATE each row would have to be found again by a join.
DELETE FROM runs WHERE request_id = ANY(:ids) AND first_seen_ms BETWEEN :first_ms AND :last_ms;

-- name: copy_runs
COPY runs (id, request_id, function, status, status_code, first_seen_ms, ended_at_ms, deliveries, delivery, accepted,
           started, verdict, listed, void_verdicts, older, trigger, source, about, object_key, event_id,
           progress) FROM STDIN;

-- name: copy_lines
COPY staged_lines (run, delivery, seq, last_seq, lines, function, at_ms, worst) FROM STDIN;

-- name: insert_lines
INSERT INTO log_lines (id, run, delivery, seq, last_seq, lines, function, at_ms, worst)
SELECT nextval('line_numbers'), run, delivery, seq, last_seq, lines, function, at_ms, worst FROM staged_lines
ON CONFLICT DO NOTHING;

-- name: add_to_tallies
INSERT INTO tallies AS old (width_ms, start_ms, measure, function, value, runs)
SELECT * FROM unnest(:width_ms::bigint[], :start_ms::bigint[], :measure::text[], :function::text[], :value::text[],
                     :runs::bigint[])
ON CONFLICT (width_ms, start_ms, measure, function, value) DO UPDATE SET runs = old.runs + excluded.runs;

-- name: set_offset
INSERT INTO offsets (topic, partition, next_offset) VALUES (:topic, :partition, :next_offset)
ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset;

-- name: add_to_counter
INSERT INTO counters AS old (name, value) VALUES (:name, :value)
ON CONFLICT (name) DO UPDATE SET value = old.value + excluded.value;

-- name: make_partition
-- Attached once it is made: made as a partition it would keep every reader out meanwhile.
CREATE TABLE {partition} (LIKE {table} INCLUDING ALL);

-- name: attach_partition
ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES FROM ({first_ms}) TO ({end_ms});

-- name: partitions
SELECT child.relname AS name FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
WHERE inhparent = (:table)::regclass ORDER BY 1;

-- name: runs_dropped
SELECT before_ms FROM runs_dropped;

-- name: set_runs_dropped
UPDATE runs_dropped SET before_ms = :before_ms;

-- name: keep_open_runs
INSERT INTO runs_old
SELECT * FROM {partition} WHERE accepted IS NOT NULL AND (ended_at_ms IS NULL OR ended_at_ms >= :before_ms);

-- name: expire_old_runs
DELETE FROM runs_old WHERE first_seen_ms < :before_ms AND (ended_at_ms < :before_ms OR accepted IS NULL);

-- name: keep_old_runs_apart
ALTER TABLE runs DETACH PARTITION runs_old;

-- name: take_old_runs_back
ALTER TABLE runs ATTACH PARTITION runs_old FOR VALUES FROM (MINVALUE) TO ({end_ms});

-- name: shut_readers_out
-- Before anything is dropped: readers take the table first and its partitions after that, and two that take them in
-- different orders wait for each other.
LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE;

-- name: drop_partition
DROP TABLE {partition};

-- name: expire_tallies
DELETE FROM tallies WHERE width_ms = ANY(:widths) AND start_ms < :before_ms;

-- name: offsets
SELECT topic, partition, next_offset FROM offsets;

-- name: counters
SELECT name, value FROM counters;

-- name: run_counts
SELECT function, status, count(*) AS runs FROM runs GROUP BY function, status;

-- name: get_run
SELECT id, request_id, function, status, deliveries, delivery, accepted, started, verdict, progress
FROM runs WHERE request_id = :request_id;

-- name: names_of_runs
SELECT id, request_id FROM runs WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:rows::json)::bigint));

-- name: position
SELECT (SELECT count(*) FROM (
    SELECT 1 FROM runs WHERE status = 'QUEUED' AND function = this.function
    AND (first_seen_ms, id) < (this.first_seen_ms, this.id) LIMIT :limit) AS before) AS earlier
FROM runs AS this WHERE request_id = :request_id AND status = 'QUEUED';

-- name: queued
SELECT function, count(*) AS runs, min(first_seen_ms) AS oldest_ms
FROM runs WHERE status = 'QUEUED' GROUP BY function ORDER BY oldest_ms;

-- name: object_events
SELECT object_key, event_id FROM runs WHERE object_key = ANY(:keys) AND function = :function;

-- name: activity
SELECT start_ms - start_ms % :bucket_ms AS bucket_ms, function, measure, value, sum(runs)::bigint AS runs
FROM tallies WHERE width_ms = :width_ms AND start_ms >= :since_ms AND start_ms < :until_ms
AND (:function::text IS NULL OR function = :function)
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2;

-- name: list_runs
SELECT id, first_seen_ms, request_id, function, status, deliveries, accepted, started, progress,
       coalesce(listed, verdict) AS verdict
FROM runs WHERE {conditions} AND first_seen_ms <= :key AND (first_seen_ms, id) < (:key, :row)
ORDER BY first_seen_ms DESC, id DESC LIMIT :limit;

-- name: run_edge
SELECT first_seen_ms AS key, id AS row, first_seen_ms AS at_ms
FROM runs WHERE {conditions} AND first_seen_ms <= :key AND (first_seen_ms, id) < (:key, :row)
ORDER BY first_seen_ms DESC, id DESC LIMIT 1 OFFSET :size;

-- name: run_above_edge
first_seen_ms >= :edge_key AND (first_seen_ms, id) >= (:edge_key, :edge_row)

-- name: run_has_status_code
status_code = :status_code

-- name: run_has_trigger
trigger = :trigger

-- name: run_has_source
source = :source

-- name: run_has_text
(request_id ILIKE :text OR about ILIKE :text)

-- name: log_tables
-- The parent stands for all its days.
SELECT 'log_lines' AS name;

-- name: get_lines
-- Begins with the chunk that :after lies in, without touching those before.
SELECT last_seq, lines FROM {table} WHERE run = :run AND delivery = :delivery AND seq >= coalesce(
    (SELECT max(seq) FROM {table} WHERE run = :run AND delivery = :delivery AND seq <= :after), 0)
ORDER BY seq LIMIT :limit;

-- name: line_edge
SELECT {key} AS key, id AS row, at_ms FROM {table} WHERE {conditions} AND {key} <= :key AND ({key}, id) < (:key, :row)
ORDER BY {key} DESC, id DESC LIMIT 1 OFFSET :size;

-- name: find_lines
SELECT {key} AS key, id AS row, at_ms, run, delivery, function, lines
FROM {table} WHERE {conditions} AND {key} <= :key AND ({key}, id) < (:key, :row)
ORDER BY {key} DESC, id DESC LIMIT :limit;

-- name: lines_above_edge
{key} >= :edge_key AND ({key}, id) >= (:edge_key, :edge_row)

-- name: lines_have_text
lines ILIKE :text
