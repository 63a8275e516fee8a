"""Finding processes of functions that are nobody's children any more.

Whatever a function starts was started with the pool's temporary folder in its environment. A process can get rid of
that mark, so it serves only where the tree above it has gone: guard and executor killed at once.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable

from . import tree

_LOOK_EVERY_SEC = 0.001


def mark_of(pool_folder: str) -> bytes:
    return f"\0TMPDIR={pool_folder}/".encode()


def has_mark(pid: int, marks: Iterable[bytes]) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            environ = b"\0" + file.read()
    except OSError:
        return False  # it has ended, or belongs to somebody else
    return any(mark in environ for mark in marks)


def kill_all(pool_folder: str, limit_sec: float) -> bool:
    """Kills every process with the mark, whoever its parent is. Blocks. True: none is left, zombies do not count."""
    marks = (mark_of(pool_folder),)
    give_up_at = time.monotonic() + limit_sec
    while found := [pid for pid in _everybody() if has_mark(pid, marks)]:
        if time.monotonic() > give_up_at:
            return False
        for pid in found:
            _kill(pid, marks)
        time.sleep(_LOOK_EVERY_SEC)
    return True


def _kill(pid: int, marks: Iterable[bytes]) -> None:
    tree.signal_if(pid, signal.SIGKILL, lambda: has_mark(pid, marks))


def _everybody() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]
