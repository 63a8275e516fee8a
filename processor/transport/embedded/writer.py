from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue

from processor.core.clock import Clock
from processor.core.failpoints import failpoint
from processor.transport.abstract import Outcome, TransportUnavailable
from processor.transport.embedded.transaction import Change, Transaction

log = logging.getLogger(__name__)

#: One transaction takes no more than this, so that nobody waits for somebody else's bulk.
_TRANSACTION_LIMIT_BYTES = 8 * 1024 * 1024
_JOIN_SEC = 10.0


class Writer:
    """The thread that owns the writing connection. It takes whatever is queued, makes it durable in one transaction
    (one fsync), and tells everybody: the busier, the larger the groups.
    """

    def __init__(self, connection: sqlite3.Connection, publish: Callable[[Transaction], None], clock: Clock) -> None:
        """publish: makes the records of a durable transaction visible."""
        self._connection = connection
        self._publish = publish
        self._clock = clock
        self._queue: SimpleQueue[Change | None] = SimpleQueue()
        self._lingering: deque[tuple[float, Change]] = deque()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="embedded-log-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, change: Change) -> None:
        """Changes are applied in this order. Never blocks."""
        self._queue.put(change)

    def submit_later(self, change: Change, linger_sec: float) -> None:
        """With the next transaction of anybody, or in linger_sec."""
        self._lingering.append((time.monotonic() + linger_sec, change))
        self._queue.put(None)

    def hurry(self) -> None:
        """What lingers is wanted now."""
        if self._lingering:
            self._queue.put(Barrier())

    def run(
        self, work: Callable[[Transaction], None], timeout_sec: float, *, then: Callable[[], None] = lambda: None
    ) -> None:
        """Blocks until work's writes are durable and `then` has run, both in the writer thread. Raises
        TransportUnavailable; after a time-out they may still land.
        """
        errand = Errand(work, then)
        self.submit(errand)
        errand.wait(timeout_sec)

    def stop(self) -> None:
        """Finishes what is queued."""
        self._closing = True
        self._queue.put(None)
        self._thread.join(_JOIN_SEC)

    def _run(self) -> None:
        while True:
            changes = self._take()
            if changes:
                self._apply(changes)
            elif self._closing and self._queue.empty() and not self._lingering:
                return

    def _take(self) -> list[Change]:
        """Waits for the first, then takes all there are."""
        with contextlib.suppress(Empty):
            first = self._queue.get(timeout=self._patience_sec())
            if first is not None:
                return self._with_the_rest(first)
        if self._lingering and (self._closing or self._lingering[0][0] <= time.monotonic()):
            return self._with_the_rest(Barrier())
        return []

    def _patience_sec(self) -> float | None:
        return max(self._lingering[0][0] - time.monotonic(), 0.0) if self._lingering else None

    def _with_the_rest(self, first: Change) -> list[Change]:
        changes = [first]
        size_bytes = first.seal()
        while self._lingering and size_bytes < _TRANSACTION_LIMIT_BYTES:
            _, change = self._lingering.popleft()
            changes.append(change)
            size_bytes += change.seal()
        if self._lingering:
            self.hurry()  # they were due with this one
        while not self._queue.empty() and size_bytes < _TRANSACTION_LIMIT_BYTES:
            queued = self._queue.get()
            if queued is not None:
                changes.append(queued)
                size_bytes += queued.seal()
        return changes

    def _apply(self, changes: list[Change]) -> None:
        transaction = Transaction(self._connection, self._clock.unix_ms())
        outcome, reason = self._commit(transaction, changes)
        if outcome is Outcome.YES:
            self._publish(transaction)
            for change in changes:
                change.applied()
        else:
            for change in changes:
                change.failed(outcome, reason)

    def _commit(self, transaction: Transaction, changes: list[Change]) -> tuple[Outcome, str]:
        outcome = Outcome.NO
        try:
            for change in changes:
                change.write(transaction)
            # After a failed fsync the transaction may still come to life, from the WAL, if we die before it is
            # overwritten there.
            outcome = Outcome.UNKNOWN
            failpoint("embedded.commit.before")
            transaction.commit()
            failpoint("embedded.commit.after")
        except Exception as error:  # whatever it is, the thread that everybody waits for goes on
            transaction.roll_back()
            log.warning("the embedded log was not written: %s", error, extra={"action": "embedded_write_failed"})
            return Outcome.NO if _certain(error) else outcome, str(error)
        return Outcome.YES, ""


def _certain(error: Exception) -> bool:
    """Whether SQLite refused before the commit mark was written. On a full disk the mark, the last page, is cut off."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_BUSY)


class Barrier(Change):
    """Nothing. It makes the writer look, and whoever waits for it knows that all queued before has been decided."""

    __slots__ = ("_passed",)

    def __init__(self) -> None:
        self._passed = threading.Event()

    def wait(self, timeout_sec: float) -> None:
        """Raises TransportUnavailable."""
        if not self._passed.wait(timeout_sec):
            raise TransportUnavailable("the embedded log's disk did not answer in time")

    def write(self, transaction: Transaction) -> None:
        pass

    def applied(self) -> None:
        self._passed.set()

    def failed(self, outcome: Outcome, reason: str) -> None:
        self._passed.set()


class Errand(Change):
    """Some work inside a transaction that a thread waits for."""

    __slots__ = ("_done", "_then", "_work", "outcome", "reason")

    def __init__(self, work: Callable[[Transaction], None], then: Callable[[], None]) -> None:
        self._work = work
        self._then = then
        self._done = threading.Event()
        self.outcome = Outcome.UNKNOWN
        self.reason = "the log's disk did not answer in time"

    def wait(self, timeout_sec: float) -> None:
        """Raises TransportUnavailable."""
        self._done.wait(timeout_sec)
        if self.outcome is not Outcome.YES:
            raise TransportUnavailable(f"the embedded log was not changed: {self.reason}")

    def write(self, transaction: Transaction) -> None:
        self._work(transaction)

    def applied(self) -> None:
        self._then()
        self._end(Outcome.YES, "")

    def failed(self, outcome: Outcome, reason: str) -> None:
        self._end(outcome, reason)

    def _end(self, outcome: Outcome, reason: str) -> None:
        self.outcome, self.reason = outcome, reason
        self._done.set()
