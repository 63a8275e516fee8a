from __future__ import annotations

import threading
import uuid
from collections.abc import Collection, Iterable, Mapping

from processor.core.topics import Topic
from processor.transport.abstract import Admin, Committed, TopicPartition, TransportError
from processor.transport.embedded.groups import Coordinator
from processor.transport.embedded.offsets import Offsets
from processor.transport.embedded.partition import OFFSET_BITS, PartitionLog
from processor.transport.embedded.store import LogStore, StoredTopic
from processor.transport.embedded.sweeper import Sweeper, move_low
from processor.transport.embedded.transaction import Transaction
from processor.transport.embedded.writer import Writer


class EmbeddedAdmin(Admin):
    def __init__(
        self, store: LogStore, writer: Writer, coordinator: Coordinator, offsets: Offsets, sweeper: Sweeper
    ) -> None:
        self._store = store
        self._writer = writer
        self._coordinator = coordinator
        self._offsets = offsets
        self._sweeper = sweeper
        self._changing = threading.Lock()

    def create_topics(self, topics: Iterable[Topic], timeout_sec: float) -> list[str]:
        created: list[StoredTopic] = []

        def work(transaction: Transaction) -> None:
            created.extend(_insert(transaction, self._store.installation, each) for each in missing)

        def then() -> None:
            for stored in created:
                self._store.add(stored)

        with self._changing:
            known = self._store.topics()
            missing = [each for each in topics if each.name not in known]
            if missing:
                self._writer.run(work, timeout_sec, then=then)
                self._coordinator.topics_changed()
        return [each.name for each in missing]

    def topics(self, timeout_sec: float) -> Mapping[str, int]:
        return {name: len(stored.partitions) for name, stored in self._store.topics().items()}

    def delete_topic(self, topic: str, timeout_sec: float) -> None:
        def work(transaction: Transaction) -> None:
            identity = (stored.identity,)
            transaction.begin().execute("UPDATE partition SET topic_id = NULL WHERE topic_id = ?", identity)
            transaction.begin().execute("DELETE FROM topic WHERE id = ?", identity)

        with self._changing:
            stored = self._store.topic(topic)
            self._writer.run(work, timeout_sec, then=lambda: self._store.remove(topic))
            self._coordinator.topics_changed(deleted=topic)
        self._sweeper.wake()

    def delete_records(self, below: Mapping[TopicPartition, int], timeout_sec: float) -> None:
        lows = {self._store.find(name): offset for name, offset in below.items()}
        bounds = self._store.bounds(below.keys())
        for name, offset in below.items():
            if offset > bounds[name].high:
                raise TransportError(f"{name} ends at {bounds[name].high}; it cannot be deleted up to {offset}")
        move_low(self._writer, self._store, lows, timeout_sec)
        self._sweeper.wake()

    def committed(
        self, group: str, partitions: Collection[TopicPartition], timeout_sec: float
    ) -> Mapping[TopicPartition, Committed | None]:
        return self._offsets.committed(group, partitions, timeout_sec)

    def topic_id(self, topic: str, timeout_sec: float) -> bytes:
        return self._store.topic(topic).uuid


def _insert(transaction: Transaction, installation: str, topic: Topic) -> StoredTopic:
    connection = transaction.begin()
    identifier = uuid.uuid4().bytes
    row = (installation, topic.name, identifier, topic.keep.value, topic.retention_ms)
    cursor = connection.execute(
        "INSERT INTO topic (installation, name, uuid, keep, retention_ms) VALUES (?,?,?,?,?)", row
    )
    identity = cursor.lastrowid
    assert identity is not None
    partitions = []
    for number in range(topic.partitions):
        cursor = connection.execute("INSERT INTO partition (topic_id, number) VALUES (?,?)", (identity, number))
        assert cursor.lastrowid is not None
        assert cursor.lastrowid < 1 << (63 - OFFSET_BITS)
        partitions.append(PartitionLog(TopicPartition(topic.name, number), cursor.lastrowid, 0, 0, 0))
    return StoredTopic(topic=topic, identity=identity, uuid=identifier, partitions=partitions)
