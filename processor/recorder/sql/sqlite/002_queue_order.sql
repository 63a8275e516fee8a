-- For the place of a run in its function's queue. Most runs are never in it: they are accepted and ended in one batch.
-- With the status in it, counting reads the index alone.
CREATE INDEX runs_queued ON runs (status, function, first_seen_ms) WHERE status = 'QUEUED';
