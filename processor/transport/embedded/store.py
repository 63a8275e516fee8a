from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import islice

from processor.core.topics import Keep, Topic
from processor.transport.abstract import Bounds, Record, TopicPartition, TransportError, UnknownTopic
from processor.transport.embedded import headers
from processor.transport.embedded.database import Database
from processor.transport.embedded.partition import OFFSET_BITS, PartitionLog, weight
from processor.transport.embedded.transaction import Transaction

#: Records kept in memory for those who follow. At 1,000 runs per second some 5,000 records are written per second.
_RECENT_RECORDS = 50_000
_RECENT_BYTES = 64 * 1024 * 1024
#: One read from the file.
_READ_BYTES = 8 * 1024 * 1024

_SELECT_RECORDS = (
    "SELECT id, timestamp_ms, key, headers, value FROM record WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
)
_SELECT_NEXT = "SELECT id, timestamp_ms FROM record WHERE id >= ? AND id < ? ORDER BY id LIMIT 1"
_SELECT_LAST = "SELECT id, timestamp_ms FROM record WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT 1"


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredTopic:
    topic: Topic
    identity: int
    uuid: bytes
    partitions: list[PartitionLog]


class LogStore:
    """The topics of one installation: where each partition begins and ends, and its records. Thread-safe; changed by
    the writer thread only.
    """

    def __init__(self, database: Database, installation: str) -> None:
        self._database = database
        self.installation = installation
        self.lock = threading.Lock()
        self._topics: dict[str, StoredTopic] = {}
        self._by_name: dict[TopicPartition, PartitionLog] = {}
        #: Whose oldest record is to be forgotten next.
        self._recent: deque[PartitionLog] = deque()
        self._recent_bytes = 0
        for stored in _load(database.writing, installation):
            self.add(stored)

    # -- topics

    def add(self, stored: StoredTopic) -> None:
        with self.lock:
            self._topics[stored.topic.name] = stored
            self._by_name.update({each.name: each for each in stored.partitions})

    def remove(self, name: str) -> None:
        with self.lock:
            for partition in self._topics.pop(name).partitions:
                partition.dropped = True
                del self._by_name[partition.name]

    def topics(self) -> dict[str, StoredTopic]:
        with self.lock:
            return dict(self._topics)

    def topic(self, name: str) -> StoredTopic:
        """Raises UnknownTopic."""
        try:
            return self._topics[name]
        except KeyError:
            raise UnknownTopic(f"there is no topic {name!r}") from None

    def find(self, name: TopicPartition) -> PartitionLog:
        """Raises UnknownTopic."""
        try:
            return self._by_name[name]
        except KeyError:
            raise UnknownTopic(f"there is no partition {name.partition} of a topic {name.topic!r}") from None

    # -- appends

    def publish(self, transaction: Transaction) -> None:
        """Makes durable records visible and wakes who waits for them."""
        with self.lock:
            for partition, records in transaction.records.items():
                partition.extend(records)
                self._recent.extend([partition] * len(records))
                self._recent_bytes += sum(map(weight, records))
            while self._recent_bytes > _RECENT_BYTES or len(self._recent) > _RECENT_RECORDS:
                self._recent_bytes -= self._recent.popleft().forget_oldest()

    def truncate(self, partition: PartitionLog, low: int) -> None:
        with self.lock:
            partition.low = max(partition.low, low)

    # -- reading

    def bounds(self, names: Collection[TopicPartition]) -> dict[TopicPartition, Bounds]:
        found = [self.find(each) for each in names]
        with self.lock:
            return {each.name: Bounds(each.low, each.high) for each in found}

    def read(self, partition: PartitionLog, offset: int, limit: int) -> tuple[list[Record], int]:
        """Returns some records from offset on (none only at the end), and the offset to go on from.

        Raises TransportError outside the bounds: going on from elsewhere would skip or repeat records silently.
        """
        with self.lock:
            low, high = partition.low, partition.high
            if not low <= offset <= high:
                raise TransportError(f"{partition.name} holds {low} to {high}; offset {offset} was asked for")
            records = partition.recent_from(offset, limit)
        if records is None:
            records = self._read_file(partition, offset, high, limit)
        return records, records[-1].offset + 1 if records else high

    def offset_at(self, partition: PartitionLog, unix_ms: int) -> int:
        """The first whose record is not older, found by halves."""
        with self.lock:
            low, high = partition.low, partition.high
        with self._database.reading() as connection:
            while low < high:
                middle = (low + high) // 2
                found = connection.execute(_SELECT_NEXT, (partition.base + middle, partition.base + high)).fetchone()
                if found is None or found[1] >= unix_ms:
                    high = middle
                else:
                    low = found[0] - partition.base + 1
            found = connection.execute(_SELECT_NEXT, (partition.base + low, partition.base + partition.high)).fetchone()
        return found[0] - partition.base if found else partition.high

    def _read_file(self, partition: PartitionLog, offset: int, high: int, limit: int) -> list[Record]:
        topic, number = partition.name
        base = partition.base
        records = []
        size_bytes = 0
        with self._database.reading() as connection:
            rows = connection.execute(_SELECT_RECORDS, (base + offset, base + high, limit))
            for identity, timestamp_ms, key, packed, value in rows:
                record = Record(topic, number, identity - base, 0, timestamp_ms, key, value, headers.decode(packed))
                records.append(record)
                size_bytes += weight(record)
                if size_bytes > _READ_BYTES:
                    rows.close()
                    break
        return records


def _load(connection: sqlite3.Connection, installation: str) -> Iterable[StoredTopic]:
    topics = connection.execute(
        "SELECT id, name, uuid, keep, retention_ms FROM topic WHERE installation = ?", (installation,)
    ).fetchall()
    for identity, name, uuid, keep, retention_ms in topics:
        rows = connection.execute(
            "SELECT id, number, low FROM partition WHERE topic_id = ? ORDER BY number", (identity,)
        ).fetchall()
        partitions = [_load_partition(connection, TopicPartition(name, row[1]), row[0], row[2]) for row in rows]
        topic = Topic(name=name, key="", partitions=len(rows), keep=Keep(keep), retention_ms=retention_ms)
        yield StoredTopic(topic=topic, identity=identity, uuid=uuid, partitions=partitions)


def _load_partition(connection: sqlite3.Connection, name: TopicPartition, identity: int, low: int) -> PartitionLog:
    """The end is where the last record is; sweeping never takes that one without moving `low` past it."""
    base = identity << OFFSET_BITS
    last = connection.execute(_SELECT_LAST, (base + low, base + (1 << OFFSET_BITS))).fetchone()
    high, last_ms = (last[0] - base + 1, last[1]) if last else (low, 0)
    return PartitionLog(name, identity, low, high, last_ms)


def chunks(offsets: Iterable[int], size: int) -> Iterable[list[int]]:
    iterator = iter(offsets)
    while chunk := list(islice(iterator, size)):
        yield chunk
