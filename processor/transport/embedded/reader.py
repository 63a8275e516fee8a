from __future__ import annotations

import time
from collections.abc import Collection, Mapping

from processor.transport.abstract import Bounds, Reader, Record, TopicPartition
from processor.transport.embedded.bell import ThreadBell
from processor.transport.embedded.cursor import Cursor
from processor.transport.embedded.store import LogStore


class EmbeddedReader(Reader):
    def __init__(self, store: LogStore) -> None:
        self._store = store
        self._bell = ThreadBell()
        self._cursor = Cursor(store, self._bell)

    def assign(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._cursor.drop_all()
        self._cursor.follow(offsets)

    def poll(self, max_records: int, timeout_sec: float) -> list[Record]:
        self._bell.clear()
        records = self._cursor.fetch(max_records)
        if records or timeout_sec <= 0:
            return records
        # Real time, not the Clock's: a test that owns the clock still wants its poll to return.
        deadline = time.monotonic() + timeout_sec
        while not records and self._bell.wait(max(deadline - time.monotonic(), 0.0)):
            self._bell.clear()
            records = self._cursor.fetch(max_records)
        return records

    def partitions(self, topic: str, timeout_sec: float) -> list[TopicPartition]:
        return [each.name for each in self._store.topic(topic).partitions]

    def bounds(self, partitions: Collection[TopicPartition], timeout_sec: float) -> Mapping[TopicPartition, Bounds]:
        return self._store.bounds(partitions)

    def offsets_at(
        self, partitions: Collection[TopicPartition], unix_ms: int, timeout_sec: float
    ) -> Mapping[TopicPartition, int]:
        return {each: self._store.offset_at(self._store.find(each), unix_ms) for each in partitions}

    def positions(self) -> Mapping[TopicPartition, int]:
        return self._cursor.positions()

    def close(self) -> None:
        self._cursor.drop_all()
