from __future__ import annotations

import time

import pytest

from processor.core.topics import MAX_MESSAGE_BYTES
from processor.transport.abstract import AppendFailed, Outcome, Producer, RecordTooLarge, Transport
from tests.contract.harness import create, numbered, read, write
from tests.contract.member import CALL_SEC


def test_what_was_flushed_is_there_in_the_order_of_the_appends(transport: Transport) -> None:
    (partition,) = create(transport, "t")
    write(transport, partition, numbered(300))
    records = read(transport, [partition])
    assert [each.value for each in records] == numbered(300)
    assert [each.offset for each in records] == list(range(300))


def test_two_sessions_number_one_partition_without_a_gap(transport: Transport) -> None:
    (partition,) = create(transport, "t")
    write(transport, partition, numbered(5))
    write(transport, partition, numbered(5, start=5))
    assert [(each.offset, each.value) for each in read(transport, [partition])] == list(enumerate(numbered(10)))


def test_flush_without_an_append_returns(transport: Transport) -> None:
    producer = transport.producer()
    producer.flush(CALL_SEC)
    producer.poll()
    producer.close()


def test_keys_values_and_headers_come_back_as_they_were(transport: Transport) -> None:
    (partition,) = create(transport, "t")
    headers = (("a", b"1"), ("a", b""), ("größe", bytes(range(256))))
    contents = [
        (b"\x00\xff\xfe", b"binary key", headers),
        (None, b"no key", ()),
        (b"no value", None, ()),
        (b"empty value", b"", ()),
        (b"", b"empty key", ()),
    ]
    producer = transport.producer()
    for key, value, sent in contents:
        producer.append("t", value, key=key, partition=0, headers=sent)
    producer.flush(CALL_SEC)
    producer.close()
    records = read(transport, [partition])
    assert [(each.key, each.value, tuple(each.headers)) for each in records] == contents
    assert {(each.topic, each.partition, each.leader_epoch) for each in records} == {("t", 0, 0)}


def test_the_log_stamps_each_record_with_the_time_it_took_it(transport: Transport) -> None:
    (partition,) = create(transport, "t")
    before_ms = time.time_ns() // 1_000_000
    write(transport, partition, numbered(3))
    stamps = [each.timestamp_ms for each in read(transport, [partition])]
    assert stamps == sorted(stamps)
    assert before_ms <= stamps[0]
    assert stamps[-1] <= time.time_ns() // 1_000_000


def test_a_key_always_meets_the_same_partition(transport: Transport) -> None:
    partitions = create(transport, "t", partitions=4)
    keys = [b"key-%d" % number for number in range(60)]
    for _ in range(2):
        producer = transport.producer()
        for key in keys:
            producer.append("t", b"", key=key)
        producer.flush(CALL_SEC)
        producer.close()
    places = {(each.key, each.partition) for each in read(transport, partitions)}
    assert len(places) == len(keys)
    assert {partition for _, partition in places} == {0, 1, 2, 3}


def test_records_without_a_key_are_spread(transport: Transport) -> None:
    partitions = create(transport, "t", partitions=4)
    producer = transport.producer()
    for _ in range(100):
        producer.append("t", b"")
    producer.flush(CALL_SEC)
    producer.close()
    assert len({each.partition for each in read(transport, partitions)}) > 1


def test_a_session_with_a_linger_flushes_all_the_same(transport: Transport) -> None:
    (partition,) = create(transport, "t")
    producer = transport.producer(linger_ms=20)
    for value in numbered(50):
        producer.append("t", value, partition=0)
    producer.flush(CALL_SEC)
    producer.close()
    assert [each.value for each in read(transport, [partition])] == numbered(50)


def test_who_waits_patiently_is_told_not_yet_and_then_that_it_landed_once(transport: Transport) -> None:
    (partition,) = create(transport, "t")
    producer = transport.producer(linger_ms=20)
    for value in numbered(50):
        producer.append("t", value, partition=0)
    producer.landed(0.0)  # hardly, and if not, nothing is lost by it
    producer.append("t", b"50", partition=0)
    assert producer.landed(CALL_SEC)
    producer.close()
    assert [each.value for each in read(transport, [partition])] == [*numbered(50), b"50"]


def test_a_record_of_one_megabyte_fits(transport: Transport) -> None:
    (partition,) = create(transport, "t")
    values = [bytes([number]) * 1_000_000 for number in range(5)]
    write(transport, partition, values)
    assert [each.value for each in read(transport, [partition])] == values


def test_a_record_over_the_limit_is_refused_and_the_session_goes_on(transport: Transport) -> None:
    (partition,) = create(transport, "t")
    producer = transport.producer()
    producer.append("t", b"before", partition=0)
    with pytest.raises(RecordTooLarge):
        producer.append("t", bytes(MAX_MESSAGE_BYTES + 1), partition=0)
    producer.append("t", b"after", partition=0)
    producer.flush(CALL_SEC)
    producer.close()
    assert [each.value for each in read(transport, [partition])] == [b"before", b"after"]


def test_an_append_to_a_topic_that_does_not_exist_breaks_its_session(transport: Transport) -> None:
    (partition,) = create(transport, "t")
    producer = transport.producer()
    assert _failure(producer, "absent") is Outcome.NO
    with pytest.raises(AppendFailed):
        producer.append("t", b"never", partition=0)
    with pytest.raises(AppendFailed):
        producer.flush(CALL_SEC)
    with pytest.raises(AppendFailed):
        producer.poll()
    producer.close()
    write(transport, partition, [b"another session"])
    assert [each.value for each in read(transport, [partition])] == [b"another session"]


def _failure(producer: Producer, topic: str) -> Outcome:
    """A transport may know at once, or only when it is asked."""
    try:
        producer.append(topic, b"", partition=0)
        producer.flush(CALL_SEC)
    except AppendFailed as failed:
        return failed.outcome
    return Outcome.YES
