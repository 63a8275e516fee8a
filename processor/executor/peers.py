from __future__ import annotations

import logging

from processor.core.clock import Clock
from processor.core.errors import Undecodable
from processor.core.inflight import Sign, SignKind
from processor.core.lifesigns import DECLARE_AFTER_SEC
from processor.core.topics import INSTANCES
from processor.transport.abstract import Reader, Record, TopicPartition, Transport, TransportError

log = logging.getLogger(__name__)

#: The executor's loop waits for it, once.
BOUNDS_SEC = 2.0
RETRY_SEC = 5.0
_PARTITION = TopicPartition(INSTANCES.name, 0)


class Peers:
    """What an executor hears on `instances`, its own heartbeats included: who else has room, and the log's time."""

    def __init__(self, transport: Transport, clock: Clock, executor: str) -> None:
        self._transport = transport
        self._clock = clock
        self._executor = executor
        self._reader: Reader | None = None
        self._retry_at_sec = 0.0
        #: When the last sign of each executor with room for one more run was heard.
        self._room_at_sec: dict[str, float] = {}
        #: The log's clock minus ours (CLOCK_BOOTTIME), in milliseconds.
        self._ahead_ms: float | None = None

    def follow(self) -> None:
        """Takes in what has arrived. Never raises; blocks only to find the end of the topic."""
        now_sec = self._clock.boottime()
        if now_sec < self._retry_at_sec:
            return
        try:
            for record in self._begun().poll(1_000, 0.0):
                self._hear(record, now_sec)
        except TransportError as error:
            log.warning("life signs cannot be read: %s", error, extra={"action": "peers_retry"})
            self._retry_at_sec = now_sec + RETRY_SEC
            self.close()

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
            self._reader.assign({_PARTITION: self._reader.bounds([_PARTITION], BOUNDS_SEC)[_PARTITION].high})
        return self._reader

    def _hear(self, record: Record, now_sec: float) -> None:
        # It was written before it was heard, so the log's time is this or later: nothing expires too early.
        self._ahead_ms = record.timestamp_ms - now_sec * 1000
        if record.value is None:
            self._room_at_sec.pop((record.key or b"").decode("utf-8", "replace").partition(" ")[2], None)
            return
        try:
            sign = Sign.decode(record.value)
        except Undecodable:  # recovery says so
            return
        if sign.kind is SignKind.HEARTBEAT and sign.role == "executor" and sign.process != self._executor:
            if sign.serving and sign.room:
                self._room_at_sec[sign.process] = now_sec
            else:
                self._room_at_sec.pop(sign.process, None)
