"""A real S3 server whose notifications come over a real broker: VersityGW -> Kafka -> events."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from processor.core.clock import SystemClock
from processor.ops.object_stores import client
from processor.ops.object_stores import running as serving
from tests.integration.kafka_source_rig import Rig, Source
from tests.integration.storage_rig import run, until
from tests.object_stores import FIRST_TEST_LIMIT_SEC, versitygw_or_skip
from triggers.abstract import Binding, NotFirable
from triggers.object_storage import StorageTriggers
from triggers.object_storage.adapter import ChannelMissing
from triggers.object_storage.kafka_channel import normaliser_of

pytestmark = pytest.mark.timeout(FIRST_TEST_LIMIT_SEC)
BUCKET = "photos"


class Store:
    def __init__(self, url: str, source: Source) -> None:
        self.source = source
        self.s3 = client("s3", url)
        self.s3.create_bucket(Bucket=BUCKET)

    def put(self, key: str, body: bytes = b"hello") -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)

    def close(self) -> None:
        self.s3.close()


@pytest.fixture
def store(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> Iterator[Store]:
    source = Source(kafka_bootstrap, f"{topic_prefix}s3").create()
    server = versitygw_or_skip(tmp_path, brokers=kafka_bootstrap, topic=source.topic)
    with serving(server), closing(Store(server.url, source)) as made:
        yield made


def rig_on(store: Store, **settings: Any) -> Rig:
    wanted = {"bucket": BUCKET, "events": ["*"], **settings}
    return Rig(store.source, kind="storage", notifications=normaliser_of, **wanted)


def subjects(rig: Rig) -> list[str]:
    return [each.subject or "" for each in rig.log.events]


def test_every_change_of_the_bucket_becomes_its_event(store: Store) -> None:
    rig = rig_on(store)

    async def main() -> None:
        def change() -> None:
            for key in ("plain.txt", "a+b c.txt", "dir/ü😀.txt", "p%20q"):
                store.put(key)
            store.s3.copy_object(Bucket=BUCKET, Key="copy", CopySource=f"{BUCKET}/plain.txt")
            store.s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "p%20q"}, {"Key": "copy"}]})

        async with rig.running():
            await asyncio.to_thread(change)
            await until(lambda: len(rig.log.events) >= 7)
        assert sorted(subjects(rig)) == sorted(
            ["plain.txt", "a+b c.txt", "dir/ü😀.txt", "p%20q", "p%20q", "copy", "copy"]
        )
        kinds = {(each.subject, each.type) for each in rig.log.events}
        assert ("copy", "objectstore.created") in kinds
        assert ("copy", "objectstore.removed") in kinds
        assert {each.source for each in rig.log.events} == {f"objectstore:s3/{BUCKET}"}
        data = orjson.loads(rig.log.events[0].data or b"")
        assert (data["provider"], data["eTag"]) == ("versitygw", "5d41402abc4b2a76b9719d911017c592")
        assert rig.log.rejections == [], "not even for its test event"

    run(main)


def test_only_what_the_trigger_asks_for_becomes_an_event(store: Store) -> None:
    rig = rig_on(store, events=["ObjectCreated:*"], prefix="in/", suffix=".png")

    async def main() -> None:
        async with rig.running():
            for key in ("in/a.jpg", "out/a.png", "in/a.png", "in/last.png"):
                await asyncio.to_thread(store.put, key)
            await until(lambda: len(rig.log.events) >= 2)
        assert sorted(subjects(rig)) == ["in/a.png", "in/last.png"]

    run(main)


def test_a_second_adapter_that_reads_the_same_records_makes_the_same_events(store: Store) -> None:
    async def main() -> None:
        identities: list[set[str]] = []
        for settings in ({}, {"prefix": ""}):  # which says the same, but gets a group of its own
            rig = rig_on(store, **settings)
            async with rig.running():
                for number in range(20 if not identities else 0):
                    await asyncio.to_thread(store.put, "same", b"%d" % (number % 2))
                await rig.until_events(20)
            identities.append({each.id for each in rig.log.events})
        assert identities[0] == identities[1]
        assert len(identities[0]) == 20, "although VersityGW names none of them"

    run(main)


def test_the_channel_is_chosen_by_the_manifest(store: Store) -> None:
    rig = rig_on(store)

    async def main() -> None:
        shared = StorageTriggers(
            intake=rig.intake,
            clock=SystemClock(),
            channels={"kafka": lambda binding: rig.trigger()},
        )
        settings = {"bucket": BUCKET, "source": {"kafka": {"topic": store.source.topic}}}
        trigger = shared.make(Binding(function="f", creation=1, kind="storage", settings=settings))
        task = asyncio.create_task(trigger.run())
        try:
            await asyncio.to_thread(store.put, "k")
            await until(lambda: trigger.health.accepted)
            with pytest.raises(NotFirable) as caught:
                await trigger.fire()
            assert "reconcile" in caught.value.remedy
        finally:
            task.cancel()
            await asyncio.wait({task})
        other = {"bucket": BUCKET, "source": {"kafka": None, "sqs": {"queue_url": "http://q/0/u"}}}
        with pytest.raises(ChannelMissing, match="sqs"):
            shared.make(Binding(function="f", creation=1, kind="storage", settings=other))

    run(main)
