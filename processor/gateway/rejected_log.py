"""Reading the topic `rejected`, newest first."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from processor.core.clock import Clock
from processor.core.topics import REJECTED
from processor.transport.abstract import (
    Bounds,
    Reader,
    Record,
    TopicPartition,
    Transport,
    TransportError,
    TransportUnavailable,
)

T = TypeVar("T")

_CALL_SEC = 10.0
#: Records read at a time: they may have 1 MB each.
_BLOCK = 32
_FORM = re.compile(r"([0-9]{1,6})-([0-9]{1,19})")


class Place(NamedTuple):
    """Where a record of `rejected` stands; written <partition>-<offset>."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}-{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """Raises ValueError."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError(text)
        return cls(int(found[1]), int(found[2]))


def place_of(record: Record) -> Place:
    return Place(record.partition, record.offset)


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """Some records, newest first, and where the ones before them end; None: there are none."""

    records: tuple[Record, ...]
    before: Place | None


class RejectedLog:
    """One per gateway. Its reader is used by one thread, and made anew after an error."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "gateway-rejected")
        self._reader: Reader | None = None

    async def older_than(self, place: Place | None) -> Block:
        """place None: from the newest on. Of several partitions, one is read after the other.
        Raises UnknownTopic, TransportUnavailable.
        """
        return await self._call(lambda reader: self._block(reader, place))

    async def get(self, place: Place) -> Record | None:
        """None: it is not there, or not any more. Raises UnknownTopic, TransportUnavailable."""
        return await self._call(lambda reader: self._one(reader, place))

    async def stop(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    async def _call(self, read: Callable[[Reader], T]) -> T:
        def on_thread() -> T:
            if self._reader is None:
                self._reader = self._transport.reader()
            try:
                return read(self._reader)
            except TransportError:
                self._close()
                raise

        return await asyncio.get_running_loop().run_in_executor(self._thread, on_thread)

    def _block(self, reader: Reader, place: Place | None) -> Block:
        bounds = self._bounds(reader)
        partition, end = self._end(bounds, place)
        while partition in bounds:
            low, high = bounds[partition]
            end = min(high if end is None else end, high)
            start = max(low, end - _BLOCK)
            if start < end:
                records = self._read(reader, partition, start, end)
                return Block(records=tuple(reversed(records)), before=Place(partition, start))
            partition, end = partition - 1, None
        return Block(records=(), before=None)

    def _end(self, bounds: dict[int, Bounds], place: Place | None) -> tuple[int, int | None]:
        return (place.partition, place.offset) if place else (max(bounds), None)

    def _one(self, reader: Reader, place: Place) -> Record | None:
        bounds = self._bounds(reader)
        low, high = bounds.get(place.partition, Bounds(0, 0))
        if not low <= place.offset < high:
            return None
        found = self._read(reader, place.partition, place.offset, place.offset + 1)
        return next((each for each in found if each.offset == place.offset), None)

    def _bounds(self, reader: Reader) -> dict[int, Bounds]:
        partitions = reader.partitions(REJECTED.name, _CALL_SEC)
        return {each.partition: bound for each, bound in reader.bounds(partitions, _CALL_SEC).items()}

    def _read(self, reader: Reader, partition: int, start: int, end: int) -> list[Record]:
        """The records from start to before end; a hole, such as a retry of the log leaves, is nothing."""
        where, deadline_sec = TopicPartition(REJECTED.name, partition), self._clock.boottime() + _CALL_SEC
        reader.assign({where: start})
        records: list[Record] = []
        while reader.positions()[where] < end:
            if self._clock.boottime() > deadline_sec:
                raise TransportUnavailable(f"{REJECTED.name!r} was not read within {_CALL_SEC:g} s")
            records += reader.poll(end - start, 0.1)
        reader.assign({})  # a client that goes on fetching would read the whole topic for nobody
        return [each for each in records if each.offset < end]

    def _close(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            with contextlib.suppress(TransportError):
                reader.close()
