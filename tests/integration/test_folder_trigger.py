"""The folder adapter on real folders, with inotify; only the intake log behind it is replaced."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import orjson
import pytest

from processor.core.clock import SystemClock
from processor.core.codec import decode_structured
from processor.core.event import Event
from processor.core.function import Function, FunctionVersion
from processor.dispatcher.accept import Acceptor
from processor.transport.abstract import Appended, Appender, Headers, Outcome
from triggers.abstract import Binding, TriggerState
from triggers.folder import FolderSeen, FolderTrigger, FolderTriggers
from triggers.intake import Intake

LIMIT_SEC = 30.0
FUNCTION = Function(name="f", current=FunctionVersion(version="v", handler="m:f", code_digest="0" * 64))


class IntakeLog(Appender):
    """Keeps what was appended; the first `failures` appends are UNKNOWN although they are kept too."""

    def __init__(self, failures: int = 0) -> None:
        self.events: list[Event] = []
        self.failures = failures
        self.arrived = asyncio.Event()

    async def start(self) -> None: ...

    async def append(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers = (),
    ) -> Appended:
        event = decode_structured(value or b"")
        assert isinstance(event, Event)
        self.events.append(event)
        self.arrived.set()
        if self.failures:
            self.failures -= 1
            return Appended(outcome=Outcome.UNKNOWN, reason="the disk hiccups")
        return Appended(outcome=Outcome.YES, partition=0, offset=len(self.events))

    async def stop(self) -> None: ...

    @property
    def keys(self) -> list[str]:
        return [orjson.loads(each.data or b"")["key"] for each in self.events]


class Rig:
    def __init__(self, base: Path, settle_sec: float, failures: int) -> None:
        self.folder = base / "in"
        self.intake = IntakeLog(failures)
        clock = SystemClock()
        self.seen = FolderSeen(base / "triggers.db", clock)
        acceptor = Acceptor(functions={"f": FUNCTION}.get, appender=self.intake, clock=clock)
        shared = FolderTriggers(
            intake=Intake(acceptor, self.intake), seen=self.seen, clock=clock, settle_sec=settle_sec
        )
        settings = {"path": str(self.folder), "pattern": "*", "event_format": "data"}
        binding = Binding(function="f", creation=1, kind="folder", settings=settings)
        self.trigger = FolderTrigger(binding, shared)

    async def until_keys(self, *keys: str) -> None:
        async with asyncio.timeout(LIMIT_SEC):
            while not set(keys) <= set(self.intake.keys):
                self.intake.arrived.clear()
                await self.intake.arrived.wait()

    async def until(self, reached: Callable[[], bool]) -> None:
        """For what tells nobody that it has happened."""
        async with asyncio.timeout(LIMIT_SEC):
            while True:
                if reached():
                    return
                await asyncio.sleep(0.01)

    async def until_watching(self) -> None:
        await self.until(lambda: self.trigger.health.state is TriggerState.WATCHING)

    async def until_remembered(self, count: int) -> None:
        await self.until(lambda: self.trigger.health.accepted == count)

    def drop(self, key: str, text: str = "x") -> Path:
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


@asynccontextmanager
async def rig_in(base: Path, *, settle_sec: float = 0.05, failures: int = 0, make: bool = True) -> AsyncIterator[Rig]:
    rig = Rig(base, settle_sec, failures)
    if make:
        rig.folder.mkdir(exist_ok=True)
    running = asyncio.create_task(rig.trigger.run())
    try:
        yield rig
        assert not running.done(), "the adapter ended by itself"
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        rig.seen.close()


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


def test_a_file_that_is_written_or_moved_in_becomes_one_event(tmp_path: Path) -> None:
    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            await rig.until_watching()
            rig.drop("written.txt", "hello")
            (tmp_path / "outside").write_text("x")
            (tmp_path / "outside").rename(rig.folder / "moved.txt")
            await rig.until_keys("written.txt", "moved.txt")
            await rig.until_remembered(2)
            event = next(each for each in rig.intake.events if each.subject == "written.txt")
            assert event.extensions["headracetrigger"] == "folder"
            assert event.extensions["headraceformat"] == "data"
            data = orjson.loads(event.data or b"")
            assert data["path"] == str(rig.folder / "written.txt")
            assert data["size"] == 5
            assert data["eTag"] == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

    run(main)


def test_what_came_while_nobody_watched_is_found_and_nothing_is_told_twice_after_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        async with rig_in(tmp_path) as first:
            first.drop("one.txt")
            first.drop("deep/two.txt")
            await first.until_keys("one.txt", "deep/two.txt")
            await first.until_remembered(2)
        first.drop("while-down.txt")
        async with rig_in(tmp_path) as second:
            await second.until_watching()
            second.drop("last.txt")
            await second.until_keys("while-down.txt", "last.txt")
            assert sorted(second.intake.keys) == ["last.txt", "while-down.txt"]

    run(main)


def test_a_file_written_anew_is_a_new_event_and_one_touched_by_nobody_or_renamed_is_not(tmp_path: Path) -> None:
    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            path = rig.drop("a.txt", "one")
            await rig.until_remembered(1)
            with path.open("a"):
                pass  # opened for writing and closed: told, but nothing has changed
            path.rename(rig.folder / "b.txt")
            (rig.folder / "b.txt").write_text("longer")
            await rig.until_keys("b.txt")
            rig.drop("end.txt")
            await rig.until_keys("end.txt")
            assert rig.intake.keys == ["a.txt", "b.txt", "end.txt"]
            assert len({each.id for each in rig.intake.events}) == 3

    run(main)


def test_hidden_and_unfinished_files_are_ignored_until_they_get_their_name(tmp_path: Path) -> None:
    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            await rig.until_watching()
            for name in (".hidden", "a.part", "b.tmp", "c.crdownload", ".dir/x"):
                rig.drop(name)
            (rig.folder / "a.part").rename(rig.folder / "a.iso")
            rig.drop("end")
            await rig.until_keys("a.iso", "end")
            assert sorted(rig.intake.keys) == ["a.iso", "end"]

    run(main)


def test_a_file_that_is_still_being_written_waits_for_its_end_however_slow(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "in").mkdir()
        with (tmp_path / "in" / "slow").open("w") as slow:  # open before anybody watches: only a scan finds it
            slow.write("half")
            slow.flush()
            async with rig_in(tmp_path, settle_sec=0.0) as rig:
                rig.drop("quick")
                await rig.until_keys("quick")
                assert rig.intake.keys == ["quick"]
                slow.write(" and half")
                slow.close()
                await rig.until_keys("slow")
                (event,) = [each for each in rig.intake.events if each.subject == "slow"]
                assert orjson.loads(event.data or b"")["size"] == 13

    run(main)


def test_files_in_new_and_moved_in_folders_are_found(tmp_path: Path) -> None:
    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            await rig.until_watching()
            outside = tmp_path / "tree" / "below"
            outside.mkdir(parents=True)
            (outside / "in-moved-tree").write_text("x")
            for number in range(20):
                rig.drop(f"new/{number}/deeper/file")  # much faster than anybody can add a watch
            (tmp_path / "tree").rename(rig.folder / "tree")
            await rig.until_keys("tree/below/in-moved-tree", *(f"new/{each}/deeper/file" for each in range(20)))
            (rig.folder / "tree").rename(rig.folder / "renamed")
            await rig.until_watching()
            rig.drop("renamed/below/later")
            await rig.until_keys("renamed/below/later")
            assert len(rig.intake.keys) == len(set(rig.intake.keys)) == 22

    run(main)


def test_strange_names_arrive_and_do_no_harm(tmp_path: Path) -> None:
    names = ["🎉 party.txt", "two\nlines", os.fsdecode(b"caf\xe9 \xff"), "--help", "a'b\"c", "x" * 255]

    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            rig.drop(names[2])
            await rig.until_watching()
            for name in names:
                rig.drop(name)
            await rig.until(lambda: rig.trigger.health.accepted >= len(names))
            keys = set(rig.intake.keys)
            assert {names[0], names[1], names[3], names[4], names[5], "caf� �"} == keys

    run(main)


def test_an_append_whose_outcome_is_unknown_is_repeated_with_the_same_identity(tmp_path: Path) -> None:
    async def main() -> None:
        async with rig_in(tmp_path, failures=2) as rig:
            rig.drop("a")
            await rig.until_remembered(1)
            assert rig.intake.keys == ["a", "a", "a"]
            assert len({each.id for each in rig.intake.events}) == 1

    run(main)


def test_a_folder_that_is_missing_or_goes_away_is_a_state_with_a_remedy_and_comes_back_by_itself(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with rig_in(tmp_path, make=False) as rig:
            await rig.until(lambda: rig.trigger.health.state is TriggerState.WAITING)
            health = rig.trigger.health
            assert "No such file or directory" in health.reason
            assert "watched again" in health.remedy
            rig.drop("first")
            await rig.until_keys("first")
            await rig.until_watching()
            shutil.rmtree(rig.folder)
            await rig.until(lambda: rig.trigger.health.state is TriggerState.WAITING)
            rig.drop("second")
            await rig.until_keys("second")
            assert rig.intake.keys == ["first", "second"]

    run(main)


def test_another_folder_at_the_same_path_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a disk is mounted over it: inotify goes on watching what is below."""
    monkeypatch.setattr("triggers.folder.adapter.CHECK_SEC", 0.05)

    async def main() -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "other").mkdir()
        (tmp_path / "in").symlink_to(tmp_path / "real")
        async with rig_in(tmp_path, make=False) as rig:
            await rig.until_watching()
            (tmp_path / "link").symlink_to(tmp_path / "other")
            (tmp_path / "link").rename(tmp_path / "in")
            (tmp_path / "other" / "file").write_text("x")
            await rig.until_keys("file")

    run(main)


