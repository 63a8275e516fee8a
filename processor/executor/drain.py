from __future__ import annotations

import threading

from processor.core.clock import Clock


class Drain:
    """Whether an executor was asked to stop, and whether it has to stop now. The two that ask may be other threads."""

    def __init__(self, clock: Clock, limit_sec: float) -> None:
        self._clock = clock
        self._limit_sec = limit_sec
        self._asked = threading.Event()
        self._asked_now = threading.Event()
        self._now_at_sec: float | None = None
        #: Of the executor as a whole, on the topic `control`: it wants no successor in this process.
        self.requested = False

    def ask(self) -> None:
        self._asked.set()

    def request(self) -> None:
        self.requested = True
        self.ask()

    def ask_now(self) -> None:
        self._asked_now.set()
        self._asked.set()

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    @property
    def now(self) -> bool:
        """It was asked to, or the drain has lasted for too long."""
        return self._asked_now.is_set() or self._too_long()

    def _too_long(self) -> bool:
        if not self.asked:
            return False
        if self._now_at_sec is None:
            self._now_at_sec = self._clock.boottime() + self._limit_sec
        return self._clock.boottime() >= self._now_at_sec
