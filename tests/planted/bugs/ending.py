from __future__ import annotations

from pathlib import Path

from processor.executor import guard
from processor.executor.books import Books
from processor.executor.containment import Containment
from processor.executor.instance import Instance
from processor.executor.pool import InstancePool
from processor.executor.runtime.groups import Groups
from processor.executor.verdict import Verdict
from processor.transport.abstract import AppendFailed, Outcome
from tests.planted.patching import replace


def late_frame_accepted_after_timeout() -> None:
    answered = InstancePool._answered

    def accepted(self: InstancePool, instance: Instance, answer: Verdict) -> None:
        if instance.run is not None:
            instance.run.verdict = None
        answered(self, instance, answer)

    replace(InstancePool, "_answered", accepted)


def verdict_dropped_on_enospc() -> None:
    """What was refused for want of room is not written again."""
    give_up = Books._give_up

    def dropped(self: Books, error: AppendFailed) -> None:
        if error.outcome is Outcome.NO:
            self._bulk.unconfirmed.clear()
        give_up(self, error)

    replace(Books, "_give_up", dropped)


def only_the_leader_is_killed() -> None:
    """Guard and zygote are processes of their own, started by a path. No control group may do it in their place."""
    replace(guard, "ENTRY", str(Path(__file__).parent.parent / "leader_only" / "__main__.py"))
    replace(Containment, "groups", _none)


def _none(self: Containment, pool: str, max_processes: int) -> Groups:
    return Groups(max_processes=max_processes)
