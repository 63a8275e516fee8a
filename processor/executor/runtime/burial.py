"""What follows on an instance's death: its tree, its group and its folder go; then it is reported gone."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Set
from dataclasses import dataclass

from . import folders, tree
from .channel import Message
from .groups import Group

#: Longer than anything takes but a process in uninterruptible sleep. It is reported gone then, and swept again later.
SWEEP_SEC = 5.0
#: The report waits so long for a folder with very many files; its removal goes on.
FOLDER_SEC = 0.5
_LOOK_EVERY_MS = 1_000


@dataclass(slots=True)
class _Removal:
    pidfd: int
    due_sec: float
    #: None: it is sent.
    report: Message | None


class Burials:
    def __init__(self, poller: select.poll, send: Callable[[Message], object]) -> None:
        self._poller = poller
        self._send = send
        #: By pid of the process that removes a folder.
        self._removals: dict[int, _Removal] = {}
        #: Something was still there when they were to be removed.
        self._groups: list[Group] = []
        self._strays = False

    def begin(self, report: Message, *, folder: str, group: Group, living: Set[int]) -> None:
        """report: sent when nothing is left. living: the children that are instances."""
        group.kill()
        self._sweep(living)
        if not group.end(SWEEP_SEC):
            self._groups.append(group)
        pid = folders.remove(folder)
        if pid is None:
            self._send(report)
            return
        pidfd = os.pidfd_open(pid)
        self._poller.register(pidfd, select.POLLIN)
        self._removals[pid] = _Removal(pidfd, time.monotonic() + FOLDER_SEC, report)

    @property
    def look_in_ms(self) -> int | None:
        """When there is something to go on with, at the latest."""
        if any(each.report for each in self._removals.values()):
            return int(FOLDER_SEC * 1000 / 10)
        return _LOOK_EVERY_MS if self._strays or self._groups else None

    def go_on(self, living: Set[int]) -> None:
        for pid, removal in list(self._removals.items()):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self._poller.unregister(removal.pidfd)
                os.close(removal.pidfd)
                del self._removals[pid]
                self._report(removal)
            elif time.monotonic() > removal.due_sec:
                self._report(removal)
        if self._strays:
            self._sweep(living)
        self._groups = [each for each in self._groups if not each.end(0)]

    def forget(self) -> None:
        """In a forked child: these are its parent's."""
        for each in self._removals.values():
            os.close(each.pidfd)
        self._removals.clear()

    def _report(self, removal: _Removal) -> None:
        if removal.report is not None:
            self._send(removal.report)
            removal.report = None

    def _sweep(self, living: Set[int]) -> None:
        self._strays = not tree.sweep(living | self._removals.keys(), SWEEP_SEC)
