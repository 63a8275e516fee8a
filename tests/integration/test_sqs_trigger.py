"""S3 -> SQS -> events, on ministack; and on moto, which is another's idea of the same services."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import orjson
import pytest
from moto.server import ThreadedMotoServer

from processor.ops.object_stores import LOOPBACK, ministack
from processor.ops.object_stores import running as serving
from tests.integration.storage_rig import FUNCTION, Rig, Source, run, until, until_state
from triggers.abstract import TriggerState
from triggers.sqs import SqsTrigger


@pytest.fixture(scope="module")
def ministack_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(ministack(tmp_path_factory.mktemp("ministack"))) as server:
        yield server.url


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address=LOOPBACK, port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture
def source(ministack_url: str) -> Iterator[Source]:
    with closing(Source(ministack_url)) as made:
        yield made


@pytest.fixture(params=[("ministack_url", "none"), ("moto_url", "form")], ids=["ministack", "moto"])
def any_source(request: pytest.FixtureRequest) -> Iterator[Source]:
    url, key_encoding = request.param
    with closing(Source(request.getfixturevalue(url), key_encoding)) as made:
        yield made


def test_what_is_uploaded_becomes_an_event_and_its_message_is_deleted(any_source: Source) -> None:
    any_source.create("s3:ObjectCreated:*")
    rig = Rig(any_source)

    async def main() -> None:
        keys = ["plain.txt", "in/ü😀.txt", "../../etc/passwd"]
        async with rig.running(events=("ObjectCreated:*",)) as trigger:
            await until_state(trigger, TriggerState.WATCHING)
            await asyncio.to_thread(any_source.put, *keys)
            await until(lambda: sorted(rig.log.subjects) == sorted(keys))
            await rig.until_drained()
            health = trigger.health
        assert (health.accepted, health.rejected) == (3, 0)
        assert health.last_event_ms is not None
        event = rig.log.events[0]
        assert event.source == f"objectstore:s3/{any_source.bucket}"
        assert event.extensions["headracetrigger"] == "storage"
        data = orjson.loads(event.data or b"")
        assert (data["size"], data["eTag"]) == (5, "5d41402abc4b2a76b9719d911017c592")

    run(main)


def test_each_upload_of_one_key_is_an_event_of_its_own(any_source: Source) -> None:
    any_source.create()
    rig = Rig(any_source)

    async def main() -> None:
        async with rig.running(events=("ObjectCreated:*",)):
            for number in range(5):
                await asyncio.to_thread(any_source.put, "same.txt", body=b"%d" % number)
            await until(lambda: len(rig.log.events) == 5)
            await rig.until_drained()
        assert len(rig.log.identities) == 5

    run(main)


def test_the_test_message_of_a_new_configuration_is_acknowledged_and_counted(source: Source) -> None:
    source.create()
    rig = Rig(source)

    async def main() -> None:
        async with rig.running() as trigger:
            assert isinstance(trigger, SqsTrigger)
            await until(lambda: trigger.tally.tests == 1)
            await rig.until_drained()
        assert rig.log.events == []
        assert rig.log.rejections == []

    run(main)


def test_what_the_filter_does_not_want_is_deleted_without_an_event(source: Source) -> None:
    source.create()
    rig = Rig(source)

    async def main() -> None:
        async with rig.running(prefix="in/", suffix=".png"):
            await asyncio.to_thread(source.put, "in/a.jpg", "out/a.png", "in/a.png")
            await until(lambda: rig.log.subjects)
            await rig.until_drained()
        assert rig.log.subjects == ["in/a.png"]

    run(main)


def test_a_message_is_deleted_only_when_all_its_records_are_durable(source: Source) -> None:
    source.create_queue()
    source.send(source.records(*(f"k{number}" for number in range(100))))
    rig = Rig(source)

    async def main() -> None:
        rig.log.held = {"k70"}
        async with rig.running():
            await until(rig.log.tried.is_set)
            assert await asyncio.to_thread(source.counts) == (0, 1), "taken, and not deleted"
            rig.log.let_go.set()
            await rig.until_drained()
        assert sorted(rig.log.subjects) == sorted(f"k{number}" for number in range(100))

    run(main)


def test_poison_goes_to_rejected_and_then_out_of_the_queue(source: Source) -> None:
    source.create_queue()
    source.send("no json", {"Records": [source.records("good")["Records"][0], {"s3": 1}]}, "[" * 500 + "]" * 500)
    rig = Rig(source)

    async def main() -> None:
        async with rig.running() as trigger:
            await until(lambda: len(rig.log.rejections) == 3)
            await rig.until_drained()
            assert trigger.health.rejected == 3
        assert rig.log.subjects == ["good"]
        reasons = {each.raw: each.reason for each in rig.log.rejections}
        assert "no JSON" in reasons[b"no json"]
        assert b'{"Records":[{"s3":1}]}' in reasons
        for each in rig.log.rejections:
            assert each.origin.startswith(f"sqs:{source.queue_name}/")
            assert each.function == "f"
            assert ("receive-count", b"1") in each.headers

    run(main)


def test_an_event_larger_than_the_limit_is_rejected_and_the_others_are_not(source: Source) -> None:
    source.create_queue()
    big = source.records("big")
    big["Records"][0]["padding"] = "x" * 70_000
    source.send(big, source.records("small"))
    rig = Rig(source)

    async def main() -> None:
        async with rig.running():
            await until(lambda: sorted(rig.log.subjects) == ["big", "small"])
            await rig.until_drained()

    run(main)


def test_while_the_broker_is_away_the_messages_stay_in_the_queue(source: Source) -> None:
    source.create_queue()
    source.send(*(source.records(f"k{number}") for number in range(60)))
    rig = Rig(source)

    async def main() -> None:
        rig.log.away = True
        async with rig.running(pollers=2) as trigger:
            await until(lambda: trigger.health.reason)
            assert "away" in trigger.health.reason
            waiting, taken = await asyncio.to_thread(source.counts)
            assert taken <= 2, "each poller holds what it took first, and takes no more"
            assert waiting == 60 - taken
            rig.log.away = False
            await rig.until_drained()
            assert trigger.health.reason == ""
        assert sorted(rig.log.subjects) == sorted(f"k{number}" for number in range(60))

    run(main)


def test_on_its_way_out_it_lets_go_of_what_is_not_durable_and_deletes_what_is(source: Source) -> None:
    source.create_queue(VisibilityTimeout="600")
    source.send(*(source.records(f"k{number}") for number in range(7)))
    rig = Rig(source)

    async def main() -> None:
        rig.log.held = {"k3"}
        async with rig.running(pollers=1):
            # One by one, then two, then four: the batch with k3 in it waits, when the others are long deleted.
            await until(
                lambda: asyncio.to_thread(source.counts), lambda counts: counts[1] > 0 and len(rig.log.events) > 0
            )
            durable = await until(lambda: len(rig.log.events), lambda count: count == 3)
        waiting, taken = await asyncio.to_thread(source.counts)
        assert taken == 0, "although they were to stay hidden for ten minutes"
        assert waiting == 7 - durable

    run(main)


def test_a_long_poll_that_brings_something_after_the_stop_gives_it_back(source: Source) -> None:
    source.create_queue(VisibilityTimeout="600")
    rig = Rig(source)

    async def main() -> None:
        async with rig.running(pollers=4) as trigger:
            await until_state(trigger, TriggerState.WATCHING)
            sending = asyncio.create_task(asyncio.to_thread(_send_slowly, source))
        await sending
        waiting, taken = await asyncio.to_thread(source.counts)
        assert taken == 0
        assert waiting + len(rig.log.events) == 20

    run(main)


def _send_slowly(source: Source) -> None:
    """The stop falls somewhere into it, each time elsewhere."""
    for number in range(20):
        source.send(source.records(f"k{number}"))


def test_a_slow_function_takes_little_at_a_time(source: Source) -> None:
    """With what is in hand for longer than the queue hides it, messages would come again and again."""
    source.create_queue(VisibilityTimeout="2")
    source.send(*(source.records(f"k{number}") for number in range(30)))
    rig = Rig(source, replace(FUNCTION, rate_per_sec=10.0))

    async def main() -> None:
        async with rig.running(pollers=1):
            await rig.until_drained()
        assert len(rig.log.identities) == 30
        assert len(rig.log.events) == 30, "none was accepted twice"

    run(main)


def test_a_message_that_comes_again_has_the_same_identity(source: Source) -> None:
    source.create_queue(VisibilityTimeout="0")
    source.send(source.records("k"))
    rig = Rig(source)

    async def main() -> None:
        rig.log.held = {"k"}
        async with rig.running(pollers=2):
            await until(lambda: asyncio.to_thread(source.counts), lambda _: rig.log.tried.is_set())
            rig.log.let_go.set()
            await rig.until_drained()
        assert len(rig.log.identities) == 1

    run(main)


def test_settings_without_visibility_leave_that_of_the_queue_alone(source: Source) -> None:
    source.create_queue(VisibilityTimeout="600")
    source.send(source.records("k"))
    rig = Rig(source)

    async def main() -> None:
        rig.log.held = {"k"}
        async with rig.running(pollers=1):
            await until(rig.log.tried.is_set)
            assert await asyncio.to_thread(source.take) == []
            rig.log.let_go.set()
            await rig.until_drained()

    run(main)


def _settings(source: Source, **more: Any) -> dict[str, Any]:
    settings = source.settings()
    settings["source"]["sqs"].update(more)
    return settings


def test_with_visibility_a_message_is_hidden_for_that_long(source: Source) -> None:
    source.create_queue(VisibilityTimeout="600")
    source.send(source.records("k"))
    rig = Rig(source)

    async def main() -> None:
        rig.log.held = {"k"}
        async with rig.running(source=_settings(source, visibility=1.0, pollers=1)["source"]):
            await until(rig.log.tried.is_set)
            assert await until(lambda: asyncio.to_thread(source.take)), "others get it again after a second"
            rig.log.let_go.set()

    run(main)
