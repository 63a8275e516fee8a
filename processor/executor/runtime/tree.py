"""Killing what is left of dead instances.

Guard, zygote and instance adopt orphans, so whatever a function starts, however often it forks and detaches, hangs
below its instance, and below the zygote or the guard once the instance is dead.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Container, Iterator

from . import linux

#: Between two looks at processes that were sent SIGKILL and are not dead yet; they need about 0.1 ms.
_LOOK_EVERY_SEC = 0.0005
#: A sweep that takes longer is up against processes that fork as fast as they are killed.
_HURRY_AFTER_SEC = 0.02


def children(pid: int) -> list[int]:
    """Direct children; empty when there is no such process."""
    try:
        return [int(each) for task in os.listdir(f"/proc/{pid}/task") for each in _children_of_task(pid, task)]
    except (FileNotFoundError, ProcessLookupError):
        if os.path.exists(f"/proc/self/task/{os.getpid()}/children"):
            return []
        return _children_by_scan(pid)


def descendants(pid: int) -> Iterator[tuple[int, int]]:
    """(parent, child) pairs, parents first. A child is asked for its own children after the caller had it."""
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        for child in children(parent):
            yield parent, child
            waiting.append(child)


def sweep(known: Container[int], limit_sec: float) -> bool:
    """Kills and reaps every child that is not known, with all its descendants. True: none is left.

    Only unknown children are reaped, so a known one keeps its pid and its wait status.
    """
    began_at = time.monotonic()
    with contextlib.ExitStack() as when_done:
        hurried = False
        while strays := _strays(known) or _strays(known):  # the kernel's list can miss one while another one ends
            for pid in strays:
                kill_family(pid)
            alive = [pid for pid in strays if not _reaped(pid)]
            if len(alive) == len(strays):
                if time.monotonic() > began_at + limit_sec:
                    return False
                time.sleep(_LOOK_EVERY_SEC)
            if not hurried and time.monotonic() > began_at + _HURRY_AFTER_SEC:
                hurried = True
                when_done.enter_context(linux.hurry())
    return True


def kill_family(child: int) -> None:
    """Sends SIGKILL to a child of this process, not reaped yet, and to its descendants. Those that they start in the
    meantime become children of this process.

    All are stopped first, parents before children: what is stopped starts nothing, and what it had started stays
    below it, where it is found.
    """
    os.kill(child, signal.SIGSTOP)
    family = []
    for parent, each in descendants(child):
        _signal_child_of(parent, each, signal.SIGSTOP)
        family.append((parent, each))
    for parent, each in reversed(family):
        _signal_child_of(parent, each, signal.SIGKILL)
    os.kill(child, signal.SIGKILL)


def _strays(known: Container[int]) -> list[int]:
    return [pid for pid in children(os.getpid()) if pid not in known]


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


def _signal_child_of(parent: int, child: int, number: signal.Signals) -> None:
    signal_if(child, number, lambda: parent_of(child) == parent)


def signal_if(pid: int, number: signal.Signals, is_it: Callable[[], bool]) -> None:
    """Not by pid: it could belong to a stranger by now. The descriptor is opened first, then looked at."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if is_it():
            signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)


def _reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True
