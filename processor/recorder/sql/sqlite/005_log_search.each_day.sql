-- What lines are searched by. A text is looked for in the lines themselves: an index over it (FTS5, trigrams) made
-- recording eight times slower.
ALTER TABLE {table} ADD COLUMN function TEXT NOT NULL DEFAULT '';
ALTER TABLE {table} ADD COLUMN at_ms INTEGER NOT NULL DEFAULT 0;
-- Levels were not kept apart before: 50 says that any may be there.
ALTER TABLE {table} ADD COLUMN worst INTEGER NOT NULL DEFAULT 50;
UPDATE {table} SET at_ms = json_extract(lines, '$[#-1][3]'),
    function = coalesce((SELECT function FROM runs WHERE runs.id = {table}.run), '');
CREATE INDEX {table}_by_time ON {table} (at_ms);
CREATE INDEX {table}_by_function ON {table} (function, at_ms);
CREATE INDEX {table}_by_level ON {table} (at_ms) WHERE worst >= 30;
