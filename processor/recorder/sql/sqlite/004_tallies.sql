-- What an overview shows, counted while it is recorded: reading a million runs for it would take seconds.
-- How long runs had waited before is not worked out again.
CREATE TABLE tallies (
    width_ms INTEGER NOT NULL,
    start_ms INTEGER NOT NULL,
    measure  TEXT    NOT NULL,  -- accepted, ended, waited
    function TEXT    NOT NULL,
    value    TEXT    NOT NULL,  -- a status; of waited: the step
    runs     INTEGER NOT NULL,
    PRIMARY KEY (width_ms, start_ms, measure, function, value)
) WITHOUT ROWID;

INSERT INTO tallies (width_ms, start_ms, measure, function, value, runs)
SELECT width, first_seen_ms - first_seen_ms % width, 'accepted', function, status, count(*)
FROM runs CROSS JOIN (SELECT 60000 AS width UNION ALL SELECT 600000 UNION ALL SELECT 3600000)
GROUP BY 1, 2, 3, 4, 5;

INSERT INTO tallies (width_ms, start_ms, measure, function, value, runs)
SELECT width, ended_at_ms - ended_at_ms % width, 'ended', function, status, count(*)
FROM runs CROSS JOIN (SELECT 60000 AS width UNION ALL SELECT 600000 UNION ALL SELECT 3600000) WHERE ended_at_ms IS NOT NULL
GROUP BY 1, 2, 3, 4, 5;
