"""Which files of a watched folder become events, and what these say."""

from __future__ import annotations

import os
from pathlib import Path

import orjson

from tests.integration.folder_rig import rig_in, run


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
