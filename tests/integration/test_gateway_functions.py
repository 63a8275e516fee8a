from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from processor.core.clock import SystemClock
from processor.core.request_id import request_id
from processor.core.topics import TOPICS
from processor.gateway import queues
from processor.gateway.service import Gateway
from processor.http.server import AddressInUse
from processor.transport.abstract import UnknownTopic
from processor.transport.embedded import EmbeddedTransport
from tests.integration.gateway_rig import Reply, Rig, accepted, ended, running, started
from tests.integration.test_gateway_invoke import problem


async def put(rig: Rig, name: str, **entry: Any) -> Reply:
    return await rig.ask("PUT", f"/v1/functions/{name}", body=orjson.dumps(entry))


@pytest.fixture
def code(tmp_path: Path) -> str:
    folder = tmp_path / "thumbnail"
    folder.mkdir()
    (folder / "app.py").write_text("def main(event, context):\n    return event\n")
    return str(folder)


def test_a_function_can_be_deployed_and_invoked_at_once(tmp_path: Path, code: str) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            created = await put(rig, "thumbnail", handler="app:main", code=code, concurrency=2, env={"KEY": "secret"})
            assert created.status == 201
            assert (created.json["name"], created.json["concurrency"], created.json["env"]) == ("thumbnail", 2, ["KEY"])
            assert b"secret" not in created.body
            assert (await rig.ask("POST", "/v1/functions/thumbnail/invocations")).status == 202
            changed = await put(rig, "thumbnail", handler="app:main", code=code, concurrency=3, env={"KEY": "secret"})
            assert (changed.status, changed.json["revision"], changed.json["concurrency"]) == (200, 2, 3)
            names = [each["name"] for each in (await rig.ask("GET", "/v1/functions")).json["functions"]]
            assert names == ["resize", "thumbnail"]

    asyncio.run(scenario())


def test_async_execution_is_locked_at_creation(tmp_path: Path, code: str) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            await put(rig, "thumbnail", handler="app:main", code=code)
            reply = await put(rig, "thumbnail", handler="app:main", code=code, async_execution=False)
            assert problem(reply) == (
                409,
                "async-execution-locked",
                "function 'thumbnail' was created with async_execution: true, which cannot be changed",
            )

    asyncio.run(scenario())


def test_every_mistake_of_an_entry_is_told_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            reply = await put(rig, "thumbnail", handler="no-colon", code="here", concurrency=0)
            assert problem(reply)[:2] == (422, "function-invalid")
            assert [each["pointer"] for each in reply.json["errors"]] == ["/code", "/handler", "/concurrency"]
            assert reply.json["errors"][0]["detail"] == "code must be an absolute path on the gateway's host"
            gone = await put(rig, "thumbnail", handler="app:main", code="/nowhere/at/all")
            assert [each["pointer"] for each in gone.json["errors"]] == ["/code"]
            for body, detail in (
                (b"{", "the body is not JSON: unexpected end of data: line 1 column 2 (char 1)"),
                (b"[]", "the body is not a JSON object"),
            ):
                bad = await rig.ask("PUT", "/v1/functions/thumbnail", body=body)
                assert problem(bad) == (400, "bad-request", detail)

    asyncio.run(scenario())


