"""A watched folder that hangs: it is a named state of its own triggers, and nobody else notices."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hanging_folder import HangingFolder, hanging_folder
from tests.integration.folder_rig import Rig, rig_in, run
from triggers.abstract import TriggerState
from triggers.folder.threads import THREADS

LIMIT_SEC = 0.3


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[HangingFolder]:
    with hanging_folder(tmp_path) as folder:
        yield folder


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triggers.folder.adapter.LOOK_SEC", 0.05)
    monkeypatch.setattr("triggers.folder.adapter.CHECK_SEC", 0.05)


def threads_in(folder: Path) -> int:
    return sum(each.name == f"folder {folder}" for each in threading.enumerate())


async def until_silent(rig: Rig) -> None:
    await rig.until(lambda: rig.trigger.health.state is TriggerState.WAITING)
    assert "does not answer" in rig.trigger.health.reason
    assert "watched again by itself" in rig.trigger.health.remedy


def test_a_folder_that_hangs_is_a_state_of_its_trigger_and_is_read_again_once_it_answers(
    hanging: HangingFolder, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (hanging.behind / "before").write_text("x")

    async def main() -> None:
        async with (
            rig_in(tmp_path, folder=hanging.path, limit_sec=LIMIT_SEC) as rig,
            rig_in(other) as well,
        ):
            await rig.until_keys("before")
            hanging.hang()
            (hanging.behind / "meanwhile").write_text("x")
            await until_silent(rig)
            well.drop("a")
            await well.until_remembered(1)
            assert await asyncio.to_thread(lambda: "nobody waits in the shared threads")
            hanging.answer()
            await rig.until_keys("before", "meanwhile")
            await rig.until_watching()
            assert rig.intake.keys == ["before", "meanwhile"]

    run(main)


def test_a_trigger_that_is_paused_and_resumed_again_and_again_leaves_few_threads_in_a_folder_that_hangs(
    hanging: HangingFolder, tmp_path: Path
) -> None:
    async def main() -> None:
        async with rig_in(tmp_path, folder=hanging.path, limit_sec=LIMIT_SEC) as rig:
            await rig.until_watching()
            hanging.hang()
            await until_silent(rig)
            for _ in range(3 * THREADS):
                await rig.restart()
                await until_silent(rig)
            assert 1 <= threads_in(hanging.path) <= THREADS
            (hanging.behind / "last").write_text("x")
            hanging.answer()
            await rig.until_keys("last")

    run(main)


def test_a_new_mount_is_watched_although_the_calls_into_the_old_one_never_come_back(
    hanging: HangingFolder, tmp_path: Path
) -> None:
    async def main() -> None:
        async with rig_in(tmp_path, folder=hanging.path, limit_sec=LIMIT_SEC) as rig:
            await rig.until_watching()
            hanging.hang()
            await until_silent(rig)
            hanging.unmount_lazily()
            with hanging_folder(hanging.path.parent / "again") as again:
                again.bind(hanging.path)
                (again.behind / "new").write_text("x")
                await rig.until_keys("new")
                await rig.until_watching()
                assert threads_in(hanging.path) >= 2

    run(main)
