from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from processor.executor.runtime import linux, tree

#: Looks after a guard was lost: orphans arrive while the processes above them are dying.
LOOKS = 20


class Orphans:
    """What comes to the executor when its guard is killed: processes that functions had started and detached.

    The executor may have other children (it can share its process with every other role), so it kills only those
    that have the lost pool's temporary folder in the environment they were started with.
    """

    def __init__(self) -> None:
        self._adopted_before = linux.adopts_orphans()
        self._marks: set[bytes] = set()
        self._looks = 0
        self._to_reap: set[int] = set()

    def adopt(self) -> None:
        """From now on they come to this process and not to init."""
        linux.adopt_orphans()

    def expect(self, root: Path, pids: Sequence[int]) -> None:
        """The guard of this folder has gone. pids: of zygotes and instances, which die with it and must be reaped."""
        self._marks.add(f"\0TMPDIR={root}/".encode())
        self._to_reap.update(pid for pid in pids if pid)
        self._looks = LOOKS

    def look(self) -> None:
        """Kills and reaps what is there. Never blocks; to be called again and again."""
        if self._looks:
            self._looks -= 1
            for pid in filter(self._is_ours, tree.children(os.getpid())):
                self._to_reap.add(pid)
                with contextlib.suppress(ProcessLookupError):
                    tree.kill_family(pid)
        self._to_reap = {pid for pid in self._to_reap if self._is_to_wait_for(pid)}

    def stop(self) -> None:
        linux.adopt_orphans(self._adopted_before)

    def _is_ours(self, pid: int) -> bool:
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                environ = b"\0" + file.read()
        except OSError:
            return False
        return any(mark in environ for mark in self._marks)

    def _is_to_wait_for(self, pid: int) -> bool:
        try:
            return os.waitpid(pid, os.WNOHANG)[0] == 0
        except ChildProcessError:
            return self._looks > 0  # not our child, or not yet
