from __future__ import annotations

import threading
from collections.abc import Collection, Mapping

from processor.transport.abstract import Committed, Outcome, TopicPartition, UnknownTopic
from processor.transport.embedded.database import Database
from processor.transport.embedded.partition import PartitionLog
from processor.transport.embedded.store import LogStore
from processor.transport.embedded.transaction import Change, Transaction
from processor.transport.embedded.writer import Barrier, Writer

#: What Kafka's coordinator takes with its defaults.
METADATA_LIMIT_BYTES = 4_095

_UPSERT = (
    "INSERT INTO committed VALUES (?,?,?,?,?) ON CONFLICT DO UPDATE "
    "SET next_offset = excluded.next_offset, metadata = excluded.metadata"
)


class Offsets:
    """The committed offsets of all groups of an installation, in memory and in the file. Thread-safe."""

    def __init__(self, database: Database, store: LogStore, writer: Writer) -> None:
        self._store = store
        self._writer = writer
        #: Changed by the writer thread only, once a commit is durable.
        self._known: dict[tuple[str, int], Committed] = {}
        rows = database.writing.execute(
            "SELECT consumers, partition_id, next_offset, metadata FROM committed WHERE installation = ?",
            (store.installation,),
        )
        for group, partition, offset, metadata in rows:
            self._known[group, partition] = Committed(offset, metadata)

    def submit(self, group: str, offsets: Mapping[TopicPartition, Committed]) -> PendingCommit:
        """Queues what can be committed; the caller has asked the coordinator and holds its lock."""
        accepted = {}
        for name, committed in offsets.items():
            partition = self._partition(name)
            if partition is not None and len(committed.metadata.encode()) <= METADATA_LIMIT_BYTES:
                accepted[partition] = committed
        pending = PendingCommit(self._known, self._store.installation, group, accepted)
        if accepted:
            self._writer.submit(pending)
        return pending

    def committed(
        self, group: str, names: Collection[TopicPartition], timeout_sec: float
    ) -> dict[TopicPartition, Committed | None]:
        """Waits for commits that were admitted before, so that none of them can land on what is read here.

        Raises TransportUnavailable.
        """
        barrier = Barrier()
        self._writer.submit(barrier)
        barrier.wait(timeout_sec)
        found = {name: self._partition(name) for name in names}
        return {name: self._known.get((group, each.identity)) if each else None for name, each in found.items()}

    def _partition(self, name: TopicPartition) -> PartitionLog | None:
        try:
            return self._store.find(name)
        except UnknownTopic:
            return None


class PendingCommit(Change):
    __slots__ = ("_done", "_group", "_installation", "_known", "_offsets", "_outcome")

    def __init__(
        self,
        known: dict[tuple[str, int], Committed],
        installation: str,
        group: str,
        offsets: Mapping[PartitionLog, Committed],
    ) -> None:
        self._known = known
        self._installation = installation
        self._group = group
        self._offsets = offsets
        self._outcome = Outcome.UNKNOWN
        self._done = threading.Event()

    def wait(self, names: Collection[TopicPartition], timeout_sec: float) -> dict[TopicPartition, Outcome]:
        """What was not accepted, or not decided in time, is UNKNOWN: the port's NO means that the member is fenced."""
        if self._offsets:
            self._done.wait(timeout_sec)
        outcomes = dict.fromkeys(names, Outcome.UNKNOWN)
        outcomes.update({each.name: self._outcome for each in self._offsets})
        return outcomes

    def write(self, transaction: Transaction) -> None:
        for partition, committed in self._offsets.items():
            row = (self._installation, self._group, partition.identity, committed.offset, committed.metadata)
            transaction.execute(_UPSERT, row)

    def applied(self) -> None:
        for partition, committed in self._offsets.items():
            self._known[self._group, partition.identity] = committed
        self._outcome = Outcome.YES
        self._done.set()

    def failed(self, outcome: Outcome, reason: str) -> None:
        self._done.set()
