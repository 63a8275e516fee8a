"""A file system of its own, in memory, that can be full at once. Needs root."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

CALL_SEC = 10.0
#: Memory is only taken for what is written.
ROOM_MIB = 2_048
_TRIES = 20


def may_mount() -> bool:
    return os.geteuid() == 0


class ChaosDisk:
    def __init__(self, path: Path) -> None:
        self.path = path

    def mount(self) -> None:
        """Raises CalledProcessError."""
        self.path.mkdir()
        self._mount(f"size={ROOM_MIB}m")

    def fill(self) -> bool:
        """Leaves no room: what it holds now is all it can hold. False: it grew faster than it could be measured."""
        for _ in range(_TRIES):
            used = os.statvfs(self.path)
            used_bytes = (used.f_blocks - used.f_bfree) * used.f_frsize
            if self._mount(f"remount,size={used_bytes}", check=False):
                return True
            time.sleep(0.01)
        return False

    def make_room(self) -> None:
        self._mount(f"remount,size={ROOM_MIB}m")

    def unmount(self) -> None:
        """Also when something still has a file open there."""
        subprocess.run(["umount", "--lazy", str(self.path)], check=False, timeout=CALL_SEC, capture_output=True)

    def _mount(self, options: str, *, check: bool = True) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "headrace-chaos", str(self.path)]
        return subprocess.run(command, check=check, timeout=CALL_SEC, capture_output=True).returncode == 0
