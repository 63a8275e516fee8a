"""`POST /v1/runs/{id}/replay` and `/v1/bulk`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from processor.core.codec import decode_kafka
from processor.core.control import Cancel
from processor.core.event import Event
from processor.core.ledger import Accepted, Position
from processor.core.request_id import request_id
from processor.gateway import bulk
from tests.integration.gateway_rig import Reply, Rig, ended, eventually, running, started
from tests.integration.test_cancel_gateway import requests
from tests.integration.test_gateway_invoke import problem


async def replay(rig: Rig, run: str, body: bytes = b"") -> Reply:
    return await rig.ask("POST", f"/v1/runs/{run}/replay", body=body)


async def operate(rig: Rig, action: str, preview: bool = False, **wanted: str) -> Reply:
    body = orjson.dumps({"action": action, "filter": wanted, "preview": preview})
    return await rig.ask("POST", "/v1/bulk", body=body)


async def operated(rig: Rig, begun: Reply) -> Any:
    """The operation when it is over."""
    assert begun.status == 202
    over: list[Any] = []

    async def ended_() -> bool:
        found = (await rig.ask("GET", begun.headers["location"])).json
        over.append(found)
        return found["ended_at"] is not None

    await eventually(ended_)
    return over[-1]


async def finished_run(rig: Rig, data: bytes = b'{"width":1}') -> str:
    """A run whose event stands on the intake, with its end."""
    run = str((await rig.invoke(data)).json["request_id"])
    (record,) = [each for each in rig.intake() if each.key == run.encode()]
    rig.write(accepted(run, record.timestamp_ms), started(run), ended(run))
    await rig.until_recorded(run, "FINISHED")
    return run


def accepted(run: str, at_ms: int, function: str = "resize") -> Accepted:
    return Accepted(
        request_id=run,
        function=function,
        version="v1",
        trigger="http",
        source="headrace:http/resize",
        event_id="e",
        subject=None,
        accepted_at_ms=at_ms,
        intake=Position(0, 0, 0),
    )


def event_of(rig: Rig, run: str) -> Event:
    (record,) = [each for each in rig.intake() if each.key == run.encode()]
    event = decode_kafka(record.headers, record.value)
    assert isinstance(event, Event)
    return event


def test_a_replay_is_a_new_run_of_the_same_event(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            run = await finished_run(rig)
            reply = await replay(rig, run)
            new = reply.json["request_id"]
            assert (reply.status, reply.json["replay_of"], reply.json["version"]) == (202, run, "v1")
            assert reply.headers["location"] == f"/v1/runs/{new}"
            original, again = event_of(rig, run), event_of(rig, new)
            assert (again.data, again.type, again.source) == (original.data, original.type, original.source)
            assert new == request_id("resize", again.source, again.id) != run
            assert again.extensions["replayof"] == run
            assert again.extensions["headraceformat"] == original.extensions["headraceformat"]
            document = (await rig.ask("GET", f"/v1/runs/{new}")).json
            assert (document["status"], document["trigger"]) == ("QUEUED", "replay")

    asyncio.run(scenario())


def test_the_same_replay_twice_is_one_run_and_two_replays_are_two(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            run = await finished_run(rig)
            first, again = [(await replay(rig, run, b'{"id":"a"}')).json["request_id"] for _ in range(2)]
            assert first == again
            others = {(await replay(rig, run)).json["request_id"] for _ in range(2)}
            assert len(others | {first, run}) == 4

    asyncio.run(scenario())


@pytest.mark.parametrize("data", [{"width": 2}, None, [1], "text"])
def test_an_edited_replay_carries_what_was_sent_instead(tmp_path: Path, data: Any) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            run = await finished_run(rig)
            new = (await replay(rig, run, orjson.dumps({"data": data}))).json["request_id"]
            assert event_of(rig, new).data == orjson.dumps(data)

    asyncio.run(scenario())


def test_a_run_whose_event_is_gone_needs_its_data_sent_along(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            run = request_id("resize", "elsewhere", "1")
            rig.write(accepted(run, 1_795_478_400_000), started(run), ended(run))
            await rig.until_recorded(run, "FINISHED")
            gone = await replay(rig, run)
            assert problem(gone) == (410, "event-gone", f"the event of run {run} is not on the log any more")
            new = (await replay(rig, run, b'{"data":{"width":3}}')).json["request_id"]
            event = event_of(rig, new)
            assert (event.data, event.type, event.source) == (b'{"width":3}', "headrace.replay", "headrace:http/resize")

    asyncio.run(scenario())


def test_what_cannot_be_replayed_is_told_why(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            unknown = request_id("resize", "never", "1")
            assert problem(await replay(rig, unknown))[:2] == (404, "not-found")
            assert problem(await replay(rig, "seven"))[:2] == (404, "not-found")
            orphan = request_id("gone", "test", "1")
            rig.write(accepted(orphan, 1_795_478_400_000, "gone"))
            await rig.until_recorded(orphan, "QUEUED")
            assert problem(await replay(rig, orphan)) == (
                409,
                "function-deleted",
                "the function 'gone' has been deleted: nothing can run this event",
            )
            run = await finished_run(rig)
            for body in (b"[]", b'{"id":""}', b'{"id":5}', b'{"what":1}', b"{"):
                assert problem(await replay(rig, run, body))[:2] == (400, "bad-request")
            assert len(rig.intake()) == 1

    asyncio.run(scenario())


def test_a_preview_counts_and_shows_and_does_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            runs = [request_id("resize", "test", str(number)) for number in range(25)]
            rig.write(*(accepted(each, 1_795_478_400_000 + at) for at, each in enumerate(runs)))
            for each in runs:
                await rig.until_recorded(each, "QUEUED")
            reply = await operate(rig, "cancel", preview=True, function="resize")
            shown = [each["request_id"] for each in reply.json["runs"]]
            assert (reply.status, reply.json["count"], reply.json["state"]) == (200, 25, "preview")
            assert shown == runs[:4:-1]
            assert requests(rig) == []
            assert (await operate(rig, "replay", preview=True, function="resize")).json["count"] == 0

    asyncio.run(scenario())


def test_all_that_waits_or_runs_is_cancelled_and_what_has_ended_is_left_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            queued, going, over = [request_id("resize", "test", str(number)) for number in range(3)]
            rig.write(accepted(queued, 1), accepted(going, 2), started(going), accepted(over, 3), ended(over))
            await rig.until_recorded(over, "FINISHED")
            body = {"action": "cancel", "filter": {"function": "resize"}, "grace": 1.5}
            operation = await operated(rig, await rig.ask("POST", "/v1/bulk", body=orjson.dumps(body)))
            assert (operation["state"], operation["count"], operation["done"]) == ("done", 2, 2)
            asked = {Cancel(request_id=each, grace_sec=1.5, by="api 127.0.0.1") for each in (queued, going)}
            assert set(requests(rig)) == asked
            listed = (await rig.ask("GET", "/v1/bulk")).json["operations"]
            assert [each["id"] for each in listed] == [operation["id"]]

    asyncio.run(scenario())


def test_many_are_replayed_and_what_cannot_be_is_named(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            good = await finished_run(rig)
            gone = request_id("resize", "elsewhere", "1")
            rig.write(accepted(gone, 1_795_478_400_000), ended(gone))
            await rig.until_recorded(gone, "FINISHED")
            operation = await operated(rig, await operate(rig, "replay", status="FINISHED"))
            assert (operation["count"], operation["done"], operation["failed"]) == (2, 1, 1)
            assert [each["replay_of"] for each in operation["created"]] == [good]
            assert [each["request_id"] for each in operation["errors"]] == [gone]
            assert len(rig.intake()) == 2

    asyncio.run(scenario())


def test_an_operation_that_is_stopped_leaves_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "_AT_ONCE", 1)

    async def scenario() -> None:
        async with running(tmp_path) as rig:
            runs = [request_id("resize", "test", str(number)) for number in range(3)]
            rig.write(*(accepted(each, 1) for each in runs))
            for each in runs:
                await rig.until_recorded(each, "QUEUED")
            hold = asyncio.Event()

            async def held(*_: object, **__: object) -> None:
                await hold.wait()

            assert rig.gateway._bulk is not None
            monkeypatch.setattr(rig.gateway._bulk._cancel, "request", held)
            begun = await operate(rig, "cancel", status="QUEUED")
            assert (await rig.ask("POST", f"{begun.headers['location']}/stop")).status == 200
            operation = await operated(rig, begun)
            assert (operation["state"], operation["done"]) == ("stopped", 0)
            assert problem(await rig.ask("GET", "/v1/bulk/none"))[:2] == (404, "not-found")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"action":"cancel"}',
        b'{"action":"cancel","filter":{}}',
        b'{"action":"explode","filter":{"function":"resize"}}',
        b'{"action":"cancel","filter":{"colour":"red"}}',
        b'{"action":"cancel","filter":{"status":"DONE"}}',
        b'{"action":"cancel","filter":{"cursor":"x"}}',
        b'{"action":"cancel","filter":{"function":"resize"},"grace":-1}',
    ],
)
def test_a_bulk_request_that_is_not_understood_does_nothing(tmp_path: Path, body: bytes) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            assert problem(await rig.ask("POST", "/v1/bulk", body=body))[:2] == (400, "bad-request")
            assert (await rig.ask("GET", "/v1/bulk")).json["operations"] == []

    asyncio.run(scenario())
