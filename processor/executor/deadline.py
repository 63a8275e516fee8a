"""The ladder by which a run is ended: SIGTERM, grace, SIGKILL of the tree, SIGKILL of its zygote, giving it up."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Rung(Enum):
    RUNS = "runs"  # its time limit lies ahead
    ASKED = "asked"  # SIGTERM was sent
    KILLED = "killed"  # SIGKILL was sent, its zygote has to report its tree gone
    ORPHANED = "orphaned"  # SIGKILL was sent to that zygote too, the guard has to report it gone
    GIVEN_UP = "given up"  # nobody reports; some process of it cannot be killed now


@dataclass(frozen=True, kw_only=True, slots=True)
class EndPolicy:
    #: From SIGTERM to SIGKILL after the time limit.
    grace_sec: float = 1.0
    #: From SIGKILL to that of its zygote, and from there to giving up; only a process in uninterruptible sleep or a
    #: zygote that does not run gets there.
    give_up_sec: float = 10.0


@dataclass(slots=True)
class Ladder:
    """Where one run stands, and when its next rung is due (CLOCK_BOOTTIME)."""

    policy: EndPolicy
    rung: Rung = Rung.RUNS
    due_sec: float = float("inf")

    def start(self, limit_sec: float) -> None:
        self.rung = Rung.RUNS
        self.due_sec = limit_sec

    def ask(self, now_sec: float, grace_sec: float | None = None) -> None:
        self.rung = Rung.ASKED
        self.due_sec = now_sec + (self.policy.grace_sec if grace_sec is None else grace_sec)

    def kill(self, now_sec: float) -> None:
        self.rung = Rung.KILLED
        self.due_sec = now_sec + self.policy.give_up_sec

    def climb(self, now_sec: float) -> Rung:
        """The rung that is due now has to be acted upon by the caller."""
        if self.rung is Rung.RUNS:
            self.ask(now_sec)
        elif self.rung is Rung.ASKED:
            self.kill(now_sec)
        elif self.rung is Rung.KILLED:
            self.rung = Rung.ORPHANED
            self.due_sec = now_sec + self.policy.give_up_sec
        else:
            self.rung = Rung.GIVEN_UP
            self.due_sec = float("inf")
        return self.rung
