from __future__ import annotations

import errno
from pathlib import Path

import pytest

from processor.executor.containment import Containment
from processor.executor.folders import PARENT, PoolFolder
from processor.executor.runtime import folders, groups


def test_a_pool_that_cannot_begin_on_a_full_disk_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(groups, "record", full)
    with pytest.raises(OSError, match="No space left"):
        PoolFolder.make(tmp_path, Containment.SWEEP, 100)
    assert list((tmp_path / PARENT).iterdir()) == []


def test_a_folder_whose_maker_was_killed_in_the_middle_is_removed_by_the_next_guard(tmp_path: Path) -> None:
    parent = tmp_path / PARENT
    (parent / ".0123456789ab").mkdir(parents=True)
    (parent / ".0123456789ab" / folders.LOCK).touch()
    folders.remove_abandoned(str(parent))
    assert list(parent.iterdir()) == []


def test_a_folder_that_is_being_made_is_left_alone(tmp_path: Path) -> None:
    parent = tmp_path / PARENT
    (parent / ".0123456789ab").mkdir(parents=True)
    with folders.making(str(parent)):
        folders.remove_abandoned(str(parent))
        assert [each.name for each in parent.iterdir()] == [".0123456789ab"]
