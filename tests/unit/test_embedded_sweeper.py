from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from processor.core.clock import ManualClock, SystemClock
from processor.core.topics import Keep, Topic
from processor.transport.abstract import Bounds, Record, TopicPartition
from processor.transport.embedded import EmbeddedTransport
from processor.transport.embedded.database import FILE_NAME
from processor.transport.replay import read_to_end

_PLACE = TopicPartition("t", 0)
_CALL_SEC = 10.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@contextlib.contextmanager
def _opened(
    folder: Path, clock: ManualClock, keep: Keep, retention_ms: int | None = None
) -> Iterator[EmbeddedTransport]:
    with EmbeddedTransport(folder, clock=clock) as transport:
        topic = Topic(name="t", key="-", partitions=1, keep=keep, retention_ms=retention_ms)
        transport.admin().create_topics([topic], _CALL_SEC)
        yield transport


def _append(transport: EmbeddedTransport, *pairs: tuple[bytes, bytes | None]) -> None:
    producer = transport.producer()
    for key, value in pairs:
        producer.append("t", value, key=key)
    producer.flush(_CALL_SEC)
    producer.close()


def _read(transport: EmbeddedTransport) -> list[Record]:
    reader = transport.reader()
    try:
        return list(read_to_end(reader, [_PLACE], SystemClock(), timeout_sec=_CALL_SEC))
    finally:
        reader.close()


def _bounds(transport: EmbeddedTransport) -> Bounds:
    return transport.reader().bounds([_PLACE], _CALL_SEC)[_PLACE]


def _rows(folder: Path) -> int:
    with contextlib.closing(sqlite3.connect(folder / FILE_NAME)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM record").fetchone()
    assert isinstance(count, int)
    return count


def test_superseded_records_leave_the_file_and_offsets_stay(tmp_path: Path, clock: ManualClock) -> None:
    with _opened(tmp_path, clock, Keep.COMPACT) as transport:
        _append(transport, *((b"%d" % (number % 3), b"%d" % number) for number in range(3_000)))
        transport.sweep()
    assert _rows(tmp_path) == 3
    with _opened(tmp_path, clock, Keep.COMPACT) as transport:
        assert [(each.offset, each.value) for each in _read(transport)] == [(n, b"%d" % n) for n in (2997, 2998, 2999)]
        assert _bounds(transport) == Bounds(0, 3_000)


def test_tombstones_stay_for_a_while_and_the_end_of_the_log_stays_known(tmp_path: Path, clock: ManualClock) -> None:
    with _opened(tmp_path, clock, Keep.COMPACT) as transport:
        _append(transport, (b"a", b"1"), (b"b", b"1"), (b"b", None), (b"a", None))
        transport.sweep()
        assert _rows(tmp_path) == 2
        clock.advance(3_600)
        _append(transport, (b"c", b"1"), (b"c", None))
        transport.sweep()
        clock.advance(3_600)
        transport.sweep()
    assert _rows(tmp_path) == 1
    with _opened(tmp_path, clock, Keep.COMPACT) as transport:
        assert _bounds(transport).high == 6
        assert [(each.key, each.value) for each in _read(transport)] == [(b"c", None)]


def test_what_is_older_than_its_retention_goes(tmp_path: Path, clock: ManualClock) -> None:
    with _opened(tmp_path, clock, Keep.DELETE, retention_ms=60_000) as transport:
        _append(transport, (b"k", b"old"), (b"k", b"old"))
        clock.advance(50)
        _append(transport, (b"k", b"young"))
        clock.advance(20)
        transport.sweep()
        assert [each.value for each in _read(transport)] == [b"young"]
        assert _bounds(transport) == Bounds(2, 3)
        clock.advance(100)
        transport.sweep()
        assert _bounds(transport) == Bounds(3, 3)
    assert _rows(tmp_path) == 0
    with _opened(tmp_path, clock, Keep.DELETE, retention_ms=60_000) as transport:
        assert _bounds(transport) == Bounds(3, 3)


def test_a_queue_is_kept_whatever_its_age(tmp_path: Path, clock: ManualClock) -> None:
    with _opened(tmp_path, clock, Keep.UNTIL_CONSUMED) as transport:
        _append(transport, (b"k", b"1"), (b"k", b"2"))
        clock.advance(10_000_000)
        transport.sweep()
        assert len(_read(transport)) == 2


def test_records_of_a_deleted_topic_leave_the_file(tmp_path: Path, clock: ManualClock) -> None:
    with _opened(tmp_path, clock, Keep.UNTIL_CONSUMED) as transport:
        _append(transport, *((b"k", b"%d" % number) for number in range(1_200)))
        transport.admin().delete_topic("t", _CALL_SEC)
        transport.sweep()
    assert _rows(tmp_path) == 0


def test_times_never_run_backwards_in_a_partition(tmp_path: Path, clock: ManualClock) -> None:
    with _opened(tmp_path, clock, Keep.UNTIL_CONSUMED) as transport:
        _append(transport, (b"k", b"1"))
        clock.advance(-3_600)
        _append(transport, (b"k", b"2"))
        first, second = _read(transport)
        assert first.timestamp_ms == second.timestamp_ms
