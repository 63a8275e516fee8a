from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from processor.core.request_id import request_id
from processor.gateway import feed, live, stream
from processor.http import server
from tests.integration.gateway_rig import LIMIT_SEC, accepted, ended, running, started
from tests.integration.test_gateway_invoke import problem

RUN = request_id("resize", "test", "1")


def numbers(lines: list[dict[str, int]]) -> list[int]:
    return [each["seq"] for each in lines]


def test_a_follower_gets_what_came_before_what_comes_and_the_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            rig.write(accepted(RUN), started(RUN))
            rig.log(RUN, 1, 3)
            async with rig.follow(RUN) as events:
                first = [await events.next() for _ in range(3)]
                assert first[0] == (
                    "line",
                    1,
                    {
                        "seq": 1,
                        "stream": "stdout",
                        "level": None,
                        "time": "2026-11-24T00:00:00.001Z",
                        "text": "line 1",
                    },
                )
                rig.log(RUN, 4, 4)
                assert (await events.next())[1] == 4
                rig.log(RUN, 5, 6)
                rig.write(ended(RUN, lines=6))
                lines, document = await events.until("end")
                assert numbers(lines) == [5, 6]
                assert (document["status"], document["log_lines"]) == ("FINISHED", 6)

    asyncio.run(scenario())


def test_the_end_waits_for_the_lines_that_the_verdict_counts(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            rig.write(accepted(RUN), started(RUN))
            async with rig.follow(RUN) as events:
                rig.write(ended(RUN, lines=2))  # `runs` and `logs` are two topics: their order is anybody's guess
                await rig.until_recorded(RUN, "FINISHED")
                rig.log(RUN, 1, 2)
                lines, _ = await events.until("end")
                assert numbers(lines) == [1, 2]

    asyncio.run(scenario())


def test_lines_that_never_come_do_not_keep_the_end_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "LAST_LINES_SEC", 0.1)

    async def scenario() -> None:
        async with running(tmp_path) as rig:
            rig.write(accepted(RUN), started(RUN))
            rig.log(RUN, 1, 1)
            rig.write(ended(RUN, lines=5))
            async with rig.follow(RUN) as events:
                lines, document = await events.until("end")
                assert numbers(lines) == [1, 5]
                assert (lines[-1]["stream"], lines[-1]["text"]) == ("platform", "[4 lines were lost here]")
                assert document["log_lines"] == 5

    asyncio.run(scenario())


