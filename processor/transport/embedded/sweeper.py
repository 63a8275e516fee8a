from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator

from processor.core.clock import Clock
from processor.core.topics import Keep
from processor.transport.abstract import TransportError
from processor.transport.embedded.database import Database
from processor.transport.embedded.partition import OFFSET_BITS, PartitionLog
from processor.transport.embedded.store import LogStore, StoredTopic, chunks
from processor.transport.embedded.transaction import Transaction
from processor.transport.embedded.writer import Writer

log = logging.getLogger(__name__)

_EVERY_SEC = 60.0
#: Rows per transaction: about a millisecond that appends wait.
_CHUNK_ROWS = 500
#: A compacted partition is looked through once it has grown by this much.
_COMPACT_AFTER_RECORDS = 20_000
#: A tombstone stays this long, for a reader that has read the value and is still on its way.
_TOMBSTONE_MS = 600_000
_CALL_SEC = 30.0


class Sweeper:
    """Deletes what may go: records below the low bounds, older than their topic's retention, or superseded."""

    def __init__(self, database: Database, store: LogStore, writer: Writer, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._writer = writer
        self._clock = clock
        self._woken = threading.Event()
        self._stopping = False
        self._sweeping = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="embedded-log-sweeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._woken.set()

    def stop(self) -> None:
        self._stopping = True
        self._woken.set()
        self._thread.join(_CALL_SEC)

    def sweep(self, *, compact_after_records: int = _COMPACT_AFTER_RECORDS) -> None:
        """Raises TransportUnavailable; what was not deleted then is deleted by the next one."""
        with self._sweeping:
            for stored in self._store.topics().values():
                self._expire(stored)
                for partition in stored.partitions:
                    self._compact(stored, partition, compact_after_records)
            self._delete_below_low()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self.sweep()
            except TransportError as error:
                log.warning("sweeping is put off: %s", error, extra={"action": "embedded_sweep"})
            self._woken.wait(_EVERY_SEC)
            self._woken.clear()

    def _expire(self, stored: StoredTopic) -> None:
        """Moves the low bounds past what is older than the retention."""
        retention_ms = stored.topic.retention_ms
        if retention_ms is None or stored.topic.keep is Keep.COMPACT:
            return
        for partition in stored.partitions:
            offset = self._store.offset_at(partition, self._clock.unix_ms() - retention_ms)
            if offset > partition.low:
                move_low(self._writer, self._store, {partition: offset}, _CALL_SEC)

    def _compact(self, stored: StoredTopic, partition: PartitionLog, after_records: int) -> None:
        high = partition.high
        if stored.topic.keep not in (Keep.COMPACT, Keep.COMPACT_DELETE):
            return
        if high - partition.compacted_to < max(after_records, 1):
            return
        superseded = self._superseded(partition, high)
        for chunk in chunks(superseded, _CHUNK_ROWS):
            self._delete_rows(chunk)
        partition.compacted_to = high

    def _superseded(self, partition: PartitionLog, high: int) -> Iterator[int]:
        """Row ids of all but the last record of each key, and of old tombstones. The last record of all stays: it is
        what tells the high bound after a restart.
        """
        latest: dict[bytes, int] = {}
        tombstones: dict[bytes, int] = {}
        oldest_ms = self._clock.unix_ms() - _TOMBSTONE_MS
        for identity, key, empty, timestamp_ms in self._keys(partition, high):
            if key in latest:
                yield latest[key]
            latest[key] = identity
            tombstones.pop(key, None)
            if empty and timestamp_ms < oldest_ms and identity != partition.base + high - 1:
                tombstones[key] = identity
        yield from tombstones.values()

    def _keys(self, partition: PartitionLog, high: int) -> Iterator[tuple[int, bytes, bool, int]]:
        """In short transactions, or a checkpoint would have to wait for the whole scan."""
        select = (
            "SELECT id, key, value IS NULL, timestamp_ms FROM record "
            "WHERE id >= ? AND id < ? AND key IS NOT NULL ORDER BY id LIMIT 5000"
        )
        at, end = partition.base + partition.low, partition.base + high
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(select, (at, end)).fetchall()
            if not rows:
                return
            yield from rows
            at = rows[-1][0] + 1

    def _delete_rows(self, identities: list[int]) -> None:
        def work(transaction: Transaction) -> None:
            marks = ",".join("?" * len(identities))
            transaction.begin().execute(f"DELETE FROM record WHERE id IN ({marks})", identities)  # noqa: S608 marks

        self._writer.run(work, _CALL_SEC)

    def _delete_below_low(self) -> None:
        with self._database.reading() as connection:
            partitions = connection.execute("SELECT id, topic_id, low FROM partition").fetchall()
        for identity, topic, low in partitions:
            base = identity << OFFSET_BITS
            end = base + low if topic is not None else base + (1 << OFFSET_BITS)
            for chunk in self._rows(base, end):
                self._delete_rows(chunk)
            if topic is None:
                self._forget(identity)

    def _rows(self, begin: int, end: int) -> Iterable[list[int]]:
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(
                    "SELECT id FROM record WHERE id >= ? AND id < ? ORDER BY id LIMIT ?", (begin, end, _CHUNK_ROWS)
                ).fetchall()
            if not rows:
                return
            yield [row[0] for row in rows]

    def _forget(self, identity: int) -> None:
        def work(transaction: Transaction) -> None:
            transaction.begin().execute("DELETE FROM committed WHERE partition_id = ?", (identity,))
            transaction.begin().execute("DELETE FROM partition WHERE id = ?", (identity,))

        self._writer.run(work, _CALL_SEC)


def move_low(writer: Writer, store: LogStore, lows: dict[PartitionLog, int], timeout_sec: float) -> None:
    """What lies below is gone for readers at once, and for the disk after the next sweep."""

    def work(transaction: Transaction) -> None:
        rows = [(low, each.identity) for each, low in lows.items()]
        transaction.begin().executemany("UPDATE partition SET low = max(low, ?) WHERE id = ?", rows)

    def then() -> None:
        for partition, low in lows.items():
            store.truncate(partition, low)

    writer.run(work, timeout_sec, then=then)
