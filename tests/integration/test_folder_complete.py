"""When a file of a watched folder counts as complete, and when it is news."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import orjson

from tests.integration.folder_rig import LIMIT_SEC, rig_in, run
from triggers.folder.settle import TICK_SEC
from triggers.folder.watch import Change, FolderWatch, Told


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


def test_a_file_that_is_appended_to_after_its_close_is_told_again_with_its_new_content(tmp_path: Path) -> None:
    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            path = rig.drop("log", "one")
            await rig.until_remembered(1)
            with path.open("a") as more:
                more.write(" and two")
            await rig.until_remembered(2)
            assert [orjson.loads(each.data or b"")["size"] for each in rig.intake.events] == [3, 11]

    run(main)


def test_a_settle_time_makes_one_event_of_a_writer_that_closes_and_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with rig_in(tmp_path, settle=1.0) as rig:
            await rig.until_watching()
            path = rig.drop("log", "0")
            for number in range(1, 10):
                await asyncio.sleep(3 * TICK_SEC)  # without the setting, each would be an event
                with path.open("a") as more:
                    more.write(str(number))
            await rig.until_remembered(1)
            rig.drop("end")
            await rig.until_keys("end")
            (event, _) = rig.intake.events
            assert orjson.loads(event.data or b"")["size"] == 10

    run(main)


def test_a_name_that_is_made_first_and_written_afterwards_is_one_event(tmp_path: Path) -> None:
    async def main() -> None:
        async with rig_in(tmp_path, settle_sec=2.0) as rig:
            await rig.until_watching()
            rig.drop("empty", "")
            rig.drop("other")
            await rig.until_keys("other")
            rig.drop("empty", "content")
            await rig.until_remembered(2)
            rig.drop("stays empty", "")
            await rig.until_remembered(3)
            assert rig.intake.keys == ["other", "empty", "stays empty"]

    run(main)


def test_a_file_whose_time_is_set_after_its_close_is_one_event_and_so_it_stays(tmp_path: Path) -> None:
    """As wget, unzip and shutil.copy2 do it."""

    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            path = rig.drop("a")
            await rig.until_remembered(1)
            os.utime(path, (1_000_000_000, 1_000_000_000))
            path.chmod(0o600)
            await rig.until(lambda: rig.knows(path))
            with path.open("a"):
                os.utime(path)  # as touch does it: opened for writing, and so it is news
            await rig.until_remembered(2)
        async with rig_in(tmp_path) as again:
            again.drop("end")
            await again.until_keys("end")
            assert again.intake.keys == ["end"]

    run(main)


def test_a_write_right_after_the_time_was_set_is_not_taken_for_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            path = rig.drop("a", "one")
            await rig.until_remembered(1)
            os.utime(path, (1_000_000_000, 1_000_000_000))
            path.write_text("two")
            await rig.until_remembered(2)
            assert rig.intake.keys == ["a", "a"]

    run(main)


def test_a_watch_has_caught_up_once_everything_before_was_returned(tmp_path: Path) -> None:
    async def listen(watch: FolderWatch, told: list[Told]) -> None:
        while True:
            if (each := await watch.next()) is not None:
                told.append(each)

    async def main() -> None:
        told: list[Told] = []
        async with FolderWatch(str(tmp_path)) as watch:
            listening = asyncio.create_task(listen(watch, told))
            for number in range(3):
                (tmp_path / "a").write_text(str(number))
                assert not await watch.has_caught_up()
                async with asyncio.timeout(LIMIT_SEC):
                    while not await watch.has_caught_up():
                        pass
                assert told[number:] == [Told(Change.FILE, "a")]
            listening.cancel()

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
