from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping

from processor.core.clock import Clock
from processor.core.errors import Undecodable
from processor.core.inflight import Sign, SignKind
from processor.core.lifesigns import BEAT_EVERY_SEC, DECLARE_AFTER_SEC
from processor.core.topics import INSTANCES
from processor.transport.abstract import Reader, Record, TopicPartition, Transport, TransportError

log = logging.getLogger(__name__)

#: The executor's loop waits for it, once.
BOUNDS_SEC = 2.0
RETRY_SEC = 5.0
#: Runs of an executor that missed two heartbeats hold nobody up: its partitions are given away because it is dead, and
#: its guard has killed them.
SILENT_SEC = 2.5 * BEAT_EVERY_SEC
#: Read back at the start: the last signs of everybody.
BACK_RECORDS = 200
_PARTITION = TopicPartition(INSTANCES.name, 0)


class Peers:
    """What an executor hears on `instances`, its own heartbeats included: who else has room, and the log's time."""

    def __init__(self, transport: Transport, clock: Clock, executor: str) -> None:
        self._transport = transport
        self._clock = clock
        self._executor = executor
        self._reader: Reader | None = None
        self._retry_at_sec = 0.0
        #: All that was said before we began has been heard: until then nobody knows what others still run.
        self.caught_up = False
        self._end = 0
        #: When the last sign of each executor with room for one more run was heard.
        self._room_at_sec: dict[str, float] = {}
        #: What the last sign of each executor said of its runs, by queue partition; and when it was written.
        self._held: dict[str, tuple[Mapping[str, int], float]] = {}
        self._held_by_queue: Counter[str] = Counter()
        #: The log's clock minus ours (CLOCK_BOOTTIME), in milliseconds.
        self._ahead_ms: float | None = None

    def follow(self) -> None:
        """Takes in what has arrived. Never raises; blocks only to find the end of the topic."""
        now_sec = self._clock.boottime()
        if now_sec < self._retry_at_sec:
            return
        try:
            reader = self._begun()
            records = reader.poll(1_000, 0.0)
            self.caught_up = self.caught_up or reader.positions().get(_PARTITION, 0) >= self._end
            newest_ms = max((record.timestamp_ms for record in records), default=0)
            for record in records:
                self._hear(record, now_sec, now_sec - (newest_ms - record.timestamp_ms) / 1000)
        except TransportError as error:
            log.warning("life signs cannot be read: %s", error, extra={"action": "peers_retry"})
            self._retry_at_sec = now_sec + RETRY_SEC
            self.close()
        self._count(now_sec)

    def held(self, queue: str) -> int:
        """Runs of this queue partition that go on with other executors; of the last seconds, as they say it."""
        return self._held_by_queue[queue]

    def have_room(self) -> bool:
        """Somebody else could start a run that we hold up."""
        since_sec = self._clock.boottime() - DECLARE_AFTER_SEC
        self._room_at_sec = {name: at_sec for name, at_sec in self._room_at_sec.items() if at_sec >= since_sec}
        return bool(self._room_at_sec)

    def log_now_ms(self) -> int | None:
        """The time on the log, or a little less; None while nothing was heard. Our own wall clock may be anywhere."""
        return None if self._ahead_ms is None else int(self._clock.boottime() * 1000 + self._ahead_ms)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _begun(self) -> Reader:
        if self._reader is None:
            self._reader = self._transport.reader(patient=True)
            bounds = self._reader.bounds([_PARTITION], BOUNDS_SEC)[_PARTITION]
            self._end = bounds.high
            self._reader.assign({_PARTITION: max(bounds.low, bounds.high - BACK_RECORDS)})
        return self._reader

    def _count(self, now_sec: float) -> None:
        self._held = {name: each for name, each in self._held.items() if now_sec - each[1] <= SILENT_SEC}
        self._held_by_queue = Counter()
        for held, _ in self._held.values():
            self._held_by_queue.update(held)

    def _hear(self, record: Record, now_sec: float, written_at_sec: float) -> None:
        # It was written before it was heard, so the log's time is this or later: nothing expires too early.
        self._ahead_ms = record.timestamp_ms - now_sec * 1000
        if record.value is None:
            process = (record.key or b"").decode("utf-8", "replace").partition(" ")[2]
            self._room_at_sec.pop(process, None)
            self._held.pop(process, None)
            return
        try:
            sign = Sign.decode(record.value)
        except Undecodable:  # recovery says so
            return
        if sign.kind is SignKind.HEARTBEAT and sign.role == "executor" and sign.process != self._executor:
            self._held[sign.process] = (sign.held, written_at_sec)
            if sign.serving and sign.room:
                self._room_at_sec[sign.process] = written_at_sec
            else:
                self._room_at_sec.pop(sign.process, None)
