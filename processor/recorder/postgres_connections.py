from __future__ import annotations

import contextlib
import re
import select
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row, tuple_row

from processor.recorder.errors import HistoryAddressInvalid, HistoryUnavailable
from processor.recorder.session import Row, Session
from processor.recorder.statements import load_statements

T = TypeVar("T")
_CONNECT_SEC = 5
#: What the server gives up after by itself: a read that goes on keeps dead rows from being swept away.
READ_LIMIT_SEC = 5.0
WRITE_LIMIT_SEC = 60.0
#: How much longer we wait than the server does: for one that is stopped, or a network that swallows everything.
_PATIENCE_SEC = 5.0
_NAMED = re.compile(r"(?<![:\w]):([a-z_]+)")


class LimitedConnection(psycopg.Connection[Any]):
    """Waits only so long for whatever the server owes an answer to. Raises psycopg.OperationalError after that."""

    limit_sec = READ_LIMIT_SEC

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        try:
            return super().wait(gen, interval, self.limit_sec if timeout is None else timeout)
        except psycopg.errors._WaitTimeout as error:
            self.pgconn.finish()  # an answer may still come, and would be taken for that to the next question
            raise psycopg.OperationalError(f"no answer within {self.limit_sec:g} s") from error


class Address:
    """Where the database is. Raises HistoryAddressInvalid."""

    def __init__(self, url: str) -> None:
        try:
            known = conninfo_to_dict(url)
        except psycopg.Error:
            # What libpq says may repeat a part of the address, and that may be the password.
            raise HistoryAddressInvalid from None
        self._url = url
        self._options = str(known.get("options") or "")
        self._shown = _shown(known)

    def __str__(self) -> str:
        return self._shown

    def connect(self, *, limit_sec: float, application: str) -> LimitedConnection:
        """Autocommit; rows are tuples. Raises psycopg.Error."""
        options = f"{self._options} -c statement_timeout={int(limit_sec * 1000)}".strip()
        dsn = make_conninfo(
            self._url,
            connect_timeout=_CONNECT_SEC,
            application_name=application,
            options=options,
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=int(_PATIENCE_SEC * 1000),
        )
        connection = LimitedConnection.connect(dsn, autocommit=True, row_factory=tuple_row)
        connection.limit_sec = limit_sec + _PATIENCE_SEC
        return connection


def _shown(known: Mapping[str, Any]) -> str:
    user, host = known.get("user"), known.get("host") or known.get("hostaddr") or ""
    port, name = known.get("port"), known.get("dbname") or ""
    return f"postgresql://{f'{user}@' if user else ''}{host}{f':{port}' if port else ''}/{name}"


@lru_cache(maxsize=512)
def prepared(statement: str) -> bytes:
    """With its placeholders as psycopg wants them."""
    return _NAMED.sub(r"%(\1)s", statement.replace("%", "%%")).encode()


class Readers:
    """Read-only connections, lent to one thread at a time and kept for the next. Thread-safe."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._idle: deque[LimitedConnection] = deque()
        self._lock = threading.Lock()
        self._closed = False

    @contextlib.contextmanager
    def lend(self) -> Iterator[PostgresSession]:
        """Raises HistoryUnavailable for every error of the database, also of what the caller does meanwhile."""
        connection: LimitedConnection | None = None
        try:
            connection = self._take()
            with connection.transaction():
                yield PostgresSession(connection)
        except psycopg.Error as error:
            if connection is not None:
                connection.close()
            raise HistoryUnavailable(f"the history database could not be read: {said(error)}") from error
        finally:
            if connection is not None:
                self._give_back(connection)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            while self._idle:
                self._idle.pop().close()

    def _take(self) -> LimitedConnection:
        while True:
            with self._lock:
                if self._closed:
                    raise HistoryUnavailable("the history is closed")
                if not self._idle:
                    break
                connection = self._idle.pop()
            if not _was_ended(connection):
                return connection
            connection.close()
        connection = self._address.connect(limit_sec=READ_LIMIT_SEC, application="headrace history")
        # One state for all statements of a read, as the port promises.
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        return connection

    def _give_back(self, connection: LimitedConnection) -> None:
        with self._lock:
            if self._closed or connection.closed:
                connection.close()
            else:
                self._idle.append(connection)


class PostgresSession(Session):
    def __init__(self, connection: LimitedConnection) -> None:
        self.sql = load_statements("postgres")
        self._connection = connection

    def rows(self, name: str, values: Mapping[str, Any] = {}, **parts: str) -> Sequence[Row]:
        statement = self.sql[name].format(**parts) if parts else self.sql[name]
        with self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(prepared(statement), values).fetchall()

    def log_tables(self) -> Sequence[str]:
        return [row["name"] for row in self.rows("log_tables")]


def said(error: psycopg.Error) -> str:
    """What the database says, on one line."""
    return " ".join(str(error).split())


def _was_ended(connection: LimitedConnection) -> bool:
    """The server has gone since: nothing is owed, yet there is something to read."""
    if connection.closed:
        return True
    readable, _, _ = select.select([connection.fileno()], [], [], 0)
    return bool(readable)
