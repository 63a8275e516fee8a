from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """How many per second, and how many at once after a quiet second."""

    per_sec: float
    burst: float

    @classmethod
    def of(cls, per_sec: float, *, shares: int = 1) -> Rate:
        """A function's rate, divided among the live gateways. At least one call must fit, or nothing ever would."""
        share = per_sec / max(shares, 1)
        return cls(per_sec=share, burst=max(share, 1.0))


class TokenBucket:
    """The running state of one Rate. Time is an argument, in seconds of any steady clock."""

    __slots__ = ("_tokens", "_updated_sec")

    def __init__(self, rate: Rate, now_sec: float) -> None:
        self._tokens = rate.burst
        self._updated_sec = now_sec

    def take(self, rate: Rate, now_sec: float) -> float:
        """Takes one token and returns 0.0, or takes nothing and returns the seconds until one is there."""
        elapsed = max(now_sec - self._updated_sec, 0.0)
        self._tokens = min(rate.burst, self._tokens + elapsed * rate.per_sec)
        self._updated_sec = now_sec
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / rate.per_sec
