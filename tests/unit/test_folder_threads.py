"""Calls that hang: work that waits for an event. tests/integration/test_folder_silent.py has a real folder."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from processor.core.clock import ManualClock, SystemClock
from triggers.folder.threads import Abandoned, FolderSilent, FolderThreads

LIMIT_SEC = 0.1
PATIENCE_SEC = 20.0


class Rig:
    def __init__(self, base: Path, most: int) -> None:
        self.mounts = base / "mounts"
        self.mounts.write_text("as they were")
        self.folder = str(base)
        self.threads = FolderThreads(self.folder, SystemClock(), limit_sec=LIMIT_SEC, most=most, mounts=self.mounts)
        self.answers = threading.Event()
        self.hanging = threading.Semaphore(0)

    def hang(self) -> str:
        self.hanging.release()
        assert self.answers.wait(PATIENCE_SEC)
        return "it answers"

    def alive(self) -> int:
        return sum(each.name == f"folder {self.folder}" for each in threading.enumerate())

    async def until_no_call_hangs(self) -> None:
        await until(lambda: not self.threads.stuck())


@asynccontextmanager
async def rig_in(base: Path, *, most: int = 3) -> AsyncIterator[Rig]:
    rig = Rig(base, most)
    try:
        yield rig
    finally:
        rig.answers.set()


async def until(reached: Callable[[], bool]) -> None:
    """For what tells nobody that it has happened."""
    async with asyncio.timeout(PATIENCE_SEC):
        while True:
            if reached():
                return
            await asyncio.sleep(0.01)


def run(main: Coroutine[None, None, None]) -> None:
    asyncio.run(main)


def test_a_call_returns_and_raises_what_its_work_does(tmp_path: Path) -> None:
    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            assert await rig.threads.call(int, "7") == 7
            with pytest.raises(ZeroDivisionError):
                await rig.threads.call(lambda: 1 // 0)
            assert rig.alive() == 1

    run(main())


def test_while_a_call_hangs_every_other_one_is_refused_at_once_and_afterwards_none(tmp_path: Path) -> None:
    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            with pytest.raises(FolderSilent) as silent:
                await rig.threads.call(rig.hang)
            assert "does not answer" in str(silent.value)
            assert "by itself" in silent.value.remedy
            for _ in range(10):
                with pytest.raises(FolderSilent):
                    await rig.threads.call(rig.hang)
            assert (rig.threads.stuck(), rig.alive()) == (1, 1)
            rig.answers.set()
            await rig.until_no_call_hangs()
            assert await rig.threads.call(rig.hang) == "it answers"

    run(main())


def test_many_calls_at_once_use_few_threads_and_all_of_them_are_told_that_it_hangs(tmp_path: Path) -> None:
    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            found = await asyncio.gather(*(rig.threads.call(rig.hang) for _ in range(20)), return_exceptions=True)
            assert [type(each) for each in found] == [FolderSilent] * 20
            assert rig.alive() == rig.threads.stuck() == 3

    run(main())


def test_after_a_change_of_the_mounts_it_is_tried_beside_the_calls_that_hang_while_there_are_threads(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            for number in range(5):
                rig.mounts.write_text(f"mounted {number} times")
                with pytest.raises(FolderSilent):
                    await rig.threads.call(rig.hang)
            assert rig.threads.stuck() == rig.alive() == 3
        async with rig_in(tmp_path) as rig:
            with pytest.raises(FolderSilent):
                await rig.threads.call(rig.hang)
            rig.mounts.write_text("anew")
            assert [await rig.threads.call(int, "7"), await rig.threads.call(int, "8")] == [7, 8]

    run(main())


def test_a_long_call_that_shows_signs_of_life_does_not_hang(tmp_path: Path) -> None:
    clock = ManualClock()
    threads = FolderThreads(str(tmp_path), clock, limit_sec=LIMIT_SEC)
    looked_at = threading.Event()

    def long(is_alive: bool) -> str:
        for _ in range(10):
            if is_alive:
                threads.alive()
            clock.advance(0.9 * LIMIT_SEC)
        looked_at.wait(5 * LIMIT_SEC)  # meanwhile the caller looks, and the clock stands still
        return "done"

    async def main() -> None:
        assert await threads.call(long, True) == "done"
        with pytest.raises(FolderSilent):
            await threads.call(long, False)
        looked_at.set()

    run(main())


def test_work_that_nobody_waits_for_any_more_ends_at_its_next_step(tmp_path: Path) -> None:
    ended = threading.Event()

    async def main() -> None:
        async with rig_in(tmp_path) as rig:

            def steps() -> None:
                rig.hang()
                try:
                    rig.threads.alive()
                except Abandoned:
                    ended.set()

            calling = asyncio.create_task(rig.threads.call(steps))
            await asyncio.to_thread(rig.hanging.acquire)
            calling.cancel()
            await asyncio.wait({calling})
            rig.answers.set()
            assert await asyncio.to_thread(ended.wait, PATIENCE_SEC)

    run(main())


def test_a_call_that_comes_back_after_its_loop_has_ended_does_no_harm(tmp_path: Path) -> None:
    rig = Rig(tmp_path, 1)

    async def main() -> None:
        with pytest.raises(FolderSilent):
            await rig.threads.call(rig.hang)

    run(main())  # returns although the call hangs
    rig.answers.set()

    async def again() -> None:
        await rig.until_no_call_hangs()
        assert await rig.threads.call(int, "7") == 7

    run(again())


def test_threads_without_work_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triggers.folder.threads.IDLE_SEC", 0.0)

    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            for _ in range(20):
                assert await rig.threads.call(int, "7") == 7
            await until(lambda: not rig.alive())

    run(main())
