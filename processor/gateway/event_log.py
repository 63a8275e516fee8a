"""The event of a run, as it was accepted, for as long as the log has it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from processor.core.clock import Clock
from processor.core.codec import Malformed, decode_kafka
from processor.core.event import Event
from processor.core.request_id import partition_of
from processor.core.topics import INTAKE
from processor.transport.abstract import Reader, TopicPartition, Transport, TransportError, UnknownTopic
from processor.transport.replay import read_until

_CALL_SEC = 5.0
#: An event stands on the intake log at the very time of its acceptance, and in its queue moments later, unless there
#: was a backlog.
_LOOK_SEC = 3.0
_MAX_RECORDS = 20_000


class EventLog:
    """Blocks nobody: one look at a time, in a thread, each with a reader of its own."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "gateway-event-log")

    async def find(self, request_id: str, accepted_at_ms: int, queue: str | None) -> Event | None:
        """queue: the topic that its function's events went to. None: the log has it no more, or it was not found in
        time. Raises TransportUnavailable.
        """
        topics = [INTAKE.name, *([queue] if queue else [])]
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._find, request_id, accepted_at_ms, topics)

    def close(self) -> None:
        self._thread.shutdown(wait=True)

    def _find(self, request_id: str, accepted_at_ms: int, topics: Sequence[str]) -> Event | None:
        reader = self._transport.reader()
        try:
            for topic in topics:
                found = self._find_in(reader, topic, request_id, accepted_at_ms)
                if found is not None:
                    return found
            return None
        finally:
            with contextlib.suppress(TransportError):
                reader.close()

    def _find_in(self, reader: Reader, topic: str, request_id: str, accepted_at_ms: int) -> Event | None:
        try:
            count = len(reader.partitions(topic, _CALL_SEC))
        except UnknownTopic:
            return None
        partition = TopicPartition(topic, partition_of(request_id, count))
        start = reader.offsets_at([partition], accepted_at_ms, _CALL_SEC)[partition]
        high = reader.bounds([partition], _CALL_SEC)[partition].high
        end = min(high, start + _MAX_RECORDS)
        if start >= end:
            return None
        reader.assign({partition: start})
        key = request_id.encode()
        until_sec = self._clock.boottime() + _LOOK_SEC
        for record in read_until(reader, {partition: end}, self._clock, timeout_sec=2 * _LOOK_SEC):
            if record.key == key:
                event = decode_kafka(record.headers, record.value)
                return None if isinstance(event, Malformed) else event
            if self._clock.boottime() > until_sec:
                break
        return None
