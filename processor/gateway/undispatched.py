"""Runs that were accepted, perhaps by another gateway, and that no dispatcher has seen yet."""

from __future__ import annotations

import asyncio
import contextlib

from processor.core.clock import Clock
from processor.core.request_id import partition_of
from processor.core.topics import INTAKE
from processor.transport.abstract import Reader, TopicPartition, Transport, TransportError
from processor.transport.replay import read_until

#: The group whose committed offsets say how far the intake is dispatched.
_DISPATCHERS = "dispatcher"
_CALL_SEC = 2.0
#: Of a backlog that takes longer it cannot be told.
_READ_SEC = 3.0


class Undispatched:
    """Looks through the part of the intake that still waits; one look at a time, for each needs a reader of its own."""

    def __init__(self, transport: Transport, clock: Clock, intake_partitions: int) -> None:
        self._transport = transport
        self._clock = clock
        self._partitions = intake_partitions
        self._one = asyncio.Lock()

    async def has(self, request_id: str) -> bool:
        """Raises TransportUnavailable when it cannot be told in time."""
        async with self._one:
            return await asyncio.to_thread(self._look, request_id)

    def _look(self, request_id: str) -> bool:
        partition = TopicPartition(INTAKE.name, partition_of(request_id, self._partitions))
        committed = self._transport.admin().committed(_DISPATCHERS, [partition], _CALL_SEC)[partition]
        reader = self._transport.reader()
        try:
            return self._read(reader, partition, 0 if committed is None else committed.offset, request_id.encode())
        finally:
            with contextlib.suppress(TransportError):
                reader.close()

    def _read(self, reader: Reader, partition: TopicPartition, start: int, key: bytes) -> bool:
        low, high = reader.bounds([partition], _CALL_SEC)[partition]
        if max(low, start) >= high:
            return False
        reader.assign({partition: max(low, start)})
        waiting = read_until(reader, {partition: high}, self._clock, timeout_sec=_READ_SEC)
        return any(record.key == key for record in waiting)
