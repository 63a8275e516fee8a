"""A watched folder that goes away, or whose events get lost on the way in or out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.disk import SmallDisk
from tests.integration.folder_rig import rig_in, run
from triggers.abstract import TriggerState


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


def test_an_unmounted_disk_is_waited_for_and_its_mount_point_is_not_watched_instead(
    small_disk: SmallDisk, tmp_path: Path
) -> None:
    async def main() -> None:
        (tmp_path / "in").symlink_to(small_disk.path)
        async with rig_in(tmp_path, make=False) as rig:
            rig.drop("first")
            await rig.until_remembered(1)
            small_disk.unmount()
            await rig.until(lambda: "nothing is mounted there any more" in rig.trigger.health.reason)
            assert rig.trigger.health.state is TriggerState.WAITING
            (small_disk.path / "below").write_text("x")
            small_disk.mount(8)
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
