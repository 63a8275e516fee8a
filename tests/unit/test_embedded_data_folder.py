from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from processor.core.topics import Keep, Topic
from processor.transport.embedded import EmbeddedTransport
from processor.transport.embedded.database import FILE_NAME
from processor.transport.embedded.errors import DataDamaged, DataFolderInUse


def _garbage(file: Path) -> None:
    file.write_bytes(b"this is no database at all, whatever it is called" * 100)


def _overwritten_page(file: Path) -> None:
    EmbeddedTransport(file.parent).close()
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(bytes(range(256)) * 16)


def _foreign(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()


def _newer(file: Path) -> None:
    EmbeddedTransport(file.parent).close()
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


@pytest.mark.parametrize("damage", [_garbage, _overwritten_page, _foreign, _newer])
def test_a_file_that_is_no_sound_log_of_this_version_is_refused(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    damage(tmp_path / FILE_NAME)
    with pytest.raises(DataDamaged) as refused:
        EmbeddedTransport(tmp_path)
    assert str(tmp_path / FILE_NAME) in str(refused.value)
    assert refused.value.remedy
    # The folder is free again: the refusal has not kept its lock.
    with pytest.raises(DataDamaged):
        EmbeddedTransport(tmp_path)


def test_a_folder_has_one_user_at_a_time(tmp_path: Path) -> None:
    with EmbeddedTransport(tmp_path):
        with pytest.raises(DataFolderInUse) as refused:
            EmbeddedTransport(tmp_path)
        assert refused.value.owner == str(os.getpid())
        assert "HEADRACE_DATA_DIR" in refused.value.remedy
    EmbeddedTransport(tmp_path).close()


def test_a_new_folder_is_made_for_its_user_only(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "data"
    with EmbeddedTransport(folder) as transport:
        topic = Topic(name="t", key="-", partitions=1, keep=Keep.COMPACT)
        assert transport.admin().create_topics([topic], 5.0) == ["t"]
    assert folder.stat().st_mode & 0o077 == 0
