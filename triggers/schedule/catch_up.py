"""Pure: which of the times that have passed are fired.

The rule, with any number of processes firing the same schedules and each of them crashing when it likes:

1. A time has one identity, so firing it twice makes one run, as long as the second comes while the executors remember
   the first: WINDOW_SEC. Younger times are fired without asking anybody.
2. Each process writes to `schedules` up to which time a schedule is settled, and gets ahead of what is written by
   AHEAD_SEC at most. So after a crash of all of them the times up to `settled + AHEAD_SEC` may have been fired, and
   those after it have not, except for one whose record was under way in that very moment.
3. An older time is fired only after `schedules` has been read to its end, and only if it comes after `settled +
   AHEAD_SEC`; those between have perhaps been fired and are not fired again. Only schedules that fire more often than
   every AHEAD_SEC have any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from triggers.schedule.settings import Missed, Policy

#: Executors remember a RequestId for 10 minutes (DESIGN 5.3b); a minute is left for the way there.
WINDOW_SEC = 540.0
#: How far a schedule is fired ahead of its record.
AHEAD_SEC = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class CatchUp:
    #: To be fired, oldest first.
    fire: tuple[int, ...]
    #: Some that have passed are not fired: by the policy, or because they perhaps have been.
    leaves_out: bool


def catch_up(passed: Sequence[int], *, settled_sec: int, now_sec: float, policy: Policy) -> CatchUp:
    """passed: times after settled_sec, oldest first; Unix seconds."""
    unfired = [each for each in passed if now_sec - each <= WINDOW_SEC or each > settled_sec + AHEAD_SEC]
    late = [each for each in unfired if now_sec - each > policy.grace_sec]
    chosen = _of_missed(late, policy, alone=len(late) == len(unfired)) + unfired[len(late) :]
    return CatchUp(fire=tuple(chosen), leaves_out=len(chosen) < len(passed))


def _of_missed(late: list[int], policy: Policy, *, alone: bool) -> list[int]:
    """alone: no time within the grace stands for those that were missed."""
    match policy.missed:
        case Missed.SKIP:
            return []
        case Missed.LAST:
            return late[-1:] if alone else []
        case Missed.ALL:
            return late[-policy.max_catchup :]


def enough(policy: Policy) -> int:
    """How many of the newest late times `catch_up` has to see: one more than it may fire, to know of those left out."""
    return 1 + (policy.max_catchup if policy.missed is Missed.ALL else 1)
