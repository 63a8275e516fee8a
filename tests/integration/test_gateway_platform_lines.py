"""What Headrace says of a run, and what the run says of itself, beside its lines."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from processor.core.progress import Progress
from processor.core.request_id import request_id
from processor.core.topics import LOGS
from processor.gateway.platform_lines import LAST_SEQ
from tests.integration.gateway_rig import Rig, accepted, ended, eventually, running, started
from tests.integration.test_gateway_changes import watching

RUN = request_id("resize", "test", "1")
START = f"START RequestId:{RUN}"
LAST = [
    f'Response RequestId:{RUN} RetMsg:{{"ok":true}}',
    f"END RequestId:{RUN}",
    f"Report RequestId:{RUN} Duration:800ms MemUsage:0.00MB",
]


def say(rig: Rig, fraction: float, message: str = "") -> None:
    progress = Progress(
        request_id=RUN,
        function="resize",
        delivery="queue.resize.1/0/1",
        fraction=fraction,
        message=message,
        at_ms=1_795_478_400_000 + int(fraction * 1000),
    )
    rig._producer.append(LOGS.name, progress.encode(), key=RUN.encode())
    rig._producer.flush(30)


async def lines_of(rig: Rig, query: str = "") -> list[dict[str, Any]]:
    reply = await rig.ask("GET", f"/v1/runs/{RUN}/logs?format=json&platform=1{query}")
    return [orjson.loads(each) for each in reply.body.splitlines()]


def texts(lines: list[dict[str, Any]]) -> list[str]:
    return [each["text"] for each in lines]


def test_a_log_is_what_the_function_printed_unless_more_is_asked_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            rig.write(accepted(RUN), started(RUN))
            rig.log(RUN, 1, 2)
            rig.write(ended(RUN, lines=2))
            await rig.until_recorded(RUN, "FINISHED")

            async def both_lines() -> bool:
                return (await rig.ask("GET", f"/v1/runs/{RUN}/logs")).body == b"line 1\nline 2\n"

            await eventually(both_lines)
            text = (await rig.ask("GET", f"/v1/runs/{RUN}/logs?platform=1")).body.decode()
            assert text.splitlines() == [START, "line 1", "line 2", *LAST]
            lines = await lines_of(rig)
            assert [each["seq"] for each in lines] == [0, 1, 2, LAST_SEQ, LAST_SEQ + 1, LAST_SEQ + 2]
            assert lines[0] == {
                "seq": 0,
                "stream": "platform",
                "level": None,
                "time": "2026-11-24T00:00:00.100Z",
                "text": START,
            }
            assert lines[-1]["time"] == "2026-11-24T00:00:00.900Z"
            for at, line in enumerate(lines):
                assert await lines_of(rig, f"&after={line['seq']}") == lines[at + 1 :]

    asyncio.run(scenario())


def test_the_end_is_not_told_before_the_lines_that_the_verdict_counts(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            now_ms = rig.clock.unix_ms()
            rig.write(accepted(RUN), started(RUN), replace(ended(RUN, lines=2), ended_at_ms=now_ms))
            await rig.until_recorded(RUN, "FINISHED")
            assert texts(await lines_of(rig)) == [START]
            rig.log(RUN, 1, 2)

            async def all_lines() -> bool:
                return texts(await lines_of(rig)) == [START, "line 1", "line 2", *LAST]

            await eventually(all_lines)

    asyncio.run(scenario())


def test_a_queued_run_has_not_begun(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            rig.write(accepted(RUN))
            await rig.until_recorded(RUN, "QUEUED")
            assert await lines_of(rig) == []

    asyncio.run(scenario())


def test_a_follower_gets_the_start_before_the_lines_and_the_end_behind_them(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            rig.write(accepted(RUN))
            async with rig.follow(RUN, query="&platform=1") as events:
                rig.write(started(RUN))
                name, number, line = await events.next()
                assert (name, number, line["text"]) == ("line", 0, START)
                rig.log(RUN, 1, 2)
                assert [(await events.next())[1] for _ in range(2)] == [1, 2]
                rig.write(ended(RUN, lines=2))
                lines, run = await events.until("end")
                assert texts(lines) == LAST
                assert run["status"] == "FINISHED"

    asyncio.run(scenario())


def test_a_follower_who_comes_back_misses_nothing_and_gets_nothing_twice(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            rig.write(accepted(RUN), started(RUN))
            rig.log(RUN, 1, 2)
            rig.write(ended(RUN, lines=2))
            every = [START, "line 1", "line 2", *LAST]
            for at, seq in enumerate([None, 0, 1, 2, LAST_SEQ, LAST_SEQ + 1, LAST_SEQ + 2]):
                async with rig.follow(RUN, after=seq, query="&platform=1") as events:
                    lines, _ = await events.until("end")
                    assert texts(lines) == every[at:]

    asyncio.run(scenario())


def test_progress_is_shown_live_in_the_run_and_at_its_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            rig.write(accepted(RUN), started(RUN))
            async with rig.follow(RUN) as events:
                say(rig, 0.25, "frame 300")
                shown = {"fraction": 0.25, "message": "frame 300", "at": "2026-11-24T00:00:00.250Z"}
                assert await events.next() == ("progress", None, shown)

                async def in_the_run() -> bool:
                    return bool((await rig.ask("GET", f"/v1/runs/{RUN}")).json["progress"] == shown)

                await eventually(in_the_run)
                async with rig.follow(RUN) as late:
                    assert await late.next() == ("progress", None, shown)
                rig.log(RUN, 1, 1)
                assert (await events.next())[:2] == ("line", 1)
                say(rig, 0.75)
                assert (await events.next())[0] == "progress"
                rig.write(ended(RUN, lines=1))
                lines, run = await events.until("end")
                assert lines == []
                assert (run["log_lines"], run["progress"]["fraction"]) == (1, 0.75)

                async def recorded() -> bool:
                    return (await rig.ask("GET", f"/v1/runs/{RUN}/logs")).body != b""

                await eventually(recorded)
                assert (await rig.ask("GET", f"/v1/runs/{RUN}/logs")).body == b"line 1\n"

    asyncio.run(scenario())


def test_who_watches_runs_is_told_their_progress_and_resumes_as_before(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            rig.write(accepted(RUN), started(RUN))
            await rig.until_recorded(RUN, "RUNNING")
            async with watching(rig) as events:
                say(rig, 0.5, "half")
                name, change, _ = await events.next()
                assert (name, change["request_id"], change["function"]) == ("run", RUN, "resize")
                assert change["progress"] == {"fraction": 0.5, "message": "half", "at": "2026-11-24T00:00:00.500Z"}
                assert "status" not in change
                rig.write(ended(RUN))
                assert (await events.next())[1]["status"] == "FINISHED"

    asyncio.run(scenario())
