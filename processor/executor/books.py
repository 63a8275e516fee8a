from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from processor.core.clock import Clock
from processor.core.failpoints import failpoint
from processor.transport.abstract import AppendFailed, BufferFull, Producer, RecordTooLarge, Transport

log = logging.getLogger(__name__)

#: After a failed session: time for a broker to elect leaders, short against every life-sign limit.
RETRY_AFTER_SEC = 1.0

#: Of `flush_all`.
FLUSH_SEC = 2.0
PAUSE_SEC = 0.02

#: Lets a burst of appends become one request; a flush does not wait for it.
LINGER_MS = 5


class Entry(NamedTuple):
    topic: str
    value: bytes | None
    key: bytes
    partition: int
    #: Written once this one is durable.
    afterwards: Entry | None = None
    #: Written in the place of `value` where the topic does not take that for its size.
    instead: bytes | None = None


@dataclass(slots=True)
class _Lane:
    unconfirmed: list[Entry] = field(default_factory=list)
    #: How many of them the present session has been given.
    appended: int = 0

    def shorten(self, place: int) -> None:
        entry = self.unconfirmed[place]
        self.unconfirmed[place] = entry._replace(value=entry.instead, instead=None)

    def confirmed(self) -> None:
        """What the session has been given is durable, and what waited for that is open now."""
        landed, rest = self.unconfirmed[: self.appended], self.unconfirmed[self.appended :]
        opened = [each.afterwards for each in landed if each.afterwards is not None]
        self.unconfirmed = opened + rest
        self.appended = 0
        if opened:
            failpoint("books.tombstones.before")


