-- name: schema
CREATE TABLE IF NOT EXISTS seen (
    binding     TEXT    NOT NULL,
    key         BLOB    NOT NULL,
    device      INTEGER NOT NULL,
    inode       INTEGER NOT NULL,
    mtime_ns    INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    -- When the file was last known to be there; rows of files that are gone for long are removed.
    present_ms  INTEGER NOT NULL,
    PRIMARY KEY (binding, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seen_identity ON seen (binding, inode, mtime_ns, size, device);

-- name: find_identity
SELECT 1 FROM seen WHERE binding = ? AND inode = ? AND mtime_ns = ? AND size = ? AND device = ?;

-- name: find_content
SELECT 1 FROM seen WHERE binding = ? AND key = ? AND mtime_ns = ? AND size = ?;

-- name: remember
INSERT OR REPLACE INTO seen (binding, key, device, inode, mtime_ns, size, present_ms) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: adopt
UPDATE seen SET mtime_ns = ? WHERE binding = ? AND key = ? AND device = ? AND inode = ? AND size = ?;

-- name: present
UPDATE seen SET present_ms = ? WHERE binding = ? AND key = ?;

-- name: expire
DELETE FROM seen WHERE binding = ? AND present_ms < ?;
