from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from processor.executor.runtime import tree

PAGE_BYTES = 4096


def used_bytes(pid: int, limit_bytes: int) -> int:
    """Memory of a process and its descendants, exact enough to compare with the limit.

    Resident pages are cheap to ask for but count what several processes share several times; only where they exceed
    the limit the proportional share (PSS) is worth its milliseconds.
    """
    pids = (pid, *(child for _, child in tree.descendants(pid)))
    resident = _sum(_resident_bytes, pids)
    return resident if resident <= limit_bytes else _sum(_proportional_bytes, pids)


def processes(pid: int, at_most: int) -> int:
    """How many a process and its descendants are; stops counting at `at_most`."""
    return 1 + sum(1 for _ in islice(tree.descendants(pid), at_most - 1))


def _sum(measure: Callable[[int], int], pids: tuple[int, ...]) -> int:
    total = 0
    for pid in pids:
        try:
            total += measure(pid)
        except OSError:
            continue  # it has ended
    return total


def _resident_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/statm", "rb") as file:
        return int(file.read().split()[1]) * PAGE_BYTES


def _proportional_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
        found = next((line for line in file if line.startswith(b"Pss:")), b"Pss: 0")
        return int(found.split()[1]) * 1024
