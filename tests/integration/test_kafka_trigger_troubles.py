"""A source that cannot be read is a state with a remedy, and is read again by itself once it can be."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from confluent_kafka import Consumer, TopicPartition

from processor.core.errors import HeadraceError
from tests.integration.kafka_source_rig import Rig, Source, run, until_state
from triggers.abstract import Binding, TriggerState
from triggers.kafka import KafkaTriggers
from triggers.kafka.errors import KafkaClientMissing, NoBrokerNamed
from triggers.kafka.note import Note


@pytest.fixture
def source(kafka_bootstrap: str, topic_prefix: str) -> Source:
    return Source(kafka_bootstrap, f"{topic_prefix}orders")


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triggers.kafka.session.LOOK_SEC", 0.2)
    monkeypatch.setattr("triggers.kafka.adapter.RETRY_SEC", 0.1)


@asynccontextmanager
async def forwarder(port: int, to: str) -> AsyncIterator[None]:
    """Lets a broker be found at another port: only the first connection goes this way."""
    host, _, broker_port = to.rpartition(":")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        broker_reader, broker_writer = await asyncio.open_connection(host, int(broker_port))
        await asyncio.wait(
            [asyncio.ensure_future(_copy(reader, broker_writer)), asyncio.ensure_future(_copy(broker_reader, writer))]
        )

    async with await asyncio.start_server(serve, "127.0.0.1", port):
        yield


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def free_port() -> int:
    async with await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0) as server:
        return int(server.sockets[0].getsockname()[1])


def test_a_wrong_address_says_so_and_goes_on_once_a_broker_answers_there(source: Source) -> None:
    async def main() -> None:
        source.create().send(b"1")
        port = await free_port()
        rig = Rig(source, bootstrap_servers=f"127.0.0.1:{port}")
        async with rig.running() as trigger:
            await until_state(rig, trigger, TriggerState.WAITING)
            assert f"no broker answers at 127.0.0.1:{port}" in trigger.health.reason
            assert "correct bootstrap_servers" in trigger.health.remedy
            async with forwarder(port, source.servers):
                await rig.until_events(1)
                await until_state(rig, trigger, TriggerState.WATCHING)
        assert rig.data == [1]

    run(main)


def test_an_unknown_topic_says_so_is_not_created_and_is_read_from_its_first_record(source: Source) -> None:
    async def main() -> None:
        rig = Rig(source, start="latest")
        async with rig.running() as trigger:
            await until_state(rig, trigger, TriggerState.WAITING)
            assert f"the topic {source.topic!r} does not exist" in trigger.health.reason
            assert "Create it" in trigger.health.remedy
            assert source.topic not in source.admin.list_topics(timeout=10).topics
            source.create().send(b"1")
            await rig.until_events(1)

    run(main)


def test_a_topic_that_is_made_and_filled_while_no_process_looks_is_read_from_its_first_record(source: Source) -> None:
    async def main() -> None:
        rig = Rig(source, start="latest")
        async with rig.running() as trigger:
            await until_state(rig, trigger, TriggerState.WAITING)
            await rig.until(lambda: bool(rig.missing.noted))
        source.create(2).send(b"1", partition=0)
        source.send(b"2", partition=1)
        async with rig.running() as one, rig.running() as other:
            await until_state(rig, one, TriggerState.WATCHING)
            await until_state(rig, other, TriggerState.WATCHING)
            await rig.until_events(2)
            await rig.until(lambda: not rig.missing.noted)
        assert sorted(rig.data) == [1, 2]

    run(main)


def test_the_group_remembers_that_its_topic_was_waited_for(source: Source) -> None:
    """Partition 1 is begun by a process that has heard of nothing, after partition 0 alone was committed."""

    async def main() -> None:
        source.create(2).send(b"1", partition=0)
        source.send(b"2", partition=1)
        rig = Rig(source, start="latest")
        consumer = Consumer({"bootstrap.servers": source.servers, "group.id": rig.group, "log_level": 0})
        # This client ends metadata with a NUL, so something that does not matter comes last.
        note = f"{Note(partitions=0).text()};from=test"
        consumer.commit(offsets=[TopicPartition(source.topic, 0, 0, metadata=note)], asynchronous=False)
        consumer.close()
        async with rig.running():
            await rig.until_events(2)
        assert sorted(rig.data) == [1, 2]

    run(main)


def test_a_topic_deleted_under_us_says_so_and_its_successor_is_another_topic(source: Source) -> None:
    async def main() -> None:
        source.create().send(b"1")
        rig = Rig(source, start="latest", group=f"{source.topic}.own")
        async with rig.running() as trigger:
            await until_state(rig, trigger, TriggerState.WATCHING)
            source.send(b"2")
            await rig.until_events(1)
            source.delete()
            await until_state(rig, trigger, TriggerState.WAITING)
            assert "does not exist" in trigger.health.reason
            source.create().send(b"3", b"4")
            await rig.until_events(3)
        assert rig.data == [2, 3, 4]
        assert len({each.id for each in rig.log.events}) == 3

    run(main)


def test_without_a_broker_or_without_the_client_the_trigger_cannot_be_made(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(source)
    triggers = KafkaTriggers(intake=rig.intake, clock=rig.clock)
    binding = Binding(function="f", creation=1, kind="kafka", settings={"topic": "t"})
    with pytest.raises(NoBrokerNamed) as none:
        triggers.make(binding)
    assert "bootstrap_servers" in none.value.remedy
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(KafkaClientMissing) as missing:
        triggers.make(binding)
    assert "headrace[kafka]" in missing.value.remedy


def test_a_function_that_is_gone_makes_it_wait(source: Source) -> None:
    async def main() -> None:
        source.create().send(b"1")
        rig = Rig(source)
        known, rig.function = rig.function, None
        async with rig.running() as trigger:
            await until_state(rig, trigger, TriggerState.WAITING)
            assert "no function is named" in trigger.health.reason
            rig.function = known
            await rig.until_events(1)

    run(main)


def test_every_named_state_has_a_remedy() -> None:
    from triggers.kafka import errors

    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, HeadraceError)]
    samples = [
        each(*["x"] * (each.__init__.__code__.co_argcount - 1)) if "__init__" in vars(each) else each()
        for each in classes
        if each is not HeadraceError
    ]
    assert len(samples) == 9
    assert all(each.remedy and str(each) for each in samples)
