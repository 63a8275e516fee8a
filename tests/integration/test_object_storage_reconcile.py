"""Objects whose notification got lost: the bucket is real, the history is real, the log behind both is embedded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from processor.cli import known_objects
from processor.cli.known_objects import KnownFromHistory
from processor.core.clock import SystemClock
from processor.core.codec import decode_structured
from processor.core.event import Event
from processor.core.topics import INTAKE
from processor.dispatcher.accept import Acceptor
from processor.ops.object_stores import KEYS, LOOPBACK, ministack
from processor.ops.object_stores import running as serving
from processor.recorder.service import RecorderService
from processor.recorder.sqlite import SqliteHistoryStore
from processor.transport.abstract import TopicPartition
from processor.transport.embedded import EmbeddedTransport
from processor.transport.replay import read_to_end
from tests.integration.pipeline import CALL_SEC, pipeline
from tests.integration.storage_rig import Source, run, running, until
from tests.object_stores import FIRST_TEST_LIMIT_SEC, versitygw_or_skip
from triggers.abstract import Binding, Health, NotFirable, Trigger, TriggerState
from triggers.intake import Intake
from triggers.object_storage import HistoryBehind, StorageTrigger, StorageTriggers
from triggers.object_storage.aws import Gone
from triggers.object_storage.desk import Desk

NOW = {"min_age": 0.0, "max_age": 86_400.0}


class Channel(Trigger):
    """Stands for SQS or Kafka: it brings what the test gives it."""

    async def run(self) -> None:
        await asyncio.Event().wait()

    @property
    def health(self) -> Health:
        return Health(state=TriggerState.WATCHING)


class Site:
    """All that reconciling needs of an installation."""

    def __init__(self, folder: Path, source: Source, stack: ExitStack) -> None:
        self.source = source
        self.transport = stack.enter_context(EmbeddedTransport(folder / "log"))
        self.pipeline = stack.enter_context(pipeline(self.transport, folder))
        self.pipeline.deploy("f", "workloads:noop")
        self.store = SqliteHistoryStore(folder / "history.db")
        stack.callback(self.store.close)
        self.recorder = RecorderService(transport=self.transport, store=self.store, clock=SystemClock())
        self._stack = stack
        self.appender = self.transport.appender()
        acceptor = Acceptor(functions=self.pipeline.registry.view.get, appender=self.appender, clock=SystemClock())
        self.intake = Intake(acceptor, self.appender)

    def start(self) -> None:
        self.pipeline.dispatcher()
        self.recorder.start()
        self._stack.callback(self._end_recorder)
        self.recorder.reading.wait(CALL_SEC)

    def _end_recorder(self) -> None:
        self.recorder.kill()
        assert self.recorder.join(CALL_SEC)

    def binding(self, **more: Any) -> Binding:
        keys = {"access_key_env": "AWS_ACCESS_KEY_ID", "secret_key_env": "AWS_SECRET_ACCESS_KEY"}
        reconcile = {"endpoint_url": self.source.url, **keys, **NOW, **more.pop("reconcile", {})}
        settings = {"bucket": self.source.bucket, "source": {"test": {}}, "reconcile": reconcile, **more}
        return Binding(function="f", creation=1, kind="storage", settings=settings)

    def trigger(self, **more: Any) -> StorageTrigger:
        shared = StorageTriggers(
            intake=self.intake,
            clock=SystemClock(),
            channels={"test": lambda binding: Channel()},
            known=KnownFromHistory(store=self.store, transport=self.transport, clock=SystemClock()),
            environment=KEYS,
        )
        trigger = shared.make(self.binding(**more))
        assert isinstance(trigger, StorageTrigger)
        return trigger

    async def announce(self, **more: Any) -> None:
        """What the queue holds reaches the trigger."""
        desk = Desk(self.intake, self.binding(key_encoding="none", **more))
        for body in await asyncio.to_thread(self.source.take):
            await desk.deliver(body.encode(), origin="test", carrier=body)

    def accepted(self) -> list[Event]:
        reader = self.transport.reader()
        try:
            partitions = [TopicPartition(INTAKE.name, number) for number in range(INTAKE.partitions)]
            records = read_to_end(reader, partitions, SystemClock(), timeout_sec=CALL_SEC)
            events = [decode_structured(each.value or b"") for each in records]
        finally:
            reader.close()
        return [each for each in events if isinstance(each, Event)]


@asynccontextmanager
async def site_on(tmp_path: Path, source: Source, *, start: bool = True) -> AsyncIterator[Site]:
    with ExitStack() as stack:
        site = await asyncio.to_thread(Site, tmp_path, source, stack)
        if start:
            await asyncio.to_thread(site.start)
        await site.appender.start()
        try:
            yield site
        finally:
            await site.appender.stop()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(ministack(tmp_path_factory.mktemp("ministack"))) as server:
        yield server.url


@pytest.fixture
def source(url: str) -> Iterator[Source]:
    with closing(Source(url)) as made:
        yield made.create()


def test_exactly_the_objects_without_a_run_get_one(tmp_path: Path, source: Source) -> None:
    async def main() -> None:
        async with site_on(tmp_path, source) as site:
            source.take()  # the test message
            source.put(*(f"told-{number}" for number in range(6)))
            await site.announce()
            source.put(*(f"lost-{number}" for number in range(5)))
            source.take()  # and nobody gets it
            receipts = await site.trigger().fire()
            assert len(receipts) == 5
            found = [each for each in site.accepted() if each.type == "objectstore.discovered"]
            assert sorted(each.subject or "" for each in found) == [f"lost-{number}" for number in range(5)]
            data = orjson.loads(found[0].data or b"")
            assert (data["size"], data["eventName"]) == (5, "ObjectDiscovered")
            assert await site.trigger().fire() == [], "now they have one"

    run(main)


def test_a_second_content_of_a_key_is_an_object_without_a_run(tmp_path: Path, source: Source) -> None:
    async def main() -> None:
        async with site_on(tmp_path, source) as site:
            source.put("k", body=b"first")
            assert len(await site.trigger().fire()) == 1
            source.put("k", body=b"second")
            assert len(await site.trigger().fire()) == 1
            assert await site.trigger().fire() == []

    run(main)


def test_two_replicas_that_reconcile_at_once_make_one_run_of_each(tmp_path: Path, source: Source) -> None:
    async def main() -> None:
        async with site_on(tmp_path, source) as site:
            source.put(*(f"k{number}" for number in range(5)))
            one, other = await asyncio.gather(site.trigger().fire(), site.trigger().fire())
            assert {each.request_id for each in one + other} == {each.request_id for each in one or other}

    run(main)


def test_only_what_the_trigger_wants_and_what_is_of_the_right_age(tmp_path: Path, source: Source) -> None:
    async def main() -> None:
        async with site_on(tmp_path, source) as site:
            source.put("in/a.png", "in/b.jpg", "out/c.png")
            assert await site.trigger(reconcile={"min_age": 3_600.0}).fire() == [], "may still be announced"
            assert await site.trigger(reconcile={"max_age": 0.0}).fire() == [], "the history may have forgotten it"
            assert len(await site.trigger(prefix="in/", suffix=".png").fire()) == 1
            with pytest.raises(NotFirable):
                await site.trigger(events=["ObjectRemoved:*"]).fire()

    run(main)


def test_more_objects_than_a_page_has(tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triggers.object_storage.listing.PAGE", 4)

    async def main() -> None:
        async with site_on(tmp_path, source) as site:
            source.put(*(f"k{number}" for number in range(11)))
            assert len(await site.trigger().fire()) == 11
            assert await site.trigger().fire() == []

    run(main)


def test_a_history_that_is_behind_is_no_ground_to_run_anything_again(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_objects, "CATCH_UP_SEC", 0.2)

    async def main() -> None:
        async with site_on(tmp_path, source, start=False) as site:
            source.put("k")
            await site.announce()
            with pytest.raises(HistoryBehind, match="dispatcher is 1 records behind"):
                await site.trigger().fire()
            assert len(site.accepted()) == 1
            await asyncio.to_thread(site.start)
            monkeypatch.setattr(known_objects, "CATCH_UP_SEC", 20.0)
            assert await site.trigger().fire() == []

    run(main)


def test_a_bucket_that_is_gone_is_told_and_the_channel_goes_on(tmp_path: Path, source: Source) -> None:
    async def main() -> None:
        async with site_on(tmp_path, source) as site:
            trigger = site.trigger(bucket="gone", reconcile={"every": 60.0})
            async with running(trigger):
                await until(lambda: trigger.health.reason)
                assert "NoSuchBucket" in trigger.health.reason
                assert trigger.health.remedy == Gone.remedy
                assert trigger.health.state is TriggerState.WATCHING
                source.s3.create_bucket(Bucket="gone")
                assert await trigger.fire() == []
                assert trigger.health.reason == ""

    run(main)


def test_it_is_done_by_itself_when_the_manifest_says_so(tmp_path: Path, source: Source) -> None:
    async def main() -> None:
        async with site_on(tmp_path, source) as site:
            source.put("a")
            trigger = site.trigger(reconcile={"every": 0.1})
            async with running(trigger):
                await until(lambda: trigger.health.accepted == 1)
                await asyncio.to_thread(source.put, "b")
                await until(lambda: trigger.health.accepted == 2)

    run(main)


@pytest.mark.timeout(FIRST_TEST_LIMIT_SEC)
def test_what_versitygw_lists_is_recognised_in_what_it_tells(
    tmp_path: Path, kafka_bootstrap: str, topic_prefix: str
) -> None:
    """The copy too, whose size it tells wrong."""
    from confluent_kafka import Consumer

    from tests.integration.kafka_source_rig import Source as Topic

    topic = Topic(kafka_bootstrap, f"{topic_prefix}s3").create()
    server = versitygw_or_skip(tmp_path / "store", brokers=kafka_bootstrap, topic=topic.topic)

    async def main(source: Source, told: list[bytes]) -> None:
        async with site_on(tmp_path, source) as site:
            desk = Desk(site.intake, site.binding())
            assert len(told) == 4, "its test event, and three objects"
            for body in told:
                await desk.deliver(body, origin="test", carrier=str(told.index(body)))
            assert await site.trigger().fire() == []
            await asyncio.to_thread(source.put, "lost")
            assert len(await site.trigger().fire()) == 1

    with serving(server), closing(Source(server.url)) as source:
        source.s3.create_bucket(Bucket=source.bucket)
        source.put("a+b c", "ü😀")
        source.s3.copy_object(Bucket=source.bucket, Key="copy", CopySource=f"{source.bucket}/ü😀")
        consumer = Consumer(
            {"bootstrap.servers": kafka_bootstrap, "group.id": topic.topic, "auto.offset.reset": "earliest"}
        )
        try:
            consumer.subscribe([topic.topic])
            told = [body for _ in range(4) if (found := consumer.poll(CALL_SEC)) and (body := found.value())]
        finally:
            consumer.close()
        asyncio.run(main(source, told))


def test_keys_are_listed_as_they_are_whatever_is_in_them(tmp_path: Path, source: Source) -> None:
    """ministack leaves what it tells of a key as it is; the listing is encoded, and boto3 decodes it."""
    keys = ["a+b c", "in/ü😀.png", "%20", "../../etc/passwd", "line\nfeed"]

    async def main() -> None:
        async with site_on(tmp_path, source) as site:
            source.put(*keys)
            assert len(await site.trigger().fire()) == len(keys)
            found = [orjson.loads(each.data or b"")["key"] for each in site.accepted()]
            assert sorted(found) == sorted(keys)
            assert LOOPBACK in source.url

    run(main)
