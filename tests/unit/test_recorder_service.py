from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from processor.core.ledger import Accepted, Position, encode
from processor.core.request_id import request_id
from processor.core.topics import RUNS
from processor.recorder import service
from processor.recorder.batch import Batch
from processor.recorder.service import start_offset
from processor.recorder.sqlite import SqliteHistoryStore
from processor.recorder.store import HistoryUnavailable
from processor.transport.abstract import Bounds, Record, TopicPartition
from tests.memory_log import LIMIT_SEC, RUNS_0, MemoryLog, Recording


def accepted(number: int) -> Record:
    run = request_id("f", "test", str(number))
    record = Accepted(
        request_id=run,
        function="f",
        version="v1",
        trigger="http",
        source="test",
        event_id=str(number),
        subject=None,
        accepted_at_ms=1_795_478_400_000 + number,
        intake=Position(0, 0, number),
    )
    return Record(RUNS.name, 0, number, 0, 1_795_478_400_000, run.encode(), encode(record), ())


class Told(SqliteHistoryStore):
    """Tells the test when something was applied, and fails on demand."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.applied = threading.Condition()
        self.failures = 0
        self.batches: list[int] = []

    def apply(self, batch: Batch, offsets: Mapping[TopicPartition, int]) -> None:
        if self.failures:
            self.failures -= 1
            raise HistoryUnavailable("database or disk is full")
        super().apply(batch, offsets)
        with self.applied:
            self.batches.append(len(batch.ledger))
            self.applied.notify_all()

    def wait_for(self, condition: Callable[[], Any]) -> None:
        with self.applied:
            assert self.applied.wait_for(condition, LIMIT_SEC)


@pytest.fixture(autouse=True)
def _no_pause_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.RecorderService, "back_off_sec", 0.01)


def test_a_restarted_recorder_goes_on_where_it_stopped(tmp_path: Path) -> None:
    log, store = MemoryLog(), Told(tmp_path / "history.db")
    log.records = [accepted(n) for n in range(5)]
    with Recording(log, store):
        store.wait_for(lambda: sum(store.batches) == 5)
    log.records += [accepted(n) for n in range(5, 8)]
    with Recording(log, store):
        store.wait_for(lambda: sum(store.batches) == 8)
    assert store.offsets()[RUNS_0] == 8
    store.close()


def test_a_batch_is_never_larger_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "BATCH_RECORDS", 2_000)
    monkeypatch.setattr(service, "BATCH_SEC", LIMIT_SEC)
    log, store = MemoryLog(), Told(tmp_path / "history.db")
    log.records = [accepted(n) for n in range(4_500)]
    with Recording(log, store) as recorder:
        store.wait_for(lambda: sum(store.batches) == 4_000)
        recorder.stop()  # it would wait for more
    assert store.batches == [2_000, 2_000, 500]
    store.close()


def test_large_records_make_smaller_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "BATCH_BYTES", 100_000)
    log, store = MemoryLog(), Told(tmp_path / "history.db")
    log.records = [accepted(n) for n in range(2_000)]
    with Recording(log, store):
        store.wait_for(lambda: sum(store.batches) == 2_000)
    assert store.batches == [500] * 4
    store.close()


def test_a_full_disk_and_a_broker_that_is_away_are_waited_for(tmp_path: Path) -> None:
    log, store = MemoryLog(), Told(tmp_path / "history.db")
    log.records = [accepted(n) for n in range(5)]
    log.failures = store.failures = 2
    with Recording(log, store) as recorder:
        store.wait_for(lambda: sum(store.batches) == 5)
        assert recorder.reading.is_set()
    assert log.readers == 5  # each failure began anew
    store.close()


def test_records_deleted_before_they_were_read_are_counted_and_left_behind(tmp_path: Path) -> None:
    log, store = MemoryLog(), Told(tmp_path / "history.db")
    log.records = [accepted(n) for n in range(3)]
    with Recording(log, store):
        store.wait_for(lambda: sum(store.batches) == 3)
    log.low = 10
    log.records = [accepted(n) for n in range(10, 12)]
    with Recording(log, store):
        store.wait_for(lambda: sum(store.batches) == 5)
    assert store.counters()["missed"] == 7
    store.close()


@pytest.mark.parametrize(
    ("stored", "start"),
    [(None, 5), (3, 5), (5, 5), (7, 7), (9, 9), (10, 5)],
)
def test_an_offset_outside_of_the_log_begins_at_its_low_bound(stored: int | None, start: int) -> None:
    assert start_offset(stored, Bounds(5, 9)) == start