def test_a_follower_resumes_exactly_after_its_last_line(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            rig.write(accepted(RUN), started(RUN))
            rig.log(RUN, 1, 7)
            rig.log(RUN, 8, 10)
            rig.write(ended(RUN, lines=10))
            for after in (0, 5, 7, 10):
                async with rig.follow(RUN, after=after) as events:
                    lines, _ = await events.until("end")
                    assert numbers(lines) == list(range(after + 1, 11))

    asyncio.run(scenario())


def test_a_line_that_arrives_before_its_predecessor_waits_for_the_history(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            rig.write(accepted(RUN), started(RUN))
            rig.log(RUN, 1, 4)  # before anybody follows: only the history will have these
            connection = await rig.connect()
            await connection.close()
            run = (await rig.invoke()).json["request_id"]
            rig.log(run, 1, 4)
            async with rig.follow(run) as events:
                rig.log(run, 5, 6)
                rig.recorder.start()
                lines = [await events.next() for _ in range(6)]
                assert [each[1] for each in lines] == [1, 2, 3, 4, 5, 6]
            rig.recorder.stop()
            rig.recorder.join(5)

    asyncio.run(scenario())


def test_lines_that_are_missing_between_two_others_are_counted_in_their_place(tmp_path: Path) -> None:

    async def scenario() -> None:
        async with running(tmp_path) as rig:
            rig.write(accepted(RUN), started(RUN))
            async with rig.follow(RUN) as events:
                rig.log(RUN, 1, 2)
                rig.log(RUN, 3, 3)
                rig.log(RUN, 10, 11)
                rig.write(ended(RUN, lines=11))
                lines, _ = await events.until("end")
                assert numbers(lines) == [1, 2, 3, 9, 10, 11]
                assert lines[3]["text"] == "[6 lines were lost here]"

    asyncio.run(scenario())


def test_nothing_is_missing_and_nothing_comes_twice_while_followers_come_and_go(tmp_path: Path) -> None:
    total = 600

    async def follow(rig: object, after: int) -> list[int]:
        from tests.integration.gateway_rig import Rig

        assert isinstance(rig, Rig)
        found: list[int] = []
        for stop_after in itertools.count(37, 41):
            async with rig.follow(RUN, after=found[-1] if found else after) as events:
                for _ in range(stop_after):
                    event, number, _ = await events.next()
                    if event == "end":
                        return found
                    assert number is not None
                    found.append(number)
        raise AssertionError

    async def scenario() -> None:
        async with running(tmp_path) as rig:
            rig.write(accepted(RUN), started(RUN))
            followers = [asyncio.create_task(follow(rig, after)) for after in (0, 0, 100)]
            for first in range(1, total + 1, 4):
                await asyncio.to_thread(rig.log, RUN, first, first + 3)
            rig.write(ended(RUN, lines=total))
            for after, follower in zip((0, 0, 100), followers, strict=True):
                assert await follower == list(range(after + 1, total + 1))

    asyncio.run(scenario())


def test_a_follower_that_reads_too_slowly_is_cut_and_can_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "QUEUE_BYTES", 20_000)

    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            run = (await rig.invoke()).json["request_id"]
            async with rig.follow(run) as events:
                rig.log(run, 1, 2)
                assert (await events.next())[1] == 1
                for first in range(4, 1_000, 10):  # line 3 is missing, so all of it has to wait
                    rig.log(run, first, first + 9)
                lines, told = await events.until("cut")
                assert numbers(lines) == [2]
                assert told == {
                    "reason": "this client reads more slowly than the run writes",
                    "last_event_id": 2,
                    "remedy": "Nothing is lost: connect again with Last-Event-ID: 2.",
                }

    asyncio.run(scenario())


def test_a_client_that_reads_nothing_at_all_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SEND_LIMIT_SEC", 0.2)
    monkeypatch.setattr(server, "STUCK_LIMIT_MS", 200)

    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            run = (await rig.invoke()).json["request_id"]
            connection = await rig.connect()
            connection.reader._limit = 1  # type: ignore[attr-defined]  # stops reading, like a stopped process
            await connection.send("GET", f"/v1/runs/{run}/logs?follow=1")
            await rig.until_followers(1)
            await rig.gateway._hub.ready(LIMIT_SEC)
            line = itertools.count(1, 5_000)
            async with asyncio.timeout(LIMIT_SEC):
                while rig.gateway._hub.count:  # until there is more than all buffers on the way hold together
                    first = next(line)
                    await asyncio.to_thread(rig.log, run, first, first + 4_999)
            await rig.until_no_connections()
            await connection.close()

    asyncio.run(scenario())


def test_a_follower_that_has_gone_frees_its_place(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            rig.gateway._hub._limits[True] = 1
            run = (await rig.invoke()).json["request_id"]
            async with rig.follow(run):
                full = await rig.ask("GET", f"/v1/runs/{run}/logs?follow=1")
                assert problem(full) == (
                    503,
                    "too-many-followers",
                    "this gateway serves 1 followers at a time, and has as many",
                )
                assert (await rig.ask("GET", f"/v1/runs/{run}?wait=0.01")).status == 200
            await rig.until_followers(0)
            async with rig.follow(run):
                pass

    asyncio.run(scenario())


def test_a_silent_stream_is_pinged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PING_SEC", 0.05)

    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            run = (await rig.invoke()).json["request_id"]
            connection = await rig.connect()
            await connection.send("GET", f"/v1/runs/{run}/logs?follow=1")
            await connection.head()
            assert [await connection.chunk() for _ in range(3)] == [b"retry: 1000\n\n", b": ping\n\n", b": ping\n\n"]
            await connection.close()

    asyncio.run(scenario())


def test_a_stopping_gateway_tells_its_followers_and_finishes_what_is_under_way(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            run = (await rig.invoke()).json["request_id"]
            idle = await rig.connect()
            await idle.send("GET", "/healthz")
            assert (await idle.reply()).status == 200
            async with rig.follow(run) as events:
                waiting = asyncio.create_task(rig.ask("GET", f"/v1/runs/{run}?wait=30"))
                rig.log(run, 1, 1)
                assert (await events.next())[1] == 1
                await rig.until_followers(2)
                stopping = asyncio.create_task(rig.gateway.stop())
                _, told = await events.until("cut")
                assert told["reason"] == "the gateway stops"
                assert told["last_event_id"] == 1
                assert (await waiting).json["status"] == "QUEUED"
                await stopping
            await idle.close()
            with pytest.raises(ConnectionError):
                await rig.connect()

    asyncio.run(scenario())


def test_an_unknown_run_cannot_be_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from processor.gateway import runs

    monkeypatch.setattr(runs.Runs.find_soon, "__defaults__", (0.05,))

    async def scenario() -> None:
        async with running(tmp_path) as rig:
            reply = await rig.ask("GET", f"/v1/runs/{RUN}/logs?follow=1")
            assert problem(reply) == (404, "not-found", f"no run has the RequestId {RUN}")

    asyncio.run(scenario())
