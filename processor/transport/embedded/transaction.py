from __future__ import annotations

import contextlib
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, cast

from processor.transport.abstract import Outcome, Record
from processor.transport.embedded import headers
from processor.transport.embedded.partition import PartitionLog

if TYPE_CHECKING:
    from processor.transport.embedded.batch import Entry

_ROW = "(?,?,?,?,?)"
_ROW_LENGTH = 5
#: Rows per INSERT at most. Python's sqlite3 gives the interpreter lock up at every statement, and beside a busy thread
#: it takes up to 5 ms to get it back: one row per statement would cost a hundred times that.
_CHUNK_ROWS = 64


#: NamedTuple's own __new__ is a Python function; this is the C one below it.
_make = cast("Callable[[type[Record], Iterable[object]], Record]", tuple.__new__)


class Change(ABC):
    """Something to be made durable. Called by the writer thread: write, then either applied or failed."""

    __slots__ = ()

    def seal(self) -> int:
        """From here on it does not change. Returns its weight in bytes."""
        return 0

    @abstractmethod
    def write(self, transaction: Transaction) -> None:
        """Refuses itself by writing nothing. What it raises fails the whole transaction."""

    @abstractmethod
    def applied(self) -> None: ...

    @abstractmethod
    def failed(self, outcome: Outcome, reason: str) -> None: ...


class Transaction:
    """One transaction of the writer; nothing of it is visible to readers of the log before it is durable."""

    def __init__(self, connection: sqlite3.Connection, now_ms: int) -> None:
        self._connection = connection
        self._now_ms = now_ms
        self._begun = False
        self._statements: list[tuple[str, Sequence[object]]] = []
        self._values: list[object] = []
        #: What readers are given once it is durable.
        self.records: dict[PartitionLog, list[Record]] = {}

    def begin(self) -> sqlite3.Connection:
        """For work that needs results; everything else leaves its statements with `execute`."""
        if not self._begun:
            self._connection.execute("BEGIN IMMEDIATE")
            self._begun = True
        return self._connection

    def execute(self, statement: str, values: Sequence[object]) -> None:
        """Later, in `commit`."""
        self._statements.append((statement, values))

    def append(self, entries: list[Entry]) -> list[Record]:
        made = []
        values = self._values
        for partition, key, value, given in entries:
            fresh = self.records.get(partition)
            if fresh is None:
                fresh = self.records[partition] = []
            topic, number = partition.name
            offset = partition.high + len(fresh)
            now_ms = max(self._now_ms, partition.last_ms)
            record = _make(Record, (topic, number, offset, 0, now_ms, key, value, given))
            fresh.append(record)
            made.append(record)
            values += (partition.base + offset, now_ms, key, headers.encode(given) if given else None, value)
        return made

    def commit(self) -> None:
        """A single statement is a transaction by itself: one call of SQLite instead of three."""
        self._leave_inserts()
        if len(self._statements) == 1 and not self._begun:
            self._connection.execute(*self._statements[0])
        elif self._statements or self._begun:
            connection = self.begin()
            for statement, values in self._statements:
                connection.execute(statement, values)
            connection.execute("COMMIT")

    def roll_back(self) -> None:
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def _leave_inserts(self) -> None:
        values = self._values
        width = _CHUNK_ROWS * _ROW_LENGTH
        for at in range(0, len(values), width):
            chunk = values[at : at + width]
            self.execute(_insert(len(chunk) // _ROW_LENGTH), chunk)


@cache
def _insert(rows: int) -> str:
    """The connection keeps as many statements prepared as there are different ones."""
    return f"INSERT INTO record VALUES {','.join([_ROW] * rows)}"  # noqa: S608 no input in it
