"""`headrace triggers` and `headrace rejected` against a real gateway."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from processor.cli.app import run
from processor.cli.errors import Exit
from processor.core.request_id import request_id
from processor.core.trigger_records import trigger_id
from tests.integration.gateway_rig import Rig, function, running
from tests.integration.test_rejected import foreign, of_trigger, ready, reject
from tests.integration.test_trigger_control import ID, SETTINGS, replicas, until, until_known, until_state


class Headrace:
    """The command line, in a thread of this process."""

    def __init__(self, rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
        self._rig = rig
        self._capsys = capsys

    async def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        self._capsys.readouterr()
        code = await asyncio.to_thread(run, [*arguments, "--gateway", self._rig.gateway.url])
        return code, *self._capsys.readouterr()

    async def json(self, *arguments: str) -> Any:
        code, out, _ = await self(*arguments, "-o", "json")
        assert code == Exit.OK
        return json.loads(out)


@pytest.fixture(autouse=True)
def _no_settings_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_triggers_are_listed_shown_paused_resumed_and_fired(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        async with running(tmp_path, recorder=False) as rig:
            headrace = Headrace(rig, capsys)
            rig.deploy(function(events=({"bell": SETTINGS}, {"pigeon": SETTINGS}), revision=2))
            await until_known(rig)
            async with replicas(rig.transport, "a"):
                pigeon = trigger_id("resize", "pigeon", SETTINGS)
                await until_state(rig, pigeon, "unsupported")
                await until(rig, lambda found: found["state"] == "watching")
                await _look(headrace, pigeon)
                await _pause_and_resume(headrace)
                code, out, _ = await headrace("triggers", "fire", ID)
                assert (code, out.split()) == (Exit.OK, [each.key.decode() for each in rig.intake() if each.key])
                code, _, error = await headrace("triggers", "fire", pigeon)
                assert code == Exit.FAILED
                assert "no adapter for 'pigeon'" in error
                assert "-> Use another trigger" in error

    asyncio.run(main())


async def _look(headrace: Headrace, pigeon: str) -> None:
    _, out, _ = await headrace("triggers", "ls")
    rows = {line.split()[0]: line.split()[1] for line in out.splitlines()[1:]}
    assert rows == {ID: "watching", pigeon: "unsupported"}
    _, out, _ = await headrace("triggers", "show", pigeon)
    assert "this version has no adapter for 'pigeon'" in out
    assert "Use another trigger" in out
    assert [each["id"] for each in (await headrace.json("triggers", "ls", "--function", "resize"))["triggers"]]
    code, _, error = await headrace("triggers", "show", "resize-nothing")
    assert code == Exit.USAGE
    assert "headrace triggers ls" in error


async def _pause_and_resume(headrace: Headrace) -> None:
    code, out, _ = await headrace("triggers", "pause", ID)
    assert (code, out.startswith(f"{ID} is paused")) == (Exit.OK, True)
    code, _, error = await headrace("triggers", "fire", ID)
    assert code == Exit.USAGE
    assert f"headrace triggers resume {ID}" in error
    code, out, _ = await headrace("triggers", "resume", ID)
    assert (code, out.strip()) == (Exit.OK, f"{ID} is watching")
    assert (await headrace.json("triggers", "show", ID))["paused"] is False


def test_firing_what_nobody_runs_ends_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        async with running(tmp_path, recorder=False) as rig:
            rig.deploy(function(events=({"bell": SETTINGS},), revision=2))
            await until_known(rig)
            code, _, error = await Headrace(rig, capsys)("triggers", "fire", ID)
            assert code == Exit.UNREACHABLE
            assert "headrace start triggers" in error

    asyncio.run(main())


def test_rejected_records_are_listed_shown_redriven_and_discarded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main() -> None:
        async with running(tmp_path, recorder=False) as rig:
            headrace = Headrace(rig, capsys)
            await ready(rig)
            reject(rig, foreign(function="resize"), foreign(8), of_trigger(b"\xff"), of_trigger("grün\n".encode()))
            _, out, _ = await headrace("rejected", "ls", "--limit", "3")
            assert [line.split()[0] for line in out.splitlines()] == ["ID", "0-3", "0-2", "0-1", "more:"]
            _, out, _ = await headrace("rejected", "show", "0-3")
            assert "not JSON" in out
            assert out.endswith("grün\n\n")
            _, out, _ = await headrace("rejected", "show", "0-2")
            assert "(1 bytes that are no text: -o json)" in out
            await _handle(headrace)
            assert (await headrace.json("rejected", "ls"))["rejected"] == []
            everything = await headrace.json("rejected", "ls", "--all")
            assert [each["state"] for each in everything["rejected"]] == [
                "discarded",
                "discarded",
                "redriven",
                "redriven",
            ]

    asyncio.run(main())


async def _handle(headrace: Headrace) -> None:
    run = request_id("resize", "/shop", "7")
    code, out, error = await headrace("rejected", "redrive", "0-0", "0-1")  # the second names nobody
    assert (code, out.strip()) == (Exit.USAGE, f"0-0  {run}")
    assert "--function NAME" in error
    redriven = await headrace.json("rejected", "redrive", "0-1", "--function", "resize")
    assert redriven["rejected"][0]["function"] == "resize"
    code, out, _ = await headrace("rejected", "discard", "0-2", "0-3")
    assert (code, out) == (Exit.OK, "0-2  discarded\n0-3  discarded\n")
