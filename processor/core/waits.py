"""Why queued runs wait, as executors say it of the queues that they own."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple


class WaitReason(Enum):
    """The one who can do something about it is named first: people, then the function's own limits, then the host's."""

    PAUSED = "paused"
    CAUTION = "caution"
    RATE = "rate"
    CONCURRENCY = "concurrency"
    SLOTS = "slots"


class Wait(NamedTuple):
    reason: WaitReason
    #: Runs of the function that go on here, and how many may: for CONCURRENCY. Deaths in a row: for CAUTION.
    running: int = 0
    limit: int = 0

    def text(self, rate_per_sec: float) -> str:
        """For the run document."""
        if self.reason is WaitReason.CONCURRENCY:
            return f"concurrency: {self.running} of {self.limit} running"
        if self.reason is WaitReason.RATE:
            return f"rate: {rate_per_sec:g}/s"
        if self.reason is WaitReason.CAUTION:
            return (
                f"its executor died soon after it began ({self.running} in a row) and starts slowly; its log says why"
            )
        return "no free slot" if self.reason is WaitReason.SLOTS else self.reason.value


def merged(waits: Iterable[Wait]) -> Wait | None:
    """Of one function, as all owners of its queue partitions see it: a part of the concurrency goes with each."""
    found = sorted(waits, key=lambda each: _ORDER[each.reason])
    if not found:
        return None
    alike = [each for each in found if each.reason is found[0].reason]
    if found[0].reason is WaitReason.CAUTION:
        return max(alike, key=lambda each: each.running)
    return Wait(found[0].reason, sum(each.running for each in alike), sum(each.limit for each in alike))


_ORDER = {reason: place for place, reason in enumerate(WaitReason)}
