from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

from processor.executor.runtime import linux, marks, tree
from processor.executor.runtime.groups import Group

#: Looks after a guard was lost: orphans arrive while the processes above them are dying.
LOOKS = 20
#: Looks in a row that find nothing, before all are taken to have arrived.
QUIET_LOOKS = 3
_LOOK_EVERY_SEC = 0.001


class Orphans:
    """What comes to the executor when its guard is killed: processes that functions had started and detached.

    The executor may have other children (it can share its process with every other role), so it kills only those
    that have the lost pool's temporary folder in the environment they were started with, that belong to the session
    of one of its processes, or that gave up new privileges as only processes below a zygote do.
    """

    def __init__(self) -> None:
        self._adopted_before = linux.adopts_orphans()
        self._may_gain_privileges = linux.may_gain_privileges(os.getpid())
        self._marks: set[bytes] = set()
        self._sessions: set[int] = set()
        self._looks = 0
        self._to_reap: set[int] = set()

    def adopt(self) -> None:
        """From now on they come to this process and not to init."""
        linux.adopt_orphans()

    def expect(self, root: Path, pids: Sequence[int]) -> None:
        """The guard of this folder has gone. pids: of zygotes and instances, which die with it and must be reaped."""
        known = {pid for pid in pids if pid}
        self._marks.add(marks.mark_of(str(root)))
        self._sessions |= known
        self._to_reap |= known
        self._looks = LOOKS

    def settle(self, group: Group, limit_sec: float) -> bool:
        """Kills and reaps until nothing is left. Blocks. False: something may still be alive."""
        give_up_at = time.monotonic() + limit_sec
        quiet = 0
        while quiet < QUIET_LOOKS:
            if time.monotonic() > give_up_at:
                return False
            group.kill()
            found = self._kill_found()
            self._reap()
            quiet = 0 if found or not group.is_empty() else quiet + 1
            time.sleep(_LOOK_EVERY_SEC)
        return group.remove()

    def look(self) -> None:
        """Kills and reaps what is there. Never blocks; to be called again and again."""
        if self._looks:
            self._kill_found()
            self._looks -= 1
        self._reap()

    def _kill_found(self) -> bool:
        """True: something was there."""
        found = [pid for pid in tree.children(os.getpid()) if self._is_ours(pid)]
        self._to_reap.update(found)
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                tree.kill_family(pid)
        return bool(found)

    def _reap(self) -> None:
        self._to_reap = {pid for pid in self._to_reap if self._is_to_wait_for(pid)}

    def stop(self) -> None:
        linux.adopt_orphans(self._adopted_before)

    def _is_ours(self, pid: int) -> bool:
        if pid in self._to_reap or marks.has_mark(pid, self._marks):
            return True
        if self._may_gain_privileges and not linux.may_gain_privileges(pid):
            return True
        return linux.session_of(pid) in self._sessions

    def _is_to_wait_for(self, pid: int) -> bool:
        try:
            return os.waitpid(pid, os.WNOHANG)[0] == 0
        except ChildProcessError:
            return self._looks > 0  # not our child, or not yet
