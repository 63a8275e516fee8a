-- What an overview shows, counted while it is recorded: reading a million runs for it would take seconds.
CREATE TABLE tallies (
    width_ms bigint NOT NULL,
    start_ms bigint NOT NULL,
    measure  text   COLLATE "C" NOT NULL,  -- accepted, ended, waited
    function text   COLLATE "C" NOT NULL,
    value    text   COLLATE "C" NOT NULL,  -- a status; of waited: the step
    runs     bigint NOT NULL,
    PRIMARY KEY (width_ms, start_ms, measure, function, value)
) WITH (fillfactor = 50);
