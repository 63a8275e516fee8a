from __future__ import annotations

import contextlib
import sqlite3
from collections import deque
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from processor.transport.abstract import TransportUnavailable
from processor.transport.embedded.errors import DataDamaged, NotOpened

FILE_NAME = "log.sqlite3"
#: "Hdrc": a file of another application is refused.
_APPLICATION_ID = 0x48647263
_LAYOUT = 1
_BUSY_MS = 5_000
#: 16 MB of WAL between checkpoints. With SQLite's 4 MB the p99 of an append is a checkpoint.
_CHECKPOINT_PAGES = 4_000
#: quick_check reads the whole file: about a second for this much. Damage in larger ones shows when it is read.
_QUICK_CHECK_LIMIT_BYTES = 512 * 1024 * 1024


class Database:
    """The SQLite file: one connection that writes and checkpoints, and a pool of connections that only read.

    SQLite before 3.51.3 may corrupt a WAL when two connections write or checkpoint at once; so only one ever does.
    """

    def __init__(self, folder: Path) -> None:
        """Opens or creates the file. Raises DataDamaged, NotOpened."""
        self._file = folder / FILE_NAME
        #: Used by the writer thread only, once that runs.
        self.writing = sqlite3.connect(
            self._file, timeout=_BUSY_MS / 1000, isolation_level=None, check_same_thread=False, cached_statements=128
        )
        self._readers: deque[sqlite3.Connection] = deque()
        try:
            self._prepare()
        except sqlite3.OperationalError as error:
            self.writing.close()
            raise NotOpened(self._file, str(error)) from error
        except sqlite3.DatabaseError as error:
            self.writing.close()
            raise DataDamaged(self._file, str(error)) from error
        except DataDamaged:
            self.writing.close()
            raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A read-only connection, for any thread. Transactions must be short: a checkpoint waits for them.

        Raises TransportUnavailable for whatever goes wrong while reading.
        """
        try:
            connection = self._readers.pop()
        except IndexError:
            connection = self._open_reader()
        try:
            yield connection
        except sqlite3.Error as error:
            raise TransportUnavailable(f"{self._file} was not read: {error}") from error
        finally:
            self._readers.append(connection)

    def close(self) -> None:
        while self._readers:
            self._readers.pop().close()
        self.writing.close()

    def _open_reader(self) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self._file.absolute().as_uri()}?mode=ro",
            uri=True,
            timeout=_BUSY_MS / 1000,
            isolation_level=None,
            check_same_thread=False,
        )

    def _prepare(self) -> None:
        connection = self.writing
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
        self._refuse_strangers()
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # a commit that has returned survives a power cut
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        self._check()
        schema = files(__package__).joinpath("schema.sql").read_text()
        marks = f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {_LAYOUT};"
        # All in one: killed in between, it would be refused ever after as the file of another program.
        connection.executescript(f"BEGIN IMMEDIATE; {schema}; {marks} COMMIT;")

    def _refuse_strangers(self) -> None:
        (application,) = self.writing.execute("PRAGMA application_id").fetchone()
        (layout,) = self.writing.execute("PRAGMA user_version").fetchone()
        (tables,) = self.writing.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables and application != _APPLICATION_ID:
            raise DataDamaged(self._file, "it belongs to another program")
        if layout > _LAYOUT:
            raise DataDamaged(self._file, f"a newer Headrace wrote it (layout {layout}, this one knows {_LAYOUT})")

    def _check(self) -> None:
        if self._file.stat().st_size <= _QUICK_CHECK_LIMIT_BYTES:
            (verdict,) = self.writing.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise DataDamaged(self._file, verdict)
