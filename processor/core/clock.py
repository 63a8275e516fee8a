from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where every loop gets its time from, so that tests can own it."""

    def boottime(self) -> float:
        """Seconds since boot, sleep of the machine included: for every lease, deadline and life sign."""

    def unix_ms(self) -> int:
        """Wall clock in milliseconds: for people and records only, never for a decision."""


class SystemClock:
    def boottime(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def unix_ms(self) -> int:
        return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that moves only when told to."""

    def __init__(self, *, boottime: float = 1_000.0, unix_ms: int = 1_700_000_000_000) -> None:
        self._boottime = boottime
        self._unix_ms = unix_ms

    def boottime(self) -> float:
        return self._boottime

    def unix_ms(self) -> int:
        return self._unix_ms

    def advance(self, seconds: float) -> None:
        self._boottime += seconds
        self._unix_ms += int(seconds * 1000)
