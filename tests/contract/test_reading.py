from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from processor.core.clock import SystemClock
from processor.core.topics import Keep
from processor.transport.abstract import Bounds, Reader, Record, TopicPartition, Transport, TransportError, UnknownTopic
from processor.transport.replay import read_to_end
from tests.contract.harness import Harness, create, numbered, read, write
from tests.contract.member import CALL_SEC


def test_bounds_follow_the_appends(transport: Transport) -> None:
    first, second = create(transport, "t", partitions=2)
    reader = transport.reader()
    assert reader.bounds([first, second], CALL_SEC) == {first: Bounds(0, 0), second: Bounds(0, 0)}
    write(transport, second, numbered(3))
    assert reader.bounds([first, second], CALL_SEC) == {first: Bounds(0, 0), second: Bounds(0, 3)}
    reader.close()


def test_a_reader_begins_where_it_is_told_and_knows_its_positions(transport: Transport) -> None:
    first, second = create(transport, "t", partitions=2)
    write(transport, first, numbered(10))
    write(transport, second, numbered(5))
    reader = transport.reader()
    reader.assign({first: 7, second: 0})
    assert reader.positions() == {first: 7, second: 0}
    records = _take(reader, 8)
    assert [each.offset for each in records if each.partition == 0] == [7, 8, 9]
    assert [each.offset for each in records if each.partition == 1] == [0, 1, 2, 3, 4]
    assert reader.positions() == {first: 10, second: 5}
    reader.close()


def test_poll_returns_no_more_than_asked_and_forgets_none(transport: Transport) -> None:
    (partition,) = create(transport, "t")
    write(transport, partition, numbered(25))
    reader = transport.reader()
    reader.assign({partition: 0})
    sizes: list[int] = []
    offsets: list[int] = []
    while len(offsets) < 25:
        records = reader.poll(10, CALL_SEC)
        sizes.append(len(records))
        offsets += [each.offset for each in records]
    assert max(sizes) <= 10
    assert offsets == list(range(25))
    reader.close()


def test_assign_replaces_what_is_read(transport: Transport) -> None:
    first, second = create(transport, "t", partitions=2)
    write(transport, first, numbered(5))
    write(transport, second, numbered(5))
    reader = transport.reader()
    reader.assign({first: 0})
    _take(reader, 5)
    reader.assign({second: 2})
    assert [(each.partition, each.offset) for each in _take(reader, 3)] == [(1, 2), (1, 3), (1, 4)]
    assert reader.positions() == {second: 5}
    reader.close()


def test_poll_returns_nothing_when_nothing_comes(transport: Transport) -> None:
    (partition,) = create(transport, "t")
    reader = transport.reader()
    reader.assign({partition: 0})
    assert reader.poll(10, 0.1) == []
    reader.close()


def test_a_waiting_reader_gets_what_is_appended_meanwhile(transport: Transport) -> None:
    (partition,) = create(transport, "t")
    reader = transport.reader()
    reader.assign({partition: 0})
    assert reader.poll(1, 0.1) == []
    writer = threading.Thread(target=write, args=(transport, partition, [b"late"]))
    writer.start()
    assert [each.value for each in _take(reader, 1)] == [b"late"]
    writer.join()
    reader.close()


def test_a_time_is_found_as_the_first_offset_that_is_not_older(transport: Transport) -> None:
    partition, empty = create(transport, "t", partitions=2)
    write(transport, partition, [b"old"])
    first_ms = read(transport, [partition])[0].timestamp_ms
    later = _append_until(transport, partition, lambda record: record.timestamp_ms > first_ms + 1)
    reader = transport.reader()
    at = {ms: reader.offsets_at([partition, empty], ms, CALL_SEC) for ms in (0, first_ms, later.timestamp_ms)}
    assert at[0] == {partition: 0, empty: 0}
    assert at[first_ms] == {partition: 0, empty: 0}
    assert at[later.timestamp_ms][partition] == later.offset
    reader.assign({partition: at[later.timestamp_ms][partition]})
    assert _take(reader, 1)[0] == later
    reader.close()


def test_a_time_after_the_last_record_is_the_high_bound(transport: Transport) -> None:
    (partition,) = create(transport, "t")
    write(transport, partition, numbered(3))
    last_ms = read(transport, [partition])[-1].timestamp_ms
    reader = transport.reader()
    assert reader.offsets_at([partition], last_ms + 1, CALL_SEC) == {partition: 3}
    reader.close()


