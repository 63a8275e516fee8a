from __future__ import annotations

#: A batch worth its flush and commit holds the starts of this long; fewer are claimed at once only when no more wait.
WORTH_SEC = 0.02


class Pace:
    """Starts per second of one function on one executor: a token bucket with room for the starts of one second.

    It is looked at before a claim and charged after it, because only then is known how many are ours. Time is an
    argument, in seconds of any steady clock.
    """

    __slots__ = ("_tokens", "_updated_sec")

    def __init__(self) -> None:
        self._tokens = float("inf")
        self._updated_sec = 0.0

    def allowance(self, per_sec: float, waiting: int, now_sec: float) -> int:
        """How many of the waiting may be claimed now."""
        elapsed_sec = max(now_sec - self._updated_sec, 0.0)
        self._tokens = min(self._tokens + elapsed_sec * per_sec, max(per_sec, 1.0))
        self._updated_sec = now_sec
        return min(int(self._tokens), waiting) if self._tokens >= _worth(per_sec, waiting) else 0

    def charge(self, count: int) -> None:
        self._tokens -= count

    def ready_at_sec(self, per_sec: float, waiting: int, granted: int) -> float:
        """After `allowance`: when there is one again for those that are left, once the granted are charged."""
        left = self._tokens - granted
        return self._updated_sec + max(_worth(per_sec, max(waiting - granted, 0)) - left, 0.0) / per_sec


def _worth(per_sec: float, waiting: int) -> float:
    return max(min(per_sec * WORTH_SEC, waiting), 1.0)
