from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class _Lane:
    unconfirmed: list[Entry] = field(default_factory=list)
    #: How many of them the present session has been given.
    appended: int = 0

    def confirmed(self) -> None:
        """What waited for these is open now."""
        self.unconfirmed = [each.afterwards for each in self.unconfirmed if each.afterwards is not None]
        self.appended = 0


class Books:
    """What an executor writes about its runs: every entry lands in the end, however often a session fails.

    Entries wait here until a flush has confirmed them; after a failure they are appended again, in order, by a new
    session. Repeats are harmless: the ledger's fold takes the first verdict, `inflight` is compacted by key.

    There are two lanes, each in order. Claims wait for the urgent one (intents and what takes them back, heartbeats).
    What only has to land soon (`started`, verdicts and their tombstones) goes in bulk: sent with every claim, it would
    cost the broker a request per partition and claim, and the claims their time.
    """

    def __init__(self, transport: Transport, clock: Clock, *, when_confirmed: Callable[[], None] | None = None) -> None:
        """when_confirmed: called when every urgent entry written so far is durable."""
        self._transport = transport
        self._clock = clock
        self._producer: Producer | None = transport.producer(linger_ms=LINGER_MS)
        self._when_confirmed = when_confirmed
        self._urgent = _Lane()
        self._bulk = _Lane()
        self._retry_at_sec = 0.0
        #: False from a failure until the next good flush: what is only begun now would pile up here.
        self.writable = True
        #: Entries that no topic takes, whatever is done.
        self.dropped = 0

    def write(self, topic: str, value: bytes | None, *, key: bytes, partition: int) -> None:
        """Urgent. Never blocks, never fails; it is sent by the next flush of any kind, and durable once that returns
        True.

        Not sent at once: a client woken for each record sends requests of one record, at ten times the cost.
        """
        self._urgent.unconfirmed.append(Entry(topic, value, key, partition))

    def write_in_bulk(
        self, topic: str, value: bytes, *, key: bytes, partition: int, afterwards: Entry | None = None
    ) -> None:
        """Sent by the next `flush`, not by `flush_urgent`.

        afterwards: an entry that may only be written once this one is durable (a verdict before its tombstone); it goes
        in bulk too, and must not have the key of an urgent entry that is still to be written.
        """
        self._bulk.unconfirmed.append(Entry(topic, value, key, partition, afterwards))

    @property
    def empty(self) -> bool:
        return not (self._urgent.unconfirmed or self._bulk.unconfirmed)

    def flush_urgent(self, timeout_sec: float) -> bool:
        """True: every urgent entry written so far is on the log. False: not known; they will be repeated.

        Blocks up to timeout_sec.
        """
        return self._flush((self._urgent,), timeout_sec)

    def flush(self, timeout_sec: float) -> bool:
        """The same of all entries. Those that waited for these are sent by the next flush."""
        return self._flush((self._urgent, self._bulk), timeout_sec)

    def close(self) -> None:
        if self._producer is not None:
            self._producer.close()

    def _flush(self, lanes: Sequence[_Lane], timeout_sec: float) -> bool:
        if not self._session_ready():
            return False
        try:
            for lane in lanes:
                self._send(lane, timeout_sec)
            self._session().flush(timeout_sec)
        except AppendFailed as error:
            self._give_up(error)
            return False
        for lane in lanes:
            lane.confirmed()
        self.writable = True
        if self._when_confirmed is not None:
            self._when_confirmed()
        return True

    def _send(self, lane: _Lane, timeout_sec: float) -> None:
        """Raises AppendFailed."""
        while lane.appended < len(lane.unconfirmed):
            try:
                self._append_open(lane)
            except BufferFull:
                self._session().flush(timeout_sec)
            except RecordTooLarge as error:
                self._drop(lane, error)

    def _append_open(self, lane: _Lane) -> None:
        producer = self._session()
        for entry in lane.unconfirmed[lane.appended :]:
            producer.append(entry.topic, entry.value, key=entry.key, partition=entry.partition)
            lane.appended += 1

    def _drop(self, lane: _Lane, error: RecordTooLarge) -> None:
        """It would be refused for ever, and all the others with it. What was to follow it goes too: an intent without
        its verdict stays open, and recovery will close it.
        """
        entry = lane.unconfirmed.pop(lane.appended)
        self.dropped += 1
        log.error("a record of %s is dropped: %s", entry.topic, error, extra={"action": "record_dropped"})

    def _session_ready(self) -> bool:
        if self._producer is None:
            if self._clock.boottime() < self._retry_at_sec:
                return False
            self._producer = self._transport.producer(linger_ms=LINGER_MS)
        return True

    def _session(self) -> Producer:
        assert self._producer is not None
        return self._producer

    def _give_up(self, error: AppendFailed) -> None:
        count = len(self._urgent.unconfirmed) + len(self._bulk.unconfirmed)
        log.warning("%d records will be repeated: %s", count, error, extra={"action": "books_repeat"})
        self._session().close()
        self._producer = None
        self._urgent.appended = self._bulk.appended = 0
        self.writable = False
        self._retry_at_sec = self._clock.boottime() + RETRY_AFTER_SEC
