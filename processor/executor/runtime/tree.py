"""Killing what is left of dead instances.

Guard, zygote and instance adopt orphans, so whatever a function starts, however often it forks and detaches, hangs
below its instance, and below the zygote or the guard once the instance is dead.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Container, Iterator

#: Between two looks at processes that were sent SIGKILL and are not dead yet; they need about 0.1 ms.
_LOOK_EVERY_SEC = 0.0005


def children(pid: int) -> list[int]:
    """Direct children; empty when there is no such process."""
    try:
        return [int(each) for task in os.listdir(f"/proc/{pid}/task") for each in _children_of_task(pid, task)]
    except (FileNotFoundError, ProcessLookupError):
        if os.path.exists(f"/proc/self/task/{os.getpid()}/children"):
            return []
        return _children_by_scan(pid)


def descendants(pid: int) -> Iterator[tuple[int, int]]:
    """(parent, child) pairs, parents first."""
    for child in children(pid):
        yield pid, child
        yield from descendants(child)


def sweep(known: Container[int], limit_sec: float) -> bool:
    """Kills and reaps every child that is not known, with all its descendants. True: none is left.

    Only unknown children are reaped, so a known one keeps its pid and its wait status.
    """
    give_up_at = time.monotonic() + limit_sec
    while strays := [pid for pid in children(os.getpid()) if pid not in known]:
        for pid in strays:
            kill_family(pid)
        if not any(_reaped(pid) for pid in strays):
            if time.monotonic() > give_up_at:
                return False
            time.sleep(_LOOK_EVERY_SEC)
    return True


def kill_family(child: int) -> None:
    """Sends SIGKILL to a child of this process, not reaped yet, and to its descendants. Those that they start in the
    meantime become children of this process.
    """
    for parent, each in [*descendants(child)]:
        _kill_child_of(parent, each)
    os.kill(child, signal.SIGKILL)


def _children_of_task(pid: int, task: str) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
            return file.read().split()
    except ProcessLookupError:
        return []  # the thread has ended


def _children_by_scan(pid: int) -> list[int]:
    """For kernels without CONFIG_PROC_CHILDREN."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and parent_of(int(name)) == pid]


def parent_of(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The command's name comes in parentheses and may contain anything, also parentheses.
            return int(file.read().rpartition(b")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _kill_child_of(parent: int, child: int) -> None:
    """Not by pid: it could belong to a stranger by now. The descriptor is opened first, then looked at."""
    try:
        descriptor = os.pidfd_open(child)
    except ProcessLookupError:
        return
    try:
        if parent_of(child) == parent:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)


def _reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True
