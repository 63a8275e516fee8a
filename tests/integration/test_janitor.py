from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from processor.core.topics import INTAKE, TOPICS, queue_topic
from processor.dispatcher import janitor
from processor.transport.abstract import Committed, Consumer, Outcome, RebalanceListener, TopicPartition, Transport
from processor.transport.embedded import EmbeddedTransport
from processor.transport.kafka import KafkaTransport

QUEUE = queue_topic("queue.work.1", 1)
PLACE = TopicPartition(QUEUE.name, 0)


class Member(RebalanceListener):
    def on_assign(self, partitions: object) -> dict[TopicPartition, int]:
        return {}

    def on_revoke(self, partitions: object) -> None: ...

    def on_lost(self, partitions: object) -> None: ...


@pytest.fixture(params=["embedded", "kafka"])
def transport(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Transport]:
    if request.param == "embedded":
        made: Transport = EmbeddedTransport(tmp_path / "log")
    else:
        made = KafkaTransport(
            bootstrap_servers=request.getfixturevalue("kafka_bootstrap"),
            topic_prefix=request.getfixturevalue("topic_prefix"),
        )
    with made:
        made.admin().create_topics([*TOPICS, QUEUE], 30)
        yield made


def _fill(transport: Transport, topic: str, count: int) -> None:
    producer = transport.producer(linger_ms=5)
    for number in range(count):
        producer.append(topic, b"%d" % number, partition=0)
    producer.flush(30)
    producer.close()


def _commit(consumer: Consumer, place: TopicPartition, offset: int) -> None:
    consumer.subscribe([place.topic])
    while place not in consumer.assignment():
        consumer.poll(1, 0.1)
    assert consumer.commit({place: Committed(offset, "")}, 10) == {place: Outcome.YES}


def _low(transport: Transport, place: TopicPartition) -> int:
    reader = transport.reader()
    try:
        return reader.bounds([place], 10)[place].low
    finally:
        reader.close()


def test_what_is_consumed_and_outside_the_window_is_deleted_and_nothing_else(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(janitor, "KEPT_QUEUE_RECORDS", 20)
    monkeypatch.setattr(janitor, "KEPT_INTAKE_RECORDS", 5)
    intake = TopicPartition(INTAKE.name, 0)
    _fill(transport, QUEUE.name, 100)
    _fill(transport, INTAKE.name, 100)
    members = [transport.consumer(group, Member()) for group in ("executor", "dispatcher")]
    _commit(members[0], PLACE, 60)
    _commit(members[1], intake, 90)
    assert janitor.sweep(transport) == {PLACE: 40, intake: 85}
    assert (_low(transport, PLACE), _low(transport, intake)) == (40, 85)
    for each in members:
        each.close()


def test_a_queue_that_nobody_has_committed_is_left_alone(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(janitor, "KEPT_QUEUE_RECORDS", 0)
    _fill(transport, QUEUE.name, 10)
    assert janitor.sweep(transport) == {}
    assert _low(transport, PLACE) == 0
