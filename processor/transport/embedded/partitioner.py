from __future__ import annotations

import zlib
from itertools import count

from processor.transport.abstract import UnknownTopic
from processor.transport.embedded.partition import PartitionLog
from processor.transport.embedded.store import LogStore


class Partitioner:
    """Where a record goes: to the partition it names, else by its key, else in turn."""

    def __init__(self, store: LogStore) -> None:
        self._store = store
        self._turn = count()

    def choose(self, topic: str, key: bytes | None, partition: int | None) -> PartitionLog:
        """Raises UnknownTopic."""
        partitions = self._store.topic(topic).partitions
        if partition is None:
            number = next(self._turn) if key is None else zlib.crc32(key)
            return partitions[number % len(partitions)]
        if not 0 <= partition < len(partitions):
            raise UnknownTopic(f"the topic {topic!r} has no partition {partition}")
        return partitions[partition]
