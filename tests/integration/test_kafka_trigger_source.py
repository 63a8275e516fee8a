"""The Kafka adapter on a real broker: what becomes of records, and what is committed when."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import orjson
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.cimpl import NewPartitions

from processor.core.event import Event
from tests.integration.kafka_source_rig import LIMIT_SEC, Rig, Source, run, until_state
from triggers.abstract import TriggerState
from triggers.kafka.abstract import BadRecord, SourceRecord
from triggers.kafka.session import Session


@pytest.fixture
def source(kafka_bootstrap: str, topic_prefix: str) -> Source:
    return Source(kafka_bootstrap, f"{topic_prefix}orders")


def committed(rig: Rig, partition: int = 0) -> int:
    """By the broker's own answer; -1001: never."""
    group = rig.group
    client = Consumer({"bootstrap.servers": rig.source.servers, "group.id": group})
    try:
        (found,) = client.committed([TopicPartition(rig.source.topic, partition)], timeout=LIMIT_SEC)
        return int(found.offset)
    finally:
        client.close()


def counted(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """How often a session has let go of its partitions."""
    calls: list[None] = []
    settle = Session._settle

    async def counting(self: Session) -> None:
        calls.append(None)
        await settle(self)

    monkeypatch.setattr(Session, "_settle", counting)
    return calls


async def crash(self: Session) -> None:
    """In the place of _settle: nothing is finished and nothing committed, as after a SIGKILL."""
    self._forget()


def numbered(first: int, end: int) -> list[bytes]:
    return [orjson.dumps({"n": n}) for n in range(first, end)]


def ids(events: Sequence[Event]) -> list[str]:
    return [each.id for each in events]


def test_each_record_becomes_one_event_with_its_key_and_headers(source: Source) -> None:
    async def main() -> None:
        source.create(2)
        headers = [("a", b"1"), ("a", b"\xfe")]
        source.send(b'{"n": 1}', b"plain text", b"\xff\x00", None, key=b"k\xff", headers=headers)
        rig = Rig(source)
        async with rig.running():
            found = await rig.until_events(4)
        assert [each.data for each in found] == [b'{"n": 1}', b"plain text", b"\xff\x00", None]
        types = ["application/json", "text/plain", "application/octet-stream", None]
        assert [each.datacontenttype for each in found] == types
        first = found[0]
        assert (first.subject, first.type) == (f"{source.topic}/0/0", "kafka.record")
        assert first.source.startswith("kafka:")
        assert first.source.endswith(f"/{source.topic}")
        assert first.extensions["kafkakeybase64"] == "a/8="
        pairs = [{"name": "a", "value": "1"}, {"name": "a", "value_base64": "/g=="}]
        assert orjson.loads(first.extensions["kafkaheaders"]) == pairs

    run(main)


def test_a_restart_goes_on_where_the_last_one_ended(source: Source) -> None:
    async def main() -> None:
        source.create(2).send(*numbered(0, 300))
        rig = Rig(source)
        async with rig.running():
            await rig.until_events(300)
        source.send(*numbered(300, 310))
        async with rig.running():
            await rig.until_events(310)
        assert [each["n"] for each in rig.data] == list(range(310))

    run(main)


def test_nothing_is_committed_that_is_not_durable_and_a_repeat_has_the_same_identity(source: Source) -> None:
    async def main() -> None:
        source.create().send(*numbered(0, 50))
        rig = Rig(source)
        rig.log.broken = True
        async with rig.running() as trigger:
            await rig.until(lambda: "hiccups" in trigger.health.reason)
            assert await asyncio.to_thread(committed, rig) == 0
            rig.log.unknown = True
            await rig.until_events(50)
            rig.log.broken = rig.log.unknown = False
            await rig.until(lambda: trigger.health.accepted == 50)
        assert await asyncio.to_thread(committed, rig) == 50
        assert len(rig.log.events) > 50
        assert len(set(ids(rig.log.events))) == 50
        assert trigger.health.state is TriggerState.STOPPED

    run(main)


def test_what_cannot_be_an_event_is_rejected_with_its_bytes_and_the_partition_goes_on(source: Source) -> None:
    async def main() -> None:
        source.create(1, **{"max.message.bytes": "3000000"})
        source.send(b'{"n": 0}', b"{broken", b'"' + b"x" * 1_200_000 + b'"', key=b"k", headers=[("h", b"v")])
        source.send(b'{"n": 3}')
        rig = Rig(source, value="json")
        async with rig.running() as trigger:
            await rig.until_events(2)
            await rig.until(lambda: len(rig.log.rejections) == 2)
        assert [each["n"] for each in rig.data] == [0, 3]
        broken, large = rig.log.rejections
        assert (broken.raw, broken.origin, broken.function) == (b"{broken", f"{source.topic}/0/1", "f")
        assert "is none" in broken.reason
        assert list(broken.headers) == [("kafka-key", b"k"), ("h", b"v")]
        assert "1,200,002 bytes; the limit is 1,000,000" in large.reason
        assert trigger.health.rejected == 2
        assert await asyncio.to_thread(committed, rig) == 4

    run(main)


def test_an_event_that_is_too_large_with_its_headers_is_rejected_too(source: Source) -> None:
    async def main() -> None:
        source.create(1, **{"max.message.bytes": "3000000"})
        source.send(b"x" * 900_000, headers=[("h", b"\xff" * 500_000)])
        source.send(b'{"n": 1}')
        rig = Rig(source)
        async with rig.running():
            await rig.until(lambda: len(rig.log.rejections) == 1)
            await rig.until_events(1)
        assert rig.log.rejections[0].raw == b"x" * 900_000
        assert list(rig.log.rejections[0].headers) == [("headers-cut", b"true")]

    run(main)


def test_a_slow_function_keeps_its_partitions_because_polling_goes_on(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triggers.kafka.session.PAUSE_AFTER_SEC", 0.1)
    monkeypatch.setattr("triggers.kafka.client.POLL_LIMIT_MS", 500)

    async def main() -> None:
        source.create(4)
        rig = Rig(source, rate_per_sec=20)
        async with rig.running() as trigger:  # a partition without an offset makes the client forget its own time limit
            await until_state(rig, trigger, TriggerState.WATCHING)
        for partition in range(4):
            source.send(*numbered(0, 20), partition=partition)
        settled = counted(monkeypatch)
        async with rig.running() as trigger:
            await rig.until_events(70)  # the first 20 at once, 2.5 s for these
            rig.function_rate(100_000)
            await rig.until_events(80)
            await rig.until(lambda: trigger.health.lag == 0)
            assert len(settled) == 1  # before the first assignment; who is thrown out has to let go once more
        assert len(rig.log.events) == 80

    run(main)


def test_latest_is_where_it_began_also_for_what_comes_while_it_is_down(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triggers.kafka.client.METADATA_MS", 500)

    async def main() -> None:
        source.create(2).send(b'"old"', b'"older"')
        rig = Rig(source, start="latest")
        with monkeypatch.context() as patch:
            patch.setattr(Session, "_settle", crash)
            async with rig.running() as trigger:
                await until_state(rig, trigger, TriggerState.WATCHING)
        source.send(b'"while down"')
        async with rig.running():
            await rig.until_events(1)
            await asyncio.to_thread(
                lambda: source.admin.create_partitions([NewPartitions(source.topic, 3)])[source.topic].result(LIMIT_SEC)
            )
            source.send(b'"in a new partition, before anybody has seen it"', partition=2)
            await rig.until_events(2)
        assert rig.data == ["while down", "in a new partition, before anybody has seen it"]

    run(main)


def test_a_time_to_start_at(source: Source) -> None:
    async def main() -> None:
        source.create().send(b"1", b"2", timestamp=1_700_000_000_000)
        source.send(b"3", b"4", timestamp=1_700_000_001_000)
        rig = Rig(source, start="2023-11-14T22:13:20.500Z")
        async with rig.running():
            await rig.until_events(2)
        assert rig.data == [3, 4]

    run(main)


def test_records_that_retention_deleted_before_they_were_read_do_not_stop_the_partition(source: Source) -> None:
    async def main() -> None:
        source.create().send(*numbered(0, 10))
        rig = Rig(source)
        async with rig.running():
            await rig.until_events(10)
        source.send(*numbered(10, 20))
        low = source.admin.delete_records([TopicPartition(source.topic, 0, 15)])
        await asyncio.to_thread(next(iter(low.values())).result, LIMIT_SEC)
        async with rig.running():
            await rig.until_events(15)
        assert [each["n"] for each in rig.data] == [*range(10), *range(15, 20)]

    run(main)


def test_two_replicas_share_the_partitions_and_lose_nothing(source: Source) -> None:
    async def main() -> None:
        source.create(4)
        rig = Rig(source, rate_per_sec=100)
        async with rig.running():
            for partition in range(4):
                source.send(*numbered(partition * 1_000, partition * 1_000 + 400), partition=partition)
            await rig.until_events(110)
            async with rig.running() as other:
                await rig.until(lambda: other.health.accepted > 0)
                rig.function_rate(100_000)
                await rig.until(lambda: len(set(ids(rig.log.events))) == 1_600)
        assert len({each["n"] for each in rig.data}) == 1_600

    run(main)


def test_notifications_in_a_topic_are_read_by_the_function_they_are_given_to(source: Source) -> None:
    def normalise(record: SourceRecord) -> Sequence[Event] | BadRecord:
        if record.value == b"bad":
            return BadRecord(reason="it is bad", raw=b"without its secret")
        if record.value == b"mistake":
            raise KeyError("ours")
        names = (record.value or b"").decode().split()
        return [Event(id=f"{record.position_id}-{name}", source=record.source_uri, type="t") for name in names]

    async def main() -> None:
        source.create().send(b"a b", b"", b"bad", b"mistake", b"c")
        rig = Rig(source, kind="storage", notifications=lambda _: normalise, bucket="b")
        async with rig.running():
            await rig.until_events(3)
            await rig.until(lambda: len(rig.log.rejections) == 2)
        assert [each.id[-1] for each in rig.log.events] == ["a", "b", "c"]
        bad, mistake = rig.log.rejections
        assert (bad.raw, bad.reason) == (b"without its secret", "it is bad")
        assert (mistake.raw, "KeyError" in mistake.reason) == (b"mistake", True)
        assert await asyncio.to_thread(committed, rig) == 5

    run(main)


def test_stopping_drops_what_the_rate_holds_up_and_commits_the_rest(source: Source) -> None:
    async def main() -> None:
        source.create().send(*numbered(0, 5))
        rig = Rig(source, rate_per_sec=1 / 3600)
        async with rig.running():
            await rig.until_events(1)
        assert await asyncio.to_thread(committed, rig) == 1

    run(main)
