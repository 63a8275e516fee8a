"""Interleavings and inputs that once lost an event, repeated one, or brought a trigger down."""

from __future__ import annotations

import asyncio
import base64
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest

from processor.core.clock import SystemClock
from processor.core.topics import INTAKE
from processor.transport.abstract import Appended
from tests.integration.http_trigger_rig import TriggerRig, called
from tests.integration.test_http_trigger_storage import photos, post, record
from tests.unit.schedule_rig import LIMIT_SEC, LogAppender, Site, settle, until
from tests.unit.test_trigger_host import Recorded, rig_in
from triggers.abstract import Binding
from triggers.kafka.abstract import SourceRecord
from triggers.kafka.steps import EachAlone
from triggers.keeper import NotRunning
from triggers.object_storage.desk import Desk
from triggers.object_storage.kafka_channel import normaliser_of
from triggers.object_storage.listing import Page
from triggers.object_storage.notification import MAX_ENTRIES, MAX_POISON, parse
from triggers.object_storage.reconcile import Reconciler, ReconcileSettings
from triggers.object_storage.rules import StorageRules
from triggers.secrets import is_bearer, secret_from

RULES = StorageRules(bucket="photos")
HOUR_SEC = 3_600


def pushed(data: bytes) -> bytes:
    """As Pub/Sub pushes it."""
    attributes = {
        "bucketId": "photos",
        "objectId": "in/a.jpg",
        "objectGeneration": "1",
        "eventType": "OBJECT_FINALIZE",
    }
    return orjson.dumps({"message": {"attributes": attributes, "data": base64.b64encode(data).decode()}})


@pytest.mark.parametrize("depth", [65, 300, 1_000, 100_000])
def test_a_bomb_in_the_data_of_a_pushed_message_is_poison(depth: int) -> None:
    parsed = parse(pushed(b"[" * depth + b"]" * depth), RULES)
    assert not parsed.events
    assert len(parsed.poison) == 1


def test_a_mistake_of_ours_is_poison_and_not_the_end_of_the_trigger(monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(*_: Any) -> Any:
        raise TypeError("a mistake")

    monkeypatch.setattr("triggers.object_storage.notification.event_of", mistaken)
    secret = {"requestHeaders": {"Authorization": "q-sign=hush"}}
    parsed = parse(orjson.dumps({"Records": [{**record("a"), **secret}]}), RULES)
    (poison,) = parsed.poison
    assert "a mistake" in poison.reason
    assert b"hush" not in poison.raw


def test_one_message_of_many_unreadable_entries_is_one_record_on_rejected() -> None:
    body = orjson.dumps({"Records": [record("good.jpg"), *({} for _ in range(MAX_POISON + 1))]})
    parsed = parse(body, RULES)
    assert len(parsed.events) == 1
    assert [each.raw for each in parsed.poison] == [body]


def test_a_message_of_more_entries_than_any_store_sends_is_not_read() -> None:
    body = b"[" + b"1," * MAX_ENTRIES + b"1]"
    parsed = parse(body, RULES)
    assert [each.raw for each in parsed.poison] == [body]


def test_one_bad_entry_of_a_record_does_not_take_the_others_with_it() -> None:
    """The same message gives the same events whichever channel it comes by."""
    body = orjson.dumps({"Records": [record("good.jpg"), {"bad": 1}]})
    settings = {**photos(), "event_format": "data"}
    binding = Binding(function="f", creation=1, kind="storage", settings=settings)
    source = SourceRecord("c", "t", 0, 7, 0, None, body)
    (step,) = EachAlone(normaliser_of(binding)).take([source], 0.0)
    assert [each.subject for each in step.events] == ["good.jpg"]
    assert [each.raw for _, each in step.poison] == [b'{"Records":[{"bad":1}]}']
    assert step.next_offset == 8


def test_a_bucket_that_never_answers_takes_no_thread_from_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, let_go = threading.Event(), threading.Event()

    class Deaf:
        def __init__(self, *_: object) -> None: ...

        def page(self, *_: object) -> Page:
            begun.set()
            let_go.wait(LIMIT_SEC)
            return Page([], None)

        def close(self) -> None: ...

    monkeypatch.setattr("triggers.object_storage.reconcile.Bucket", Deaf)

    async def scenario() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        reconciling = asyncio.create_task(reconciler().run())
        await asyncio.get_running_loop().run_in_executor(ThreadPoolExecutor(1), begun.wait, LIMIT_SEC)
        async with asyncio.timeout(LIMIT_SEC / 2):
            await asyncio.to_thread(os.getpid)  # as a folder does for each of its files
        let_go.set()
        assert await reconciling == []

    asyncio.run(scenario())


def reconciler() -> Reconciler:
    binding = Binding(function="f", creation=1, kind="storage", settings=photos())
    nothing: Any = None  # an empty listing asks nobody
    return Reconciler(
        binding=binding,
        settings=ReconcileSettings.of({}),
        desk=Desk(nothing, binding),
        known=nothing,
        clock=SystemClock(),
        environment={},
    )


@pytest.mark.parametrize("token", ["t0ken", "t0ken\n", "schlüssel"])
def test_a_token_is_the_same_for_every_kind_of_trigger_whatever_stands_around_it(token: str) -> None:
    found = secret_from({"TOKEN": token}, "TOKEN")
    sent = token.strip().encode().decode("latin-1")
    assert is_bearer(f"bearer {sent} ", found)
    assert not is_bearer(f"bearer {sent}x", found)
    assert not is_bearer(f"basic {sent}", found)
    assert not is_bearer("", found)


def test_two_changes_with_the_same_body_and_other_headers_are_two_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pub/Sub without a wrapper: what has happened stands in the headers only."""

    async def scenario() -> None:
        wanted = {**photos(), "events": ["*"]}
        async with called(tmp_path, wanted, kind="storage") as rig:
            hold = Hold(monkeypatch, type(rig.appender))
            first = asyncio.create_task(change(rig, "OBJECT_FINALIZE"))
            async with asyncio.timeout(LIMIT_SEC):
                await hold.begun.wait()
            second = asyncio.create_task(change(rig, "OBJECT_DELETE"))
            await rig.until(lambda: hold.waiting == 2 or second.done())
            hold.let_go.set()
            assert {await first, await second} == {202}
            assert {each.type for each in rig.events()} == {"objectstore.created", "objectstore.removed"}

    asyncio.run(scenario())


async def change(rig: TriggerRig, kind: str) -> int:
    body = orjson.dumps({"name": "in/a.jpg", "size": "3"})
    reply = await post(rig, body, eventtype=kind, bucketid="photos", objectid="in/a.jpg", objectgeneration="17")
    return reply.status


class Hold:
    """The appends of the intake wait until they are let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: type[Any]) -> None:
        self.begun = asyncio.Event()
        self.let_go = asyncio.Event()
        self.waiting = 0
        append = kind.append

        async def held_append(appender: Any, topic: str, *values: Any, **more: Any) -> Appended:
            if topic == INTAKE.name:
                self.waiting += 1
                self.begun.set()
                await self.let_go.wait()
            appended: Appended = await append(appender, topic, *values, **more)
            return appended

        monkeypatch.setattr(kind, "append", held_append)