class Books:
    """What an executor writes about its runs: every entry lands in the end, however often a session fails.

    Entries wait here until a flush has confirmed them; after a failure they are appended again, in order, by a new
    session. Repeats are harmless: the ledger's fold takes the first verdict, `inflight` is compacted by key. But they
    are load: a flush that ends before its answers came is no failure, the next one goes on to wait for them. Until they
    are here nothing more is sent, or there would be no end to wait for.

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
        #: False from a failure, or a flush that was too short, until the next good one: what is only begun now would
        #: pile up here.
        self.writable = True
        #: The last flush ended before its answers came; they may still come.
        self.late = False
        #: Entries that no topic takes, whatever is done.
        self.dropped = 0

    def write(self, topic: str, value: bytes | None, *, key: bytes, partition: int) -> None:
        """Urgent. Never blocks, never fails; it is sent by the next flush of any kind, and durable once that returns
        True.

        Not sent at once: a client woken for each record sends requests of one record, at ten times the cost.
        """
        self._urgent.unconfirmed.append(Entry(topic, value, key, partition))

    def write_in_bulk(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes,
        partition: int,
        afterwards: Entry | None = None,
        instead: bytes | None = None,
    ) -> None:
        """Sent by the next `flush`, not by `flush_urgent`.

        afterwards: an entry that may only be written once this one is durable (a verdict before its tombstone); it goes
        in bulk too, and must not have the key of an urgent entry that is still to be written.
        instead: what is written in its place should the topic not take it for its size; without, it would be dropped.
        """
        self._bulk.unconfirmed.append(Entry(topic, value, key, partition, afterwards, instead))

    @property
    def empty(self) -> bool:
        return not (self._urgent.unconfirmed or self._bulk.unconfirmed)

    def flush_urgent(self, timeout_sec: float) -> bool:
        """True: every urgent entry written so far is on the log. False: not known. It is waited for by the next flush
        where they are only `late`, and repeated otherwise.

        Blocks up to timeout_sec.
        """
        return self._flush((self._urgent,), timeout_sec)

    def flush(self, timeout_sec: float) -> bool:
        """The same of all entries. Those that waited for these are sent by the next flush."""
        return self._flush((self._urgent, self._bulk), timeout_sec)

    def flush_all(self, deadline_sec: float, wait: Callable[[float], object]) -> bool:
        """Again and again until nothing is left, or the deadline (CLOCK_BOOTTIME) is over. True: nothing is left."""
        while not self.empty and self._clock.boottime() < deadline_sec:
            if not self.flush(FLUSH_SEC):
                wait(PAUSE_SEC)
        return self.empty

    def close(self) -> None:
        if self._producer is not None:
            self._producer.close()

    def _flush(self, lanes: Sequence[_Lane], timeout_sec: float) -> bool:
        if not self._session_ready():
            return False
        failpoint("books.flush.before")
        deadline_sec = self._clock.boottime() + timeout_sec
        try:
            landed = not self.late or self._landed(deadline_sec)
            landed = landed and all(self._send(lane, deadline_sec) for lane in lanes) and self._landed(deadline_sec)
        except AppendFailed as error:
            self._give_up(error)
            return False
        self._say_late(now=not landed)
        self.writable = landed
        return landed

    def _landed(self, deadline_sec: float) -> bool:
        """What the session has been given is durable. Raises AppendFailed."""
        if not self._session().landed(max(deadline_sec - self._clock.boottime(), 0.0)):
            return False
        failpoint("books.flush.after")
        urgent = self._urgent.appended == len(self._urgent.unconfirmed)
        self._urgent.confirmed()
        self._bulk.confirmed()
        if urgent and self._when_confirmed is not None:
            self._when_confirmed()
        return True

    def _say_late(self, *, now: bool) -> None:
        if now and not self.late:
            count = self._urgent.appended + self._bulk.appended
            log.warning("the log is slow: %d records are not confirmed yet", count, extra={"action": "books_late"})
        self.late = now

    def _send(self, lane: _Lane, deadline_sec: float) -> bool:
        """False: not all of it, there is no room. Raises AppendFailed."""
        while lane.appended < len(lane.unconfirmed):
            try:
                self._append_open(lane)
            except BufferFull:
                if not self._landed(deadline_sec):
                    return False
            except RecordTooLarge as error:
                self._replace(lane, error)
        return True

    def _append_open(self, lane: _Lane) -> None:
        producer = self._session()
        for entry in lane.unconfirmed[lane.appended :]:
            producer.append(entry.topic, entry.value, key=entry.key, partition=entry.partition)
            lane.appended += 1

    def _replace(self, lane: _Lane, error: RecordTooLarge) -> None:
        """It would be refused for ever, and all the others with it. Where there is nothing to write instead, what was
        to follow it goes too: an intent must not be closed without a verdict.
        """
        entry = lane.unconfirmed[lane.appended]
        if entry.instead is not None:
            lane.shorten(lane.appended)
            log.warning("a record of %s is shortened: %s", entry.topic, error, extra={"action": "record_shortened"})
            return
        del lane.unconfirmed[lane.appended]
        self.dropped += 1
        log.error("a record of %s is dropped: %s", entry.topic, error, extra={"action": "record_dropped"})

    def _shorten_largest(self) -> None:
        """The topic takes less than it should, and which record of a batch was too much nobody says: the largest that
        can be shortened is, one with each session that fails for that.
        """
        places = [
            (len(entry.value or b""), place)
            for place, entry in enumerate(self._bulk.unconfirmed)
            if entry.instead is not None
        ]
        if places:
            size_bytes, place = max(places)
            entry = self._bulk.unconfirmed[place]
            self._bulk.shorten(place)
            log.error(
                "a record of %s (%d bytes) is shortened: the topic's max.message.bytes is lower than it should be, "
                "see `headrace doctor`",
                entry.topic,
                size_bytes,
                extra={"action": "record_shortened"},
            )

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
        if error.too_large:
            self._shorten_largest()
        self._session().close()
        self._producer = None
        self.late = False
        self._urgent.appended = self._bulk.appended = 0
        self.writable = False
        self._retry_at_sec = self._clock.boottime() + RETRY_AFTER_SEC
