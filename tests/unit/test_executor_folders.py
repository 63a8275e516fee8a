from __future__ import annotations

import errno
from pathlib import Path

import pytest

from processor.executor.containment import Containment
from processor.executor.folders import PARENT, PoolFolder
from processor.executor.runtime import groups


def test_a_pool_that_cannot_begin_on_a_full_disk_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(groups, "record", full)
    with pytest.raises(OSError, match="No space left"):
        PoolFolder.make(tmp_path, Containment.SWEEP, 100)
    assert list((tmp_path / PARENT).iterdir()) == []
