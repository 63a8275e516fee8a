"""What the recorder needs of a transport: one partition of `runs` in memory, and failures on demand."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from typing import cast

from processor.core.clock import SystemClock
from processor.core.ledger import LedgerRecord, encode
from processor.core.topics import RUNS
from processor.recorder.service import RecorderService
from processor.recorder.store import HistoryStore
from processor.transport.abstract import Bounds, Reader, Record, TopicPartition, Transport, TransportUnavailable

RUNS_0 = TopicPartition("runs", 0)
LIMIT_SEC = 20.0


class MemoryLog:
    def __init__(self) -> None:
        self.records: list[Record] = []
        self.low = 0
        self.failures = 0
        self.readers = 0

    def append(self, *records: LedgerRecord) -> None:
        for record in records:
            offset = self.records[-1].offset + 1 if self.records else self.low
            value = encode(record)
            at_ms = 1_795_478_400_000
            self.records.append(Record(RUNS.name, 0, offset, 0, at_ms, record.request_id.encode(), value, ()))

    def reader(self, *, patient: bool = False) -> Reader:
        self.readers += 1
        return MemoryReader(self)


class MemoryReader(Reader):
    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._next = 0

    def assign(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._next = offsets[RUNS_0]

    def poll(self, max_records: int, timeout_sec: float) -> list[Record]:
        if self._log.failures:
            self._log.failures -= 1
            raise TransportUnavailable
        found = [each for each in self._log.records if each.offset >= self._next][:max_records]
        if not found:
            threading.Event().wait(min(timeout_sec, 0.005))
            return []
        self._next = found[-1].offset + 1
        return found

    def partitions(self, topic: str, timeout_sec: float) -> list[TopicPartition]:
        return [TopicPartition(topic, 0)]

    def bounds(self, partitions: Collection[TopicPartition], timeout_sec: float) -> Mapping[TopicPartition, Bounds]:
        high = self._log.records[-1].offset + 1 if self._log.records else self._log.low
        return {each: Bounds(self._log.low, high) if each == RUNS_0 else Bounds(0, 0) for each in partitions}

    def offsets_at(
        self, partitions: Collection[TopicPartition], unix_ms: int, timeout_sec: float
    ) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    def positions(self) -> Mapping[TopicPartition, int]:
        return {RUNS_0: self._next}

    def close(self) -> None:
        pass


class Recording:
    """A recorder over a log, for the time of a with block."""

    def __init__(self, log: MemoryLog, store: HistoryStore) -> None:
        self.recorder = RecorderService(transport=cast(Transport, log), store=store, clock=SystemClock())

    def __enter__(self) -> RecorderService:
        self.recorder.start()
        return self.recorder

    def __exit__(self, *_: object) -> None:
        self.recorder.stop()
        assert self.recorder.join(LIMIT_SEC)
