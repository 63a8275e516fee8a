from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from processor.core.clock import Clock
from processor.transport.abstract import AppendFailed, BufferFull, Producer, RecordTooLarge, Transport

log = logging.getLogger(__name__)

#: After a failed session: time for a broker to elect leaders, short against every life-sign limit.
RETRY_AFTER_SEC = 1.0

#: Lets a burst of appends become one request; a flush does not wait for it.
LINGER_MS = 5


class Entry(NamedTuple):
    topic: str
    value: bytes | None
    key: bytes
    partition: int
    #: Written once this one is durable.
    afterwards: Entry | None = None


class Books:
    """What an executor writes about its runs: every entry lands in the end, however often a session fails.

    Entries wait here until a flush has confirmed them; after a failure they are appended again, in order, by a new
    session. Repeats are harmless: the ledger's fold takes the first verdict, `inflight` is compacted by key.
    """

    def __init__(self, transport: Transport, clock: Clock, *, when_confirmed: Callable[[], None] | None = None) -> None:
        self._transport = transport
        self._clock = clock
        self._producer: Producer | None = transport.producer(linger_ms=LINGER_MS)
        self._when_confirmed = when_confirmed
        self._unconfirmed: list[Entry] = []
        #: How many of them the present session has been given.
        self._appended = 0
        self._retry_at_sec = 0.0
        #: False from a failure until the next good flush: what is only begun now would pile up here.
        self.writable = True
        #: Entries that no topic takes, whatever is done.
        self.dropped = 0

    def write(
        self, topic: str, value: bytes | None, *, key: bytes, partition: int, afterwards: Entry | None = None
    ) -> None:
        """Never blocks, never fails; it is sent by the next `flush`, and durable once that returns True.

        Not sent at once: a client woken for each record sends requests of one record, at ten times the cost.
        afterwards: an entry that may only be written once this one is durable (a verdict before its tombstone).
        """
        self._unconfirmed.append(Entry(topic, value, key, partition, afterwards))

    @property
    def empty(self) -> bool:
        return not self._unconfirmed

    def flush(self, timeout_sec: float) -> bool:
        """True: every entry written so far is on the log. False: not known; they will be repeated.

        Blocks up to timeout_sec. Entries that waited for these are sent by the next flush.
        """
        if not self._session_ready():
            return False
        assert self._producer is not None
        try:
            while self._appended < len(self._unconfirmed):
                self._append_open()
                if self._producer is None:
                    return False
                self._producer.flush(timeout_sec)
            self._producer.flush(timeout_sec)
        except AppendFailed as error:
            self._give_up(error)
            return False
        self._confirmed()
        return True

    def close(self) -> None:
        if self._producer is not None:
            self._producer.close()

    def _confirmed(self) -> None:
        self._unconfirmed = [each.afterwards for each in self._unconfirmed if each.afterwards is not None]
        self._appended = 0
        self.writable = True
        if self._when_confirmed is not None:
            self._when_confirmed()

    def _append_open(self) -> None:
        assert self._producer is not None
        try:
            for entry in self._unconfirmed[self._appended :]:
                self._producer.append(entry.topic, entry.value, key=entry.key, partition=entry.partition)
                self._appended += 1
        except BufferFull:
            return  # the next flush makes room and goes on from here
        except RecordTooLarge as error:
            self._drop(error)
        except AppendFailed as error:
            self._give_up(error)

    def _drop(self, error: RecordTooLarge) -> None:
        """It would be refused for ever, and all the others with it. What was to follow it goes too: an intent without
        its verdict stays open, and recovery will close it.
        """
        entry = self._unconfirmed.pop(self._appended)
        self.dropped += 1
        log.error("a record of %s is dropped: %s", entry.topic, error, extra={"action": "record_dropped"})

    def _session_ready(self) -> bool:
        if self._producer is None:
            if self._clock.boottime() < self._retry_at_sec:
                return False
            self._producer = self._transport.producer(linger_ms=LINGER_MS)
        return True

    def _give_up(self, error: AppendFailed) -> None:
        log.warning("%d records will be repeated: %s", len(self._unconfirmed), error, extra={"action": "books_repeat"})
        if self._producer is not None:
            self._producer.close()
        self._producer = None
        self._appended = 0
        self.writable = False
        self._retry_at_sec = self._clock.boottime() + RETRY_AFTER_SEC