def test_a_schedule_paused_amid_its_append_does_not_fire_that_time_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is accepted all the same; unnoted it would come again after the executors have forgotten it."""

    async def scenario() -> None:
        site, hold = Site(), Hold(monkeypatch, LogAppender)
        async with site.process() as shared:
            async with site.running(shared, cron="0 * * * *", name="hourly"):
                site.clock.set_by_sec = HOUR_SEC
                async with asyncio.timeout(LIMIT_SEC):
                    await hold.begun.wait()
            hold.let_go.set()
            await until(lambda: len(site.log.events) == 1)
            await settle()
            site.clock.set_by_sec = HOUR_SEC + 1_800
            async with site.running(shared, cron="0 * * * *", name="hourly"):
                await settle()
                site.clock.set_by_sec = 2 * HOUR_SEC + 1
                await until(lambda: site.log.times[-1] == "00:00:00")
        assert site.log.times == ["23:00:00", "00:00:00"]

    asyncio.run(scenario())


def test_a_trigger_with_new_settings_begins_after_the_old_one_has_let_go(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig_in(tmp_path) as rig:
            await rig.until(lambda: len(rig.diary) == 2)
            rig.diary.clear()
            rig.deploy("first", "a", "c")
            await rig.until(lambda: len(rig.diary) == 2)
            assert rig.diary == ["end first:b", "start first:c"]

    asyncio.run(scenario())


def test_a_pause_ends_what_is_being_fired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def endless(_: Recorded) -> Any:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        monkeypatch.setattr(Recorded, "fire", endless)
        async with rig_in(tmp_path) as rig:
            trigger = next(each.trigger_id for each, _ in rig.host.health())
            firing = asyncio.create_task(rig.host.fire(trigger))
            async with asyncio.timeout(LIMIT_SEC):
                await begun.wait()
            (keeper,) = (each for (_, name), each in rig.host._keepers.items() if name == trigger)
            await keeper.stop()
            assert ended.is_set()
            with pytest.raises(NotRunning, match="while it was firing"):
                await firing

    asyncio.run(scenario())
