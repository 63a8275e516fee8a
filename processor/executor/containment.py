from __future__ import annotations

import uuid
from enum import Enum

from processor.executor.abstract import GuardNotStarted
from processor.executor.hierarchy import create
from processor.executor.runtime.groups import Groups


class NoControlGroups(GuardNotStarted):
    """Control groups are demanded (executor.containment = "cgroup") but cannot be made here."""

    remedy = (
        "Give the executor a writable cgroup v2 (systemd: Delegate=yes and DelegateSubgroup=supervisor), or let "
        "executor.containment be auto."
    )


class Containment(Enum):
    """How the processes of an instance are found when it is killed, and kept from being too many."""

    AUTO = "auto"  # control groups where they can be made, else the sweep alone
    CGROUP = "cgroup"  # refuses to start without
    SWEEP = "sweep"  # parents of processes only

    def groups(self, pool: str, max_processes: int) -> Groups:
        """Makes the folder of a pool's groups, if there is to be one. Raises NoControlGroups."""
        found = None if self is Containment.SWEEP else create(pool, max_processes)
        if found is None and self is Containment.CGROUP:
            raise NoControlGroups
        return found or Groups(max_processes=max_processes)

    def probe(self, max_processes: int) -> Groups:
        """What `groups` would find; leaves nothing. Raises NoControlGroups."""
        found = self.groups(f"probe-{uuid.uuid4().hex[:12]}", max_processes)
        found.whole.remove()
        return found


def describe(found: Groups) -> str:
    """For `headrace doctor` and the log."""
    if not found.kill_folder:
        return "instances are killed by a sweep of their process tree; too many processes are noticed by counting"
    limit = "limited" if found.limit_folder else "counted"
    return f"instances are killed by cgroup v2 and a sweep of their process tree; their processes are {limit}"
