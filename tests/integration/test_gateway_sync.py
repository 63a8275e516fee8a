"""Functions with `async_execution: false`: the caller waits for the end of the run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from processor.core.ledger import Ended
from processor.core.run import RunError, StatusCode
from processor.gateway import outcome
from tests.integration.gateway_rig import LIMIT_SEC, Rig, accepted, ended, eventually, function, running, started
from tests.integration.test_gateway_invoke import problem


@asynccontextmanager
async def synchronous(data: Path) -> AsyncIterator[Rig]:
    async with running(data, recorder=False) as rig:
        rig.deploy(function(async_execution=False, revision=2))

        async def known() -> bool:
            return (await rig.ask("GET", "/v1/functions/resize")).json["async_execution"] is False

        await eventually(known)
        yield rig


async def accepted_run(rig: Rig) -> str:
    """The RequestId of the one event on the intake."""
    await rig.until_followers(1)
    assert await rig.gateway._hub.ready(LIMIT_SEC)

    async def there() -> bool:
        return len(await asyncio.to_thread(rig.intake)) == 1

    await eventually(there)
    (record,) = rig.intake()
    assert record.key is not None
    return record.key.decode()


def failed(request_id: str) -> Ended:
    return Ended(
        request_id=request_id,
        function="resize",
        delivery=ended(request_id).delivery,
        status_code=StatusCode.HANDLER_RAISED,
        error=RunError(type="ValueError", message="too small", stack="Traceback ..."),
        ended_at_ms=1_795_478_400_900,
    )


def test_the_caller_gets_the_result_on_the_same_connection(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with synchronous(tmp_path) as rig:
            waiting = asyncio.create_task(rig.invoke(b'{"width":1}'))
            run = await accepted_run(rig)
            rig.write(accepted(run), started(run), ended(run))
            reply = await waiting
            assert (reply.status, reply.headers["x-request-id"]) == (200, run)
            assert (reply.json["status"], reply.json["result"]) == ("FINISHED", {"ok": True})

    asyncio.run(scenario())


def test_the_caller_gets_the_error_of_a_run_that_fails(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with synchronous(tmp_path) as rig:
            waiting = asyncio.create_task(rig.invoke())
            run = await accepted_run(rig)
            rig.write(failed(run))
            reply = await waiting
            assert problem(reply) == (502, "run-failed", "430 ValueError: too small")
            assert (reply.json["request_id"], reply.json["run"]["error"]["type"]) == (run, "ValueError")

    asyncio.run(scenario())


def test_a_caller_who_leaves_cancels_nothing_and_is_waited_for_no_more(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with synchronous(tmp_path) as rig:
            connection = await rig.connect()
            headers = [("idempotency-key", "order-1")]
            await connection.send("POST", "/v1/functions/resize/invocations", headers)
            run = await accepted_run(rig)
            await connection.close()
            await rig.until_followers(0)
            again = asyncio.create_task(rig.invoke(b"", idempotency_key="order-1"))
            await rig.until_followers(1)
            rig.write(ended(run))
            reply = await again
            assert (reply.status, reply.json["request_id"]) == (200, run)
            assert len(rig.intake()) == 1

    asyncio.run(scenario())


def test_a_run_that_takes_too_long_goes_on_and_the_caller_is_told_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome.Outcomes.__init__, "__kwdefaults__", {"limit_sec": 0.05})

    async def scenario() -> None:
        async with synchronous(tmp_path) as rig:
            reply = await rig.invoke()
            assert problem(reply)[:2] == (504, "still-running")
            assert f"/v1/runs/{reply.json['request_id']}" in reply.json["remedy"]

    asyncio.run(scenario())


def test_a_gateway_that_stops_says_that_the_run_goes_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with synchronous(tmp_path) as rig:
            waiting = asyncio.create_task(rig.invoke())
            run = await accepted_run(rig)
            await rig.gateway.stop()
            reply = await waiting
            assert problem(reply)[:2] == (503, "draining")
            assert reply.json["request_id"] == run

    asyncio.run(scenario())


def test_what_is_refused_is_refused_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with synchronous(tmp_path) as rig:
            assert problem(await rig.invoke(b"{"))[:2] == (400, "bad-request")
            assert rig.intake() == []

    asyncio.run(scenario())
