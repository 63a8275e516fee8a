"""A broker that is killed, hangs and comes back: what each object of the transport says meanwhile, and after."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping

import pytest

from deploy.kafka.broker import LocalKafka
from processor.core.topics import Keep, Topic
from processor.transport.abstract import (
    Appended,
    Appender,
    AppendFailed,
    Committed,
    Consumer,
    Outcome,
    Producer,
    RebalanceListener,
    Record,
    TopicPartition,
    TransportError,
    TransportUnavailable,
)
from processor.transport.kafka import KafkaTransport, appender, settings

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

WHERE = TopicPartition("t", 0)
CALL_SEC = 10.0
#: The longest wait for a broker to come back and for a client to notice.
PATIENCE_SEC = 40.0


class Listener(RebalanceListener):
    def __init__(self) -> None:
        self.calls: list[str] = []

    def on_assign(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        self.calls.append("assign")
        return {}

    def on_revoke(self, partitions: Collection[TopicPartition]) -> None:
        self.calls.append("revoke")

    def on_lost(self, partitions: Collection[TopicPartition]) -> None:
        self.calls.append("lost")


@pytest.fixture
def _short_appends(monkeypatch: pytest.MonkeyPatch) -> None:
    """An append is given up after 3 s instead of 10: how long it takes is a setting, what happens then is not."""
    short = [
        each._replace(value=3_000 if each.name == "message.timeout.ms" else 1_500)
        if each.name in ("message.timeout.ms", "request.timeout.ms")
        else each
        for each in settings.TABLE
    ]
    monkeypatch.setattr(settings, "TABLE", tuple(short))
    monkeypatch.setattr(appender, "_APPEND_SEC", 3.0)


@pytest.fixture
def transport(kafka: LocalKafka, topic_prefix: str) -> Iterator[KafkaTransport]:
    with KafkaTransport(bootstrap_servers=kafka.bootstrap_servers, topic_prefix=topic_prefix) as opened:
        topic = Topic(name="t", key="-", partitions=1, keep=Keep.UNTIL_CONSUMED)
        assert opened.admin().create_topics([topic], PATIENCE_SEC) == ["t"]
        yield opened


def append(producer: Producer, value: bytes) -> None:
    producer.append("t", value, partition=0)
    producer.flush(CALL_SEC)


def until_delivered(transport: KafkaTransport, value: bytes) -> None:
    deadline = time.monotonic() + PATIENCE_SEC
    while True:
        producer = transport.producer()
        try:
            return append(producer, value)
        except AppendFailed:
            assert time.monotonic() < deadline, "no new session works"
        finally:
            producer.close()


def poll_for(producer: Producer, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        producer.poll()
        time.sleep(0.01)  # nothing can be awaited: poll is how one hears of it


def poll_until(consumer: Consumer, enough: Callable[[list[Record]], bool]) -> list[Record]:
    records: list[Record] = []
    deadline = time.monotonic() + PATIENCE_SEC
    while not enough(records):
        assert time.monotonic() < deadline, f"only {records} came"
        records += consumer.poll(100, 0.1)
    return records


def test_a_killed_broker_breaks_the_session_and_a_new_one_works_after_its_restart(
    kafka: LocalKafka, transport: KafkaTransport
) -> None:
    producer = transport.producer()
    append(producer, b"before")
    kafka.node(1).kill()
    producer.append("t", b"lost", partition=0)
    with pytest.raises(AppendFailed) as failure:
        producer.flush(1.0)
    assert failure.value.outcome is Outcome.UNKNOWN
    kafka.node(1).restart()
    for use in (producer.poll, lambda: producer.append("t", b"later"), lambda: producer.flush(CALL_SEC)):
        with pytest.raises(AppendFailed):
            use()
    producer.close()
    until_delivered(transport, b"after")


@pytest.mark.usefixtures("_short_appends")
def test_a_session_breaks_by_itself_when_nobody_flushes(kafka: LocalKafka, transport: KafkaTransport) -> None:
    producer = transport.producer()
    append(producer, b"before")
    kafka.node(1).pause()
    try:
        producer.append("t", b"hangs", partition=0)
        with pytest.raises(AppendFailed) as failure:
            poll_for(producer, PATIENCE_SEC)
        assert failure.value.outcome is Outcome.UNKNOWN
        began = time.monotonic()
        producer.close()
        assert time.monotonic() - began < PATIENCE_SEC
    finally:
        kafka.node(1).resume()


def test_a_consumer_goes_on_by_itself_after_the_broker_was_killed(kafka: LocalKafka, transport: KafkaTransport) -> None:
    consumer = transport.consumer("g", Listener())
    consumer.subscribe(["t"])
    until_delivered(transport, b"before")
    assert [each.value for each in poll_until(consumer, bool)] == [b"before"]
    assert consumer.commit({WHERE: Committed(1, "mine")}, CALL_SEC) == {WHERE: Outcome.YES}
    kafka.node(1).kill()
    assert consumer.poll(10, 0.5) == []
    with pytest.raises(TransportUnavailable):
        consumer.committed([WHERE], 0.5)
    kafka.node(1).restart()
    until_delivered(transport, b"after")
    assert poll_until(consumer, bool)[0].value == b"after"
    assert consumer.committed([WHERE], CALL_SEC) == {WHERE: Committed(1, "mine")}
    consumer.close()


def test_a_commit_to_a_hanging_coordinator_is_given_up_as_unknown(kafka: LocalKafka, transport: KafkaTransport) -> None:
    listener = Listener()
    consumer = transport.consumer("g", listener)
    consumer.subscribe(["t"])
    until_delivered(transport, b"x")
    poll_until(consumer, bool)
    kafka.node(1).pause()
    try:
        assert consumer.commit({WHERE: Committed(1, "")}, 0.5) == {WHERE: Outcome.UNKNOWN}
        assert consumer.commit({WHERE: Committed(2, "")}, 0.5) == {WHERE: Outcome.NO}, "it was never sent"
        consumer.leave()
        assert listener.calls == ["assign", "lost"]
        assert consumer.assignment() == frozenset()
        with pytest.raises(TransportError):
            consumer.poll(1, 0)
        consumer.close()
    finally:
        kafka.node(1).resume()


def test_another_groups_offsets_are_asked_of_a_hanging_coordinator_in_vain_and_then_again(
    kafka: LocalKafka, transport: KafkaTransport
) -> None:
    consumer = transport.consumer("g", Listener())
    assert consumer.commit({WHERE: Committed(1, "mine")}, CALL_SEC) == {WHERE: Outcome.YES}
    consumer.close()
    admin = transport.admin()
    assert admin.committed("g", [WHERE], CALL_SEC) == {WHERE: Committed(1, "mine")}
    kafka.node(1).pause()
    try:
        for _ in range(3):
            with pytest.raises(TransportUnavailable):
                admin.committed("g", [WHERE], 0.5)
        another = KafkaTransport(bootstrap_servers=kafka.bootstrap_servers)
        with another, pytest.raises(TransportUnavailable):
            another.admin().committed("g", [WHERE], 2.0)
    finally:
        kafka.node(1).resume()
    assert admin.committed("g", [WHERE], PATIENCE_SEC) == {WHERE: Committed(1, "mine")}


def test_an_offset_that_is_gone_is_an_error_and_not_a_restart(transport: KafkaTransport) -> None:
    producer = transport.producer()
    for _ in range(5):
        append(producer, b"x")
    producer.close()
    consumer = transport.consumer("g", Listener())
    assert consumer.commit({WHERE: Committed(1, "")}, CALL_SEC) == {WHERE: Outcome.YES}
    transport.admin().delete_records({WHERE: 3}, CALL_SEC)
    consumer.subscribe(["t"])
    with pytest.raises(TransportError, match="cannot go on"):
        poll_until(consumer, bool)
    consumer.close()


@pytest.mark.usefixtures("_short_appends")
def test_a_killed_broker_makes_awaited_appends_unknown_and_later_ones_work(
    kafka: LocalKafka, transport: KafkaTransport
) -> None:
    async def scenario() -> tuple[Appended, Appended]:
        appender = transport.appender()
        await appender.start()
        try:
            assert (await appender.append("t", b"before")).outcome is Outcome.YES
            kafka.node(1).kill()
            meanwhile = await appender.append("t", b"lost")
            await asyncio.to_thread(kafka.node(1).restart)
            return meanwhile, await _until_appended(appender)
        finally:
            await appender.stop()

    meanwhile, after = asyncio.run(scenario())
    assert meanwhile.outcome is not Outcome.YES
    assert (after.outcome, after.partition) == (Outcome.YES, 0)
    assert after.offset >= 1


async def _until_appended(appender: Appender) -> Appended:
    deadline = time.monotonic() + PATIENCE_SEC
    while (last := await appender.append("t", b"after")).outcome is not Outcome.YES:
        assert time.monotonic() < deadline, last.reason
    return last


def test_an_appender_without_a_broker_does_not_start(transport: KafkaTransport) -> None:
    async def scenario() -> None:
        with KafkaTransport(bootstrap_servers="127.0.0.1:1") as nowhere:
            with pytest.raises(TransportUnavailable):
                await nowhere.appender().start()
            with pytest.raises(TransportUnavailable):
                await nowhere.tail().start(["t"], from_low=True)

    asyncio.run(scenario())


def test_nothing_hangs_without_a_broker() -> None:
    with KafkaTransport(bootstrap_servers="127.0.0.1:1", group_protocol="classic") as nowhere:
        with pytest.raises(TransportUnavailable):
            nowhere.admin().topics(0.2)
        with pytest.raises(TransportUnavailable):
            nowhere.admin().create_topics([Topic(name="t", key="-", partitions=1, keep=Keep.DELETE)], 0.2)
        reader = nowhere.reader()
        with pytest.raises(TransportUnavailable):
            reader.partitions("t", 0.2)
        with pytest.raises(TransportUnavailable):
            reader.bounds([WHERE], 0.2)
        reader.close()
        consumer = nowhere.consumer("g", Listener())
        consumer.subscribe(["t"])
        assert consumer.poll(1, 0.1) == []
        assert consumer.commit({WHERE: Committed(1, "")}, 0.2) == {WHERE: Outcome.UNKNOWN}
        consumer.close()
        producer = nowhere.producer()
        producer.append("t", b"x")
        producer.close()
