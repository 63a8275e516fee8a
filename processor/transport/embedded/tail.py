from __future__ import annotations

import asyncio
from collections.abc import Collection

from processor.transport.abstract import Record, Tail, TopicPartition
from processor.transport.embedded.bell import LoopBell
from processor.transport.embedded.cursor import Cursor
from processor.transport.embedded.store import LogStore


class EmbeddedTail(Tail):
    def __init__(self, store: LogStore) -> None:
        self._store = store
        self._bell: LoopBell | None = None
        self._cursor: Cursor | None = None
        #: Where the partitions ended at the start that have not been read that far yet.
        self._ahead: dict[TopicPartition, int] = {}

    async def start(self, topics: Collection[str], *, from_low: bool) -> None:
        names = [each.name for topic in topics for each in self._store.topic(topic).partitions]
        bounds = self._store.bounds(names)
        self._bell = LoopBell()
        self._cursor = Cursor(self._store, self._bell)
        self._cursor.follow({each: bounds[each].low if from_low else bounds[each].high for each in names})
        self._ahead = {each: bounds[each].high for each in names}

    async def poll(self, max_records: int, timeout_sec: float) -> list[Record]:
        assert self._bell is not None, "start comes first"
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_sec
        while True:
            self._bell.clear()
            records = await self._fetch(max_records)
            rest_sec = deadline - loop.time()
            if records or rest_sec <= 0 or not await self._bell.wait(rest_sec):
                return records

    async def at_end(self) -> bool:
        if self._ahead and self._cursor is not None:
            positions = self._cursor.positions()
            self._ahead = {each: end for each, end in self._ahead.items() if positions[each] < end}
        return not self._ahead

    async def stop(self) -> None:
        if self._cursor is not None:
            self._cursor.drop_all()

    async def _fetch(self, max_records: int) -> list[Record]:
        """What is old comes from the file, off the loop; what is new comes from memory, at once."""
        assert self._cursor is not None, "start comes first"
        if await self.at_end():
            return self._cursor.fetch(max_records)
        return await asyncio.to_thread(self._cursor.fetch, max_records)
