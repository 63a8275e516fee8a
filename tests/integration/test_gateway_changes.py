"""`GET /v1/runs/changes`: server-sent events of every run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from processor.core.request_id import request_id
from processor.gateway import changes, live
from tests.integration.gateway_rig import LIMIT_SEC, Connection, Rig, accepted, ended, running, started
from tests.integration.test_gateway_invoke import problem

PATH = "/v1/runs/changes"
A, B = request_id("resize", "test", "a"), request_id("resize", "test", "b")


class Changes:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._text = ""

    async def next(self) -> tuple[str, Any, str | None]:
        """(event, data, id)"""
        while True:
            while "\n\n" not in self._text:
                part = await self._connection.chunk()
                if not part:
                    raise EOFError("the stream ended")
                self._text += part.decode()
            frame, self._text = self._text.split("\n\n", 1)
            fields = dict(line.split(": ", 1) for line in frame.split("\n") if not line.startswith(":"))
            if "event" in fields:
                return fields["event"], orjson.loads(fields["data"]), fields.get("id")

    async def until(self, request_id: str, status: str) -> tuple[dict[str, Any], str]:
        """Everything of that run put together when it has that status, and the last id."""
        run: dict[str, Any] = {}
        while True:
            event, data, last = await self.next()
            if event == "run" and data["request_id"] == request_id:
                run |= data
                if run["status"] == status:
                    while last is None:  # the last of those that were told together bears it
                        _, _, last = await self.next()
                    return run, last


@asynccontextmanager
async def watching(rig: Rig, query: str = "", last: str | None = None) -> AsyncIterator[Changes]:
    """Entered when everything from now on is told, or what was missed is about to be."""
    connection = await rig.connect()
    try:
        await connection.send("GET", PATH + query, [] if last is None else [("last-event-id", last)])
        status, headers = await connection.head()
        assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        async with asyncio.timeout(LIMIT_SEC):
            found = Changes(connection)
            if last is None:
                assert (await found.next())[0] == "ready"
            yield found
    finally:
        await connection.close()


def test_every_step_of_a_run_is_told_as_it_happens(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig, watching(rig) as seen:
            rig.write(accepted(A))
            run, _ = await seen.until(A, "QUEUED")
            assert (run["function"], run["trigger"], run["version"]) == ("resize", "http", "v1")
            rig.write(started(A))
            assert (await seen.until(A, "RUNNING"))[0]["executor"] == "e#1"
            rig.write(ended(A))
            run, _ = await seen.until(A, "FINISHED")
            assert (run["status_code"], run["duration_ms"]) == (200, 800.0)
            assert "result" not in run

    asyncio.run(scenario())


def test_who_comes_back_is_told_what_was_missed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            async with watching(rig) as seen:
                rig.write(accepted(A))
                _, last = await seen.until(A, "QUEUED")
            rig.write(started(A), accepted(B))
            async with watching(rig, last=last) as seen:
                told: dict[str, str] = {}
                while (event := await seen.next())[0] == "run":
                    told[event[1]["request_id"]] = event[1]["status"]
                assert (told, event[0]) == ({A: "RUNNING", B: "QUEUED"}, "ready")

    asyncio.run(scenario())


def test_only_the_runs_of_the_function_are_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig, watching(rig, "?function=other") as seen:
            rig.write(accepted(A))
            other = request_id("other", "test", "1")
            record = accepted(other)
            rig.write(
                type(record)(**{name: getattr(record, name) for name in record.__slots__} | {"function": "other"})
            )
            event, data, _ = await seen.next()
            assert (event, data["request_id"]) == ("run", other)

    asyncio.run(scenario())


@pytest.mark.parametrize("last", ["1", "9-9-9-9", "0-0-0-0-0"])
def test_an_id_that_cannot_be_gone_on_from_resets(tmp_path: Path, last: str) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig, watching(rig, last=last) as seen:
            assert [(await seen.next())[0] for _ in range(2)] == ["reset", "ready"]

    asyncio.run(scenario())


def test_more_changes_than_anybody_reads_are_told_as_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MAX_TOLD", 3)
    monkeypatch.setattr(changes, "GATHER_SEC", 0.5)

    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig, watching(rig) as seen:
            rig.write(*(accepted(request_id("resize", "test", str(number))) for number in range(50)))
            event, data, last = await seen.next()
            assert (event, data["count"] > 3) == ("many", True)
            assert last is not None

    asyncio.run(scenario())


def test_too_many_watchers_and_ids_from_elsewhere_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MAX_WATCHERS", 1)

    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig, watching(rig):
            assert problem(await rig.ask("GET", PATH))[:2] == (503, "too-many-followers")
            reply = await rig.ask("GET", PATH, headers=[("last-event-id", "x")])
            assert problem(reply)[:2] == (400, "bad-request")
            assert problem(await rig.ask("GET", f"{PATH}?colour=red"))[:2] == (400, "bad-request")
            assert problem(await rig.ask("POST", PATH))[:2] == (405, "method-not-allowed")

    asyncio.run(scenario())


def test_a_watcher_who_leaves_is_forgotten_and_one_who_stays_is_told_when_the_gateway_stops(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            async with watching(rig):
                await rig.until_followers(1)
            await rig.until_followers(0)
            async with watching(rig) as seen:
                stopping = asyncio.create_task(rig.gateway.stop())
                with pytest.raises(EOFError):
                    await seen.next()
                await stopping

    asyncio.run(scenario())