def test_events_that_the_kernel_drops_make_it_read_everything_again(tmp_path: Path) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())

    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            paths = [rig.drop("one"), rig.drop("two")]
            await rig.until_remembered(2)
            for number in range(limit + 100):  # while this runs nobody reads; the same file twice would be merged
                os.close(os.open(paths[number % 2], os.O_WRONLY))
            rig.drop("lost")
            await rig.until_keys("lost")
            assert rig.intake.keys == ["one", "two", "lost"] or rig.intake.keys == ["two", "one", "lost"]

    run(main)


def test_many_files_at_once_all_arrive_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            await rig.until_watching()
            names = [f"{number}.txt" for number in range(500)]
            for name in names:
                rig.drop(name)
            await rig.until_keys(*names)
            await rig.until_remembered(500)
            assert len(rig.intake.keys) == 500

    run(main)


def test_links_and_special_files_are_no_files(tmp_path: Path) -> None:
    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            (tmp_path / "secret").write_text("x")
            (rig.folder / "link").symlink_to(tmp_path / "secret")
            os.mkfifo(rig.folder / "pipe")
            (rig.folder / "loop").symlink_to(rig.folder)
            rig.drop("end")
            await rig.until_keys("end")
            assert rig.intake.keys == ["end"]

    run(main)
