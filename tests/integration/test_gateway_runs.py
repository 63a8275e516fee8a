from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from processor.core.request_id import request_id
from processor.http import server
from processor.recorder.store import HistoryUnavailable
from tests.integration.gateway_rig import LIMIT_SEC, accepted, ended, eventually, running, started
from tests.integration.test_gateway_invoke import problem

RUN = request_id("resize", "test", "1")


def test_a_run_can_be_asked_for_before_the_recorder_has_seen_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            run = (await rig.invoke()).json["request_id"]
            reply = await rig.ask("GET", f"/v1/runs/{run}")
            assert reply.status == 200
            assert (reply.json["request_id"], reply.json["status"], reply.json["version"]) == (run, "QUEUED", "v1")
            assert reply.headers["x-request-id"] == run

    asyncio.run(scenario())


def test_the_document_follows_the_ledger(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            rig.write(accepted(RUN), started(RUN))
            await rig.until_recorded(RUN, "RUNNING")
            rig.write(ended(RUN))
            await rig.until_recorded(RUN, "FINISHED")
            document = (await rig.ask("GET", f"/v1/runs/{RUN}")).json
            assert (document["status"], document["status_code"], document["result"]) == ("FINISHED", 200, {"ok": True})
            listed = (await rig.ask("GET", "/v1/runs?function=resize&status=FINISHED")).json
            assert [each["request_id"] for each in listed["runs"]] == [RUN]
            assert listed["cursor"] is None

    asyncio.run(scenario())


def test_waiting_returns_at_the_end_even_while_the_recorder_stands_still(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            run = (await rig.invoke()).json["request_id"]
            waiting = asyncio.create_task(rig.ask("GET", f"/v1/runs/{run}?wait=30"))
            assert await rig.gateway._hub.ready(LIMIT_SEC)  # the verdict must not come before anybody listens
            rig.write(ended(run))
            document = (await waiting).json
            assert (document["status"], document["result"]) == ("FINISHED", {"ok": True})

    asyncio.run(scenario())


def test_waiting_returns_at_once_when_the_run_has_ended_and_after_the_time_when_not(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            rig.write(accepted(RUN), started(RUN), ended(RUN))
            await rig.until_recorded(RUN, "FINISHED")
            assert (await rig.ask("GET", f"/v1/runs/{RUN}?wait=60")).json["status"] == "FINISHED"
            run = (await rig.invoke()).json["request_id"]
            assert (await rig.ask("GET", f"/v1/runs/{run}?wait=0.05")).json["status"] == "QUEUED"

    asyncio.run(scenario())


def test_requests_that_make_no_sense_are_told_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            get = rig.ask
            assert problem(await get("GET", f"/v1/runs/{RUN}")) == (
                404,
                "not-found",
                f"no run has the RequestId {RUN}",
            )
            assert problem(await get("GET", "/v1/runs/7")) == (404, "not-found", "'7' is not a RequestId")
            assert problem(await get("GET", f"/v1/runs/{RUN}?wait=61")) == (
                400,
                "bad-request",
                "wait='61' is not a number of seconds from 0 to 60",
            )
            assert problem(await get("GET", f"/v1/runs/{RUN}/logs?format=xml&follow=yes")) == (
                400,
                "bad-request",
                "follow='yes' is not 0 or 1; format='xml' is not text or json",
            )
            assert problem(await get("GET", "/v2/%C3%A4")) == (404, "not-found", "there is nothing at /v2/%C3%A4")
            wrong = await get("DELETE", f"/v1/runs/{RUN}/logs")
            assert problem(wrong) == (405, "method-not-allowed", f"/v1/runs/{RUN}/logs does not take DELETE")
            assert wrong.headers["allow"] == "get, head, options"

    asyncio.run(scenario())


def test_head_and_options_are_answered_for_every_address(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            head = await rig.ask("HEAD", "/v1/runs")
            assert (head.status, head.headers["content-length"]) == (200, "44")
            options = await rig.ask("OPTIONS", "/v1/functions/x/invocations")
            assert (options.status, options.headers["allow"]) == (204, "post, options")

    asyncio.run(scenario())


def test_a_history_that_is_away_is_a_503_and_never_a_500(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise HistoryUnavailable("the history database could not be read: disk I/O error")

    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            monkeypatch.setattr(rig.store, "get_run", fail)
            monkeypatch.setattr(rig.store, "list_runs", fail)
            for path in (f"/v1/runs/{RUN}", "/v1/runs"):
                reply = await rig.ask("GET", path)
                assert problem(reply) == (
                    503,
                    "history-unavailable",
                    "the history database could not be read: disk I/O error",
                )
                assert reply.headers["retry-after"] == "1"
            run = (await rig.invoke()).json["request_id"]
            assert (await rig.ask("GET", f"/v1/runs/{run}")).json["status"] == "QUEUED"

    asyncio.run(scenario())


def test_a_bug_is_a_problem_document_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            monkeypatch.setattr(rig.store, "get_run", fail)
            assert problem(await rig.ask("GET", f"/v1/runs/{RUN}")) == (
                500,
                "internal",
                "this request could not be served because of a mistake in Headrace",
            )
            assert f"GET /v1/runs/{RUN} failed" in caplog.text

    asyncio.run(scenario())


def test_a_connection_that_says_nothing_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_LIMIT_SEC", 0.05)

    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            for start in (b"", b"GET /healthz HTTP/1.1\r\nhost"):
                connection = await rig.connect()
                connection.writer.write(start)
                with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                    async with asyncio.timeout(10):
                        await connection.reader.readexactly(1)
                await connection.close()

    asyncio.run(scenario())


def test_lines_come_as_text_and_as_json(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            rig.write(accepted(RUN), started(RUN))
            rig.log(RUN, 1, 1_500)

            async def recorded() -> bool:
                return len((await rig.ask("GET", f"/v1/runs/{RUN}/logs")).body.splitlines()) == 1_500

            await eventually(recorded)
            text = await rig.ask("GET", f"/v1/runs/{RUN}/logs?after=1498")
            assert (text.headers["content-type"], text.body) == (
                "text/plain; charset=utf-8",
                b"line 1499\nline 1500\n",
            )
            ndjson = await rig.ask("GET", f"/v1/runs/{RUN}/logs?format=json&after=1499")
            assert ndjson.headers["content-type"] == "application/x-ndjson"
            assert ndjson.json == {
                "seq": 1500,
                "stream": "stdout",
                "level": None,
                "time": "2026-11-24T00:00:01.500Z",
                "text": "line 1500",
            }

    asyncio.run(scenario())
