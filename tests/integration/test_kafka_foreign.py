"""What other programs may have written: transactions, whose marks are offsets without a record."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from processor.core.clock import SystemClock
from processor.core.topics import Keep, Topic
from processor.transport.abstract import Bounds, Record, TopicPartition
from processor.transport.kafka import KafkaTransport
from processor.transport.replay import read_to_end

CALL_SEC = 10.0
WHERE = TopicPartition("t", 0)


@pytest.fixture
def transport(kafka_bootstrap: str, topic_prefix: str) -> Iterator[KafkaTransport]:
    with KafkaTransport(bootstrap_servers=kafka_bootstrap, topic_prefix=topic_prefix) as opened:
        topic = Topic(name="t", key="-", partitions=1, keep=Keep.UNTIL_CONSUMED)
        opened.admin().create_topics([topic], CALL_SEC)
        foreign = Producer({"bootstrap.servers": kafka_bootstrap, "transactional.id": topic_prefix})
        foreign.init_transactions(CALL_SEC)
        foreign.begin_transaction()
        foreign.produce(topic_prefix + "t", b"committed")
        foreign.commit_transaction(CALL_SEC)
        foreign.begin_transaction()
        foreign.produce(topic_prefix + "t", b"aborted")
        foreign.flush(CALL_SEC)
        foreign.abort_transaction(CALL_SEC)
        yield opened


def test_a_reader_reaches_an_end_without_a_record_and_sees_nothing_aborted(transport: KafkaTransport) -> None:
    reader = transport.reader()
    assert reader.bounds([WHERE], CALL_SEC) == {WHERE: Bounds(0, 4)}
    records = list(read_to_end(reader, [WHERE], SystemClock(), timeout_sec=CALL_SEC))
    assert [each.value for each in records] == [b"committed"]
    assert reader.positions() == {WHERE: 4}
    reader.close()


def test_a_tail_reaches_an_end_without_a_record_and_sees_nothing_aborted(transport: KafkaTransport) -> None:
    async def scenario() -> list[Record]:
        tail = transport.tail()
        await tail.start(["t"], from_low=True)
        records = []
        async with asyncio.timeout(CALL_SEC):
            while not await tail.at_end():
                records += await tail.poll(10, 0.1)
        await tail.stop()
        return records

    assert [each.value for each in asyncio.run(scenario())] == [b"committed"]


def test_both_clients_put_a_key_into_the_same_partition(transport: KafkaTransport) -> None:
    transport.admin().create_topics([Topic(name="keyed", key="-", partitions=7, keep=Keep.UNTIL_CONSUMED)], CALL_SEC)
    keys = [b"%d" % number for number in range(50)]

    async def appended() -> dict[bytes, int]:
        appender = transport.appender()
        await appender.start()
        found = {key: (await appender.append("keyed", b"x", key=key)).partition for key in keys}
        await appender.stop()
        return found

    producer = transport.producer()
    for key in keys:
        producer.append("keyed", b"x", key=key)
    producer.flush(CALL_SEC)
    producer.close()
    reader = transport.reader()
    partitions = reader.partitions("keyed", CALL_SEC)
    records = list(read_to_end(reader, partitions, SystemClock(), timeout_sec=CALL_SEC))
    reader.close()
    assert {each.key: each.partition for each in records} == asyncio.run(appended())
    assert len({each.partition for each in records}) > 1
