from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from processor.recorder.store import HistoryUnavailable

#: How long a statement waits for a lock that another connection holds. In WAL mode readers wait only for a checkpoint
#: that resets the log, and the writer only for a foreign writer.
BUSY_TIMEOUT_MS = 5_000
#: A read that takes longer is given up: it would keep the write-ahead log from being reset.
READ_LIMIT_SEC = 5.0
#: Virtual machine steps of SQLite between two looks at the clock (about a millisecond).
_STEPS = 20_000
#: What the log file is cut back to after a checkpoint.
_WAL_LIMIT_BYTES = 67_108_864
_WRITER_CACHE_KIB = 65_536


def open_writer(path: Path) -> sqlite3.Connection:
    """The one connection that writes. The caller begins and ends its transactions itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    connection.execute("PRAGMA journal_mode = WAL")
    # NORMAL: after a power failure the last transactions may be gone, together with their offsets: they are read again.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
    connection.execute(f"PRAGMA cache_size = -{_WRITER_CACHE_KIB}")
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """IMMEDIATE: takes the write lock at once, because a lock taken halfway cannot be waited for."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        # A full disk makes SQLite roll back by itself; a second ROLLBACK would hide the real error.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


class Readers:
    """Read-only connections, lent to one thread at a time and kept for the next. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._uri = f"file:{quote(str(path))}?mode=ro"
        self._idle: deque[sqlite3.Connection] = deque()
        self._lock = threading.Lock()
        self._closed = False

    @contextlib.contextmanager
    def lend(self) -> Iterator[sqlite3.Connection]:
        """Raises HistoryUnavailable for every error of SQLite, also of what the caller does with the connection."""
        connection: sqlite3.Connection | None = None
        try:
            connection = self._take()
            _limit(connection, READ_LIMIT_SEC)
            # One transaction for all statements of a read: without it a table of lines may be gone by its turn.
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()  # the next reader opens the file anew: this one may have been replaced or damaged
                connection = None
            raise HistoryUnavailable(f"the history database could not be read: {error}") from error
        finally:
            if connection is not None:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                self._give_back(connection)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            while self._idle:
                self._idle.pop().close()

    def _take(self) -> sqlite3.Connection:
        with self._lock:
            if self._closed:
                raise HistoryUnavailable("the history is closed")
            if self._idle:
                return self._idle.pop()
        return sqlite3.connect(
            self._uri, uri=True, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False
        )

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if self._closed:
                connection.close()
            else:
                self._idle.append(connection)


def _limit(connection: sqlite3.Connection, limit_sec: float) -> None:
    deadline = time.monotonic() + limit_sec
    connection.set_progress_handler(lambda: int(time.monotonic() > deadline), _STEPS)
