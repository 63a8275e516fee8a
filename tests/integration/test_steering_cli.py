"""Steering from the command line: replays, bulks, functions, queues, executors, found lines, against a real gateway."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from processor.cli.client import Client
from processor.cli.errors import Exit
from processor.core.request_id import request_id
from tests.integration.gateway_rig import LIMIT_SEC, accepted, eventually, running, started
from tests.integration.test_control_cli import Headrace
from tests.integration.test_gateway_replay import event_of, finished_run

RUN = request_id("resize", "test", "1")


@pytest.fixture(autouse=True)
def _no_settings_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_run_is_replayed_with_its_data_and_with_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        async with running(tmp_path) as rig:
            headrace = Headrace(rig, capsys)
            run = await finished_run(rig)
            code, new, _ = await headrace("runs", "replay", run)
            assert (code, event_of(rig, new.strip()).data) == (Exit.OK, b'{"width":1}')
            (tmp_path / "event.json").write_text('{"width": 2}')
            answer = await headrace.json("runs", "replay", run, "--data", "@event.json", "--name", "again")
            assert event_of(rig, answer["request_id"]).data == b'{"width":2}'
            code, _, error = await headrace("runs", "replay", run, "--data", "{")
            assert (code, "--data is not understood" in error) == (Exit.USAGE, True)
            code, _, error = await headrace("runs", "replay", RUN)
            assert (code, "no run has the RequestId" in error) == (Exit.USAGE, True)

    asyncio.run(main())


def test_a_bulk_shows_first_and_acts_when_told_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        async with running(tmp_path) as rig:
            headrace = Headrace(rig, capsys)
            await finished_run(rig)
            code, out, _ = await headrace("runs", "bulk", "replay", "--status", "FINISHED")
            assert (code, out.splitlines()[-1]) == (Exit.OK, "1 runs; with --yes: replay")
            assert len(rig.intake()) == 1
            code, out, _ = await headrace("runs", "bulk", "replay", "--status", "FINISHED", "--yes")
            assert (code, out.splitlines()[-1]) == (Exit.OK, "done: 1 done, 0 ended before, 0 failed")
            assert len(rig.intake()) == 2
            code, _, error = await headrace("runs", "bulk", "cancel")
            assert (code, "no filter is given" in error) == (Exit.USAGE, True)

    asyncio.run(main())


def test_a_function_is_created_once_disabled_enabled_and_deleted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "app.py").write_text("def main(event, context):\n    return event\n")

    async def main() -> None:
        async with running(tmp_path) as rig:
            headrace = Headrace(rig, capsys)
            create = ("functions", "create", "echo", "--handler", "app:main", "--code", "code")
            code, out, _ = await headrace(*create, "--sync")
            assert (code, out.startswith("echo created, synchronous, version ")) == (Exit.OK, True)
            code, _, error = await headrace(*create)
            assert (code, "there is a function 'echo' already" in error) == (Exit.USAGE, True)
            assert (await headrace("functions", "disable", "echo"))[:2] == (Exit.OK, "echo disabled\n")
            assert (await headrace("functions", "enable", "echo"))[:2] == (Exit.OK, "echo enabled\n")
            assert (await headrace("functions", "delete", "echo"))[:2] == (Exit.OK, "echo deleted\n")
            assert (await headrace("functions", "delete", "echo"))[0] == Exit.USAGE

    asyncio.run(main())


def test_a_function_that_runs_is_not_deleted_without_waiting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main() -> None:
        async with running(tmp_path) as rig:
            rig.write(accepted(RUN), started(RUN))
            await rig.until_recorded(RUN, "RUNNING")
            code, out, _ = await Headrace(rig, capsys)("functions", "delete", "resize", "--no-wait")
            assert (code, out) == (Exit.FAILED, "resize is disabled; 1 runs are left\n")

    asyncio.run(main())


def test_queues_executors_and_runs_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        async with running(tmp_path) as rig:
            headrace = Headrace(rig, capsys)
            await rig.invoke()
            _, out, _ = await headrace("queues", "ls")
            assert out.splitlines()[1:] == ["resize    0", "1 accepted events are not in their queue yet"]
            _, out, _ = await headrace("executors", "ls")
            assert out.split() == ["EXECUTOR", "STATE", "RUNNING", "ROOM", "HEARD"] or "may be more" in out
            rig.write(accepted(RUN), started(RUN))
            await rig.until_recorded(RUN, "RUNNING")
            found = await headrace.json("runs", "ls", "--text", RUN[:8], "--trigger", "http")
            assert [each["request_id"] for each in found["runs"]] == [RUN]

    asyncio.run(main())


def test_lines_of_all_runs_are_found_and_printed_the_oldest_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main() -> None:
        async with running(tmp_path) as rig:
            headrace = Headrace(rig, capsys)
            rig.write(accepted(RUN), started(RUN))
            rig.log(RUN, 1, 12)

            async def found() -> bool:
                _, out, _ = await headrace("logs", "--grep", "LINE 1", "--function", "resize")
                texts = [line.split("  ")[3] for line in out.splitlines()]
                return texts == ["line 1", "line 10", "line 11", "line 12"]

            await eventually(found)
            _, out, _ = await headrace("logs", RUN, "--grep", "line 12")
            assert out.endswith(f"resize  {RUN}  line 12\n")
            code, _, error = await headrace("logs", "--follow")
            assert (code, "cannot be followed" in error) == (Exit.USAGE, True)

    asyncio.run(main())


def test_changes_are_taken_up_where_the_stream_broke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processor.cli.client._RECONNECT_SEC", 0.01)
    seen: list[tuple[str, dict[str, Any]]] = []
    more = threading.Event()

    def read(url: str) -> None:
        for event in Client(url).changes():
            seen.append(event)
            more.set()
            if event[1].get("status") == "RUNNING":
                return

    async def main() -> None:
        async with running(tmp_path, recorder=False) as rig:
            reading = asyncio.create_task(asyncio.to_thread(read, rig.gateway.url))
            assert await asyncio.to_thread(more.wait, LIMIT_SEC)
            rig.write(accepted(RUN))

            async def told() -> bool:
                return any(event == "run" for event, _ in seen)

            await eventually(told)
            server = rig.gateway._server
            assert server is not None
            server._abort_all()
            rig.write(started(RUN))
            await reading
            assert [data["status"] for event, data in seen if event == "run"] == ["QUEUED", "RUNNING"]

    asyncio.run(main())
