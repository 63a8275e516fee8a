"""Notifications of object storage that come to the listener."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from processor.core.rejected import rejection_of
from processor.core.topics import INTAKE
from processor.transport.abstract import Appended, Outcome
from tests.integration.gateway_rig import Reply
from tests.integration.http_trigger_rig import TriggerRig, called
from triggers.abstract import TriggerState
from triggers.object_storage.webhook import sign

TOKEN = {"path": "/storage/photos", "token_env": "HOOK_TOKEN"}
ENVIRONMENT = {"HOOK_TOKEN": "s3cret", "HOOK_SECRET": "hush"}


def photos(webhook: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"bucket": "photos", "source": {"webhook": webhook or {"path": "/storage/photos"}}}


def notification(*keys: str) -> bytes:
    return orjson.dumps({"EventName": "s3:ObjectCreated:Put", "Key": keys[0], "Records": [record(key) for key in keys]})


def record(key: str) -> dict[str, Any]:
    return {
        "eventVersion": "2.0",
        "eventSource": "minio:s3",
        "awsRegion": "",
        "eventTime": "2026-11-24T12:00:00.000Z",
        "eventName": "s3:ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": "photos", "arn": "arn:aws:s3:::photos"},
            "object": {"key": key, "size": 3, "eTag": "e", "sequencer": "17"},
        },
    }


async def post(rig: TriggerRig, body: bytes, **headers: str) -> Reply:
    return await rig.ask("POST", "/storage/photos", body, content_type="application/json", **headers)


def name_of(reply: Reply) -> str:
    return str(reply.json["type"].rpartition(":")[2])


def test_every_object_of_a_notification_is_an_event_before_the_sender_is_answered(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with called(tmp_path, photos(), kind="storage") as rig:
            reply = await post(rig, notification("a%2Fb.jpg", "c.jpg"))
            assert reply.status == 202
            assert len(reply.json["request_ids"]) == 2
            assert (reply.json["rejected"], reply.json["ignored"]) == (0, 0)
            assert {each.subject for each in rig.events()} == {"a/b.jpg", "c.jpg"}
            again = await post(rig, notification("a%2Fb.jpg", "c.jpg"))
            assert again.json["request_ids"] == reply.json["request_ids"]
            assert rig.health_of("f").accepted == 4

    asyncio.run(scenario())


def test_poison_is_kept_and_taken_so_that_the_next_message_can_come(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with called(tmp_path, photos(), kind="storage") as rig:
            for body in (b"\xff not JSON", b"[" * 100_000, b'{"a":1}'):
                reply = await post(rig, body)
                assert (reply.status, reply.json["request_ids"], reply.json["rejected"]) == (202, [], 1)
            found = [rejection_of(each.value, each.headers) for each in rig.rejected()]
            assert [each.origin for each in found] == ["POST /storage/photos"] * 3
            assert all(each.reason and each.function == "f" and each.trigger for each in found)
            assert rig.health_of("f").rejected == 3
            assert (await post(rig, notification("a.jpg"))).status == 202
            assert len(rig.events()) == 1

    asyncio.run(scenario())


def test_who_may_not_send_is_told_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with called(tmp_path, photos(TOKEN), kind="storage", environment=ENVIRONMENT) as rig:
            refused = await post(rig, notification("a.jpg"))
            assert (refused.status, name_of(refused)) == (401, "unauthorized")
            assert (await post(rig, notification("a.jpg"), authorization="Bearer s3cret")).status == 202
            assert len(rig.events()) == 1

    asyncio.run(scenario())


def test_a_signed_notification_is_taken_and_a_changed_one_is_not(tmp_path: Path) -> None:
    async def scenario() -> None:
        signed = {"path": "/storage/photos", "hmac_env": "HOOK_SECRET"}
        async with called(tmp_path, photos(signed), kind="storage", environment=ENVIRONMENT) as rig:
            body = notification("a.jpg")
            signature = sign("hush", body, int(time.time()))
            assert (await post(rig, body, headrace_signature=signature)).status == 202
            assert (await post(rig, notification("b.jpg"), headrace_signature=signature)).status == 401

    asyncio.run(scenario())


def test_azure_is_answered_its_question(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with called(tmp_path, photos(TOKEN), kind="storage", environment=ENVIRONMENT) as rig:
            asked = await rig.ask("OPTIONS", "/storage/photos", webhook_request_origin="eventgrid.azure.net")
            assert (asked.status, asked.headers["webhook-allowed-origin"]) == (200, "eventgrid.azure.net")
            assert (await rig.ask("GET", "/storage/photos")).status == 405

    asyncio.run(scenario())


def test_a_missing_secret_is_a_state_and_senders_come_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        other = {"path": "/open", "event_format": "data"}
        async with called(tmp_path, photos(TOKEN), kind="storage", settled=False) as rig:
            health = await rig.until_state("f", TriggerState.FAILED)
            assert "HOOK_TOKEN" in health.reason
            rig.deploy("open", other)
            await rig.until_state("open", TriggerState.WATCHING)
            await rig.listener.settled(20)
            refused = await post(rig, notification("a.jpg"))
            assert (refused.status, name_of(refused), refused.headers["retry-after"]) == (503, "not-served", "1")

    asyncio.run(scenario())


def test_what_takes_longer_than_the_sender_waits_goes_on_and_is_answered_later(tmp_path: Path) -> None:
    """At this rate the notification never comes through within one request."""

    async def scenario() -> None:
        async with called(tmp_path, photos(), kind="storage", rate_per_sec=20, wait_sec=0.05) as rig:
            body = notification(*(f"{number}.jpg" for number in range(30)))
            statuses = []
            async with asyncio.timeout(40):
                while 202 not in statuses:
                    reply = await post(rig, body)
                    statuses.append(reply.status)
            assert statuses[0] == 503
            assert set(statuses) == {503, 202}
            assert len(reply.json["request_ids"]) == 30
            assert len(rig.events()) == 30

    asyncio.run(scenario())


def test_a_log_that_is_away_makes_the_sender_come_again_and_nothing_is_lost(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with called(tmp_path, photos(), kind="storage", wait_sec=0.05) as rig:
            append = rig.appender.append
            away = True

            async def uncertain(topic: str, value: bytes | None, **more: Any) -> Appended:
                if away and topic == INTAKE.name:
                    return Appended(outcome=Outcome.UNKNOWN, reason="the broker did not answer")
                return await append(topic, value, **more)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(rig.appender, "append", uncertain)
                refused = await post(rig, notification("a.jpg"))
                assert (refused.status, name_of(refused)) == (503, "not-yet")
                await rig.until(lambda: "the broker did not answer" in rig.health_of("f").reason)
                away = False
                async with asyncio.timeout(40):
                    while (await post(rig, notification("a.jpg"))).status != 202:
                        pass
            assert len({each.id for each in rig.events()}) == 1

    asyncio.run(scenario())


def test_a_disabled_function_never_makes_a_sender_give_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with called(tmp_path, photos(), kind="storage") as rig:
            rig.deploy("f", photos(), kind="storage", enabled=False, revision=2)
            await rig.until(lambda: rig.host.health() == [])
            assert (await post(rig, notification("a.jpg"))).status == 503

    asyncio.run(scenario())
