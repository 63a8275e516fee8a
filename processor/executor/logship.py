from __future__ import annotations

import logging
from collections.abc import Sequence

import orjson

from processor.core.clock import Clock
from processor.core.request_id import partition_of
from processor.core.topics import LOGS
from processor.executor.books import RETRY_AFTER_SEC
from processor.transport.abstract import AppendFailed, BufferFull, Producer, RecordTooLarge, Transport

log = logging.getLogger(__name__)

#: Lines of one poll are sent together; a follower notices nothing of 5 ms, and the broker gets fewer requests.
LINGER_MS = 5
#: seq, stream, level, Unix milliseconds, text
Line = tuple[int, str, str | None, int, str]


class LogShip:
    """Publishes log lines as they are read. May lose lines when the broker cannot keep up, and then says how many;
    never blocks, never holds a verdict back.
    """

    def __init__(self, transport: Transport, clock: Clock, partitions: int) -> None:
        self._transport = transport
        self._clock = clock
        self._partitions = partitions
        self._producer: Producer | None = transport.producer(linger_ms=LINGER_MS)
        self._retry_at_sec = 0.0
        #: Lines lost per run and not yet told of.
        self._lost: dict[str, int] = {}

    def ship(self, request_id: str, function: str, delivery: str, lines: Sequence[Line]) -> None:
        lost = self._lost.pop(request_id, 0)
        told = [*lines]
        if lost:
            told.insert(0, (lines[0][0] - lost, "platform", None, lines[0][3], f"[{lost} lines were lost here]"))
        if not self._send(request_id, function, delivery, told):
            self._lost[request_id] = lost + len(lines)

    def finish(self, request_id: str, function: str, delivery: str, last_seq: int) -> None:
        """The run has ended with this many lines: what was lost of the last ones is told by a line of its own."""
        if lost := self._lost.pop(request_id, 0):
            marker = (last_seq - lost + 1, "platform", None, self._clock.unix_ms(), f"[{lost} lines were lost here]")
            self._send(request_id, function, delivery, [marker])

    def _send(self, request_id: str, function: str, delivery: str, told: list[Line]) -> bool:
        document = {"request_id": request_id, "function": function, "delivery": delivery, "lines": told}
        try:
            self._append(request_id, orjson.dumps(document))
        except (BufferFull, AppendFailed, RecordTooLarge) as error:
            log.warning("lines lost: %s", error, extra={"action": "lines_lost", "request_id": request_id})
            return False
        return True

    def poll(self) -> None:
        """Lets the session report. A failed one is replaced; what it had not delivered is lost, uncounted at worst for
        the lines of its last second.
        """
        try:
            if self._producer is not None:
                self._producer.poll()
        except AppendFailed as error:
            self._give_up(error)

    def close(self, timeout_sec: float) -> None:
        if self._producer is None:
            return
        try:
            self._producer.flush(timeout_sec)
        except AppendFailed as error:
            log.warning("the last lines may be lost: %s", error, extra={"action": "lines_lost"})
        self._producer.close()

    def _append(self, request_id: str, value: bytes) -> None:
        if self._producer is None:
            if self._clock.boottime() < self._retry_at_sec:
                raise BufferFull("no session with the broker")
            self._producer = self._transport.producer(linger_ms=LINGER_MS)
        try:
            self._producer.append(
                LOGS.name, value, key=request_id.encode(), partition=partition_of(request_id, self._partitions)
            )
        except AppendFailed as error:
            self._give_up(error)
            raise

    def _give_up(self, error: AppendFailed) -> None:
        log.warning("the log session is replaced: %s", error, extra={"action": "log_session"})
        if self._producer is not None:
            self._producer.close()
        self._producer = None
        self._retry_at_sec = self._clock.boottime() + RETRY_AFTER_SEC
