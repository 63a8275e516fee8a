"""Removing what a function left in its temporary folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from processor.executor.runtime import folders, removal


def make_files(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / str(number)).touch()


def test_a_folder_that_is_not_there_is_removed() -> None:
    assert removal.remove("/nowhere/at/all")


def test_a_small_folder_is_removed_without_another_process(tmp_path: Path) -> None:
    make_files(tmp_path / "a" / "b", 3)
    assert folders.remove(str(tmp_path / "a")) is None
    assert not (tmp_path / "a").exists()


def test_a_large_folder_is_removed_by_a_process_of_its_own(tmp_path: Path) -> None:
    make_files(tmp_path / "a" / "b", 3_000)
    pid = folders.remove(str(tmp_path / "a"))
    assert pid is not None
    os.waitpid(pid, 0)
    assert not (tmp_path / "a").exists()


def test_a_removal_out_of_time_leaves_the_rest_to_the_next(tmp_path: Path) -> None:
    make_files(tmp_path / "a" / "b", 10)
    assert not removal.remove(str(tmp_path / "a"), limit_sec=0)
    assert (tmp_path / "a").exists()
    assert removal.remove(str(tmp_path / "a"))


def test_folders_deeper_than_any_path_may_be_long_are_removed(tmp_path: Path) -> None:
    before = os.open(".", os.O_RDONLY)
    os.chdir(tmp_path)
    try:
        for _ in range(1_200):
            os.mkdir("folder")
            os.chdir("folder")
    finally:
        os.fchdir(before)
        os.close(before)
    assert removal.remove(str(tmp_path / "folder"))


def test_wide_trees_of_folders_are_removed(tmp_path: Path) -> None:
    for first in range(20):
        for second in range(20):
            make_files(tmp_path / "a" / str(first) / str(second), 2)
    assert removal.remove(str(tmp_path / "a"))


@pytest.mark.parametrize("name", ["-rf", "--", "a\nb", "*", "\udcff", "é" * 127])
def test_names_are_only_names(tmp_path: Path, name: str) -> None:
    make_files(tmp_path / "a" / name, 0)
    (tmp_path / "a" / name / name).touch()
    assert removal.remove(str(tmp_path / "a"))


def test_links_are_removed_and_what_they_point_at_stays(tmp_path: Path) -> None:
    make_files(tmp_path / "precious", 2)
    make_files(tmp_path / "a" / "b", 0)
    (tmp_path / "a" / "link").symlink_to(tmp_path / "precious")
    (tmp_path / "a" / "b" / "link").symlink_to(tmp_path / "precious")
    assert removal.remove(str(tmp_path / "a"))
    assert len(list((tmp_path / "precious").iterdir())) == 2


def test_a_link_in_the_place_of_the_folder_itself_is_removed(tmp_path: Path) -> None:
    make_files(tmp_path / "precious", 2)
    (tmp_path / "a").symlink_to(tmp_path / "precious")
    assert removal.remove(str(tmp_path / "a"))
    assert len(list((tmp_path / "precious").iterdir())) == 2


def test_folders_without_rights_are_removed(tmp_path: Path) -> None:
    make_files(tmp_path / "a" / "b" / "c", 2)
    for path in (tmp_path / "a" / "b" / "c", tmp_path / "a" / "b", tmp_path / "a"):
        path.chmod(0)
    assert removal.remove(str(tmp_path / "a"))
