from __future__ import annotations

import logging
from collections.abc import Callable

from processor.core.clock import Clock
from processor.core.control import Cancel, CancelBook, DrainRequest, is_about_executor
from processor.core.errors import Undecodable
from processor.core.run import StatusCode
from processor.core.topics import CONTROL
from processor.executor.abstract import Pool
from processor.executor.partition import Taken
from processor.transport.abstract import Reader, Record, TopicPartition, Transport, TransportError

log = logging.getLogger(__name__)

#: What a cancel has to wait for at the most, and what it costs a busy loop: one look that mostly finds nothing.
EVERY_SEC = 0.1
#: The executor's loop waits for it, at the start and after a failure.
BOUNDS_SEC = 2.0
RETRY_SEC = 1.0
#: Of one look while the topic is read back; the loop has a guard to pet in between.
CATCH_UP_SEC = 0.5
POLL_RECORDS = 1_000
MESSAGE = "it was cancelled"
_PARTITION = TopicPartition(CONTROL.name, 0)


class Cancels:
    """What an executor is asked on `control`: cancels, done to the runs of its pool, of which the book says it of those
    to come; and to drain.

    Every executor hears every request: which of them owns or runs what, nobody else knows.
    """

    def __init__(
        self, transport: Transport, clock: Clock, pool: Pool, executor: str, drain: Callable[[], object]
    ) -> None:
        """drain: called when this executor is asked to claim no more."""
        self._executor = executor
        self._drain = drain
        self._transport = transport
        self._clock = clock
        self._pool = pool
        self._book = CancelBook()
        self._reader: Reader | None = None
        self._look_at_sec = 0.0
        #: Where reading goes on after a failure.
        self._position = 0
        self._end = 0
        #: Runs of the pool, by delivery.
        self._open: dict[str, Taken] = {}
        #: Everything that was asked before this executor began has been read: before that it must claim nothing.
        self.caught_up = False

    def follow(self) -> bool:
        """Takes in what has arrived, and ends what of it runs here. True: there was something. Never raises; blocks
        only to find the end of the topic, and while it is read for the first time.
        """
        now_sec = self._clock.boottime()
        if now_sec < self._look_at_sec:
            return False
        self._look_at_sec = now_sec + EVERY_SEC
        self._book.forget(now_sec)
        try:
            heard = self._hear(now_sec)
        except TransportError as error:
            log.warning("cancel requests cannot be read: %s", error, extra={"action": "cancels_retry"})
            self._look_at_sec = now_sec + RETRY_SEC
            self.close()
            return False
        if heard:
            self._end_open(heard)
        return bool(heard)

    @property
    def any(self) -> bool:
        return bool(self._book)

    def applies(self, key: bytes, accepted_at_ms: int) -> bool:
        """Whether a delivery that has not been started must not be."""
        return self._book.of(key, accepted_at_ms) is not None

    def applies_to(self, taken: Taken) -> bool:
        return self._request(taken) is not None

    def given(self, delivery: str, taken: Taken) -> None:
        """It is with the pool from now on."""
        self._open[delivery] = taken

    def ended(self, delivery: str) -> None:
        self._open.pop(delivery, None)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _hear(self, now_sec: float) -> set[bytes]:
        reader = self._begun()
        heard: set[bytes] = set()
        while True:
            for record in reader.poll(POLL_RECORDS, 0.0 if self.caught_up else CATCH_UP_SEC / 5):
                self._position = record.offset + 1
                if self._note(record, now_sec):
                    heard.add(record.key or b"")
            if not self.caught_up:
                self.caught_up = reader.positions().get(_PARTITION, 0) >= self._end
            if self.caught_up or self._clock.boottime() - now_sec >= CATCH_UP_SEC:
                return heard

    def _begun(self) -> Reader:
        if self._reader is None:
            self._reader = self._transport.reader(patient=True)
            bounds = self._reader.bounds([_PARTITION], BOUNDS_SEC)[_PARTITION]
            self._end = bounds.high
            known = bounds.low <= self._position <= bounds.high  # else deleted, or the topic was made anew
            self._reader.assign({_PARTITION: self._position if known else bounds.low})
            self.caught_up = self.caught_up or bounds.low >= bounds.high
        return self._reader

    def _note(self, record: Record, now_sec: float) -> bool:
        if record.value is None:
            self._book.withdraw(record.key or b"")
            return False
        try:
            if is_about_executor(record.key):
                self._note_drain(DrainRequest.decode(record.key or b"", record.value))
                return False
            cancel = Cancel.decode(record.key, record.value)
        except Undecodable as error:
            log.warning("skipped: %s", error, extra={"action": "control_record_unreadable", "offset": record.offset})
            return False
        self._book.add(cancel, log_ms=record.timestamp_ms, now_sec=now_sec)
        return True

    def _note_drain(self, wanted: DrainRequest) -> None:
        if wanted.executor == self._executor:
            log.info("asked to claim no more by %s", wanted.by or "somebody", extra={"action": "drain_requested"})
            self._drain()

    def _request(self, taken: Taken) -> Cancel | None:
        return self._book.of(taken.record.key or b"", taken.stamp.accepted_at_ms) if self._book else None

    def _end_open(self, heard: set[bytes]) -> None:
        for delivery, taken in list(self._open.items()):
            cancel = self._request(taken) if taken.record.key in heard else None
            if cancel is not None:
                self._pool.kill(delivery, StatusCode.CANCELLED, MESSAGE, grace_sec=cancel.grace_sec)
