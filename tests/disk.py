from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

_CALL_SEC = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class SmallDisk:
    """A file system of its own, in memory, that is soon full."""

    path: Path

    def resize(self, mib: int) -> None:
        self._mount(f"remount,size={mib}m")

    def mount(self, mib: int) -> None:
        """Empty."""
        self._mount(f"size={mib}m")

    def unmount(self) -> None:
        subprocess.run(["umount", str(self.path)], check=True, timeout=_CALL_SEC)

    def _mount(self, options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", options, "headrace-test", str(self.path)]
        subprocess.run(command, check=True, timeout=_CALL_SEC)


@contextlib.contextmanager
def small_disk(path: Path, *, mib: int) -> Iterator[SmallDisk]:
    """Skips the test of a user who may not mount."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root; tests/unit/test_embedded_writer.py limits the file instead")
    path.mkdir()
    disk = SmallDisk(path=path)
    disk.mount(mib)
    try:
        yield disk
    finally:
        if path.is_mount():
            disk.unmount()
