from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from processor.transport.abstract import Record, TopicPartition
from processor.transport.embedded.bell import Bell
from processor.transport.embedded.partition import PartitionLog
from processor.transport.embedded.store import LogStore


class Cursor:
    """Where one reader stands in each partition it follows. Used by one thread; the writer thread calls has_more.

    Only partitions that may have something are looked at, so following a thousand idle ones costs nothing.
    """

    def __init__(self, store: LogStore, bell: Bell) -> None:
        self._store = store
        self._bell = bell
        self._positions: dict[PartitionLog, int] = {}
        self._paused: set[PartitionLog] = set()
        #: In the order in which they are served. Guarded by the store's lock.
        self._ready: dict[PartitionLog, None] = {}

    def has_more(self, partition: PartitionLog) -> None:
        """The store's lock is held."""
        self._ready[partition] = None
        self._bell.ring()

    def follow(self, offsets: Mapping[TopicPartition, int]) -> None:
        """In addition to what is followed. Raises UnknownTopic."""
        found = {self._store.find(name): offset for name, offset in offsets.items()}
        self._positions.update(found)
        with self._store.lock:
            for partition in found:
                partition.followers.add(self)
                self._ready[partition] = None

    def drop(self, names: Collection[TopicPartition]) -> None:
        gone = [each for each in self._positions if each.name in names]
        with self._store.lock:
            for partition in gone:
                partition.followers.discard(self)
                self._ready.pop(partition, None)
        for partition in gone:
            del self._positions[partition]
            self._paused.discard(partition)

    def drop_all(self) -> None:
        self.drop(self.positions().keys())

    def positions(self) -> dict[TopicPartition, int]:
        return {each.name: offset for each, offset in self._positions.items()}

    def seek(self, name: TopicPartition, offset: int) -> None:
        (partition,) = self._followed([name])
        self._positions[partition] = offset
        self._look_at(partition)

    def pause(self, names: Collection[TopicPartition]) -> None:
        self._paused.update(self._followed(names))

    def resume(self, names: Collection[TopicPartition]) -> None:
        for partition in self._followed(names):
            self._paused.discard(partition)
            self._look_at(partition)

    def fetch(self, max_records: int) -> list[Record]:
        """What is there now; never waits. Raises TransportError when a position is outside the log."""
        records: list[Record] = []
        while len(records) < max_records and (partition := self._next()) is not None:
            if partition in self._paused or partition.dropped:
                continue
            position = self._positions[partition]
            got, self._positions[partition] = self._store.read(partition, position, max_records - len(records))
            records = records + got if records else got
            if self._positions[partition] < partition.high:
                self._look_at(partition)
        return records

    def _next(self) -> PartitionLog | None:
        with self._store.lock:
            partition = next(iter(self._ready), None)
            if partition is not None:
                del self._ready[partition]
            return partition

    def _look_at(self, partition: PartitionLog) -> None:
        with self._store.lock:
            self._ready[partition] = None

    def _followed(self, names: Iterable[TopicPartition]) -> list[PartitionLog]:
        wanted = frozenset(names)
        return [each for each in self._positions if each.name in wanted]