def test_partitions_of_a_topic_are_listed_and_an_unknown_topic_is_an_error(transport: Transport) -> None:
    partitions = create(transport, "t", partitions=3)
    reader = transport.reader()
    assert sorted(reader.partitions("t", CALL_SEC)) == partitions
    with pytest.raises(UnknownTopic):
        reader.partitions("absent", CALL_SEC)
    reader.close()


def test_reading_to_the_end_takes_all_that_is_there_and_stops(transport: Transport) -> None:
    partitions = create(transport, "t", partitions=3)
    for partition in partitions[:2]:
        write(transport, partition, numbered(40))
    reader = transport.reader()
    records = list(read_to_end(reader, partitions, SystemClock(), timeout_sec=CALL_SEC))
    for partition in partitions[:2]:
        assert [each.value for each in records if each.partition == partition.partition] == numbered(40)
    assert reader.positions() == dict(zip(partitions, (40, 40, 0), strict=True))
    write(transport, partitions[2], [b"next"])
    assert [each.value for each in _take(reader, 1)] == [b"next"]
    reader.close()


def test_deleted_records_are_gone_and_the_low_bound_has_moved(transport: Transport) -> None:
    first, second = create(transport, "t", partitions=2, keep=Keep.UNTIL_CONSUMED)
    write(transport, first, numbered(10))
    write(transport, second, numbered(10))
    transport.admin().delete_records({first: 6}, CALL_SEC)
    reader = transport.reader()
    assert reader.bounds([first, second], CALL_SEC) == {first: Bounds(6, 10), second: Bounds(0, 10)}
    reader.close()
    assert [each.offset for each in read(transport, [first])] == [6, 7, 8, 9]
    assert len(read(transport, [second])) == 10


def test_deleting_all_records_keeps_the_numbering(transport: Transport) -> None:
    (partition,) = create(transport, "t", keep=Keep.UNTIL_CONSUMED)
    write(transport, partition, numbered(4))
    transport.admin().delete_records({partition: 4}, CALL_SEC)
    assert read(transport, [partition]) == []
    write(transport, partition, [b"fifth"])
    assert [(each.offset, each.value) for each in read(transport, [partition])] == [(4, b"fifth")]


def test_reading_from_what_was_deleted_is_an_error_and_no_silent_restart(transport: Transport) -> None:
    (partition,) = create(transport, "t", keep=Keep.UNTIL_CONSUMED)
    write(transport, partition, numbered(10))
    transport.admin().delete_records({partition: 6}, CALL_SEC)
    reader = transport.reader()
    reader.assign({partition: 2})
    with pytest.raises(TransportError):
        _take(reader, 1)
    reader.close()


def test_a_compacted_topic_keeps_the_latest_value_of_each_key(harness: Harness, transport: Transport) -> None:
    (partition,) = create(transport, "t", keep=Keep.COMPACT)
    for round_ in range(3):
        for key in (b"a", b"b", b"c"):
            write(transport, partition, [b"%s%d" % (key, round_)], key=key)
    write(transport, partition, [None], key=b"b")
    harness.compact(transport)
    latest = {each.key: each.value for each in read(transport, [partition])}
    assert latest == {b"a": b"a2", b"b": None, b"c": b"c2"}


def test_reading_to_the_end_passes_the_holes_of_compaction(harness: Harness, transport: Transport) -> None:
    (partition,) = create(transport, "t", keep=Keep.COMPACT)
    write(transport, partition, numbered(50), key=b"same")
    harness.compact(transport)
    records = read(transport, [partition])
    assert (records[-1].offset, records[-1].value) == (49, b"49")
    assert [each.offset for each in records] == sorted({each.offset for each in records})


def _take(reader: Reader, count: int) -> list[Record]:
    records: list[Record] = []
    deadline = time.monotonic() + CALL_SEC
    while len(records) < count:
        records += reader.poll(count - len(records), 1.0)
        assert time.monotonic() < deadline, f"only {len(records)} of {count} records came"
    return records


def _append_until(transport: Transport, partition: TopicPartition, enough: Callable[[Record], bool]) -> Record:
    while True:
        write(transport, partition, [b"more"])
        last = read(transport, [partition])[-1]
        if enough(last):
            return last
