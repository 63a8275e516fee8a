from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from processor.core.clock import Clock
from processor.core.loglines import lost_text
from processor.core.progress import Progress
from processor.core.request_id import partition_of
from processor.core.topics import LOGS
from processor.executor.abstract import RunProgressed
from processor.executor.books import RETRY_AFTER_SEC
from processor.transport.abstract import AppendFailed, BufferFull, Producer, RecordTooLarge, Transport

log = logging.getLogger(__name__)

#: Lines of one poll are sent together; a follower notices nothing of 5 ms, and the broker gets fewer requests.
LINGER_MS = 5
#: Longer than an append may take: what was sent before that has landed, or its session has said that it failed.
SURELY_LANDED_SEC = 15.0
#: What is kept of sent lines, in case their session fails; older ones, likely on the log, are not sent again.
KEPT_BYTES = 16_777_216
#: What may wait for a session; of more, the oldest are counted instead.
WAITING_BYTES = 16_777_216
#: seq, stream, level, Unix milliseconds, text
Line = tuple[int, str, str | None, int, str]


@dataclass(frozen=True, slots=True)
class Chunk:
    """One record of `logs`: lines of a run, the marker that stands for them, or (seq 0) how far the run is."""

    request_id: str
    function: str
    delivery: str
    first_seq: int
    last_seq: int
    unix_ms: int
    value: bytes


class LogShip:
    """Publishes log lines as they are read, each run's in order; never blocks, never holds a verdict back.

    Lines of a failed session are sent again by the next one: a repeated chunk changes nothing for its readers. When the
    broker cannot keep up the oldest that wait are lost, and a marker says how many.
    """

    def __init__(self, transport: Transport, clock: Clock, partitions: int) -> None:
        self._transport = transport
        self._clock = clock
        self._partitions = partitions
        self._producer: Producer | None = transport.producer(linger_ms=LINGER_MS)
        self._retry_at_sec = 0.0
        #: Given to the present session, with the time.
        self._sent: deque[tuple[float, Chunk]] = deque()
        self._sent_bytes = 0
        self._waiting: deque[Chunk] = deque()
        self._waiting_bytes = 0
        #: What has no marker yet, by run and delivery; the value is empty.
        self._lost: dict[tuple[str, str], Chunk] = {}

    def ship(self, request_id: str, function: str, delivery: str, lines: Sequence[Line]) -> None:
        value = orjson.dumps({"request_id": request_id, "function": function, "delivery": delivery, "lines": lines})
        chunk = Chunk(request_id, function, delivery, lines[0][0], lines[-1][0], lines[0][3], value)
        self._ship(chunk)

    def show(self, said: RunProgressed) -> None:
        """In order with the lines; when it is lost nobody is told, the next one says all."""
        progress = Progress(**said._asdict())
        self._ship(Chunk(said.request_id, said.function, said.delivery, 0, 0, said.at_ms, progress.encode()))

    def poll(self) -> None:
        """Lets the session report, and sends what waits. A failed session is replaced after a moment."""
        try:
            if self._producer is not None:
                self._producer.poll()
        except AppendFailed as error:
            self._give_up(error)
        self._forget(self._clock.boottime() - SURELY_LANDED_SEC)
        if self._waiting or self._lost:
            self._send_waiting()

    def close(self, timeout_sec: float) -> None:
        self.poll()
        try:
            if self._producer is not None:
                self._producer.flush(timeout_sec)
        except AppendFailed as error:
            log.warning("the last lines may be lost: %s", error, extra={"action": "lines_lost"})
        if self._producer is not None:
            self._producer.close()

    def _ship(self, chunk: Chunk) -> None:
        if self._waiting or self._lost:
            self._wait(chunk)
        else:
            self._send(chunk)

    def _send_waiting(self) -> None:
        """Markers first: what they stand for is older than all that waits."""
        for key, lost in list(self._lost.items()):
            if not self._send(_marker(lost)):
                return
            del self._lost[key]
        while self._waiting:
            chunk = self._waiting.popleft()
            self._waiting_bytes -= len(chunk.value)
            if not self._send(chunk):
                return

    def _send(self, chunk: Chunk) -> bool:
        """False: it waits, before everything else that does."""
        try:
            self._append(chunk)
        except RecordTooLarge as error:
            log.warning("lines lost: %s", error, extra={"action": "lines_lost", "request_id": chunk.request_id})
            return self._send(_marker(chunk))
        except BufferFull:
            self._wait_first(chunk)
            return False
        except AppendFailed as error:
            self._wait_first(chunk)
            self._give_up(error)
            return False
        self._sent.append((self._clock.boottime(), chunk))
        self._sent_bytes += len(chunk.value)
        while self._sent_bytes > KEPT_BYTES:
            self._sent_bytes -= len(self._sent.popleft()[1].value)
        return True

    def _append(self, chunk: Chunk) -> None:
        if self._producer is None:
            if self._clock.boottime() < self._retry_at_sec:
                raise BufferFull("no session with the broker")
            self._producer = self._transport.producer(linger_ms=LINGER_MS)
        partition = partition_of(chunk.request_id, self._partitions)
        self._producer.append(LOGS.name, chunk.value, key=chunk.request_id.encode(), partition=partition)

    def _wait_first(self, chunk: Chunk) -> None:
        self._waiting.appendleft(chunk)
        self._waiting_bytes += len(chunk.value)
        self._lose_too_many()

    def _wait(self, chunk: Chunk) -> None:
        self._waiting.append(chunk)
        self._waiting_bytes += len(chunk.value)
        self._lose_too_many()

    def _lose_too_many(self) -> None:
        while self._waiting_bytes > WAITING_BYTES:
            chunk = self._waiting.popleft()
            self._waiting_bytes -= len(chunk.value)
            self._lose(chunk)

    def _lose(self, chunk: Chunk) -> None:
        if chunk.last_seq == 0:
            return
        key = (chunk.request_id, chunk.delivery)
        before = self._lost.get(key)
        first_seq = chunk.first_seq if before is None else min(before.first_seq, chunk.first_seq)
        last_seq = chunk.last_seq if before is None else max(before.last_seq, chunk.last_seq)
        if before is None:
            log.warning("lines lost", extra={"action": "lines_lost", "request_id": chunk.request_id})
        self._lost[key] = Chunk(*key[:1], chunk.function, chunk.delivery, first_seq, last_seq, chunk.unix_ms, b"")

    def _forget(self, before_sec: float) -> None:
        while self._sent and self._sent[0][0] < before_sec:
            self._sent_bytes -= len(self._sent.popleft()[1].value)

    def _give_up(self, error: AppendFailed) -> None:
        log.warning("the log session is replaced: %s", error, extra={"action": "log_session"})
        if self._producer is not None:
            self._producer.close()
        self._producer = None
        self._retry_at_sec = self._clock.boottime() + RETRY_AFTER_SEC
        self._waiting.extendleft(chunk for _, chunk in reversed(self._sent))
        self._waiting_bytes += self._sent_bytes
        self._sent.clear()
        self._sent_bytes = 0
        self._lose_too_many()


def _marker(lost: Chunk) -> Chunk:
    line: Line = (lost.first_seq, "platform", None, lost.unix_ms, lost_text(lost.last_seq - lost.first_seq + 1))
    document = {"request_id": lost.request_id, "function": lost.function, "delivery": lost.delivery, "lines": [line]}
    return Chunk(
        lost.request_id,
        lost.function,
        lost.delivery,
        lost.first_seq,
        lost.last_seq,
        lost.unix_ms,
        orjson.dumps(document),
    )