def test_an_unknown_function_is_not_found(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            reply = await rig.ask("GET", "/v1/functions/nobody")
            assert problem(reply) == (404, "unknown-function", "no function is named 'nobody'")
            assert reply.json["remedy"].startswith("List the functions with")

    asyncio.run(scenario())


def test_readiness_names_what_is_missing_and_liveness_does_not_care(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            assert (await rig.ask("GET", "/readyz")).json == {"status": "ready"}
            rig.gateway._catalog.caught_up = asyncio.Event()
            await rig.gateway._catalog.stop()
            not_yet = await rig.ask("GET", "/readyz")
            assert problem(not_yet) == (503, "not-ready", "the functions have not been read to their end yet")
            assert (await rig.ask("GET", "/healthz")).json == {"status": "alive"}

    asyncio.run(scenario())


def test_a_stopping_gateway_is_not_ready_and_serves_what_still_comes_over_open_connections(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            assert rig.gateway._app is not None
            rig.gateway._app.draining = True
            assert problem(await rig.ask("GET", "/readyz")) == (503, "not-ready", "the gateway is stopping")
            assert (await rig.invoke()).status == 202
            assert len(rig.intake()) == 1

    asyncio.run(scenario())


def test_a_gateway_that_cannot_listen_says_where(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            second = Gateway(
                transport=rig.transport,
                store=rig.store,
                registry=rig.registry,
                code=rig.gateway._code,
                clock=SystemClock(),
                port=rig.port,
            )
            with pytest.raises(AddressInUse) as caught:
                await second.start()
            assert str(caught.value) == (
                f"the gateway cannot listen on 127.0.0.1 port {rig.port}: Address already in use"
            )
            await second.serve()  # it has stopped by itself

    asyncio.run(scenario())


def test_a_gateway_without_topics_does_not_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        with EmbeddedTransport(tmp_path / "log") as transport:
            transport.admin().create_topics([each for each in TOPICS if each.name != "intake"], 10)
            rig = Rig(transport, tmp_path)
            with pytest.raises(UnknownTopic, match=r"^the topic 'intake' does not exist$"):
                await rig.gateway.start()
            rig.close()

    asyncio.run(scenario())


def test_a_function_is_paused_and_resumed_while_its_events_are_accepted(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            paused = await rig.ask("POST", "/v1/functions/resize/pause")
            assert (paused.status, paused.json["paused"], paused.json["revision"]) == (200, True, 2)
            assert (await rig.ask("POST", "/v1/functions/resize/pause")).json == paused.json
            assert (await rig.invoke()).status == 202
            runs = [request_id("resize", "test", str(number)) for number in range(3)]
            rig.write(*(accepted(each) for each in runs))
            for each in runs:
                await rig.until_recorded(each, "QUEUED")
            documents = [(await rig.ask("GET", f"/v1/runs/{each}")).json for each in runs]
            assert {(each["status"], each["wait_reason"]) for each in documents} == {("QUEUED", "paused")}
            assert sorted(each["position"] for each in documents) == [1, 2, 3]
            listed = (await rig.ask("GET", "/v1/runs")).json["runs"]
            assert {each["wait_reason"] for each in listed} == {"paused"}
            assert (await rig.ask("POST", "/v1/functions/resize/resume")).json["paused"] is False
            resumed = (await rig.ask("GET", f"/v1/runs/{runs[0]}")).json
            assert (resumed["wait_reason"], resumed["position"]) == (None, documents[0]["position"])

    asyncio.run(scenario())


def test_a_run_that_waits_no_longer_has_no_reason_and_no_position(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            await rig.ask("POST", "/v1/functions/resize/pause")
            run = request_id("resize", "test", "1")
            rig.write(accepted(run), started(run))
            await rig.until_recorded(run, "RUNNING")
            document = (await rig.ask("GET", f"/v1/runs/{run}")).json
            assert document["wait_reason"] is None
            assert "position" not in document

    asyncio.run(scenario())


def test_only_a_function_that_exists_can_be_paused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            assert problem(await rig.ask("POST", "/v1/functions/nobody/pause"))[:2] == (404, "unknown-function")
            assert problem(await rig.ask("GET", "/v1/functions/resize/resume"))[:2] == (405, "method-not-allowed")
            assert (await rig.ask("POST", "/v1/functions/resize/paus")).status == 404

    asyncio.run(scenario())


def test_a_disabled_function_takes_no_events_until_it_is_enabled(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            assert (await rig.ask("POST", "/v1/functions/resize/disable")).json["enabled"] is False
            assert problem(await rig.invoke())[:2] == (409, "function-disabled")
            assert (await rig.ask("POST", "/v1/functions/resize/enable")).json["enabled"] is True
            assert (await rig.invoke()).status == 202
            assert problem(await rig.ask("POST", "/v1/functions/nobody/disable"))[:2] == (404, "unknown-function")

    asyncio.run(scenario())


def test_a_function_is_removed_once_nothing_of_it_waits_or_runs(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            run = request_id("resize", "test", "1")
            rig.write(accepted(run), started(run))
            await rig.until_recorded(run, "RUNNING")
            busy = await rig.ask("DELETE", "/v1/functions/resize")
            assert (busy.status, busy.json) == (202, {"name": "resize", "deleted": False, "left": 1})
            assert problem(await rig.invoke())[:2] == (409, "function-disabled")
            rig.write(ended(run))
            await rig.until_recorded(run, "FINISHED")
            assert (await rig.ask("DELETE", "/v1/functions/resize")).json["deleted"] is True
            assert (await rig.ask("GET", "/v1/functions/resize")).status == 404
            assert problem(await rig.ask("DELETE", "/v1/functions/resize"))[:2] == (404, "unknown-function")

    asyncio.run(scenario())


def test_an_event_that_is_not_in_its_queue_yet_keeps_its_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "_DISPATCH_SEC", 0.1)

    async def scenario() -> None:
        async with running(tmp_path) as rig:
            await rig.invoke()
            left = await rig.ask("DELETE", "/v1/functions/resize")
            assert (left.status, left.json["left"]) == (202, 1)
            assert (await rig.ask("GET", "/v1/functions/resize")).json["enabled"] is False

    asyncio.run(scenario())
